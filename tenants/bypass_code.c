// SPDX-License-Identifier: Apache-2.0
#include "tenants/bypass_code.h"

#include <assert.h>
#include <string.h>

enum { ROUNDS = 50000, SYMBOL_BITS = 5, RAW_BITS = 8 * BYPASS_RAW_SIZE };

static const char symbols[] = "0123456789ACDEFGHJKLMNPQRTUVWXYZ"; // no B, I, O, S
static const size_t group_sizes[] = { 5, 5, 4, 4, 4, 4 };

_Static_assert(sizeof(struct bypass_code) == BYPASS_RAW_SIZE + SHA256_SIZE, "it is sealed without padding");

void bypass_code_derive(struct bypass_code *code)
{
	static const char salt[4] = { 0 };

	pbkdf2_sha256(code->hash, (struct text){ (const char *)code->raw, sizeof code->raw },
		(struct text){ salt, sizeof salt }, ROUNDS);
}

// `count` bits from bit `first` on, the most significant first.
static unsigned take_bits(const unsigned char *bytes, size_t first, size_t count)
{
	unsigned value = 0;

	for (size_t bit = first; bit < first + count; bit++) {
		value = value << 1 | ((unsigned)bytes[bit / 8] >> (7 - bit % 8) & 1u);
	}
	return value;
}

// The last symbol has the three bits that are left, as a number.
void bypass_code_spell(char out[BYPASS_SPELLING_SIZE], const struct bypass_code *code)
{
	size_t bit = 0;
	size_t at = 0;

	for (size_t group = 0; group < sizeof group_sizes / sizeof *group_sizes; group++) {
		if (group > 0) {
			out[at++] = '-';
		}
		for (size_t i = 0; i < group_sizes[group]; i++) {
			const size_t count = RAW_BITS - bit < SYMBOL_BITS ? RAW_BITS - bit : SYMBOL_BITS;

			out[at++] = symbols[take_bits(code->raw, bit, count)];
			bit += count;
		}
	}
	assert(bit == RAW_BITS && at == BYPASS_SPELLING_SIZE - 1);
	out[at] = '\0';
}

static bool put_bits(unsigned char *bytes, size_t first, size_t count, unsigned value)
{
	for (size_t i = 0; i < count; i++) {
		const size_t bit = first + i;

		bytes[bit / 8] |= (unsigned char)((value >> (count - 1 - i) & 1u) << (7 - bit % 8));
	}
	return value >> count == 0;
}

bool bypass_code_read(struct bypass_code *out, struct text spelling)
{
	size_t bit = 0;
	size_t at = 0;

	*out = (struct bypass_code){ 0 };
	if (spelling.length != BYPASS_SPELLING_SIZE - 1) {
		return false;
	}
	for (size_t group = 0; group < sizeof group_sizes / sizeof *group_sizes; group++) {
		if (group > 0 && spelling.bytes[at++] != '-') {
			return false;
		}
		for (size_t i = 0; i < group_sizes[group]; i++, at++) {
			const size_t count = RAW_BITS - bit < SYMBOL_BITS ? RAW_BITS - bit : SYMBOL_BITS;
			const char *symbol = spelling.bytes[at] != '\0' ? strchr(symbols, spelling.bytes[at]) : NULL;

			if (symbol == NULL || !put_bits(out->raw, bit, count, (unsigned)(symbol - symbols))) {
				return false;
			}
			bit += count;
		}
	}
	return true;
}

void bypass_code_escrow_key(char out[BYPASS_ESCROW_KEY_SIZE], const struct bypass_code *code)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof code->hash; i++) {
		out[2 * i] = digits[code->hash[i] >> 4];
		out[2 * i + 1] = digits[code->hash[i] & 0xf];
	}
	out[BYPASS_ESCROW_KEY_SIZE - 1] = '\0';
}
