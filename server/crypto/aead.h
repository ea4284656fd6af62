// SPDX-License-Identifier: Apache-2.0
//
// aead.h - authenticated encryption, AES-256-GCM: the one cipher under seal.h. Nobody else in the house calls it.
//
// Laws       1. a nonce is used once with a key; callers draw it from random_bytes
//            2. encryption cannot fail: a library that cannot encrypt aborts the process
//            3. what does not authenticate leaves nothing behind in the output
#pragma once

#include "depbroker/text.h"

enum { AEAD_KEY_SIZE = 32, AEAD_NONCE_SIZE = 12, AEAD_TAG_SIZE = 16 };

// Appends ciphertext || tag to `out`; asserts that it fits into the limit of `out`.
void aead_seal(struct buffer *out, const unsigned char key[AEAD_KEY_SIZE], const unsigned char nonce[AEAD_NONCE_SIZE],
	struct text associated, struct text plain);

// Appends the plain text to `out`, which should be empty (growing it would leave a copy behind).
// False: not authentic, or larger than the limit of `out`.
MUST_USE bool aead_open(struct buffer *out, const unsigned char key[AEAD_KEY_SIZE],
	const unsigned char nonce[AEAD_NONCE_SIZE], struct text associated, struct text sealed);
