// SPDX-License-Identifier: Apache-2.0
//
// Keys of the REST API, and the digests under them.
#include "crypto/api_key.h"
#include "support/cmocka_all.h"

#include <string.h>

static void digests_agree_with_their_standards(void **state)
{
	unsigned char out[SHA256_SIZE];
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(100);

	(void)state;
	sha256(out, (const struct digest_part[]){ { "a", 1 }, { "", 0 }, { "bc", 2 } }, 3); // FIPS 180
	buffer_add_hex(&hex, out, SHA256_SIZE);
	assert_string_equal(hex.bytes, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	buffer_clear(&hex);
	hmac_sha256(out, TEXT("Jefe"), &(struct digest_part){ "what do ya want for nothing?", 28 }, 1); // RFC 4231, case 2
	buffer_add_hex(&hex, out, SHA256_SIZE);
	assert_string_equal(hex.bytes, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	buffer_clear(&hex);
	hmac_sha1(out, TEXT("Jefe"), &(struct digest_part){ "what do ya want for nothing?", 28 }, 1); // RFC 2202, case 2
	buffer_add_hex(&hex, out, SHA1_SIZE);
	assert_string_equal(hex.bytes, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	buffer_clear(&hex);
	hmac_sha256(out, TEXT_NONE, NULL, 0);
	buffer_add_hex(&hex, out, SHA256_SIZE);
	assert_string_equal(hex.bytes, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	assert_true(equal_in_constant_time("abc", "abc", 3));
	assert_false(equal_in_constant_time("abc", "abd", 3));
}

static void the_check_agrees_with_the_printed_vector(void **state)
{
	char check[API_KEY_CHECK_SIZE + 1] = "";

	(void)state;
	api_key_check(check, TEXT("depb_live_K7f3Qx9Z_0123456789ABCDEFGHIJKLMNOPQRSTUV"));
	assert_string_equal(check, "2Cnpcz");
	api_key_check(check, TEXT_NONE);
	assert_string_equal(check, "000000");
}

static void a_new_key_is_read_back_and_matches_its_own_hash_only(void **state)
{
	struct api_key key;
	struct api_key other;
	struct api_key parsed;

	(void)state;
	api_key_make(&key);
	api_key_make(&other);
	assert_string_not_equal(key.token, other.token);
	assert_int_equal(strlen(key.token), API_KEY_SIZE);
	assert_memory_equal(key.token, "depb_", 5);
	assert_memory_equal(key.token + 5, key.id, API_KEY_ID_SIZE);
	assert_true(api_key_parse(&parsed, text_of(key.token)));
	assert_string_equal(parsed.id, key.id);
	assert_true(api_key_matches(&parsed, key.hash));
	assert_false(api_key_matches(&parsed, other.hash));
}

static void every_other_digit_in_every_place_is_refused(void **state)
{
	struct api_key key;
	struct api_key parsed;

	(void)state;
	api_key_make(&key);
	for (size_t i = 0; i < API_KEY_SIZE; i++) {
		const char kept = key.token[i];

		for (int c = 1; c < 256; c++) {
			if ((char)c != kept) {
				key.token[i] = (char)c;
				assert_false(api_key_parse(&parsed, text_of(key.token)));
				assert_false(api_key_matches(&parsed, key.hash));
			}
		}
		key.token[i] = kept;
	}
	assert_true(api_key_parse(&parsed, text_of(key.token)));
}

static void other_lengths_and_bytes_are_refused(void **state)
{
	static const char *const bad[] = { "", "depb_", "depb__", "Bearer depb_", "nano_AAAAAAAA_BBBB" };
	struct buffer longer CLEANUP(buffer_fini) = BUFFER(100);
	struct api_key key;
	struct api_key parsed;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(api_key_parse(&parsed, text_of(bad[i])));
	}
	api_key_make(&key);
	for (size_t length = 0; length < API_KEY_SIZE; length++) {
		assert_false(api_key_parse(&parsed, (struct text){ key.token, length }));
	}
	buffer_add_string(&longer, key.token);
	buffer_add_string(&longer, "0");
	assert_false(api_key_parse(&parsed, buffer_text(&longer)));
	key.token[20] = '\0';
	assert_false(api_key_parse(&parsed, (struct text){ key.token, API_KEY_SIZE }));
	assert_false(api_key_parse(&parsed, TEXT_NONE));
}

static void all_digits_are_equally_likely(void **state)
{
	enum { KEYS = 4000, DIGITS = 62 };
	int counts[128] = { 0 };
	const double expected = (double)KEYS * (API_KEY_ID_SIZE + API_KEY_SECRET_SIZE) / DIGITS;
	double chi_squared = 0;
	int seen = 0;

	(void)state;
	for (int i = 0; i < KEYS; i++) {
		struct api_key key;

		api_key_make(&key);
		for (size_t at = 5; at < API_KEY_SIZE - API_KEY_CHECK_SIZE; at++) {
			if (at != 5 + API_KEY_ID_SIZE) {
				counts[(unsigned char)key.token[at]]++;
			}
		}
	}
	for (size_t i = 0; i < 128; i++) {
		seen += counts[i] > 0;
		chi_squared += counts[i] > 0 ? (counts[i] - expected) * (counts[i] - expected) / expected : 0;
	}
	assert_int_equal(seen, DIGITS);
	assert_true(chi_squared < 150); // 61 degrees of freedom: by chance once in 10^8 runs
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_agree_with_their_standards),
		cmocka_unit_test(the_check_agrees_with_the_printed_vector),
		cmocka_unit_test(a_new_key_is_read_back_and_matches_its_own_hash_only),
		cmocka_unit_test(every_other_digit_in_every_place_is_refused),
		cmocka_unit_test(other_lengths_and_bytes_are_refused),
		cmocka_unit_test(all_digits_are_equally_likely),
	};

	return cmocka_run_group_tests_name("api_key", tests, NULL, NULL);
}
