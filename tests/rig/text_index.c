// SPDX-License-Identifier: Apache-2.0
#include "rig/text_index.h"

#include <stdlib.h>

static uint64_t hash_of(struct text t)
{
	uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a

	for (size_t i = 0; i < t.length; i++) {
		hash = (hash ^ (unsigned char)t.bytes[i]) * UINT64_C(1099511628211);
	}
	return hash;
}

static struct text_slot *slot_of(const struct text_index *index, struct text key)
{
	size_t at = hash_of(key) & (index->capacity - 1);

	while (index->slots[at].key != NULL && !text_equal_string(key, index->slots[at].key)) {
		at = (at + 1) & (index->capacity - 1);
	}
	return &index->slots[at];
}

void *text_index_find(const struct text_index *index, struct text key)
{
	return index->capacity > 0 ? slot_of(index, key)->value : NULL;
}

static void grow_index(struct text_index *index)
{
	struct text_index larger = { .capacity = index->capacity > 0 ? index->capacity * 2 : 64, .count = index->count };

	larger.slots = allocate_array(larger.capacity, sizeof *larger.slots);
	for (size_t i = 0; i < index->capacity; i++) {
		if (index->slots[i].key != NULL) {
			*slot_of(&larger, text_of(index->slots[i].key)) = index->slots[i];
		}
	}
	free(index->slots);
	*index = larger;
}

void text_index_put(struct text_index *index, const char *key, void *value)
{
	struct text_slot *slot;

	if ((index->count + 1) * 2 > index->capacity) {
		grow_index(index);
	}
	slot = slot_of(index, text_of(key));
	if (slot->key == NULL) {
		slot->key = duplicate(text_of(key));
		index->count++;
	}
	slot->value = value;
}

void text_index_fini(struct text_index *index)
{
	for (size_t i = 0; i < index->capacity; i++) {
		free(index->slots[i].key);
	}
	free(index->slots);
}
