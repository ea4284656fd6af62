// SPDX-License-Identifier: Apache-2.0
#include "tenants/known.h"

#include "tenants/seen.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

void known_init(struct known *known, const unsigned char key[KNOWN_KEY_SIZE], size_t budget_bytes)
{
	*known = (struct known){ .budget_bytes = budget_bytes, .whole = true };
	memcpy(known->key, key, sizeof known->key);
}

void known_fini(struct known *known)
{
	free(known->slots);
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

// Where the hash is, or the empty slot where it belongs. There is one: at most half of the table is in use.
static struct known_slot *find(struct known_slot *slots, size_t capacity, uint64_t hash)
{
	size_t at = (size_t)hash & (capacity - 1);

	while (slots[at].hash != 0 && slots[at].hash != hash) {
		at = (at + 1) & (capacity - 1);
	}
	return &slots[at];
}

static bool grow(struct known *known)
{
	const size_t capacity = known->capacity > 0 ? known->capacity * 2 : CAPACITY_MIN;
	struct known_slot *slots;

	if (capacity > known->budget_bytes / sizeof *slots) {
		return false;
	}
	slots = allocate_array(capacity, sizeof *slots);
	for (size_t i = 0; i < known->capacity; i++) {
		if (known->slots[i].hash != 0) {
			*find(slots, capacity, known->slots[i].hash) = known->slots[i];
		}
	}
	free(known->slots);
	known->slots = slots;
	known->capacity = capacity;
	return true;
}

void known_put(struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE], bool gone)
{
	const uint64_t hash = not_zero(keyed_hash(known->key, serial));
	struct known_slot *slot;

	if (known->count >= known->capacity / 2 && !grow(known)) {
		known->whole = false;
	}
	if (!known->whole) {
		return;
	}
	slot = find(known->slots, known->capacity, hash);
	known->count += slot->hash == 0 ? 1 : 0;
	known->present -= slot->fingerprint != 0 ? 1 : 0;
	known->present += gone ? 0 : 1;
	slot->hash = hash;
	slot->fingerprint = gone ? 0 : fingerprint_of(fingerprint);
}

enum known_answer known_ask(const struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE])
{
	const struct known_slot *slot;

	if (!known->whole) {
		return KNOWN_PERHAPS;
	}
	if (known->capacity == 0) {
		return KNOWN_NEW;
	}
	slot = find(known->slots, known->capacity, not_zero(keyed_hash(known->key, serial)));
	if (slot->hash == 0) {
		return KNOWN_NEW;
	}
	return slot->fingerprint == fingerprint_of(fingerprint) ? KNOWN_SAME : KNOWN_PERHAPS;
}

bool known_is_present(const struct known *known, struct text serial)
{
	return known->whole && known->capacity > 0 &&
		find(known->slots, known->capacity, not_zero(keyed_hash(known->key, serial)))->fingerprint != 0;
}
