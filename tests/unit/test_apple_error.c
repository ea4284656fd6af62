// SPDX-License-Identifier: Apache-2.0
//
// Refusals: every case of the error catalogue, every spelling of a word, and the dates of answers.
#include "apple/apple_error.h"

#include "apple/apple_answer.h"
#include "support/cmocka_all.h"
#include "support/vectors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *action;
	enum err rc;
} actions[] = {
	{ "fix_request", ERR_REFUSED },
	{ "fix_config", ERR_REFUSED },
	{ "fix_profile", ERR_REFUSED },
	{ "feature_off", ERR_REFUSED },
	{ "none_set", ERR_REFUSED },
	{ "not_a_replacement", ERR_REFUSED },
	{ "new_session_once", ERR_SESSION },
	{ "token_dead", ERR_TOKEN_DEAD },
	{ "terms_pending", ERR_TERMS },
	{ "backoff", ERR_THROTTLED }, // its only case is 429
	{ "full_fetch", ERR_CURSOR_LOST },
	{ "switch_to_sync_same_cursor", ERR_CURSOR_END },
	{ "end_of_data_then_full_fetch_if_repeated", ERR_CURSOR_END },
	{ "redefine_profile", ERR_PROFILE_GONE },
};

static enum err class_of(const char *action)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(actions[i].action, action) == 0) {
			return actions[i].rc;
		}
	}
	fail_msg("the catalogue has an action that this test does not know: %s", action);
	return OK;
}

static enum apple_place place_of(const char *method, const char *path)
{
	static const struct {
		const char *method;
		const char *path;
		enum apple_place place;
	} places[] = {
		{ "GET", "/session", APPLE_AT_SESSION },
		{ "POST", "/server/devices", APPLE_AT_CURSOR },
		{ "POST", "/devices/sync", APPLE_AT_CURSOR },
		{ "GET", "/profile", APPLE_AT_PROFILE },
		{ "POST", "/profile/devices", APPLE_AT_PROFILE },
	};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		if (strcmp(places[i].method, method) == 0 && strcmp(places[i].path, path) == 0) {
			return places[i].place;
		}
	}
	return APPLE_AT_OTHER;
}

// The spellings in which a word has been seen.
static void check_spellings(enum apple_place place, unsigned status, const char *word, enum err expected)
{
	static const char *const spellings[] = { "%s", "\"%s\"", "%s\n", "{\"code\":\"%s\"}", "Error: %s.", "%sUnauthorized" };

	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct buffer body CLEANUP(buffer_fini) = BUFFER(1000);
		const char *mark = strstr(spellings[i], "%s");

		buffer_add(&body, spellings[i], (size_t)(mark - spellings[i]));
		buffer_add_string(&body, word);
		buffer_add_string(&body, mark + 2);
		const enum err rc = apple_error_classify(place, status, buffer_text(&body));

		if (rc != expected) {
			fail_msg("%u %s gives %s and not %s", status, body.bytes, err_name(rc), err_name(expected));
		}
		for (char *at = body.bytes; *at != '\0'; at++) {
			*at = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
		}
		assert_int_equal(apple_error_classify(place, status, buffer_text(&body)), expected);
	}
}

static void every_case_of_the_catalogue_has_the_class_of_its_action(void **state)
{
	char *content = shared_read(SOURCE_DIRECTORY, "protocol/vectors/apple-responses/error-catalogue.json", NULL);
	json_t *document = json_loads(content, 0, NULL);
	const json_t *entries = json_object_get(document, "entries");

	(void)state;
	assert_int_equal(json_array_size(entries), 134);
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);
		const char *method = json_string_value(json_object_get(entry, "method"));
		const char *path = json_string_value(json_object_get(entry, "path"));
		const char *body = json_string_value(json_object_get(entry, "body"));
		const enum err expected = class_of(json_string_value(json_object_get(entry, "action")));
		const unsigned status = (unsigned)json_integer_value(json_object_get(entry, "status"));
		const enum err rc = apple_error_classify(place_of(method, path), status, text_of(body));

		if (rc != expected) {
			fail_msg("%s %s %u %s gives %s and not %s", method, path, status, body, err_name(rc), err_name(expected));
		}
		if (body[0] != '\0') {
			check_spellings(place_of(method, path), status, body, expected);
		}
	}
	json_decref(document);
	free(content);
}

static void the_status_alone_decides_when_there_is_no_word(void **state)
{
	static const struct {
		enum apple_place place;
		unsigned status;
		enum err rc;
	} cases[] = {
		{ APPLE_AT_SESSION, 400, ERR_REFUSED },     { APPLE_AT_SESSION, 401, ERR_TOKEN_DEAD },
		{ APPLE_AT_SESSION, 403, ERR_TOKEN_DEAD },  { APPLE_AT_SESSION, 404, ERR_REFUSED },
		{ APPLE_AT_SESSION, 429, ERR_THROTTLED },   { APPLE_AT_SESSION, 503, ERR_UNAVAILABLE },
		{ APPLE_AT_OTHER, 201, ERR_BAD_ANSWER },    { APPLE_AT_OTHER, 204, ERR_BAD_ANSWER },
		{ APPLE_AT_OTHER, 302, ERR_BAD_ANSWER },    { APPLE_AT_OTHER, 400, ERR_REFUSED },
		{ APPLE_AT_OTHER, 401, ERR_SESSION },       { APPLE_AT_OTHER, 403, ERR_REFUSED },
		{ APPLE_AT_OTHER, 404, ERR_REFUSED },       { APPLE_AT_OTHER, 405, ERR_REFUSED },
		{ APPLE_AT_OTHER, 408, ERR_UNAVAILABLE },   { APPLE_AT_OTHER, 429, ERR_THROTTLED },
		{ APPLE_AT_OTHER, 500, ERR_UNAVAILABLE },   { APPLE_AT_OTHER, 503, ERR_UNAVAILABLE },
		{ APPLE_AT_CURSOR, 400, ERR_REFUSED },      { APPLE_AT_PROFILE, 404, ERR_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(apple_error_classify(cases[i].place, cases[i].status, TEXT_NONE), cases[i].rc);
		assert_int_equal(apple_error_classify(cases[i].place, cases[i].status, TEXT("<html><h1>Sorry</h1></html>")),
			cases[i].rc);
	}
}

static void words_of_another_place_mean_nothing(void **state)
{
	(void)state;
	assert_int_equal(apple_error_classify(APPLE_AT_OTHER, 400, TEXT("EXPIRED_CURSOR")), ERR_REFUSED);
	assert_int_equal(apple_error_classify(APPLE_AT_PROFILE, 400, TEXT("INVALID_CURSOR")), ERR_REFUSED);
	assert_int_equal(apple_error_classify(APPLE_AT_CURSOR, 404, TEXT("NOT_FOUND")), ERR_REFUSED);
	assert_int_equal(apple_error_classify(APPLE_AT_PROFILE, 404, TEXT("DEVICE_NOT_FOUND")), ERR_REFUSED);
	assert_int_equal(apple_error_classify(APPLE_AT_PROFILE, 404, TEXT("404 page not found")), ERR_REFUSED);
}

static void terms_come_before_everything_and_an_outage_is_an_outage(void **state)
{
	static const char body[] = "{\"code\":\"T_C_NOT_SIGNED\",\"message\":\"FORBIDDEN\"}";

	(void)state;
	for (unsigned place = APPLE_AT_SESSION; place <= APPLE_AT_OTHER; place *= 2) {
		assert_int_equal(apple_error_classify(place, 401, text_of(body)), ERR_TERMS);
		assert_int_equal(apple_error_classify(place, 403, text_of(body)), ERR_TERMS);
		assert_int_equal(apple_error_classify(place, 400, text_of(body)), ERR_TERMS);
		assert_int_equal(apple_error_classify(place, 503, text_of(body)), ERR_UNAVAILABLE);
	}
	assert_int_equal(apple_error_classify(APPLE_AT_OTHER, 403, TEXT("FORBIDDEN ACCESS_DENIED")), ERR_TOKEN_DEAD);
}

static void only_the_beginning_of_a_body_is_looked_at(void **state)
{
	struct buffer body CLEANUP(buffer_fini) = BUFFER(10000);

	(void)state;
	while (body.length < APPLE_ERROR_BODY_MAX - 9) {
		buffer_add_string(&body, " ");
	}
	buffer_add_string(&body, "FORBIDDEN");
	assert_int_equal(apple_error_classify(APPLE_AT_OTHER, 403, buffer_text(&body)), ERR_SESSION);
	buffer_clear(&body);
	while (body.length < APPLE_ERROR_BODY_MAX - 8) {
		buffer_add_string(&body, " ");
	}
	buffer_add_string(&body, "FORBIDDEN");
	assert_int_equal(apple_error_classify(APPLE_AT_OTHER, 403, buffer_text(&body)), ERR_REFUSED);
}

static void the_word_is_found_and_nothing_else_is_shown(void **state)
{
	static const struct {
		const char *body;
		const char *word;
	} cases[] = {
		{ "", "" }, { "  ", "" }, { "\"", "" }, { "<html><h1>FORBIDDEN</h1></html>", "" }, { "\xff\xfe", "" },
		{ "FORBIDDEN", "FORBIDDEN" }, { "\"FORBIDDEN\"", "FORBIDDEN" }, { "\r\n FORBIDDEN \r\n", "FORBIDDEN" },
		{ "token_expiredUnauthorized", "token_expiredUnauthorized" }, { "EXPIRED_CURSOR: too old", "EXPIRED_CURSOR" },
		{ "{\"code\":\"T_C_NOT_SIGNED\",\"why\":\"X\"}", "T_C_NOT_SIGNED" }, { "[\"ACCESS_DENIED\"]", "ACCESS_DENIED" },
		{ "{\"code\":17}", "" }, { "{", "" }, { "A\nB", "A" },
	};
	char longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (!text_equal_string(apple_error_word(text_of(cases[i].body)), cases[i].word)) {
			fail_msg("%s gives another word than \"%s\"", cases[i].body, cases[i].word);
		}
	}
	memset(longest, 'A', sizeof longest);
	assert_int_equal(apple_error_word((struct text){ longest, sizeof longest }).length, APPLE_ERROR_MAX);
	assert_int_equal(apple_error_word(TEXT_NONE).length, 0);
}

static void both_forms_of_a_date_are_read_and_others_are_unknown(void **state)
{
	static const char *const unknown[] = {
		"", "now", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT GMT",
		"Sun, xx Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
	};

	(void)state;
	assert_int_equal(apple_date_parse(TEXT("Sun, 06 Nov 1994 08:49:37 GMT")), INT64_C(784111777) * SECOND_US);
	assert_int_equal(apple_date_parse(TEXT(" Sun, 06 Nov 1994 08:49:37 GMT ")), INT64_C(784111777) * SECOND_US);
	assert_int_equal(apple_date_parse(TEXT("1994-11-06T08:49:37Z")), INT64_C(784111777) * SECOND_US);
	assert_int_equal(apple_date_parse(TEXT("1994-11-06T09:49:37+01:00")), INT64_C(784111777) * SECOND_US);
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		assert_true(apple_date_parse(text_of(unknown[i])) == INSTANT_NONE);
	}
	assert_true(apple_date_parse(TEXT_NONE) == INSTANT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_of_the_catalogue_has_the_class_of_its_action),
		cmocka_unit_test(the_status_alone_decides_when_there_is_no_word),
		cmocka_unit_test(words_of_another_place_mean_nothing),
		cmocka_unit_test(terms_come_before_everything_and_an_outage_is_an_outage),
		cmocka_unit_test(only_the_beginning_of_a_body_is_looked_at),
		cmocka_unit_test(the_word_is_found_and_nothing_else_is_shown),
		cmocka_unit_test(both_forms_of_a_date_are_read_and_others_are_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
