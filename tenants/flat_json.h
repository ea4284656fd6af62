// SPDX-License-Identifier: Apache-2.0
//
// flat_json.h - a strict reader for one small JSON object whose interesting members are strings.
//
// Ownership  the text is read in place: strings are unescaped where they stand, and the values point there.
// Laws       1. strict RFC 8259: no comments, no trailing commas, nothing after the object, well-formed UTF-8
//            2. members that nobody asked for are checked and skipped, nested ones to a depth of 16
//            3. refused besides: a wanted member twice, or with a value that is neither string nor null; \u0000 anywhere
#pragma once

#include "depbroker/text.h"

struct flat_json_member {
	const char *name;  // wanted
	struct text value; // found; absent and null are TEXT_NONE (bytes == NULL), "" has bytes
};

enum { FLAT_JSON_MEMBERS_MAX = 32 };

// ERR_BAD_INPUT with the position; `json` is then in an undefined state. Faults never quote values.
MUST_USE enum err flat_json_read(struct flat_json_member *members, size_t count, char *json, size_t length,
	struct fault *fault);
