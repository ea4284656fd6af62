// SPDX-License-Identifier: Apache-2.0
//
// dep_device_json.h - a device's record as an MDM server sees it: Apple's members for its protocol version (dep-api.md, section 5.4).
//
// Laws       1. pure
//            2. of a profile that is not the instance's own nothing is told: to its MDM server the device has none. So the profile of the
//               instance that had the device before is not seen
//            3. of a device that has left nothing is told but what it is made of
#pragma once

#include "tenants/device_row.h"

struct dep_profile_set { // UUIDs of the instance's profiles, sorted as bytes
	const struct text *uuids;
	size_t count;
};

struct dep_view {
	int version;
	struct dep_profile_set profiles;
	bool has_left;
	const char *operation; // of an answer of /devices/sync; NULL: none
	int64_t operation_at_us;
	bool is_detail;
};

int dep_compare_texts(struct text a, struct text b);
bool dep_profile_is_known(struct dep_profile_set profiles, struct text uuid);

// `object` as device_json_write makes it (tenants/device.h).
void dep_device_json(struct buffer *out, struct text object, const struct dep_view *view);

// Of a device whose assignment Apple has accepted since its record came: the record as it is by now.
struct device_record dep_device_by_now(const struct device_row *row);
