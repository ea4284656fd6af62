// SPDX-License-Identifier: Apache-2.0
//
// digest.h - the port to hashes, MACs and signatures; server/crypto/digest.c implements it with OpenSSL.
#pragma once

#include "depbroker/text.h"

enum { SHA1_SIZE = 20, SHA256_SIZE = 32, ED25519_SIZE = 32, ED25519_SIGNATURE_SIZE = 64 };

struct digest_part { // hashed one after the other, so that callers need not join them
	const void *bytes;
	size_t length;
};

void sha256(unsigned char out[SHA256_SIZE], const struct digest_part *parts, size_t count);
void hmac_sha256(unsigned char out[SHA256_SIZE], struct text key, const struct digest_part *parts, size_t count);
void hmac_sha1(unsigned char out[SHA1_SIZE], struct text key, const struct digest_part *parts, size_t count);
void pbkdf2_sha256(unsigned char out[SHA256_SIZE], struct text password, struct text salt, int rounds);
// Of any 32 random bytes, the private key.
void ed25519_public(unsigned char out[ED25519_SIZE], const unsigned char seed[ED25519_SIZE]);
void ed25519_sign(unsigned char out[ED25519_SIGNATURE_SIZE], const unsigned char seed[ED25519_SIZE], const struct digest_part *parts, size_t count);
MUST_USE bool equal_in_constant_time(const void *a, const void *b, size_t length);
