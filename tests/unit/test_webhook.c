// SPDX-License-Identifier: Apache-2.0
//
// Standard Webhooks: the published vectors, ours, everything that a receiver must refuse, and message ids.
#include "depbroker/digest.h"
#include "support/cmocka_all.h"
#include "tenants/webhook.h"

#include <stdio.h>
#include <string.h>

#define KEY_A "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "whsec_//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="
#define K3    "a2tr" // three bytes "kkk"
#define K24   K3 K3 K3 K3 K3 K3 K3 K3
#define K64   K24 K24 K3 K3 K3 K3 K3 "aw"
#define KEY_F "whsec_" K24
#define KEY_G "whsec_" K64 "=="

#define ID   "msg_0T3nant42Ev0000000000001"
#define BODY                                                                                                                 \
	"{\"type\":\"device.added\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\",\"data\":{\"tenant\":\"ten_0000000000000000000042\"," \
	"\"seq\":1,\"serial_number\":\"C02TEST0001\"}}"

enum { NOW = 1700000000 };

static struct webhook_secret secret_of(const char *spelling)
{
	struct webhook_secret secret;

	assert_int_equal(webhook_secret_parse(&secret, text_of(spelling), NULL), OK);
	return secret;
}

static void published_and_own_vectors_are_reproduced_and_verify(void **state)
{
	static const struct {
		const char *key;
		const char *id;
		int64_t timestamp_s;
		const char *body;
		const char *signature;
	} vectors[] = {
		{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}",
			"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
		{ "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
			"{\"email\":\"test@example.com\",\"username\":\"test_user\"}",
			"v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=" },
		{ KEY_A, ID, NOW, BODY, "v1,cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c=" },
		{ KEY_A, ID, NOW + 1, BODY, "v1,5NF6PVHwIgaD/oJWwkJLvzJBz8qqUDhgquB4xzHiqVw=" },
		{ KEY_A, ID, NOW, "", "v1,vKmUzDrNyxu6QAbKLEIxuYF72g6AYa/YdH4pfM0hbr4=" },
		{ KEY_A, ID, NOW,
			"{\"type\":\"device.changed\",\"data\":{\"note\":\"Z\xc3\xbcrich \xe6\x97\xa5\xe6\x9c\xac \\u0000 \xf0\x9f\x98\x80\"}}",
			"v1,T15FIGaHIpYr3/S9/pE5Oqn26mUrH6mPZkEpF3S7mI4=" },
		{ KEY_F, ID, NOW, BODY, "v1,osWR8xgv8372drWdkdXrJpkDmlNTFaQ0iM2Fp3kB5gU=" },
		{ KEY_G, ID, NOW, BODY, "v1,d3y2FkMXJOlxMmvpQO0BnnMVKtAurXBuBeaw8ElXg3s=" },
	};

	(void)state;
	assert_int_equal(sizeof BODY - 1, 150);
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const struct webhook_secret secret = secret_of(vectors[i].key);
		struct buffer signature CLEANUP(buffer_fini) = BUFFER(300);
		char timestamp[24];

		webhook_signature(&signature, &secret, 1, text_of(vectors[i].id), vectors[i].timestamp_s, text_of(vectors[i].body));
		assert_string_equal(signature.bytes, vectors[i].signature);
		(void)snprintf(timestamp, sizeof timestamp, "%lld", (long long)vectors[i].timestamp_s);

		const struct webhook_headers headers = { text_of(vectors[i].id), text_of(timestamp), buffer_text(&signature) };

		assert_true(webhook_verify(&secret, &headers, text_of(vectors[i].body), vectors[i].timestamp_s, NULL));
	}
}

static bool verifies(const char *key, struct webhook_headers headers, struct text body, int64_t now_s)
{
	const struct webhook_secret secret = secret_of(key);

	return webhook_verify(&secret, &headers, body, now_s, NULL);
}

static struct webhook_headers good_headers(void)
{
	return (struct webhook_headers){
		TEXT(ID), TEXT("1700000000"), TEXT("v1,cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c="),
	};
}

static void a_rotated_secret_signs_twice_and_either_key_verifies(void **state)
{
	const struct webhook_secret secrets[] = { secret_of(KEY_A), secret_of(KEY_B), secret_of(KEY_F) };
	struct buffer signature CLEANUP(buffer_fini) = BUFFER(300);

	(void)state;
	webhook_signature(&signature, secrets, 2, TEXT(ID), NOW, TEXT(BODY));
	assert_string_equal(signature.bytes, "v1,cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c= "
		"v1,Fl+V1itnUnZNiymmIwY8dRdek67cBSMfn3TjWKdh6VE=");

	const struct webhook_headers headers = { TEXT(ID), TEXT("1700000000"), buffer_text(&signature) };

	assert_true(verifies(KEY_A, headers, TEXT(BODY), NOW));
	assert_true(verifies(KEY_B, headers, TEXT(BODY), NOW));
	assert_false(verifies(KEY_F, headers, TEXT(BODY), NOW));
	buffer_clear(&signature);
	webhook_signature(&signature, secrets, 3, TEXT(ID), NOW, TEXT(BODY));
	assert_int_equal(signature.length, 3 * 47 + 2);
}

static void every_flipped_bit_of_the_body_and_the_signature_is_refused(void **state)
{
	const struct webhook_headers good = good_headers();
	char body[] = BODY;
	char signature[64];

	(void)state;
	assert_true(verifies(KEY_A, good, TEXT(BODY), NOW));
	for (size_t bit = 0; bit < 8 * (sizeof body - 1); bit++) {
		body[bit / 8] = (char)(body[bit / 8] ^ 1 << bit % 8);
		assert_false(verifies(KEY_A, good, (struct text){ body, sizeof body - 1 }, NOW));
		body[bit / 8] = (char)(body[bit / 8] ^ 1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * good.signature.length; bit++) {
		struct webhook_headers headers = good;

		memcpy(signature, good.signature.bytes, good.signature.length);
		signature[bit / 8] = (char)(signature[bit / 8] ^ 1 << bit % 8);
		headers.signature.bytes = signature;
		assert_false(verifies(KEY_A, headers, TEXT(BODY), NOW));
	}
	assert_false(verifies(KEY_A, good, TEXT(""), NOW));
}

static void a_time_more_than_300_seconds_off_is_refused(void **state)
{
	(void)state;
	assert_true(verifies(KEY_A, good_headers(), TEXT(BODY), NOW + 300));
	assert_true(verifies(KEY_A, good_headers(), TEXT(BODY), NOW - 300));
	assert_false(verifies(KEY_A, good_headers(), TEXT(BODY), NOW + 301));
	assert_false(verifies(KEY_A, good_headers(), TEXT(BODY), NOW - 301));
}

// Everything beside the flipped bits: the negative set, and what header parsers make of attacks.
static void what_was_not_signed_is_refused(void **state)
{
#define MAC "cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c="
	static const struct {
		const char *id;
		const char *timestamp;
		const char *signature;
	} cases[] = {
		{ "msg_0T3nant42Ev0000000000002", "1700000000", "v1," MAC },
		{ ID ".", "1700000000", "v1," MAC },
		{ ID, "1700000001", "v1," MAC },
		{ ID, "1699999999", "v1," MAC },
		{ ID, "1700000000.", "v1," MAC },
		{ ID, "1.7e9", "v1," MAC },
		{ ID, "1700000000abc", "v1," MAC },
		{ ID, " 1700000000", "v1," MAC },
		{ ID, "+1700000000", "v1," MAC },
		{ ID, "-1700000000", "v1," MAC },
		{ ID, "01700000000", "v1," MAC }, // not the text that was signed
		{ ID, "99999999999999999999", "v1," MAC },
		{ ID, "", "v1," MAC },
		{ ID, "1700000000", "v2," MAC },
		{ ID, "1700000000", "v1a," MAC },
		{ ID, "1700000000", "V1," MAC },
		{ ID, "1700000000", "v1,cqbh9NTl" },
		{ ID, "1700000000", "v1,72a6e1f4d4e559ed469ae824ad932276d13f40884b15adc11e778a921d6a5797" }, // hexadecimal
		{ ID, "1700000000", "v1,cqbh9NTlWe1GmugkrZMidtE_QIhLFa3BHneKkh1qV5c=" },                     // url-safe
		{ ID, "1700000000", "v1,cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c" },                      // without padding
		{ ID, "1700000000", "v1," MAC "=" },
		{ ID, "1700000000", MAC },
		{ ID, "1700000000", "v1,v1," MAC },
		{ ID, "1700000000", "v1," MAC ", v1," MAC }, // two header lines, joined
		{ ID, "1700000000", "v1," MAC ",v1," MAC },
		{ ID, "1700000000", "v1," MAC "  v1," MAC }, // an empty item
		{ ID, "1700000000", " v1," MAC },
		{ ID, "1700000000", "v1," MAC "\tx" },
		{ ID, "1700000000", "v1," },
		{ ID, "1700000000", "," },
		{ ID, "1700000000", "" },
		{ "", "1700000000", "v1," MAC },
		{ NULL, "1700000000", "v1," MAC },
		{ ID, NULL, "v1," MAC },
		{ ID, "1700000000", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct webhook_headers headers = {
			text_of(cases[i].id), text_of(cases[i].timestamp), text_of(cases[i].signature),
		};
		const struct webhook_secret secret = secret_of(KEY_A);
		struct fault fault = { "" };

		assert_false(webhook_verify(&secret, &headers, TEXT(BODY), NOW, &fault));
		assert_true(fault.text[0] != '\0');
		assert_null(strstr(fault.text, "cqbh9"));
	}
	assert_false(verifies(KEY_B, good_headers(), TEXT(BODY), NOW)); // another tenant's key
}

static void items_of_other_versions_are_passed_over(void **state)
{
	struct webhook_headers headers = good_headers();

	(void)state;
	headers.signature = TEXT("v1a,AAAA v1,AAAA v1," MAC " v9,x");
	assert_true(verifies(KEY_A, headers, TEXT(BODY), NOW));
#undef MAC
}

static void a_signature_made_with_the_undecoded_secret_is_refused(void **state)
{
	const struct text wrong_key = TEXT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	const struct digest_part parts[] = { { ID ".1700000000." BODY, sizeof ID + sizeof BODY - 2 + 12 } };
	struct buffer signature CLEANUP(buffer_fini) = BUFFER(100);
	struct webhook_headers headers = good_headers();
	unsigned char mac[SHA256_SIZE];

	(void)state;
	hmac_sha256(mac, wrong_key, parts, 1);
	buffer_add_string(&signature, "v1,");
	buffer_add_base64(&signature, mac, sizeof mac);
	headers.signature = buffer_text(&signature);
	assert_false(verifies(KEY_A, headers, TEXT(BODY), NOW));
}

static void secrets_are_read_in_four_spellings_and_written_in_one(void **state)
{
	static const char *const spellings[] = { "whsec_" K64 "==", K64 "==", "whsec_" K64, K64 };

	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct webhook_secret secret CLEANUP(webhook_secret_fini) = secret_of(spellings[i]);
		struct buffer out CLEANUP(buffer_fini) = BUFFER(200);

		webhook_secret_write(&out, &secret);
		assert_string_equal(out.bytes, KEY_G);
	}
}

static void other_secrets_are_refused_without_quoting_them(void **state)
{
	static const char *const bad[] = {
		"", "whsec_", "whsec_a2tra2tra2tra2tra2tra2tra2tra2s=" /* 23 bytes */, "whsec_" K24 K24 K3 K3 K3 K3 K3 "a2s=" /* 65 */,
		"WHSEC_" K24, "whsec_" K24 "!", "whsec_ " K24, "whsec_whsec_" K24,
		"whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct webhook_secret secret;
		struct fault fault = { "" };

		assert_int_equal(webhook_secret_parse(&secret, text_of(bad[i]), &fault), ERR_BAD_INPUT);
		assert_null(strstr(fault.text, "a2tra2tr"));
	}
}

static void a_new_secret_is_its_32_random_bytes(void **state)
{
	unsigned char random[WEBHOOK_SECRET_NEW];
	struct buffer out CLEANUP(buffer_fini) = BUFFER(200);
	struct webhook_secret secret;

	(void)state;
	for (size_t i = 0; i < sizeof random; i++) {
		random[i] = (unsigned char)i;
	}
	webhook_secret_make(&secret, random);
	webhook_secret_write(&out, &secret);
	assert_string_equal(out.bytes, KEY_A);
	webhook_secret_fini(&secret);
	assert_int_equal(secret.length, 0);
}

static void message_ids_have_these_bytes_and_each_input_changes_them(void **state)
{
	static const struct { // computed apart from this code
		int64_t tenant_id;
		int64_t incarnation;
		int64_t seq;
		const char *body;
		const char *id;
	} vectors[] = {
		{ 42, 1, 1, BODY, "msg_5vUodRwPLUeuTodyzuvNmY" },
		{ 42, 1, 2, BODY, "msg_0YxWzuII72ISUhz474DTCE" },
		{ 42, 2, 1, BODY, "msg_1jhDf9ZzPpYpzxP1xJfoan" },
		{ 43, 1, 1, BODY, "msg_0dYGbj9EReDwC0pSzBfzxB" },
		{ 42, 1, 1, "", "msg_3rXJREKXxXu5kWMbMgrex5" },
		{ 42, 1, 9, "", "msg_0LJoKMhXjSwJfwZbyFSulr" }, // with a leading zero
		{ INT64_MAX, INT64_MAX, INT64_MAX, BODY, "msg_5c4S0UIjlVCsN9PICtzCI3" },
		{ 0, 0, 0, "", "msg_5OIpCC37n6LOFiB14fWQfJ" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		char id[WEBHOOK_ID_SIZE + 1];

		webhook_message_id(id, vectors[i].tenant_id, vectors[i].incarnation, vectors[i].seq, text_of(vectors[i].body));
		assert_string_equal(id, vectors[i].id);
		assert_int_equal(strlen(id), WEBHOOK_ID_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_and_own_vectors_are_reproduced_and_verify),
		cmocka_unit_test(a_rotated_secret_signs_twice_and_either_key_verifies),
		cmocka_unit_test(every_flipped_bit_of_the_body_and_the_signature_is_refused),
		cmocka_unit_test(a_time_more_than_300_seconds_off_is_refused),
		cmocka_unit_test(what_was_not_signed_is_refused),
		cmocka_unit_test(items_of_other_versions_are_passed_over),
		cmocka_unit_test(a_signature_made_with_the_undecoded_secret_is_refused),
		cmocka_unit_test(secrets_are_read_in_four_spellings_and_written_in_one),
		cmocka_unit_test(other_secrets_are_refused_without_quoting_them),
		cmocka_unit_test(a_new_secret_is_its_32_random_bytes),
		cmocka_unit_test(message_ids_have_these_bytes_and_each_input_changes_them),
	};

	return cmocka_run_group_tests_name("webhook", tests, NULL, NULL);
}
