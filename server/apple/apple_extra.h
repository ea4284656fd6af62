// SPDX-License-Identifier: Apache-2.0
//
// apple_extra.h - the members of a device that struct device_record has no place for, kept as one JSON object.
//
// Laws  1. equal members give equal bytes, in whatever order Apple sends them: names are sorted, absent ones left out
//       2. what is written can be stored as jsonb: well-formed UTF-8 without NUL, bounded numbers and depth, no name twice at
//          the top
#pragma once

#include "apple/apple_json.h"

enum { APPLE_EXTRA_MEMBERS_MAX = 64, APPLE_EXTRA_DEPTH_MAX = 16, APPLE_EXTRA_NUMBER_MAX = 64, APPLE_EXTRA_NAME_MAX = 128 };

struct apple_extra {
	struct apple_extra_member {
		struct text name;
		yyjson_val *value;
	} members[APPLE_EXTRA_MEMBERS_MAX];
	size_t count;
	bool too_much; // more members, or deeper ones, than are kept
};

// False when the member cannot be stored, or was there already (then the later one counts).
bool apple_extra_add(struct apple_extra *extra, struct text name, yyjson_val *value);
// Appends the object, or nothing when there are no members. Sorts them. false: too much of it.
MUST_USE bool apple_extra_write(struct buffer *out, struct apple_extra *extra);
// For people: any value, as far as there is room, and not too deep.
void apple_extra_show(struct buffer *out, yyjson_val *value);
