// SPDX-License-Identifier: Apache-2.0
//
// The HTTP client against a peer that answers well, badly, slowly, too much, or not at all.
#include "support/canned_peer.h"
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include "depbroker/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct http_client_config plain = { .allow_plain_http = true };

static void an_answer_arrives_with_its_status_headers_and_body(void **state)
{
	static const struct {
		const char *path;
		unsigned status;
		const char *body;
	} cases[] = {
		{ "/ok", 200, "hello" }, { "/headers", 201, "" }, { "/chunked", 200, "hello" }, { "/until-close", 200, "hello" },
		{ "/no-content", 204, "" }, { "/error", 503, "hello" }, { "/interim", 200, "hello" }, { "/401", 401, "" },
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_trial trial;
		const int64_t before_us = clock_wall_us();

		http_trial_init(&trial, &world, cases[i].path);
		assert_int_equal(http_trial_run(&trial), OK);
		assert_int_equal(trial.call.status, cases[i].status);
		assert_true(text_equal_string(buffer_text(&trial.call.answer), cases[i].body));
		assert_true(trial.call.sent_at_us >= before_us && trial.call.sent_at_us <= clock_wall_us());
		assert_true(trial.call.took_ms >= 0 && trial.call.took_ms < 20000);
		http_trial_fini(&trial);
	}
	http_world_close(&world);
}

static void assert_header(const struct http_trial *trial, const char *name, const char *expected)
{
	const struct text value = http_call_header(&trial->call, name);

	if (!text_equal_string(value, expected)) {
		fail_msg("%s is \"%.*s\"", name, TEXT_ARGS(value));
	}
}

static void headers_are_found_in_any_case_and_the_last_one_wins(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/headers");
	assert_header(&trial, "X-One", "");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_header(&trial, "X-ONE", "last");
	assert_header(&trial, "x-one-more", "3");
	assert_header(&trial, "X-Empty", "");
	assert_header(&trial, "X-On", "");
	assert_header(&trial, "HTTP/1.1 201 Created", "");
	http_trial_fini(&trial);
	assert_header(&trial, "X-One", "");

	http_trial_init(&trial, &world, "/interim");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_header(&trial, "X-A", "final");
	assert_header(&trial, "X-B", "");
	http_trial_fini(&trial);

	http_trial_init(&trial, &world, "/chunked");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_header(&trial, "X-A", "head");
	http_trial_fini(&trial);

	http_trial_init(&trial, &world, "/error");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_int_equal(http_retry_after_s(http_call_header(&trial.call, "Retry-After"), clock_wall_us()), 7);
	assert_int_equal(http_retry_after_s(http_call_header(&trial.call, "X-None"), clock_wall_us()), -1);
	http_trial_fini(&trial);
	http_world_close(&world);
}

static bool has(const struct http_trial *trial, const char *part)
{
	return text_contains_ignoring_case(buffer_text(&trial->call.answer), part);
}

static void every_method_carries_its_body(void **state)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };
	static const char *const bodies[] = { "", "{\"a\":1}" };
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < 8; i++) {
		const char *method = methods[i / 2];
		const char *body = bodies[i % 2];
		struct http_trial trial;
		char line[64];

		http_trial_init(&trial, &world, "/echo?a=b");
		trial.call.method = method;
		trial.call.body = text_of(body);
		trial.call.headers[0] = "X-Session: 12345";
		assert_int_equal(http_trial_run(&trial), OK);
		(void)snprintf(line, sizeof line, "%s /echo?a=b HTTP/1.1\r\n", method);
		assert_true(text_starts_with(buffer_text(&trial.call.answer), text_of(line)));
		(void)snprintf(line, sizeof line, "Content-Length: %zu\r\n", strlen(body));
		assert_int_equal(has(&trial, line), body[0] != '\0' || method[0] == 'P');
		assert_string_equal(strstr(trial.call.answer.bytes, "\r\n\r\n") + 4, body);
		assert_true(has(&trial, "\r\nX-Session: 12345\r\n"));
		assert_true(has(&trial, "\r\nUser-Agent: depbroker-test/1\r\n"));
		assert_false(has(&trial, "Content-Type") || has(&trial, "Accept-Encoding") || has(&trial, "Expect"));
		assert_false(has(&trial, "Cookie") || has(&trial, "Authorization") || has(&trial, "Upgrade"));
		http_trial_fini(&trial);
	}
	http_world_close(&world);
}

static void a_large_body_is_sent_without_asking_first(void **state)
{
	struct buffer body CLEANUP(buffer_fini) = BUFFER((size_t)4 * 1024 * 1024);
	struct http_world world;
	struct http_trial trial;

	(void)state;
	while (body.length < (size_t)3 * 1024 * 1024) {
		buffer_add(&body, "0123456789\0abcde", 16);
	}
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/echo");
	trial.call.method = "PUT";
	trial.call.body = buffer_text(&body);
	trial.call.headers[0] = "content-type: application/json";
	trial.call.answer_limit = body.limit;
	assert_int_equal(http_trial_run(&trial), OK);
	assert_false(has(&trial, "Expect:"));
	assert_true(has(&trial, "content-type: application/json\r\n"));
	assert_memory_equal(trial.call.answer.bytes + trial.call.answer.length - body.length, body.bytes, body.length);
	http_trial_fini(&trial);
	http_world_close(&world);
}

static void redirects_are_reported_and_not_followed(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/redirect");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_int_equal(trial.call.status, 302);
	assert_header(&trial, "Location", "/ok");
	assert_int_equal(world.peer.requests, 1);
	http_trial_fini(&trial);
	http_world_close(&world);
}

static void nothing_is_remembered_from_one_call_to_the_next(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/cookie");
	trial.call.method = "POST";
	trial.call.body = TEXT("body");
	trial.call.headers[0] = "X-Session: 12345";
	assert_int_equal(http_trial_run(&trial), OK);
	assert_header(&trial, "Set-Cookie", "secret=1; Path=/");
	http_trial_fini(&trial);
	http_trial_init(&trial, &world, "/echo");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_true(has(&trial, "GET /echo"));
	assert_false(has(&trial, "Cookie") || has(&trial, "X-Session") || has(&trial, "body"));
	assert_int_equal(world.peer.accepted, 1); // though they shared a connection
	http_trial_fini(&trial);
	http_world_close(&world);
}

static void a_call_can_be_used_again(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/error");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_int_equal(trial.call.status, 503);
	trial.call.url = "nonsense";
	assert_int_not_equal(http_trial_run(&trial), OK);
	assert_int_equal(trial.call.status, 0);
	assert_int_equal(trial.call.answer.length, 0);
	assert_header(&trial, "Retry-After", "");
	trial.call.url = trial.url;
	assert_int_equal(http_trial_run(&trial), OK);
	assert_string_equal(trial.call.op.fault.text, "");
	assert_int_equal(trial.call.answer.length, 5);
	http_trial_fini(&trial);
	http_trial_fini(&trial); // harmless
	http_world_close(&world);
}

static void bad_answers_have_their_codes(void **state)
{
	static const struct {
		const char *path;
		enum err rc;
	} cases[] = {
		{ "/cut-in-head", ERR_NETWORK }, { "/cut-in-body", ERR_NETWORK }, { "/cut-in-chunk", ERR_NETWORK },
		{ "/cut-between-chunks", ERR_NETWORK }, { "/cut-at-once", ERR_NETWORK }, { "/bad-chunk", ERR_NETWORK },
		{ "/bad-length", ERR_BAD_ANSWER }, { "/nul-in-head", ERR_BAD_ANSWER }, { "/not-http", ERR_BAD_ANSWER },
		{ "/endless-body", ERR_BUDGET }, { "/endless-chunks", ERR_BUDGET }, { "/endless-head", ERR_BUDGET },
		{ "/endless-line", ERR_BUDGET }, { "/endless-interim", ERR_BUDGET }, { "/endless-trailers", ERR_BUDGET },
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_trial trial;

		http_trial_init(&trial, &world, cases[i].path);
		if (http_trial_run(&trial) != cases[i].rc) {
			fail_msg("%s: %s (%s)", cases[i].path, err_name(trial.call.op.rc), trial.call.op.fault.text);
		}
		assert_string_not_equal(trial.call.op.fault.text, "");
		assert_int_equal(trial.call.status, 0);
		assert_int_equal(trial.call.answer.length, 0);
		http_trial_fini(&trial);
	}
	assert_int_equal(http_client_counters(world.client).failed, sizeof cases / sizeof *cases);
	http_world_close(&world);
}

static void a_limit_is_reached_and_not_passed(void **state)
{
	static const struct {
		const char *path;
		size_t limit;
		enum err rc;
	} cases[] = {
		{ "/ok", 5, OK }, { "/ok", 4, ERR_BUDGET }, { "/ok", 0, ERR_BUDGET }, { "/chunked", 5, OK },
		{ "/chunked", 4, ERR_BUDGET }, { "/no-content", 0, OK },
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_trial trial;

		http_trial_init(&trial, &world, cases[i].path);
		trial.call.answer_limit = cases[i].limit;
		assert_int_equal(http_trial_run(&trial), cases[i].rc);
		http_trial_fini(&trial);
	}
	http_world_close(&world);
}

static void headers_cannot_inject(void **state)
{
	static const char *const headers[] = {
		"", ":", "X", "X-A", ": b", " X-A: b", "X-A : b", "X-A;", "X-A:", "X-A: ", "@file", "X-A: b\r\nX-B: c", "X-A: b\nX-B: c",
		"X-A: b\r", "X-A: \x01", "X-A: \x7f", "X-A: \xc3\xa9", "X-A: \x80", "X\r\nA: b", "X\xc3\xa9: b", "GET / HTTP/1.1",
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct http_trial trial;

		http_trial_init(&trial, &world, "/ok");
		trial.call.headers[0] = "X-Good: 1";
		trial.call.headers[1] = headers[i];
		if (http_trial_run(&trial) != ERR_BAD_INPUT) {
			fail_msg("\"%s\" was taken for a header", headers[i]);
		}
		assert_non_null(strstr(trial.call.op.fault.text, "header 2 "));
		http_trial_fini(&trial);
	}
	assert_int_equal(world.peer.accepted, 0);
	http_world_close(&world);
}

static void urls_that_cannot_be_called_are_refused(void **state)
{
	static const char *const urls[] = {
		"", "https://", "https://user@127.0.0.1/", "https://user:password@127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd",
		"gopher://127.0.0.1/", "dict://127.0.0.1/", "ldap://127.0.0.1/", "nonsense://127.0.0.1/", "http:// 127.0.0.1/",
		"https://127.0.0.1:65536/", "https://127.0.0.1:-1/", "https://[::1/", "https://a b/", "https://127.0.0.1/\r\nX: y",
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		if (http_outcome(&world, urls[i]) != ERR_BAD_INPUT) {
			fail_msg("%s was taken for a URL", urls[i]);
		}
	}
	http_world_close(&world);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = false }, canned_answer);
	assert_int_equal(http_outcome(&world, "/ok"), ERR_BAD_INPUT);
	assert_int_equal(world.peer.accepted, 0);
	http_world_close(&world);
}

static void a_port_where_nobody_listens_is_a_network_error(void **state)
{
	struct http_world world;
	char url[64];

	(void)state;
	http_world_open(&world, plain, canned_answer);
	raw_peer_close(&world.peer);
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", world.peer.port);
	(void)uv_run(&world.loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(http_outcome(&world, url), ERR_NETWORK);
	raw_peer_open(&world.peer, &world.loop);
	http_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_arrives_with_its_status_headers_and_body),
		cmocka_unit_test(headers_are_found_in_any_case_and_the_last_one_wins),
		cmocka_unit_test(every_method_carries_its_body),
		cmocka_unit_test(a_large_body_is_sent_without_asking_first),
		cmocka_unit_test(redirects_are_reported_and_not_followed),
		cmocka_unit_test(nothing_is_remembered_from_one_call_to_the_next),
		cmocka_unit_test(a_call_can_be_used_again),
		cmocka_unit_test(bad_answers_have_their_codes),
		cmocka_unit_test(a_limit_is_reached_and_not_passed),
		cmocka_unit_test(headers_cannot_inject),
		cmocka_unit_test(urls_that_cannot_be_called_are_refused),
		cmocka_unit_test(a_port_where_nobody_listens_is_a_network_error),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
