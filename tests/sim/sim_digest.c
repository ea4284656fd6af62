// SPDX-License-Identifier: Apache-2.0
//
// sim_digest.c - the port digest.h without cryptography: the same bytes have the same digest, others another one. Nobody here forges any.
#include "sim/sim.h"

#include "depbroker/digest.h"

#include <string.h>

enum { WORDS = SHA256_SIZE / sizeof(uint64_t) };

static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t mix(uint64_t state, uint64_t word)
{
	state = (state ^ word) * odd;
	return state ^ state >> 29;
}

static uint64_t word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

// Of the bytes of all parts, however they are cut: `carried` are the last of them that do not make a word yet.
static uint64_t mix_parts(uint64_t state, const struct digest_part *parts, size_t count)
{
	unsigned char carried[sizeof state];
	size_t carry = 0, length = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned char *bytes = parts[i].bytes;
		size_t left = parts[i].length;

		length += left;
		if (carry > 0 && carry + left >= sizeof state) {
			const size_t taken = sizeof state - carry;

			memcpy(carried + carry, bytes, taken);
			state = mix(state, word_at(carried));
			bytes += taken;
			left -= taken;
			carry = 0;
		}
		for (; carry == 0 && left >= sizeof state; bytes += sizeof state, left -= sizeof state) {
			state = mix(state, word_at(bytes));
		}
		if (left > 0) {
			memcpy(carried + carry, bytes, left);
			carry += left;
		}
	}
	memset(carried + carry, 0, sizeof carried - carry);
	return mix(mix(state, word_at(carried)), length);
}

static void spread(unsigned char out[SHA256_SIZE], uint64_t state)
{
	for (uint64_t i = 0; i < WORDS; i++) {
		const uint64_t word = mix(mix(state, i), odd);

		memcpy(out + i * sizeof word, &word, sizeof word);
	}
}

void sha256(unsigned char out[SHA256_SIZE], const struct digest_part *parts, size_t count)
{
	spread(out, mix_parts(odd, parts, count));
}

void hmac_sha256(unsigned char out[SHA256_SIZE], struct text key, const struct digest_part *parts, size_t count)
{
	spread(out, mix_parts(mix_parts(odd, &(struct digest_part){ key.bytes, key.length }, 1), parts, count));
}

// --- nobody in a simulated world needs these ---

void hmac_sha1(unsigned char out[SHA1_SIZE], struct text key, const struct digest_part *parts, size_t count)
{
	(void)parts;
	LAW(out == NULL, "%zu parts are signed as OAuth has it, with a key of %zu bytes", count, key.length);
}

void pbkdf2_sha256(unsigned char out[SHA256_SIZE], struct text password, struct text salt, int rounds)
{
	LAW(out == NULL, "a key is derived from %zu and %zu bytes in %d rounds", password.length, salt.length, rounds);
}

void ed25519_public(unsigned char out[ED25519_SIZE], const unsigned char seed[ED25519_SIZE])
{
	LAW(out == NULL, "a key pair is made from %d", seed[0]);
}

void ed25519_sign(unsigned char out[ED25519_SIGNATURE_SIZE], const unsigned char seed[ED25519_SIZE], const struct digest_part *parts, size_t count)
{
	(void)parts;
	LAW(out == NULL, "%zu parts are signed with a key from %d", count, seed[0]);
}

bool equal_in_constant_time(const void *a, const void *b, size_t length)
{
	return memcmp(a, b, length) == 0;
}
