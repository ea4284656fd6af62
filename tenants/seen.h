// SPDX-License-Identifier: Apache-2.0
//
// seen.h - the set of serial numbers that a fetch generation has seen, as keyed 64-bit hashes: 16 to 32 bytes a device.
//
// Ownership  owns its table until seen_fini.
// Laws       1. it never says "not seen" of a serial that was added: a collision (about 1 in 10^7 for a million devices) only
//               leaves a removed device in place until the next generation, which has another key
//            2. the table stays within the budget: beyond it ERR_BUDGET, and the generation must not be completed
#pragma once

#include "depbroker/text.h"

enum { SEEN_KEY_SIZE = 16 };

struct seen {
	uint64_t *slots; // 0 is an empty one
	size_t capacity; // a power of two, or 0
	size_t count;
	size_t budget_bytes;
	uint64_t key[2];
};

void seen_init(struct seen *seen, const unsigned char key[SEEN_KEY_SIZE], size_t budget_bytes); // key: random bytes
MUST_USE enum err seen_add(struct seen *seen, struct text serial);
bool seen_has(const struct seen *seen, struct text serial);
void seen_clear(struct seen *seen); // for the next generation; keeps the memory
void seen_fini(struct seen *seen);

// SipHash-2-4 (Aumasson, Bernstein 2012).
uint64_t keyed_hash(const uint64_t key[2], struct text t);
// SipHash-1-3, for more than a few words: against chance, and not against somebody who sees the hashes.
uint64_t keyed_hash_of_long(const uint64_t key[2], struct text t);
