// SPDX-License-Identifier: Apache-2.0
#include "loop/problem.h"

#include "support/cmocka_all.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

static const char *member(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static json_t *written(const struct problem *problem, const char *id)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(8192);
	json_error_t error;

	problem_write(&out, problem, id);
	assert_false(out.overflow);
	json_t *object = json_loadb(out.bytes, out.length, JSON_REJECT_DUPLICATES, &error);

	if (object == NULL) {
		fail_msg("%s: %s", error.text, out.bytes);
	}
	return object;
}

static void a_problem_says_everything_that_is_known(void **state)
{
	const struct problem problem = {
		.status = 404, .code = "tenant_not_found", .title = "There is no such tenant", .detail = "No tenant is called \"a\nb\".",
		.fix = "List the tenants.", .extra = TEXT("\"tenant\":\"a\",\"numbers\":[1,2]"),
	};
	json_t *object = written(&problem, "00112233445566778899aabbccddeeff");

	(void)state;
	assert_string_equal(member(object, "type"), "https://depbroker.dev/problems/tenant_not_found");
	assert_int_equal(json_integer_value(json_object_get(object, "status")), 404);
	assert_string_equal(member(object, "code"), "tenant_not_found");
	assert_string_equal(member(object, "title"), "There is no such tenant");
	assert_string_equal(member(object, "detail"), "No tenant is called \"a\nb\".");
	assert_string_equal(member(object, "fix"), "List the tenants.");
	assert_string_equal(member(object, "instance"), "urn:request:00112233445566778899aabbccddeeff");
	assert_string_equal(member(object, "request_id"), "00112233445566778899aabbccddeeff");
	assert_string_equal(member(object, "tenant"), "a");
	assert_int_equal(json_array_size(json_object_get(object, "numbers")), 2);
	json_decref(object);
}

static void what_is_not_known_is_left_out(void **state)
{
	json_t *object = written(&(struct problem){ .status = 500, .code = "bug", .title = "Internal error" }, NULL);

	(void)state;
	assert_int_equal(json_object_size(object), 4);
	assert_null(json_object_get(object, "detail"));
	json_decref(object);
}

static void bytes_that_are_no_text_do_not_break_the_document(void **state)
{
	json_t *object = written(&(struct problem){ .status = 400, .code = "c", .title = "t", .detail = "\xff\x01\x80" }, "id");

	(void)state;
	assert_non_null(strstr(member(object, "detail"), "\xef\xbf\xbd"));
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_problem_says_everything_that_is_known),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(bytes_that_are_no_text_do_not_break_the_document),
	};

	return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
