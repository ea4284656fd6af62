// SPDX-License-Identifier: Apache-2.0
//
// known.h - what is stored of a client's devices, small enough to be kept while a list is fetched: for each serial number a keyed 64-bit hash,
// 64 bits of the fingerprint, the hash of the bytes that Apple listed it with, and whether the list has shown it, 33 to 67 bytes a device.
// Who has it reads and sends only what differs.
//
// Ownership  owns its table until known_fini.
// Laws       1. KNOWN_SAME is said only of a device that is stored, present, with this fingerprint (but for two collisions of 64 bits
//               at once); KNOWN_NEW only of a serial number that was never put, as long as the set is whole
//            2. a set that does not fit into its budget is no longer whole: everything is KNOWN_PERHAPS then, and no device is listed as it is stored
//            3. what was seen stays seen, whole or not, until known_forget_seen; of a page it is seen when the page was applied, and not before
#pragma once

#include "depbroker/device.h"

enum { KNOWN_KEY_SIZE = 16 };

struct known_slot {
	uint64_t hash;        // 0: empty
	uint64_t fingerprint; // 0: gone, or not to be relied on
	uint64_t list_hash;   // see device.h; 0: not known, or gone
};

struct known {
	struct known_slot *slots;
	unsigned char *marks; // of each slot: in the page at hand, seen
	size_t capacity; // a power of two, or 0
	size_t count;
	size_t present; // of those: neither gone nor unreliable
	size_t seen;    // of those, once each
	uint32_t *page; // slots of the page at hand
	size_t page_count, page_room;
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
void known_put(struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE], uint64_t list_hash, bool gone);
bool known_is_present(const struct known *known, struct text serial); // false also when it is not whole
enum known_answer known_ask(const struct known *known, struct text serial, const unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE]);

void known_expect(const struct known *known, struct text serial); // it will be asked about soon: that brings it to the cache
// Whether the device is stored, present, and was listed with bytes of this hash (not 0); then it is in the page at hand from now on.
MUST_USE bool known_add_listed(struct known *known, struct text serial, uint64_t list_hash);
MUST_USE bool known_is_in_page(const struct known *known, struct text serial);
MUST_USE bool known_has_list_hash(const struct known *known, struct text serial, uint64_t list_hash);
void known_drop_page(struct known *known); // it is not applied, or is another one now
void known_see_page(struct known *known);  // it was applied

MUST_USE bool known_see(struct known *known, struct text serial); // false: it is not known, so somebody else has to remember it
MUST_USE bool known_has_seen(const struct known *known, struct text serial);
void known_forget_seen(struct known *known);
