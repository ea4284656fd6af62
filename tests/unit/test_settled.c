// SPDX-License-Identifier: Apache-2.0
#include "worker/settled.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

static const unsigned char *digest_of(struct text t)
{
	static unsigned char digest[SHA256_SIZE];

	sha256(digest, &(struct digest_part){ t.bytes, t.length }, 1);
	return digest;
}

static void only_the_very_same_input_of_the_same_client_is_known(void **state)
{
	struct settled settled = { 0 };

	(void)state;
	assert_false(settled_is(&settled, 7, digest_of(TEXT("a"))));
	settled_note(&settled, 7, digest_of(TEXT("a")));
	assert_true(settled_is(&settled, 7, digest_of(TEXT("a"))));
	assert_false(settled_is(&settled, 7, digest_of(TEXT("b"))));
	assert_false(settled_is(&settled, 8, digest_of(TEXT("a"))));
	assert_false(settled_is(&settled, 7000, digest_of(TEXT("a"))));
	settled_note(&settled, 7, digest_of(TEXT("b")));
	assert_false(settled_is(&settled, 7, digest_of(TEXT("a"))));
	settled_free(&settled);
	assert_false(settled_is(&settled, 7, digest_of(TEXT("b"))));
}

static void what_is_known_stays_when_there_are_more_clients(void **state)
{
	struct settled settled = { 0 };

	(void)state;
	settled_note(&settled, 1, digest_of(TEXT("a")));
	settled_note(&settled, 5000, digest_of(TEXT("b")));
	assert_true(settled_is(&settled, 1, digest_of(TEXT("a"))));
	assert_true(settled_is(&settled, 5000, digest_of(TEXT("b"))));
	settled_free(&settled);
}

static void of_two_clients_with_one_place_the_later_one_has_it(void **state)
{
	struct settled settled = { 0 };

	(void)state;
	settled_note(&settled, 3, digest_of(TEXT("a")));
	settled_note(&settled, 3 + (int64_t)SETTLED_MAX * 1000000000, digest_of(TEXT("b")));
	assert_false(settled_is(&settled, 3, digest_of(TEXT("a"))));
	assert_true(settled.count <= SETTLED_MAX);
	settled_free(&settled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_very_same_input_of_the_same_client_is_known),
		cmocka_unit_test(what_is_known_stays_when_there_are_more_clients),
		cmocka_unit_test(of_two_clients_with_one_place_the_later_one_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
