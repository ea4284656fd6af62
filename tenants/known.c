// SPDX-License-Identifier: Apache-2.0
#include "tenants/known.h"

#include "tenants/seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64, SLOT_BYTES = sizeof(struct known_slot) + sizeof(unsigned char) };
enum { IN_PAGE = 1, SEEN = 2 }; // marks

void known_init(struct known *known, const unsigned char key[KNOWN_KEY_SIZE], size_t budget_bytes)
{
	*known = (struct known){ .budget_bytes = budget_bytes, .whole = true };
	memcpy(known->key, key, sizeof known->key);
}

void known_fini(struct known *known)
{
	free(known->slots);
	free(known->marks);
	free(known->page);
	*known = (struct known){ 0 };
}

static uint64_t not_zero(uint64_t value)
{
	return value != 0 ? value : 1;
}

static uint64_t fingerprint_of(const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE])
{
	uint64_t value;

	memcpy(&value, fingerprint, sizeof value);
	return not_zero(value);
}

// Hashes in their order, spread over the table, which so may have any size.
static size_t place_of(size_t capacity, uint64_t hash)
{
	return (size_t)((unsigned __int128)hash * capacity >> 64);
}

// Where the hash is, or the empty slot where it belongs. There is one: the table is never full.
static struct known_slot *find(struct known_slot *slots, size_t capacity, uint64_t hash)
{
	size_t at = place_of(capacity, hash);

	while (slots[at].hash != 0 && slots[at].hash != hash) {
		at = at + 1 < capacity ? at + 1 : 0;
	}
	return &slots[at];
}

static void move_slots(struct known *known, struct known_slot *slots, unsigned char *marks, size_t capacity)
{
	for (size_t i = 0; i < known->capacity; i++) {
		if (known->slots[i].hash != 0) {
			struct known_slot *slot = find(slots, capacity, known->slots[i].hash);

			*slot = known->slots[i];
			marks[slot - slots] = known->marks[i];
		}
	}
}

static size_t capacity_max(const struct known *known)
{
	const size_t most = known->budget_bytes / SLOT_BYTES;

	return most < UINT32_MAX ? most : UINT32_MAX;
}

static void grow(struct known *known)
{
	const size_t wanted = known->capacity > 0 ? known->capacity * 2 : CAPACITY_MIN;
	const size_t capacity = wanted < capacity_max(known) ? wanted : capacity_max(known);

	assert(known->page_count == 0); // its slots would move
	struct known_slot *slots = allocate_array(capacity, sizeof *slots);
	unsigned char *marks = allocate(capacity);

	move_slots(known, slots, marks, capacity);
	free(known->slots);
	free(known->marks);
	known->slots = slots;
	known->marks = marks;
	known->capacity = capacity;
}

// For one more. At three quarters it grows, as far as the budget allows; the largest one is filled further, where looking takes longer.
static bool has_room(struct known *known)
{
	if (known->count >= known->capacity - known->capacity / 4 && known->capacity < capacity_max(known)) {
		grow(known);
	}
	return known->count < known->capacity - known->capacity / 8;
}

static uint64_t hash_of(const struct known *known, struct text serial)
{
	return not_zero(keyed_hash(known->key, serial));
}

// Where it is; NULL: it was never put.
static struct known_slot *slot_of(const struct known *known, struct text serial)
{
	struct known_slot *slot = known->capacity > 0 ? find(known->slots, known->capacity, hash_of(known, serial)) : NULL;

	return slot != NULL && slot->hash != 0 ? slot : NULL;
}

void known_put(struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE], uint64_t list_hash, bool gone)
{
	struct known_slot *slot;

	known->whole = known->whole && has_room(known);
	if (!known->whole) {
		return;
	}
	const uint64_t hash = hash_of(known, serial);

	slot = find(known->slots, known->capacity, hash);
	known->count += slot->hash == 0 ? 1 : 0;
	known->present -= slot->fingerprint != 0 ? 1 : 0;
	known->present += gone ? 0 : 1;
	slot->hash = hash;
	slot->fingerprint = gone ? 0 : fingerprint_of(fingerprint);
	slot->list_hash = gone ? 0 : list_hash;
}

enum known_answer known_ask(const struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE])
{
	if (!known->whole) {
		return KNOWN_PERHAPS;
	}
	const struct known_slot *slot = slot_of(known, serial);

	if (slot == NULL) {
		return KNOWN_NEW;
	}
	return slot->fingerprint == fingerprint_of(fingerprint) ? KNOWN_SAME : KNOWN_PERHAPS;
}

bool known_is_present(const struct known *known, struct text serial)
{
	const struct known_slot *slot = known->whole ? slot_of(known, serial) : NULL;

	return slot != NULL && slot->fingerprint != 0;
}

// --- the page at hand ---

static bool has_list_hash(const struct known *known, const struct known_slot *slot, uint64_t list_hash)
{
	return known->whole && slot != NULL && slot->fingerprint != 0 && list_hash != 0 && slot->list_hash == list_hash;
}

void known_expect(const struct known *known, struct text serial)
{
	if (known->capacity > 0) {
		__builtin_prefetch(&known->slots[place_of(known->capacity, hash_of(known, serial))]);
	}
}

bool known_has_list_hash(const struct known *known, struct text serial, uint64_t list_hash)
{
	return has_list_hash(known, slot_of(known, serial), list_hash);
}

bool known_add_listed(struct known *known, struct text serial, uint64_t list_hash)
{
	const struct known_slot *slot = slot_of(known, serial);

	if (!has_list_hash(known, slot, list_hash)) {
		return false;
	}
	const size_t at = (size_t)(slot - known->slots);

	if ((known->marks[at] & IN_PAGE) == 0) {
		if (known->page_count == known->page_room) {
			known->page_room = known->page_room > 0 ? known->page_room * 2 : CAPACITY_MIN;
			known->page = reallocate(known->page, known->page_room * sizeof *known->page);
		}
		known->marks[at] |= IN_PAGE;
		known->page[known->page_count++] = (uint32_t)at;
	}
	return true;
}

bool known_is_in_page(const struct known *known, struct text serial)
{
	const struct known_slot *slot = slot_of(known, serial);

	return slot != NULL && (known->marks[slot - known->slots] & IN_PAGE) != 0;
}

void known_drop_page(struct known *known)
{
	for (size_t i = 0; i < known->page_count; i++) {
		known->marks[known->page[i]] &= (unsigned char)~IN_PAGE;
	}
	known->page_count = 0;
}

// --- what was seen ---

static void see(struct known *known, size_t at)
{
	known->seen += (known->marks[at] & SEEN) == 0 ? 1 : 0;
	known->marks[at] = SEEN;
}

void known_see_page(struct known *known)
{
	for (size_t i = 0; i < known->page_count; i++) {
		see(known, known->page[i]);
	}
	known->page_count = 0;
}

bool known_see(struct known *known, struct text serial)
{
	const struct known_slot *slot = slot_of(known, serial);

	if (slot == NULL) {
		return false;
	}
	assert(known->page_count == 0);
	see(known, (size_t)(slot - known->slots));
	return true;
}

bool known_has_seen(const struct known *known, struct text serial)
{
	const struct known_slot *slot = slot_of(known, serial);

	return slot != NULL && (known->marks[slot - known->slots] & SEEN) != 0;
}

void known_forget_seen(struct known *known)
{
	known_drop_page(known);
	if (known->capacity > 0) {
		memset(known->marks, 0, known->capacity);
	}
	known->seen = 0;
}
