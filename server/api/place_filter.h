// SPDX-License-Identifier: Apache-2.0
//
// place_filter.h - `instance` and `held` of lists: what goes to one instance, or nowhere.
//
//   place_filter_read -> AWAIT place_filter_find -> place_filter_take -> place.instance_id
#pragma once

#include "api/call.h"

enum { PLACE_ANY = -1, PLACE_HELD = 0 };

struct place_filter {
	struct text instance; // its name; bytes NULL: any
	bool is_held;
	int64_t instance_id; // or one of the two above
};

// Both: false when it has been refused and answered.
MUST_USE bool place_filter_read(struct call *call, struct place_filter *out);
MUST_USE bool place_filter_take(struct call *call, struct place_filter *filter);
void place_filter_find(struct call *call, const struct place_filter *filter); // starts
