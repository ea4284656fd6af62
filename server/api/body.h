// SPDX-License-Identifier: Apache-2.0
//
// body.h - the JSON object that a request brings, checked member by member against a table.
//
// Ownership  texts and objects that are given out live as long as the call.
// Laws       1. refused: members that the table does not know, a member twice, a wrong type or size, more than 32 levels or
//               10,000 values, bytes after the object
//            2. the refusal names the member
#pragma once

#include "api/call.h"
#include "tenants/slug.h"

enum { BODY_DEPTH_MAX = 32, BODY_VALUES_MAX = 10000, BODY_STRINGS_MAX = 64, BODY_NUMBERS_MAX = 16 };

enum body_kind { BODY_TEXT, BODY_INTEGER, BODY_OBJECT, BODY_TEXTS, BODY_INTEGERS, BODY_FLAG, BODY_LIST };

struct body_member {
	const char *name;
	enum body_kind kind;
	bool required;
	bool nullable;
	int64_t minimum; // of a number (each of a list of them), of a text's bytes, of a list's length
	int64_t maximum;
	const char *const *words; // the only texts that are allowed, NULL ends them; NULL: any
};

struct body_value {
	bool given;
	bool null;
	struct text text;
	int64_t number;
	bool flag;
	json_t *object; // of BODY_LIST: the list, whose elements nobody has looked at
	struct text texts[BODY_STRINGS_MAX];
	int64_t numbers[BODY_NUMBERS_MAX];
	size_t count;
};

// Fills values[i] for members[i]. False: refused, and that has been answered.
MUST_USE bool body_read(struct call *call, const struct body_member *members, struct body_value *values, size_t count);
// The same with more values than usual.
MUST_USE bool body_read_large(struct call *call, const struct body_member *members, struct body_value *values, size_t count, size_t values_max);

// True when JSON this deep and with this many values may be parsed at all. Says nothing about its form.
bool body_is_modest(struct text json);
