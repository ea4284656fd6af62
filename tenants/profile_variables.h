// SPDX-License-Identifier: Apache-2.0
//
// profile_variables.h - {{tenant.name}} and its like in the strings of a profile.
//
// Laws       1. pure, and one pass: what a variable brings is never looked into for further variables
//            2. an unknown variable is an error; nothing is replaced by nothing in silence
//            3. {{{{ stands for two literal braces; single braces, and braces that close nothing, stand for themselves
#pragma once

#include "depbroker/arena.h"

enum { PROFILE_VARIABLE_NAME_MAX = 128, PROFILE_STRING_MAX = 65536 };

struct profile_variable {
	struct text name; // "tenant.name", "label.site"
	struct text value;
};

struct profile_variables {
	const struct profile_variable *items;
	size_t count;
	bool only_form; // nothing is known yet: references are looked at and left as they are
};

// The string with its variables replaced; `in` itself when it has none. ERR_BAD_INPUT with a sentence that names the
// variable, and one that may have been meant; ERR_BUDGET.
MUST_USE enum err profile_variables_expand(struct text *out, struct text in, const struct profile_variables *variables,
	struct arena *arena, struct fault *fault);
