// SPDX-License-Identifier: Apache-2.0
#include "crypto/api_key.h"

#include "depbroker/clock.h"

#include <string.h>

enum { PREFIX_SIZE = 5, ID_AT = PREFIX_SIZE, SEPARATOR_AT = ID_AT + API_KEY_ID_SIZE, SECRET_AT = SEPARATOR_AT + 1 };
enum { CHECK_AT = SECRET_AT + API_KEY_SECRET_SIZE };

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { BASE = sizeof digits - 1 };

static uint32_t crc32_of(struct text t) // IEEE 802.3, reflected, as in zip and Ethernet
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < t.length; i++) {
		crc ^= (unsigned char)t.bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
		}
	}
	return ~crc;
}

void api_key_check(char out[API_KEY_CHECK_SIZE], struct text start)
{
	uint32_t crc = crc32_of(start);

	for (size_t i = API_KEY_CHECK_SIZE; i > 0; i--) {
		out[i - 1] = digits[crc % BASE];
		crc /= BASE;
	}
}

static void random_digits(char *out, size_t count)
{
	while (count > 0) {
		unsigned char byte;

		random_bytes(&byte, 1);
		if (byte < 256 / BASE * BASE) { // the rest is thrown away: every digit is equally likely
			*out++ = digits[byte % BASE];
			count--;
		}
	}
}

static void fill_id_and_hash(struct api_key *key)
{
	memcpy(key->id, key->token + ID_AT, API_KEY_ID_SIZE);
	key->id[API_KEY_ID_SIZE] = '\0';
	sha256(key->hash, &(struct digest_part){ key->token, API_KEY_SIZE }, 1);
}

void api_key_make(struct api_key *key)
{
	memset(key, 0, sizeof *key);
	memcpy(key->token, "depb_", PREFIX_SIZE);
	random_digits(key->token + ID_AT, API_KEY_ID_SIZE);
	key->token[SEPARATOR_AT] = '_';
	random_digits(key->token + SECRET_AT, API_KEY_SECRET_SIZE);
	api_key_check(key->token + CHECK_AT, (struct text){ key->token, CHECK_AT });
	fill_id_and_hash(key);
}

static bool has_form(struct text token)
{
	if (token.length != API_KEY_SIZE || !text_starts_with(token, TEXT("depb_")) || token.bytes[SEPARATOR_AT] != '_') {
		return false;
	}
	for (size_t i = PREFIX_SIZE; i < token.length; i++) {
		if (i != SEPARATOR_AT && (token.bytes[i] == '\0' || strchr(digits, token.bytes[i]) == NULL)) {
			return false;
		}
	}
	return true;
}

bool api_key_parse(struct api_key *key, struct text token)
{
	char check[API_KEY_CHECK_SIZE];

	memset(key, 0, sizeof *key);
	if (!has_form(token)) {
		return false;
	}
	api_key_check(check, (struct text){ token.bytes, CHECK_AT });
	if (memcmp(check, token.bytes + CHECK_AT, sizeof check) != 0) {
		return false;
	}
	memcpy(key->token, token.bytes, API_KEY_SIZE);
	fill_id_and_hash(key);
	return true;
}

bool api_key_matches(const struct api_key *key, const unsigned char stored_hash[SHA256_SIZE])
{
	return key->id[0] != '\0' && equal_in_constant_time(key->hash, stored_hash, SHA256_SIZE);
}

void api_key_fini(struct api_key *key)
{
	wipe(key, sizeof *key);
}
