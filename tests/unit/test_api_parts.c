// SPDX-License-Identifier: Apache-2.0
//
// The pure parts of the REST API: what may be parsed at all, slugs, JSON answers, problems, whose a token is.
#include "api/body.h"
#include "api/json_out.h"
#include "api/token_identity.h"
#include "support/cmocka_all.h"

#include <string.h>

static void only_modest_json_is_parsed(void **state)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(1 << 20);

	(void)state;
	for (int i = 0; i < BODY_DEPTH_MAX; i++) {
		buffer_add_string(&json, "[");
	}
	assert_true(body_is_modest(buffer_text(&json)));
	buffer_add_string(&json, "{");
	assert_false(body_is_modest(buffer_text(&json)));
	buffer_clear(&json);
	buffer_add_string(&json, "[1");
	for (int i = 3; i <= BODY_VALUES_MAX; i++) {
		buffer_add_string(&json, ",1");
	}
	assert_true(body_is_modest(buffer_text(&json)));
	buffer_add_string(&json, ",1");
	assert_false(body_is_modest(buffer_text(&json)));
	assert_true(body_is_modest(TEXT_NONE));
}

static void brackets_inside_of_strings_do_not_count(void **state)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(1 << 20);

	(void)state;
	buffer_add_string(&json, "[\"\\\"");
	for (int i = 0; i < 2 * BODY_VALUES_MAX; i++) {
		buffer_add_string(&json, "[,");
	}
	assert_true(body_is_modest(buffer_text(&json)));
	buffer_add_string(&json, "\\\\\"");
	for (int i = 0; i < BODY_DEPTH_MAX; i++) {
		buffer_add_string(&json, "[");
	}
	assert_false(body_is_modest(buffer_text(&json)));
}

static void slugs_are_as_the_schema_has_them(void **state)
{
	char longest[64];

	(void)state;
	memset(longest, 'a', sizeof longest);
	assert_true(is_slug(TEXT("a")) && is_slug(TEXT("0-9")) && is_slug((struct text){ longest, 63 }));
	assert_false(is_slug(TEXT("")) || is_slug(TEXT("-")) || is_slug(TEXT("a-")) || is_slug(TEXT("A")) || is_slug(TEXT("a.b")) ||
		is_slug(TEXT("\xc3\xbc")) || is_slug((struct text){ longest, 64 }));
}

static void answers_are_json(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(1024);
	struct json_out json = { .out = &out };

	(void)state;
	put_object(&json, NULL);
	put_text(&json, "text", TEXT("a\"\n\x01"));
	put_text(&json, "none", TEXT(""));
	put_list(&json, "list");
	put_int(&json, NULL, -1);
	put_object(&json, NULL);
	put_object_end(&json);
	put_bool(&json, NULL, false);
	put_list_end(&json);
	put_id(&json, "id", 7);
	put_int_or_null(&json, "number", 0);
	put_instant(&json, "never", INSTANT_NONE);
	put_instant(&json, "at", SECOND_US + 5);
	put_object_end(&json);
	assert_string_equal(out.bytes, "{\"text\":\"a\\\"\\n\\u0001\",\"none\":null,\"list\":[-1,{},false],"
		"\"id\":\"7\",\"number\":null,\"never\":null,\"at\":\"1970-01-01T00:00:01.000005Z\"}");
}

static void each_problem_has_a_code_a_title_and_a_way_out(void **state)
{
	(void)state;
	for (enum api_problem which = 0; which < API_PROBLEM_COUNT; which++) {
		const struct problem problem = api_problem(which);

		assert_true(problem.status >= 400 && problem.status < 600);
		assert_int_equal(strspn(problem.code, "abcdefghijklmnopqrstuvwxyz_"), strlen(problem.code));
		assert_true(strlen(problem.title) > 5 && strlen(problem.fix) > 5);
		assert_int_equal(problem.fix[strlen(problem.fix) - 1], '.');
	}
	assert_string_equal(api_problem(PROBLEM_TENANT_NOT_FOUND).code, "tenant_not_found");
}

static unsigned differences(struct tenant_row pinned, struct apple_account given, const char *expected)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(4096);
	const unsigned count = token_identity_differences(&out, &pinned, &given);

	assert_string_equal(out.bytes, expected);
	return count;
}

static void a_pinned_field_that_differs_or_is_gone_is_a_difference(void **state)
{
	const struct tenant_row pinned = { .server_uuid = TEXT("U"), .org_id = TEXT("1"), .org_id_hash = TEXT("h") };
	const struct apple_account same = { .server_uuid = TEXT("U"), .org_id = TEXT("1"), .org_id_hash = TEXT("h"),
		.org_name = TEXT("renamed") };

	(void)state;
	assert_int_equal(differences(pinned, same, "\"differences\":[]"), 0);
	assert_int_equal(differences((struct tenant_row){ 0 }, same, "\"differences\":[]"), 0);
	assert_int_equal(differences(pinned, (struct apple_account){ .server_uuid = TEXT("u"), .org_id = TEXT("1") },
		"\"differences\":[{\"field\":\"server_uuid\",\"pinned\":\"U\",\"given\":\"u\"},"
		"{\"field\":\"org_id_hash\",\"pinned\":\"h\",\"given\":null}]"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_modest_json_is_parsed),
		cmocka_unit_test(brackets_inside_of_strings_do_not_count),
		cmocka_unit_test(slugs_are_as_the_schema_has_them),
		cmocka_unit_test(answers_are_json),
		cmocka_unit_test(each_problem_has_a_code_a_title_and_a_way_out),
		cmocka_unit_test(a_pinned_field_that_differs_or_is_gone_is_a_difference),
	};

	return cmocka_run_group_tests_name("api_parts", tests, NULL, NULL);
}
