// SPDX-License-Identifier: Apache-2.0
//
// apple_json.h - Apple's answers as JSON trees, read in place with yyjson. For this room only.
//
// Ownership  apple_json_open takes `bytes`; strings point there and outlive apple_json_close, which frees the tree alone.
// Laws       1. the tree never takes more than APPLE_JSON_MEMORY_MAX, whatever was sent; nothing recurses with the input
//            2. an ill-formed string or a huge number spoils its own value, not the answer: numbers stay raw, half a
//               surrogate pair becomes U+FFFD, and strings are checked when they are taken
//            3. absent, null and "" are the same
#pragma once

#include "depbroker/clock.h"

#include <yyjson.h>

enum { APPLE_JSON_MEMORY_MAX = 24 << 20 };

struct apple_json {
	char *bytes;
	yyjson_doc *document;
	yyjson_val *root; // an object
	size_t spent_bytes;
	bool spent_all;
};

// ERR_BAD_ANSWER: not one JSON object; ERR_BUDGET: it would need too much memory. *bytes may move, and stays the caller's.
MUST_USE enum err apple_json_open(struct apple_json *json, char **bytes, size_t length, struct fault *fault);
void apple_json_close(struct apple_json *json); // also after a failure

bool apple_json_is_object(struct text answer); // strictly one JSON object, within the same bound; nothing is kept

struct text apple_json_string(yyjson_val *value); // as it stands; TEXT_NONE unless it is a string
bool apple_json_is_absent(yyjson_val *value);
// Both give false for a value that is there but is not what is wanted; *out is then absent.
MUST_USE bool apple_json_text(struct text *out, yyjson_val *value, size_t length_max); // UTF-8 without NUL
MUST_USE bool apple_json_instant(int64_t *out, yyjson_val *value);
int64_t apple_json_count(yyjson_val *value); // a whole number from 0 to 10^9; -1 for anything else

// True when `object` has exactly one member of this name, or none (*out is NULL).
MUST_USE bool apple_json_member(yyjson_val **out, yyjson_val *object, const char *name);
