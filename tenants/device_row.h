// SPDX-License-Identifier: Apache-2.0
//
// device_row.h - what depbroker knows about one device of a client: Apple's last report, where it goes, how far assigning it is.
//
// Ownership  texts are borrowed from whatever was read.
#pragma once

#include "depbroker/device.h"
#include "tenants/assign.h"
#include "tenants/event.h"
#include "tenants/route.h"

struct device_row {
	struct device_record apple; // as reported last: op_date_us is the last operation's, operation and response_status are not kept
	int64_t gone_at_us;         // INSTANT_NONE: present
	enum removal_reason gone_reason; // of a device that is gone; REMOVAL_NONE: it went before reasons were kept
	int64_t gone_seq;           // of the event that told of it; 0: none
	int64_t instance_id;        // 0: held
	int64_t last_instance_id;   // that it had last; 0: it was held ever since
	enum route_decider decider; // what chose it,
	struct text rule_id;        // which rule, and
	int64_t rules_version;      // the version of the rules that did so first
	struct text hold_reason;    // while it is held
	int64_t held_since_us;      // INSTANT_NONE: it is not
	enum assign_state assign_state;
	int64_t assign_at_us; // when assigning it is looked at next; INSTANT_NONE: nothing to do
	int64_t assign_attempts;
	struct text assigned_profile_uuid; // the last one that Apple is known to have accepted for it
	int64_t first_seen_at_us, changed_at_us;
};
