// SPDX-License-Identifier: Apache-2.0
//
// profile_diff.h - how a profile at Apple (GET /profile) differs from the one that was meant.
//
// Laws       1. what Apple does to every profile is no difference (dep-api.md, 5.7): order of keys and of lists, defaults
//               that it adds or leaves out, null and "" for nothing, `profile_uuid`, no `devices`
//            2. a difference that defining the same profile again could not mend is shown, and is no drift: keys that Apple
//               does not document, which it may drop or add
#pragma once

#include "tenants/tree_value.h"

enum profile_difference_kind {
	PROFILE_DIFFERENCE_CHANGED,
	PROFILE_DIFFERENCE_MISSING, // Apple has not what was meant
	PROFILE_DIFFERENCE_ADDED,   // Apple has what nobody meant
};

struct profile_difference {
	struct text name;
	enum profile_difference_kind kind;
	struct text meant; // JSON, canonical; TEXT_NONE: not there
	struct text found;
	bool is_drift;     // law 2
};

struct profile_differences {
	struct profile_difference *items; // sorted by name
	size_t count;
	size_t drift_count;
};

const char *profile_difference_name(enum profile_difference_kind kind); // "changed"

// Everything comes from the arena. ERR_BAD_INPUT: one of both is no JSON object; ERR_BUDGET.
MUST_USE enum err profile_diff(struct profile_differences *out, struct text meant, struct text found, struct arena *arena,
	struct fault *fault);
