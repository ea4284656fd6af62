// SPDX-License-Identifier: Apache-2.0
//
// Uploaded token files against a tenant's keys, with the published vectors.
#include "api/token_opening.h"
#include "support/cmocka_all.h"
#include "support/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "protocol/vectors/token/"

static struct buffer key, other_key;
static char *certificate, *other_certificate;

static struct text read_vector(const char *name)
{
	char path[256];
	struct text content;

	(void)snprintf(path, sizeof path, FOLDER "%s", name);
	content.bytes = shared_read(SOURCE_DIRECTORY, path, &content.length);
	return content;
}

static int read_keys(void **state)
{
	const struct text jwk = read_vector("key.jwk.json");
	const struct text other_jwk = read_vector("other-key.jwk.json");

	(void)state;
	key = BUFFER(16384);
	other_key = BUFFER(16384);
	jwk_to_der(&key, jwk.bytes);
	jwk_to_der(&other_key, other_jwk.bytes);
	certificate = shared_read(SOURCE_DIRECTORY, FOLDER "cert.pem", NULL);
	other_certificate = shared_read(SOURCE_DIRECTORY, FOLDER "other-cert.pem", NULL);
	free((char *)(uintptr_t)jwk.bytes);
	free((char *)(uintptr_t)other_jwk.bytes);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	buffer_fini(&key);
	buffer_fini(&other_key);
	free(certificate);
	free(other_certificate);
	return 0;
}

static void add_candidate(struct token_opening *opening, const struct buffer *private_key, const char *pem)
{
	struct token_candidate *candidate = &opening->candidates[opening->count++];

	candidate->certificate_pem = text_of(pem);
	candidate->private_key_der = BUFFER(16384);
	buffer_add_text(&candidate->private_key_der, buffer_text(private_key));
}

static void on_opened(struct op *op)
{
	assert_int_equal(op->rc, OK);
}

static enum token_verdict verdict_on(struct token_opening *opening, struct text file)
{
	struct loop loop;

	loop_init(&loop);
	opening->file = file;
	op_init(&opening->offload.op, on_opened);
	token_opening_start(opening, &loop);
	loop_run(&loop);
	loop_fini(&loop);
	return opening->verdict;
}

static void every_good_vector_opens_with_the_one_key_that_fits(void **state)
{
	static const char *const names[] = { "aes128-ber-bare.p7m", "aes128-ber-chunked.p7m", "aes128-ber-crlf.p7m", "aes128-ber-multiline.p7m",
		"aes128-der.p7m", "aes256-ber.p7m", "apple-aes128-ber.p7m", "des3-ber.p7m" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct token_opening opening = { 0 };
		const struct text file = read_vector(names[i]);

		add_candidate(&opening, &other_key, other_certificate);
		add_candidate(&opening, &key, certificate);
		if (verdict_on(&opening, file) != TOKEN_OPENED) {
			fail_msg("%s: %s", names[i], opening.fault.text);
		}
		assert_int_equal(opening.opened_by, 1);
		assert_true(text_starts_with(opening.token.consumer_key, TEXT("CK_")));
		token_opening_fini(&opening);
		free((char *)(uintptr_t)file.bytes);
	}
}

static void a_file_for_somebody_else_opens_with_none(void **state)
{
	struct token_opening opening = { 0 };
	const struct text file = read_vector("wrong-recipient.p7m");

	(void)state;
	add_candidate(&opening, &key, certificate);
	assert_int_equal(verdict_on(&opening, file), TOKEN_OF_ANOTHER_KEY);
	token_opening_fini(&opening);
	free((char *)(uintptr_t)file.bytes);
}

static void a_key_of_ours_that_is_broken_is_not_the_files_fault(void **state)
{
	struct token_opening opening = { 0 };
	struct buffer broken CLEANUP(buffer_fini) = BUFFER(16);
	const struct text file = read_vector("apple-aes128-ber.p7m");

	(void)state;
	buffer_add_string(&broken, "broken");
	add_candidate(&opening, &broken, certificate);
	assert_int_equal(verdict_on(&opening, file), TOKEN_OUR_KEY_IS_BROKEN);
	token_opening_fini(&opening);
	opening = (struct token_opening){ 0 };
	add_candidate(&opening, &broken, certificate);
	add_candidate(&opening, &key, certificate);
	assert_int_equal(verdict_on(&opening, file), TOKEN_OPENED);
	token_opening_fini(&opening);
	free((char *)(uintptr_t)file.bytes);
}

static void what_is_no_token_file_is_told_apart(void **state)
{
	struct token_opening opening = { 0 };

	(void)state;
	add_candidate(&opening, &key, certificate);
	assert_int_equal(verdict_on(&opening, text_of(certificate)), TOKEN_FILE_IS_NONE);
	assert_true(strlen(opening.fault.text) > 0);
	token_opening_fini(&opening);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_good_vector_opens_with_the_one_key_that_fits),
		cmocka_unit_test(a_file_for_somebody_else_opens_with_none),
		cmocka_unit_test(a_key_of_ours_that_is_broken_is_not_the_files_fault),
		cmocka_unit_test(what_is_no_token_file_is_told_apart),
	};

	return cmocka_run_group_tests_name("token_opening", tests, read_keys, free_keys);
}
