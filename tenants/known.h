// SPDX-License-Identifier: Apache-2.0
//
// known.h - what is stored of a client's devices, small enough to be kept while a list is fetched: for each serial number a keyed 64-bit hash
// and 64 bits of the fingerprint, 32 to 64 bytes a device. Who has it sends and reads only what differs.
//
// Ownership  owns its table until known_fini.
// Laws       1. KNOWN_SAME is said only of a device that is stored, present, with this fingerprint (but for two collisions of 64 bits
//               at once); KNOWN_NEW only of a serial number that was never put, as long as the set is whole
//            2. a set that does not fit into its budget is no longer whole: everything is KNOWN_PERHAPS then
#pragma once

#include "depbroker/device.h"

enum { KNOWN_KEY_SIZE = 16 };

struct known_slot {
	uint64_t hash;        // 0: empty
	uint64_t fingerprint; // 0: gone, or not to be relied on
};

struct known {
	struct known_slot *slots;
	size_t capacity; // a power of two, or 0
	size_t count;
	size_t present; // of those: neither gone nor unreliable
	size_t budget_bytes;
	uint64_t key[2];
	bool whole;
};

enum known_answer {
	KNOWN_NEW,     // nothing is stored
	KNOWN_SAME,    // stored just like that
	KNOWN_PERHAPS, // to be read
};

void known_init(struct known *known, const unsigned char key[KNOWN_KEY_SIZE], size_t budget_bytes);
void known_fini(struct known *known);
// Puts what is stored, or replaces it.
void known_put(struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE], bool gone);
bool known_is_present(const struct known *known, struct text serial); // false also when it is not whole
enum known_answer known_ask(const struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE]);
