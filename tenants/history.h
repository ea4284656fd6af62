// SPDX-License-Identifier: Apache-2.0
//
// history.h - what the log says about a device: the old and new values that an event brought, and what the device was after it.
//
// Laws       1. pure
//            2. the state after a device's newest event that tells a state is the device's state, exactly: whatever changes it is told by an
//               event. Of it are where the device is, why it is gone, and Apple's members; how far an assignment is, is not
//            3. events of one device never go back in time, so its state as of a time is that after the newest event until then
#pragma once

#include "tenants/device_row.h"

struct history_side {
	const struct device_row *row;
	struct text instance; // its name; empty: none
};

// Appends {"instance":["a","b"],"gone_reason":[null,"deleted"],"profile_status":["empty","assigned"],...}: what differs, absent values as
// null; nothing when nothing differs.
void history_changes_write(struct buffer *out, const struct history_side *before, const struct history_side *after);
// The same for what device.assigned tells: {"assigned_profile_uuid":[null,"..."]}.
void history_assignment_write(struct buffer *out, struct text before_uuid, struct text after_uuid);

struct history_state {
	bool present;
	int64_t instance_id; // 0: held, or gone
	enum removal_reason gone_reason; // of one that is gone; REMOVAL_NONE: not known
	struct text device_json;
};

bool history_tells_state(enum event_type type);
// After an event that tells a state, the last one of its write about the device.
struct history_state history_state_after(const struct event_row *event, int64_t instance_id);
