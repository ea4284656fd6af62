// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/slug.h"

#include <string.h>

#define SIXTY "012345678901234567890123456789012345678901234567890123456789"

static void names_become_the_nearest_slug(void **state)
{
	static const struct {
		const char *name;
		const char *slug;
	} cases[] = {
		{ "mdmserver1", "mdmserver1" },
		{ "Acme Corp. (EU)", "acme-corp-eu" },
		{ "--a__b--", "a-b" },
		{ "Z\xc3\xbcrich/1", "z-rich-1" },
		{ "", "" },
		{ "\xc3\xbc", "" },
		{ SIXTY "abcdef", SIXTY "abc" },
		{ SIXTY "ab-def", SIXTY "ab" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char slug[SLUG_MAX + 1];

		slug_of(slug, text_of(cases[i].name));
		assert_string_equal(slug, cases[i].slug);
		assert_int_equal(is_slug(text_of(slug)), slug[0] != '\0');
	}
}

static void what_is_no_slug_is_refused(void **state)
{
	static const char *const bad[] = { "", "-", "-a", "a-", "A", "a_b", "a.b", SIXTY "abcd" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(is_slug(text_of(bad[i])));
	}
	assert_true(is_slug(TEXT("a")));
	assert_true(is_slug(TEXT(SIXTY "abc")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_become_the_nearest_slug),
		cmocka_unit_test(what_is_no_slug_is_refused),
	};

	return cmocka_run_group_tests_name("slug", tests, NULL, NULL);
}
