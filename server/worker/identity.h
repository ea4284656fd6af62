// SPDX-License-Identifier: Apache-2.0
//
// identity.h - whose devices are these? The steps with which a flow finds out, and the flow that does nothing else.
//
// Ownership  see flow.h; identity_flow_fini in the end.
// Laws       1. nothing is believed, defined or assigned with a session whose server has not been compared with the pinned one
//            2. a session is proven or it is not; one that is not is never stored
#pragma once

#include "tenants/identity.h"
#include "worker/flow.h"

bool identity_must_be_checked(const struct tenant *tenant); // Apple has opened a new session since
void identity_ask(struct flow *flow, struct apple_account *account);
// False: flow->call's fault says what differs.
bool identity_is_pinned(struct flow *flow, const struct apple_account *account);
void identity_quarantine(struct flow *flow); // a write of the flow; when it was made, identity_is_quarantined
void identity_is_quarantined(struct tenant *tenant);

// Signs in when there is no session, and compares. flow.failure OK: the session is proven.
struct identity_flow {
	struct flow flow;

	// Inside
	enum identity_flow_state { IDENTITY_IDLE, IDENTITY_SIGNING_IN, IDENTITY_READING_ACCOUNT, IDENTITY_QUARANTINING } state;
	struct apple_account account;
};

bool identity_is_proven(const struct tenant *tenant);
void identity_flow_init(struct identity_flow *identity, struct tenant *tenant);
void identity_flow_fini(struct identity_flow *identity);
