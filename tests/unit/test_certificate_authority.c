// SPDX-License-Identifier: Apache-2.0
//
// What an endpoint may be given to trust: certificates of authorities that are not over, in PEM, and nothing else.
#include "crypto/certificate_authority.h"
#include "depbroker/clock.h"
#include "support/certificates.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 * 1024 };

static char *folder;
static struct authority first, second, no_authority;
static struct buffer first_pem, second_pem, server_pem, server_and_key;

static struct buffer read_pem(const char *path)
{
	struct buffer out = BUFFER(FILE_MAX);
	size_t length;
	char *bytes = file_read(path, &length);

	buffer_add(&out, bytes, length);
	free(bytes);
	return out;
}

// What comes of `given`, and the fault's words.
static enum err outcome(struct text given, int64_t now_us, struct buffer *pem, struct fault *fault)
{
	*fault = (struct fault){ 0 };
	*pem = BUFFER(AUTHORITY_PEM_MAX);
	return certificate_authority_read(pem, given, now_us, fault);
}

static void refused(struct text given, int64_t now_us, const char *why)
{
	struct buffer pem;
	struct fault fault;

	assert_int_equal(outcome(given, now_us, &pem, &fault), ERR_BAD_INPUT);
	assert_int_equal(pem.length, 0);
	if (strstr(fault.text, why) == NULL) {
		fail_msg("\"%s\" instead of \"%s\"", fault.text, why);
	}
	buffer_fini(&pem);
}

static struct buffer joined(const struct buffer *const *parts, const char *between)
{
	struct buffer out = BUFFER(FILE_MAX);

	for (; *parts != NULL; parts++) {
		buffer_add_string(&out, between);
		buffer_add_text(&out, buffer_text(*parts));
	}
	return out;
}

static void several_are_taken_without_what_is_between_them(void **state)
{
	const struct buffer *const parts[] = { &first_pem, &second_pem, NULL };
	struct buffer with_words CLEANUP(buffer_fini) = joined(parts, "# of the MDM servers\r\n\r\n");
	struct buffer without CLEANUP(buffer_fini) = joined(parts, "");
	struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX];
	struct buffer pem, again;
	struct fault fault;

	(void)state;
	assert_int_equal(outcome(buffer_text(&with_words), clock_wall_us(), &pem, &fault), OK);
	assert_true(text_equal(buffer_text(&pem), buffer_text(&without)));
	assert_int_equal(outcome(buffer_text(&pem), clock_wall_us(), &again, &fault), OK);
	assert_true(text_equal(buffer_text(&pem), buffer_text(&again)));
	assert_int_equal(certificate_authority_describe(facts, buffer_text(&pem)), 2);
	assert_string_equal(facts[0].subject, "CN=first");
	assert_string_equal(facts[1].subject, "CN=second");
	assert_memory_not_equal(facts[0].fingerprint, facts[1].fingerprint, sizeof facts[0].fingerprint);
	buffer_fini(&pem);
	buffer_fini(&again);
}

static void a_description_says_what_openssl_says(void **state)
{
	struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX];
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
	const int64_t now_us = clock_wall_us();

	(void)state;
	assert_int_equal(certificate_authority_describe(facts, buffer_text(&first_pem)), 1);
	assert_int_equal(X509_digest(first.certificate, EVP_sha256(), fingerprint, NULL), 1);
	assert_memory_equal(facts[0].fingerprint, fingerprint, sizeof fingerprint);
	assert_true(facts[0].not_before_us > now_us - 3700 * SECOND_US && facts[0].not_before_us < now_us - 3500 * SECOND_US);
	assert_true(facts[0].not_after_us > now_us + (DAY_S - 100) * SECOND_US && facts[0].not_after_us <= now_us + DAY_S * SECOND_US);
	assert_int_equal(certificate_authority_describe(facts, TEXT_NONE), 0);
}

static void what_is_no_authority_or_is_over_is_refused_by_its_number(void **state)
{
	const struct buffer *const parts[] = { &first_pem, &server_pem, NULL };
	struct buffer both CLEANUP(buffer_fini) = joined(parts, "");
	const int64_t now_us = clock_wall_us();

	(void)state;
	refused(buffer_text(&server_pem), now_us, "certificate 1 is no authority's");
	refused(buffer_text(&both), now_us, "certificate 2 is no authority's");
	refused(buffer_text(&first_pem), now_us + 2 * DAY_S * SECOND_US, "certificate 1 was good until 20");
}

static void what_is_not_certificates_alone_is_refused(void **state)
{
	const int64_t now_us = clock_wall_us();
	const struct text good = buffer_text(&first_pem);
	struct buffer with_request CLEANUP(buffer_fini) = BUFFER(FILE_MAX);
	struct buffer many CLEANUP(buffer_fini) = BUFFER(FILE_MAX);
	struct buffer large CLEANUP(buffer_fini) = BUFFER(FILE_MAX);

	(void)state;
	buffer_add_text(&with_request, good);
	buffer_add_string(&with_request, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
	for (int i = 0; i <= AUTHORITY_CERTIFICATES_MAX; i++) {
		buffer_add_text(&many, good);
	}
	buffer_add_text(&large, good);
	while (large.length <= AUTHORITY_PEM_MAX) {
		buffer_add_string(&large, "# words\n");
	}
	refused(TEXT_NONE, now_us, "1 to 16384 bytes");
	refused(TEXT("https://ca.example/"), now_us, "no certificate in PEM");
	refused(buffer_text(&server_and_key), now_us, "private key");
	refused(buffer_text(&with_request), now_us, "number 2");
	refused((struct text){ good.bytes, good.length - 30 }, now_us, "number 1");
	refused((struct text){ "-----BEGIN CERTIFICATE-----\0", 28 }, now_us, "not text");
	refused(buffer_text(&many), now_us, "more than 8");
	refused(buffer_text(&large), now_us, "1 to 16384 bytes");
}

static int open_all(void **state)
{
	const struct certificate_wish wish = { .alternative_names = "DNS:localhost" };
	char path[256];

	(void)state;
	folder = temporary_directory();
	authority_open(&first, folder, "first", NULL, true);
	authority_open(&second, folder, "second", NULL, true);
	authority_open(&no_authority, folder, "server", NULL, false);
	(void)snprintf(path, sizeof path, "%s/key.pem", folder);
	certificate_write(&first, &wish, path);
	first_pem = read_pem(first.path);
	second_pem = read_pem(second.path);
	server_pem = read_pem(no_authority.path);
	server_and_key = read_pem(path);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	buffer_fini(&first_pem);
	buffer_fini(&second_pem);
	buffer_fini(&server_pem);
	buffer_fini(&server_and_key);
	authority_close(&first);
	authority_close(&second);
	authority_close(&no_authority);
	remove_tree(folder);
	free(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_are_taken_without_what_is_between_them),
		cmocka_unit_test(a_description_says_what_openssl_says),
		cmocka_unit_test(what_is_no_authority_or_is_over_is_refused_by_its_number),
		cmocka_unit_test(what_is_not_certificates_alone_is_refused),
	};

	return cmocka_run_group_tests_name("certificate_authority", tests, open_all, close_all);
}
