// SPDX-License-Identifier: Apache-2.0
//
// webhook_key.h - Standard Webhooks 1.0.0: key pairs and signatures of the version v1a (Ed25519).
//
// Laws       1. signed are the bytes that v1 signs: id "." timestamp "." body
//            2. a key that is not needed any more is wiped
#pragma once

#include "depbroker/digest.h"

enum { WEBHOOK_KEYS_MAX = 3, WEBHOOK_KEY_SPELLING = 128 };

struct webhook_key {
	unsigned char seed[ED25519_SIZE];
	unsigned char public_part[ED25519_SIZE];
};

void webhook_key_make(struct webhook_key *key, const unsigned char seed[ED25519_SIZE]);
// "whsk_" and base64, padded or not, of 32 bytes (the seed) or 64 (and the public key). ERR_BAD_INPUT, also when the halves do not agree.
MUST_USE enum err webhook_key_parse(struct webhook_key *key, struct text spelling, struct fault *fault);
void webhook_key_write(struct buffer *out, const struct webhook_key *key);        // "whsk_" and base64 of 64 bytes
void webhook_key_write_public(struct buffer *out, const struct webhook_key *key); // "whpk_" and base64 of 32 bytes
void webhook_key_fini(struct webhook_key *key);

// Appends to the value of webhook-signature, behind what webhook_signature made: an item for each key, the newest first.
void webhook_key_signatures(struct buffer *out, const struct webhook_key *keys, size_t count, struct text id, int64_t timestamp_s,
	struct text body);
