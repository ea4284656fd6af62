// SPDX-License-Identifier: Apache-2.0
//
// profile_layers.h - an enrolment profile out of layers: templates of the whole MSP, the tenant, the instance, a rule.
//
// A layer is a JSON object. Each member changes one key of the profile, and only that key:
//   "key": value       sets it; arrays and objects replace as a whole
//   "key": null        takes it away, whoever has set it below
//   "key+": [values]   adds to an array what it does not hold yet, in this order; without "key" below it is the array
//
// Ownership  changes and merged profiles live in the arena, and borrow nothing but the variables' values.
// Laws       1. joining is associative, with {} as its neutral element: join(join(a, b), c) = join(a, join(b, c)). Additions
//               are kept apart from what they are added to until they are applied
//            2. keys that nobody knows are merged like any other and lose nothing
//            3. each key, and each element of an array, knows which layer gave it and where it stands in there
//            4. variables are replaced in the values that take part, before additions are compared, and never in names
#pragma once

#include "tenants/finding.h"
#include "tenants/tree_value.h"
#include "tenants/profile_variables.h"

enum { PROFILE_LAYERS_MAX = 16, PROFILE_LAYER_SIZE_MAX = 65536, PROFILE_ELEMENTS_MAX = 1000 };

struct profile_addition {
	struct tree_value array;
	size_t layer;
};

enum profile_base { PROFILE_BASE_BELOW, PROFILE_BASE_REMOVED, PROFILE_BASE_VALUE };

struct profile_change { // what one layer, or several joined ones, do to one key
	struct text name;   // without "+"
	enum profile_base base;
	size_t layer;       // that removed or set it
	struct tree_value value;
	struct profile_addition *additions; // on top of the base, lowest layer first
	size_t addition_count;
};

struct profile_changes { // sorted by name, each name once
	struct profile_change *items;
	size_t count;
};

// One layer's document; empty text is {}. What is not understood becomes a finding, and the rest of the layer is read.
// ERR_BUDGET is the only failure.
MUST_USE enum err profile_changes_read(struct profile_changes *out, struct text json, size_t layer,
	struct findings *findings, struct arena *arena);
MUST_USE enum err profile_changes_join(struct profile_changes *out, const struct profile_changes *lower,
	const struct profile_changes *upper, struct arena *arena);

struct profile_origin { // where a value stands in the documents
	size_t layer;
	bool is_addition; // under "key+"
	size_t index;     // of an element of an array
};

struct profile_key {
	struct text name;
	struct tree_value value;
	struct profile_origin origin;          // of the value; of an array that was only added to: the first addition
	const struct profile_origin *elements; // of an array: one for each element; otherwise NULL
};

struct profile_merged { // sorted by name
	struct profile_key *keys;
	size_t count;
};

// What the changes make of nothing. Unknown variables, and additions to what is no array, become findings, and their key
// keeps what it has.
MUST_USE enum err profile_changes_apply(struct profile_merged *out, const struct profile_changes *changes,
	const struct profile_variables *variables, struct findings *findings, struct arena *arena);

const struct profile_key *profile_merged_find(const struct profile_merged *merged, struct text name);

// Where a key, or an element of its array, was written: "/skip_setup_items+/2". For a finding, and for explaining.
void profile_pointer_of_key(struct buffer *out, const struct profile_key *key);
void profile_pointer_of_element(struct buffer *out, const struct profile_key *key, size_t index);

// Findings there.
void profile_find_at_key(struct findings *findings, const struct profile_key *key, struct finding_kind kind,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
void profile_find_at_element(struct findings *findings, const struct profile_key *key, size_t index,
	struct finding_kind kind, const char *format, ...) __attribute__((format(printf, 5, 6)));
