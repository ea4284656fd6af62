// SPDX-License-Identifier: Apache-2.0
//
// pending_flow.h - asks Apple whose a token is that waits since its upload, and takes it when it is the client's.
//
// Ownership  see flow.h; pending_flow_fini in the end.
// Laws       1. it is never taken without Apple's word, and the transaction that takes it proves the pinned identity again
//            2. the one in use stays until that commit, and for good when the new one is refused
#pragma once

#include "worker/flow.h"

struct pending_flow {
	struct flow flow;
	bool taken; // what was loaded is not so any more

	// Inside
	enum pending_flow_state { PENDING_IDLE, PENDING_ASKING, PENDING_TAKING, PENDING_WRITING } state;
	struct apple_session session;
	bool session_is_open;
	struct apple_account account;
	struct pending_token_row next;
};

bool pending_is_due(const struct tenant *tenant);
void pending_flow_init(struct pending_flow *pending, struct tenant *tenant);
void pending_flow_fini(struct pending_flow *pending);
