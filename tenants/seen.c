// SPDX-License-Identifier: Apache-2.0
#include "tenants/seen.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

static uint64_t read_le64(const unsigned char *bytes, size_t length)
{
	uint64_t word = 0;

	for (size_t i = 0; i < length; i++) {
		word |= (uint64_t)bytes[i] << (8 * i);
	}
	return word;
}

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void mix(uint64_t v[4], int rounds)
{
	for (int i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static inline void absorb(uint64_t v[4], uint64_t word, int rounds)
{
	v[3] ^= word;
	mix(v, rounds);
	v[0] ^= word;
}

static uint64_t read_word(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

static inline uint64_t siphash(const uint64_t key[2], struct text t, int rounds, int last_rounds)
{
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};
	const unsigned char *bytes = (const unsigned char *)t.bytes;
	const size_t whole = t.length / 8 * 8;

	for (size_t at = 0; at < whole; at += 8) {
		absorb(v, read_word(bytes + at), rounds);
	}
	absorb(v, (uint64_t)t.length << 56 | (t.length > whole ? read_le64(bytes + whole, t.length - whole) : 0), rounds);
	v[2] ^= 0xff;
	mix(v, last_rounds);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t keyed_hash(const uint64_t key[2], struct text t)
{
	return siphash(key, t, 2, 4);
}

uint64_t keyed_hash_of_long(const uint64_t key[2], struct text t)
{
	return siphash(key, t, 1, 3);
}

void seen_init(struct seen *seen, const unsigned char key[SEEN_KEY_SIZE], size_t budget_bytes)
{
	*seen = (struct seen){
		.budget_bytes = budget_bytes,
		.key = { read_le64(key, 8), read_le64(key + 8, 8) },
	};
}

// 0 is an empty slot, so that its hash is shared with 1: one more collision, no serial number less.
static uint64_t slot_value(const struct seen *seen, struct text serial)
{
	const uint64_t hash = keyed_hash(seen->key, serial);

	return hash != 0 ? hash : 1;
}

// Where the value is, or the empty slot where it belongs. There is one: at most half of the table is in use.
static uint64_t *find(uint64_t *slots, size_t capacity, uint64_t value)
{
	size_t at = (size_t)value & (capacity - 1);

	while (slots[at] != 0 && slots[at] != value) {
		at = (at + 1) & (capacity - 1);
	}
	return &slots[at];
}

static enum err grow(struct seen *seen)
{
	const size_t capacity = seen->capacity > 0 ? seen->capacity * 2 : CAPACITY_MIN;

	if (capacity > seen->budget_bytes / sizeof *seen->slots) {
		return ERR_BUDGET;
	}
	uint64_t *slots = allocate_array(capacity, sizeof *slots);

	for (size_t i = 0; i < seen->capacity; i++) {
		if (seen->slots[i] != 0) {
			*find(slots, capacity, seen->slots[i]) = seen->slots[i];
		}
	}
	free(seen->slots);
	seen->slots = slots;
	seen->capacity = capacity;
	return OK;
}

enum err seen_add(struct seen *seen, struct text serial)
{
	const uint64_t value = slot_value(seen, serial);
	uint64_t *slot = seen->capacity > 0 ? find(seen->slots, seen->capacity, value) : NULL;

	if (slot != NULL && *slot != 0) {
		return OK;
	}
	if (seen->count >= seen->capacity / 2) {
		TRY(grow(seen));
		slot = find(seen->slots, seen->capacity, value);
	}
	*slot = value;
	seen->count++;
	return OK;
}

bool seen_has(const struct seen *seen, struct text serial)
{
	return seen->capacity > 0 && *find(seen->slots, seen->capacity, slot_value(seen, serial)) != 0;
}

void seen_clear(struct seen *seen)
{
	const uint64_t key[2] = { keyed_hash(seen->key, TEXT("next 0")), keyed_hash(seen->key, TEXT("next 1")) };

	memcpy(seen->key, key, sizeof key); // law 1: the next generation has another one
	if (seen->capacity > 0) {
		memset(seen->slots, 0, seen->capacity * sizeof *seen->slots);
	}
	seen->count = 0;
}

void seen_fini(struct seen *seen)
{
	free(seen->slots);
	*seen = (struct seen){ 0 };
}
