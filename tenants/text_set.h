// SPDX-License-Identifier: Apache-2.0
//
// text_set.h - a set of texts as a person writes it down: listed one by one, by patterns, by ranges. Upper and lower case
// (ASCII) are the same. Compiled once, then asked for many devices.
//
// Ownership  everything lives in the arena that it was made with.
// Laws       1. pure; an arena that is full is a broken law: whoever reads a document limits it
//            2. a pattern never fits the empty text: only the empty text, listed, stands for "there is none"
//            3. "*" in a glob stands for any characters, none included; "?" for exactly one (UTF-8); nothing else is special
//            4. a range holds what is as long as its ends and not outside of them, byte for byte; ends are equally long
//            5. text_set_within and text_set_apart say yes only when they are sure
#pragma once

#include "depbroker/arena.h"

enum text_pattern_kind { TEXT_PATTERN_GLOB, TEXT_PATTERN_PREFIX, TEXT_PATTERN_CONTAINS };

struct text_slot {
	uint64_t hash;
	struct text text; // lower case; bytes NULL: free
};

struct text_pattern {
	struct text whole; // lower case; wildcards are control characters, which no member has
	struct text head;  // what stands before the first wildcard
	struct text tail;  // what stands after the last one
};

struct text_range {
	struct text from, to; // lower case
};

struct text_set {
	struct text_slot *slots; // open addressing, at most half full
	size_t slot_count, listed_count;
	struct text_pattern *patterns;
	size_t pattern_count;
	struct text_range *ranges;
	size_t range_count;
};

// Room for so many of each. Texts that are put are copied. No text may have control characters.
void text_set_init(struct text_set *set, struct arena *arena, size_t listed, size_t patterns, size_t ranges);
void text_set_list(struct text_set *set, struct arena *arena, struct text text);
void text_set_add_pattern(struct text_set *set, struct arena *arena, enum text_pattern_kind kind, struct text text);
// Both ends are equally long. False: nothing is between them.
MUST_USE bool text_set_add_range(struct text_set *set, struct arena *arena, struct text from, struct text to);

uint64_t text_set_hash(struct text text); // the same for upper and lower case
// `hash` is that of `text`.
bool text_set_has(const struct text_set *set, struct text text, uint64_t hash);

// Whatever is in `a` is in `b`; nothing is in both. Each comparison takes one off `*work`; without work left the answer is no.
bool text_set_within(const struct text_set *a, const struct text_set *b, int64_t *work);
bool text_set_apart(const struct text_set *a, const struct text_set *b, int64_t *work);
