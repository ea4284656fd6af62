// SPDX-License-Identifier: Apache-2.0
//
// plan_flow.h - after rules, instances or profiles have changed: the default instance's profile is defined at Apple, unless it is already,
// and every present device is looked at again.
//
// Ownership  see flow.h; plan_flow_fini in the end.
// Laws       1. a profile that Apple refuses is not tried again with the same content, and one with an error is never sent. Before Apple
//               is asked, it is written down: answers that are lost, and workers that die, do not lead to ever new profiles
//               (profile_content.h)
//            2. no session is opened: one that Apple refuses ends the definition, not the flow (session_lost of flow.h)
//            3. stream.profile_needed is taken back only after every device was looked at, in a write that proves that no
//               configuration changed meanwhile
#pragma once

#include "worker/flow.h"

struct plan_flow {
	struct flow flow;
	bool may_define; // set by the run: there is a proven session, and Apple may be asked

	// Inside
	enum plan_flow_state {
		PLAN_IDLE, PLAN_NOTING, PLAN_DEFINING, PLAN_WRITING_PROFILE, PLAN_WRITING_FAILURE, PLAN_READING, PLAN_WRITING, PLAN_WRITING_DONE,
	} state;
	char defined_uuid[APPLE_PROFILE_UUID_MAX + 1];
};

bool plan_must_define(const struct tenant *tenant); // Apple is to be asked
int64_t plan_define_at_us(const struct tenant *tenant); // not before; INSTANT_NONE: nothing waits to be defined
void plan_flow_init(struct plan_flow *plan, struct tenant *tenant);
void plan_flow_fini(struct plan_flow *plan);
