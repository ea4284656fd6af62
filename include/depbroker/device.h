// SPDX-License-Identifier: Apache-2.0
//
// device.h - one device as Apple reports it (dep-api.md, section 5.4).
//
// Ownership  texts are borrowed from whatever was parsed (an arena or a page buffer).
// Laws       1. absent, null and "" are the same: an empty text, INSTANT_NONE
//            2. serial numbers are upper case, without blanks, 1 to 64 bytes of UTF-8
//            3. the fingerprint covers everything that may change and be of interest, and not op_type, op_date
#pragma once

#include "depbroker/clock.h"

enum device_operation { DEVICE_PRESENT, DEVICE_ADDED, DEVICE_MODIFIED, DEVICE_DELETED }; // PRESENT: a fetch, no op_type

enum { DEVICE_FINGERPRINT_SIZE = 16 };

struct device_record {
	struct text serial_number;
	struct text model;
	struct text description;
	struct text color;
	struct text asset_tag;
	struct text device_family;
	struct text os;
	struct text profile_status; // "empty", "assigned", "pushed", "removed"
	struct text profile_uuid;
	struct text device_assigned_by;
	int64_t profile_assign_time_us;
	int64_t profile_push_time_us;
	int64_t device_assigned_date_us;
	int64_t mdm_migration_deadline_us;
	int64_t op_date_us;
	enum device_operation operation;
	struct text response_status; // only in answers of POST /devices
	bool is_replacement;         // of an answer of Apple's that says so; in `extra`, too
	bool released_by_replacement;
	struct text extra;           // the remaining members, known to newer protocols or to nobody, as one JSON object; empty: none
	unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];
	uint64_t list_hash;          // keyed, of the bytes that it was listed with, and that this was read from; 0: not known
};
