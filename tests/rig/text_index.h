// SPDX-License-Identifier: Apache-2.0
//
// text_index.h - from a text to a thing.
#pragma once

#include "depbroker/text.h"

struct text_index { // copies its keys, and never forgets one
	struct text_slot {
		char *key; // NULL: free
		void *value;
	} *slots;
	size_t capacity;
	size_t count;
};

void *text_index_find(const struct text_index *index, struct text key);
void text_index_put(struct text_index *index, const char *key, void *value); // NULL: as if it were not in
void text_index_fini(struct text_index *index);
