// SPDX-License-Identifier: Apache-2.0
//
// assign_flow.h - closes the difference between the profile that a device should have and the one that Apple shows, for the devices
// whose time has come: assigned in batches, or read back.
//
// Ownership  see flow.h; assign_flow_fini in the end.
// Laws       1. HTTP 200 says nothing about devices: each one's result is walked and stored
//            2. no session is opened: one that Apple refuses ends the flow (session_lost of flow.h)
//            3. after an answer that was lost, devices are read back before anything is assigned again
#pragma once

#include "worker/flow.h"

struct assign_flow {
	struct flow flow;
	bool profile_lost; // Apple does not know the profile any more: it is to be defined anew

	// Inside
	enum assign_flow_state {
		ASSIGN_IDLE, ASSIGN_READING_DUE, ASSIGN_WRITING_SETTLED, ASSIGN_ASKING, ASSIGN_WRITING_RESULTS, ASSIGN_FORGETTING_PROFILE,
		ASSIGN_READING_BACK, ASSIGN_WRITING_READ_BACK,
	} state;
	struct apple_assignment assignment;
	struct text *serials; // in scratch: of the call
	size_t *picked;       // in scratch: their rows
	size_t picked_count;
	char asked_uuid[APPLE_PROFILE_UUID_MAX + 1];
};

void assign_flow_init(struct assign_flow *assign, struct tenant *tenant);
void assign_flow_fini(struct assign_flow *assign);
