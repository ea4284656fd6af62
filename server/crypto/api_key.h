// SPDX-License-Identifier: Apache-2.0
//
// api_key.h - keys of the REST API: depb_<id, 8>_<secret, 32><check, 6>, all digits base62 (0-9 A-Z a-z).
//
// The check is the CRC-32 of everything before it: a mistyped or cut key is refused before the database is asked, and
// scanners of leaked secrets recognise ours. The secret has 190 bits of randomness, so a plain SHA-256 is enough to store.
//
// Ownership  a struct api_key is a value; it holds the secret, and its owner wipes it with api_key_fini.
// Laws       1. stored are `id` and `hash`, never the token   2. hashes are compared in constant time
#pragma once

#include "depbroker/digest.h"

enum {
	API_KEY_ID_SIZE = 8,
	API_KEY_SECRET_SIZE = 32,
	API_KEY_CHECK_SIZE = 6,
	API_KEY_SIZE = 5 + API_KEY_ID_SIZE + 1 + API_KEY_SECRET_SIZE + API_KEY_CHECK_SIZE,
};

struct api_key {
	char token[API_KEY_SIZE + 1];     // the whole key, shown once
	char id[API_KEY_ID_SIZE + 1];     // public: names the key in lists, logs and the audit
	unsigned char hash[SHA256_SIZE];  // of the whole token
};

void api_key_make(struct api_key *key);
// False when `token` has another form or the check is wrong; then `key` holds nothing.
MUST_USE bool api_key_parse(struct api_key *key, struct text token);
MUST_USE bool api_key_matches(const struct api_key *key, const unsigned char stored_hash[SHA256_SIZE]);
void api_key_fini(struct api_key *key);

// The check digits that follow `start`.
void api_key_check(char out[API_KEY_CHECK_SIZE], struct text start);
