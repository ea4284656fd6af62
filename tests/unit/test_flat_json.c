// SPDX-License-Identifier: Apache-2.0
//
// The strict reader: what it accepts and refuses, its agreement with jansson, and every cut and every changed byte.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/flat_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// Reads a copy of exactly the text's size, so that reading beyond its end is found out.
static enum err read_members(struct flat_json_member *members, size_t count, struct text json, char **copy,
	struct fault *fault)
{
	*copy = allocate(json.length > 0 ? json.length : 1);
	if (json.length > 0) {
		memcpy(*copy, json.bytes, json.length);
	}
	return flat_json_read(members, count, *copy, json.length, fault);
}

static enum err read_only(struct text json)
{
	struct flat_json_member members[] = { { .name = "a" }, { .name = "b" } };
	char *copy;
	const enum err rc = read_members(members, 2, json, &copy, NULL);

	free(copy);
	return rc;
}

static void assert_value(const char *json, const char *expected, size_t length)
{
	struct flat_json_member member = { .name = "a" };
	char *copy;

	assert_int_equal(read_members(&member, 1, text_of(json), &copy, NULL), OK);
	assert_int_equal(member.value.length, length);
	assert_true(length == 0 || memcmp(member.value.bytes, expected, length) == 0);
	assert_true((member.value.bytes == NULL) == (expected == NULL));
	free(copy);
}

static void values_are_found_and_unescaped(void **state)
{
	(void)state;
	assert_value("{\"a\":\"x\"}", "x", 1);
	assert_value(" {\t\"b\" : 1 ,\r\n\"a\" : \"x\" } \n", "x", 1);
	assert_value("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 8);
	assert_value("{\"a\":\"\\u0041\\u00fc\\u65e5\\ud83d\\ude00\\uD83D\\uDE00\"}",
		"A\xc3\xbc\xe6\x97\xa5\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 14);
	assert_value("{\"a\":\"Z\xc3\xbcrich\"}", "Z\xc3\xbcrich", 7);
	assert_value("{\"\\u0061\":\"x\"}", "x", 1); // a name may be escaped, too
	assert_value("{\"a\":\"\"}", "", 0);
	assert_value("{\"a\":null}", NULL, 0);
	assert_value("{}", NULL, 0);
	assert_value("{\"aa\":\"x\",\"\":\"y\",\"A\":\"z\"}", NULL, 0);
}

static void other_members_of_any_kind_are_skipped(void **state)
{
	(void)state;
	assert_value("{\"n\":[0,-0,1.5,1e3,1E+3,-2.5e-7,true,false,null,\"s\",{},[],{\"a\":\"inner\"}],\"a\":\"x\"}", "x", 1);
	assert_value("{\"n\":1,\"n\":2,\"a\":\"x\"}", "x", 1); // nobody asked for n
}

static void what_is_not_strict_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "null", "[]", "\"a\"", "{", "}", "{]", "{}{}", "{} x", "{},", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":\"x\",}",
		"{\"a\" \"x\"}", "{a:\"x\"}", "{'a':'x'}", "{\"a\":\"x\" \"b\":1}", "{\"c\":01}", "{\"c\":+1}", "{\"c\":.5}",
		"{\"c\":1.}", "{\"c\":1e}", "{\"c\":-}", "{\"c\":0x1}", "{\"c\":NaN}", "{\"c\":True}", "{\"c\":nul}", "{\"c\":[1,]}",
		"{\"c\":[,]}", "{\"c\":[1 2]}", "{\"c\":{\"d\"}}", "{\"c\":[}", "{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\\x\"}",
		"{\"a\":\"\\\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ud800\\u0041\"}",
		"{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800x\"}", "{\"a\":\"\\u0000\"}", "{\"c\":\"\\u0000\"}", "{\"\\u0000\":1}",
		"{\"a\":\"x\"} // c", "{/**/}", "\xef\xbb\xbf{}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"c\":\"\xc0\x80\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (read_only(text_of(bad[i])) != ERR_BAD_INPUT) {
			fail_msg("accepted: %s", bad[i]);
		}
	}
	assert_int_equal(read_only((struct text){ "{\"a\":\"\0\"}", 9 }), ERR_BAD_INPUT);
	assert_int_equal(read_only((struct text){ "{}\0", 3 }), ERR_BAD_INPUT);
}

static void a_wanted_member_must_be_one_string_or_null(void **state)
{
	static const char *const bad[] = {
		"{\"a\":1}", "{\"a\":true}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":\"x\",\"a\":\"x\"}", "{\"a\":null,\"a\":\"x\"}",
		"{\"a\":\"x\",\"\\u0061\":\"y\"}", "{\"a\":nulll}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(read_only(text_of(bad[i])), ERR_BAD_INPUT);
	}
}

static void nesting_is_followed_to_a_depth_of_16(void **state)
{
	(void)state;
	for (size_t depth = 1; depth < 40; depth++) {
		struct buffer json CLEANUP(buffer_fini) = BUFFER(1000);

		buffer_add_string(&json, "{\"c\":");
		for (size_t i = 0; i < depth; i++) {
			buffer_add_string(&json, "[");
		}
		for (size_t i = 0; i < depth; i++) {
			buffer_add_string(&json, "]");
		}
		buffer_add_string(&json, "}");
		assert_int_equal(read_only(buffer_text(&json)), depth <= 16 ? OK : ERR_BAD_INPUT);
	}
}

static void faults_name_members_and_positions_and_never_values(void **state)
{
	static const char *const bad[] = { "{\"a\":\"SECRET\"", "{\"a\":\"SECRET\",\"a\":\"SECRET\"}", "{\"a\":\"SECRET\\q\"}",
		"{\"b\":SECRET}", "{\"SECRET\":}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct flat_json_member members[] = { { .name = "a" }, { .name = "b" } };
		struct fault fault = { "" };
		char *copy;

		assert_int_equal(read_members(members, 2, text_of(bad[i]), &copy, &fault), ERR_BAD_INPUT);
		assert_true(fault.text[0] != '\0');
		assert_null(strstr(fault.text, "SECRET"));
		free(copy);
	}
}

static void as_many_members_as_promised_are_told_apart(void **state)
{
	struct flat_json_member members[FLAT_JSON_MEMBERS_MAX + 1];
	char names[FLAT_JSON_MEMBERS_MAX + 1][2] = { { 0 } };
	struct buffer json CLEANUP(buffer_fini) = BUFFER(1000);
	char *copy;

	(void)state;
	for (size_t i = 0; i <= FLAT_JSON_MEMBERS_MAX; i++) {
		names[i][0] = (char)('@' + i);
		members[i] = (struct flat_json_member){ .name = names[i] };
		if (names[i][0] != '\\') {
			buffer_add_format(&json, "%s\"%s\":\"%s\"", i == 0 ? "{" : ",", names[i], names[i]);
		}
	}
	buffer_add_string(&json, "}");
	assert_int_equal(read_members(members, FLAT_JSON_MEMBERS_MAX, buffer_text(&json), &copy, NULL), OK);
	for (size_t i = 0; i < FLAT_JSON_MEMBERS_MAX; i++) {
		assert_true(names[i][0] == '\\' || text_equal_string(members[i].value, names[i]));
	}
	free(copy);
	assert_int_equal(read_members(members, FLAT_JSON_MEMBERS_MAX + 1, buffer_text(&json), &copy, NULL), ERR_BUG);
	free(copy);
}

static const char sample[] = "{\"a\":\"x\\u00fc\\ud83d\\ude00\", \"n\":[1.5e3,{\"q\":null}], \"b\":null, \"t\":true}";

static void every_cut_is_refused(void **state)
{
	(void)state;
	assert_int_equal(read_only((struct text){ sample, sizeof sample - 1 }), OK);
	for (size_t length = 0; length < sizeof sample - 1; length++) {
		assert_int_equal(read_only((struct text){ sample, length }), ERR_BAD_INPUT);
	}
}

// What this reader accepts, jansson accepts with the same values; what jansson refuses, this one refuses. But for numbers that no
// double holds, which are JSON as well (1e513).
static void mutated_texts_are_judged_as_jansson_judges_them(void **state)
{
	static const char alphabet[] = "{}[]\",:\\u0dDeE-+.1ntf ab\xc3\xbc";

	(void)state;
	for (size_t number = 0; number < 30000; number++) {
		struct flat_json_member members[] = { { .name = "a" }, { .name = "b" } };
		char text[sizeof sample];
		char *copy;

		random_case("test_flat_json", number);
		memcpy(text, sample, sizeof sample);
		for (uint64_t left = 1 + random_below(3); left > 0; left--) {
			text[random_below(sizeof sample - 1)] = alphabet[random_below(sizeof alphabet - 1)];
		}
		const enum err rc = read_members(members, 2, (struct text){ text, sizeof text - 1 }, &copy, NULL);
		json_error_t error;
		json_t *theirs = json_loadb(text, sizeof text - 1, 0, &error);
		const bool is_huge = theirs == NULL && json_error_code(&error) == json_error_numeric_overflow;

		LAW(rc == OK || rc == ERR_BAD_INPUT);
		LAW(rc != OK || theirs != NULL || is_huge);
		for (size_t i = 0; rc == OK && theirs != NULL && i < 2; i++) {
			LAW(text_equal(members[i].value, text_of(json_string_value(json_object_get(theirs, members[i].name)))));
		}
		json_decref(theirs);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_and_unescaped),
		cmocka_unit_test(other_members_of_any_kind_are_skipped),
		cmocka_unit_test(what_is_not_strict_json_is_refused),
		cmocka_unit_test(a_wanted_member_must_be_one_string_or_null),
		cmocka_unit_test(nesting_is_followed_to_a_depth_of_16),
		cmocka_unit_test(faults_name_members_and_positions_and_never_values),
		cmocka_unit_test(as_many_members_as_promised_are_told_apart),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(mutated_texts_are_judged_as_jansson_judges_them),
	};

	return cmocka_run_group_tests_name("flat_json", tests, NULL, NULL);
}
