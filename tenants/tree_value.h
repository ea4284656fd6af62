// SPDX-License-Identifier: Apache-2.0
//
// tree_value.h - a JSON value as a tree, for the few documents whose every member matters (enrolment profiles, rules).
//
// Ownership  a tree lives in the arena it was read into, and borrows the text it was read from.
// Laws       1. strict RFC 8259; refused besides: a name twice in one object, at any depth; \u0000; nesting below 16
//            2. members are kept sorted by the bytes of their names: equal content gives equal trees and equal bytes
//            3. numbers are kept as they were written, so nothing is lost by reading and writing
#pragma once

#include "depbroker/arena.h"

enum tree_value_kind {
	TREE_NULL,
	TREE_FALSE,
	TREE_TRUE,
	TREE_NUMBER,
	TREE_STRING,
	TREE_ARRAY,
	TREE_OBJECT,
};

struct tree_value {
	enum tree_value_kind kind;
	struct text text;            // of a string: its characters; of a number: as written
	struct tree_member *members; // of an array (then without names) and of an object
	size_t count;
};

struct tree_member {
	struct text name;
	struct tree_value value;
};

// Reads the one value in `json`, unescaping in place. ERR_BAD_INPUT with the position, ERR_BUDGET when the arena is full;
// `json` is then in an undefined state.
MUST_USE enum err tree_value_read(struct tree_value *out, char *json, size_t length, struct arena *arena, struct fault *fault);

// The member of an object, or NULL; NULL, too, when the value is no object.
const struct tree_value *tree_value_find(const struct tree_value *object, struct text name);

int tree_name_compare(struct text a, struct text b); // the order of law 2
bool tree_value_equal(const struct tree_value *a, const struct tree_value *b);
void tree_value_write(struct buffer *out, const struct tree_value *value); // without blanks, sorted
