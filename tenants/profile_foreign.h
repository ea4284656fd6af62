// SPDX-License-Identifier: Apache-2.0
//
// profile_foreign.h - an enrolment profile that somebody else has written, not depbroker's layers: whether it may go to Apple, and to
// which devices.
//
// Laws       1. pure
//            2. everything in it that is or could be a URL is on the hosts of one instance (profile_guard.h); a key that Apple may read
//               otherwise than we do is refused
//            3. devices of an instance may have it only when its `url` is the instance's, to the byte
#pragma once

#include "tenants/profile_layers.h"

// Lives in the arena. ERR_BAD_INPUT: not a JSON object of a profile; ERR_BUDGET.
MUST_USE enum err profile_foreign_read(struct profile_merged *out, struct text json, struct arena *arena, struct fault *fault);

struct profile_foreign_place { // an instance
	const struct text *allowed_hosts;
	size_t allowed_host_count;
	struct text enrolment_url;
};

// Whether it stays on the instance's hosts; with `is_for_devices` also law 3. ERR_BAD_INPUT with the reason.
MUST_USE enum err profile_foreign_check(const struct profile_merged *profile, const struct profile_foreign_place *place, bool is_for_devices,
	struct arena *arena, struct fault *fault);
