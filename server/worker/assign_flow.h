// SPDX-License-Identifier: Apache-2.0
//
// assign_flow.h - closes the difference between the profile that a device should have and the one that Apple shows, for the devices
// whose time has come: assigned in batches, or read back. A profile is defined when the first device waits for it.
//
// Ownership  see flow.h; assign_flow_fini in the end.
// Laws       1. HTTP 200 says nothing about devices: each one's result is walked and stored
//            2. no session is opened: one that Apple refuses ends the flow (session_lost of flow.h)
//            3. nothing is assigned as long as a device may be routed by other rules than those that were loaded (routing_is_current)
//            4. a batch is of one profile, and as large as Apple allows when so many devices are due. A profile that Apple refuses is not tried again with the same content. Before Apple is
//               asked for one, it is written down: answers that are lost, and workers that die, do not lead to ever new ones (profile_content.h).
//               One that Apple says it does not take now is asked for after a wait that grows, or when somebody wants a sync
//            5. after an answer that was lost, devices are read back before anything is assigned again
#pragma once

#include "worker/flow.h"

struct assign_flow {
	struct flow flow;
	bool profile_lost; // Apple does not know a profile any more: it is to be defined anew
	bool definition_failed; // of a profile
	bool asks_at_once; // set by the run: what Apple did not take is asked for again without a wait, once

	// Inside
	enum assign_flow_state {
		ASSIGN_IDLE, ASSIGN_ENDING_WAITS, ASSIGN_READING_DUE, ASSIGN_WRITING_SETTLED, ASSIGN_NOTING, ASSIGN_DEFINING, ASSIGN_WRITING_FAILURE, ASSIGN_WRITING_PROFILE, ASSIGN_READING_ALIKE, ASSIGN_WRITING_ALIKE_SETTLED, ASSIGN_ASKING, ASSIGN_WRITING_RESULTS, ASSIGN_FORGETTING_PROFILE,
		ASSIGN_READING_BACK, ASSIGN_WRITING_READ_BACK,
	} state;
	struct apple_assignment assignment;
	struct text *serials; // in scratch: of the call
	size_t *picked;       // in scratch: their rows
	size_t picked_count;
	struct wanted_profile *profile; // under way
	unsigned batch; // of devices that were read at a time
	size_t at;      // in it
	bool is_alike;  // the rows are those of one profile, read without facts: nothing is decided about them
	struct buffer content;
	int64_t wait_until_us; // of the definition that Apple did not take
	char defined_uuid[APPLE_PROFILE_UUID_MAX + 1];
	char asked_uuid[APPLE_PROFILE_UUID_MAX + 1];
};

void assign_flow_init(struct assign_flow *assign, struct tenant *tenant);
void assign_flow_fini(struct assign_flow *assign);
