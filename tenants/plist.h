// SPDX-License-Identifier: Apache-2.0
//
// plist.h - single members of the dictionary that a property list is, XML or binary (docs/decisions/0013).
//
// Ownership  texts live in the arena that is given.
// Laws       1. pure; time and memory are bounded by the list's length: no tree is built, nothing is called by itself, no object of a
//               binary list is looked at unless the outermost dictionary names it
//            2. no entity but the five of XML and numeric ones, no internal subset, no processing instruction but the declaration
//            3. a member that is asked for and there twice, or whose text is not UTF-8, makes the list unusable
#pragma once

#include "depbroker/arena.h"

enum { PLIST_BYTES_MAX = 1 << 20, PLIST_DEPTH_MAX = 32, PLIST_TEXT_MAX = 4096 };

enum plist_kind { PLIST_ABSENT, PLIST_STRING, PLIST_TRUE, PLIST_FALSE, PLIST_OTHER };

struct plist_member {
	const char *name;
	enum plist_kind kind;
	struct text text; // of a string
};

// Fills kind and text. ERR_BAD_INPUT: it is no property list, or its outermost value no dictionary. ERR_BUDGET: the arena is full.
MUST_USE enum err plist_read(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault);

// The two forms, for plist.c.
MUST_USE enum err plist_read_xml(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault);
MUST_USE enum err plist_read_binary(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault);
struct plist_member *plist_wanted(struct plist_member *members, size_t count, struct text key); // NULL: nobody asked for it
void plist_add_character(struct buffer *out, uint32_t c); // as UTF-8; whether it is one is the caller's to know
