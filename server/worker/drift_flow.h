// SPDX-License-Identifier: Apache-2.0
//
// drift_flow.h - reads profiles back from Apple, each once in config->profile_check_s: what differs from what was meant is noted, and
// mended where the client wants it, by defining the same content again.
//
// Ownership  see flow.h; drift_flow_fini in the end.
// Laws       1. the same content is mended at most once: a difference that stays is shown and nothing else
//            2. Apple is asked about profiles that a present device has, and about no others
//            3. no session is opened: one that Apple refuses ends the flow (session_lost of flow.h)
#pragma once

#include "store/definitions.h"
#include "worker/flow.h"

struct drift_flow {
	struct flow flow;

	// Inside
	enum drift_flow_state { DRIFT_IDLE, DRIFT_READING, DRIFT_ASKING, DRIFT_WRITING } state;
	struct profile_row profile; // in `flow.read`
	bool in_use;
	struct buffer found; // as Apple has it
	struct buffer drift;
	struct profile_check_result result;
};

bool drift_must_compare(const struct tenant *tenant);
int64_t drift_compare_at_us(const struct tenant *tenant); // INSTANT_NONE: there is no profile
void drift_flow_init(struct drift_flow *drift, struct tenant *tenant);
void drift_flow_fini(struct drift_flow *drift);
