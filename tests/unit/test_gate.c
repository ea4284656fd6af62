// SPDX-License-Identifier: Apache-2.0
//
// The gate and the router as pure functions, with random requests. Random tests print their seed and read DEPBROKER_TEST_SEED.
#include "loop/http_gate.h"
#include "loop/http_route.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static uint64_t random_state;

static size_t below(size_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % limit);
}

static int seed(void **state)
{
	const char *given = getenv("DEPBROKER_TEST_SEED");
	const unsigned long long value = given != NULL ? strtoull(given, NULL, 10) : (unsigned long long)time(NULL);

	(void)state;
	print_message("seed %llu\n", value);
	random_state = value * 2862933555777941757ULL + 3037000493ULL;
	random_state = random_state != 0 ? random_state : 1;
	return 0;
}

// What the gate says about a whole stream: a head, and the body after it.
struct verdict {
	const struct problem *refusal;
	size_t head_size;
	size_t body_size;
	bool is_whole;
};

// Gives the bytes in pieces, each in memory that ends where the bytes end.
static struct verdict judge(const char *bytes, size_t length, bool in_pieces)
{
	struct verdict verdict = { 0 };
	struct gate_scan scan = { 0 };
	struct gate_head head;
	struct gate_body body;
	size_t got = 0;

	while (verdict.head_size == 0 && verdict.refusal == NULL && got < length) {
		got += in_pieces ? 1 + below(length - got) : length - got;
		char *copy = duplicate((struct text){ bytes, got });

		verdict.head_size = gate_scan(&scan, (struct text){ copy, got }, &verdict.refusal);
		free(copy);
	}
	if (verdict.head_size == 0) {
		return verdict;
	}
	verdict.refusal = gate_parse(&head, (struct text){ bytes, verdict.head_size });
	if (verdict.refusal == NULL) {
		verdict.refusal = gate_body_start(&body, &head, 1000);
	}
	if (verdict.refusal != NULL) {
		return verdict;
	}
	for (size_t at = verdict.head_size; at < length && verdict.refusal == NULL && body.state != GATE_BODY_END;) {
		const size_t piece = in_pieces ? 1 + below(length - at) : length - at;

		const size_t taken = gate_body_take(&body, (struct text){ bytes + at, piece }, &verdict.refusal);
		assert_true(taken <= piece);
		at += taken;
		verdict.body_size += taken;
	}
	verdict.is_whole = body.state == GATE_BODY_END;
	return verdict;
}

static const char *const seeds[] = {
	"GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: x/1 (y)\r\nAccept: */*\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhelloGET",
	"POST /a HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\nGET",
};

static const char *const spices[] = {
	"\r\n", "\n", "\r", " ", "\t", ":", "\0", "%2f", "%", "..", "/", "//", "HTTP/1.1", "Host: x\r\n", "Content-Length: 3\r\n",
	"Transfer-Encoding: chunked\r\n", "chunked", ",", ";", "0", "\xff", "\r\n\r\n", " chunked", "Content-Length", "?", "&", "#",
};

static void mutate(struct buffer *request)
{
	for (size_t times = 1 + below(3); times > 0; times--) {
		const size_t at = below(request->length);
		const char *spice = spices[below(sizeof spices / sizeof *spices)];
		const size_t spice_length = strlen(spice) > 0 ? strlen(spice) : 1;
		const size_t removed = below(2) == 0 ? 0 : below(4);
		const size_t left = request->length - at < removed ? 0 : request->length - at - removed;
		CLEANUP(buffer_fini) struct buffer changed = BUFFER(4096);

		buffer_add(&changed, request->bytes, at);
		buffer_add(&changed, spice, spice_length);
		buffer_add(&changed, request->bytes + request->length - left, left);
		buffer_clear(request);
		buffer_add_text(request, buffer_text(&changed));
	}
}

static size_t count(struct text in, const char *what)
{
	size_t found = 0;

	for (size_t i = 0; i + strlen(what) <= in.length; i++) {
		found += strncasecmp(in.bytes + i, what, strlen(what)) == 0 ? 1 : 0;
	}
	return found;
}

// Written without any of the gate's own functions.
static void assert_has_one_meaning(struct text head)
{
	const char *line_end = memchr(head.bytes, '\r', head.length);
	const struct text line = { head.bytes, (size_t)(line_end - head.bytes) };

	assert_int_equal(count(head, "\r\nhost:"), 1);
	assert_true(count(head, "\r\ncontent-length:") + count(head, "\r\ntransfer-encoding:") <= 1);
	assert_int_equal(count(head, "\r\n "), 0);
	assert_int_equal(count(head, "\r\n\t"), 0);
	for (size_t i = 1, is_name = 1; i < head.length; i++) { // no blank between a name and its colon
		is_name = head.bytes[i - 1] == '\n' ? 1 : is_name;
		assert_false(is_name && i > line.length && (head.bytes[i] == ' ' || head.bytes[i] == '\t'));
		is_name = head.bytes[i] == ':' ? 0 : is_name;
	}
	assert_int_equal(count(head, "\r"), count(head, "\r\n"));
	assert_int_equal(count(head, "\n"), count(head, "\r\n"));
	assert_null(memchr(head.bytes, '\0', head.length));
	assert_int_equal(count(line, " "), 2);
	assert_int_equal(count(line, " HTTP/1.1"), 1);
	assert_int_equal(count(line, " /"), 1);
	const char *start = memchr(line.bytes, ' ', line.length);
	const char *query = memchr(start, '?', line.length - (size_t)(start - line.bytes));
	const char *end = query != NULL ? query : line_end - strlen(" HTTP/1.1");
	const struct text path = { start + 1, (size_t)(end - start) - 1 };

	assert_int_equal(count(path, "/../") + count(path, "/./") + count(path, "%2f") + count(path, "%5c"), 0);
	assert_int_equal(count(path, "//"), 0);
	assert_true(path.length < 3 || memcmp(end - 3, "/..", 3) != 0);
	assert_true(path.length < 2 || memcmp(end - 2, "/.", 2) != 0);
	for (size_t i = 0; i < line.length; i++) {
		assert_true(line.bytes[i] >= ' ' && line.bytes[i] <= '~');
	}
}

static void the_verdict_does_not_depend_on_how_the_bytes_come_and_what_passes_has_one_meaning(void **state)
{
	unsigned passed = 0;
	unsigned refused = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		CLEANUP(buffer_fini) struct buffer request = BUFFER(4096);

		buffer_add_string(&request, seeds[below(sizeof seeds / sizeof *seeds)]);
		mutate(&request);
		const struct verdict whole = judge(request.bytes, request.length, false);
		const struct verdict pieces = judge(request.bytes, request.length, true);

		assert_ptr_equal(whole.refusal, pieces.refusal);
		assert_int_equal(whole.head_size, pieces.head_size);
		assert_int_equal(whole.is_whole, pieces.is_whole);
		if (whole.refusal == NULL) {
			assert_int_equal(whole.body_size, pieces.body_size);
		}
		if (whole.head_size > 0 && whole.refusal == NULL) {
			assert_has_one_meaning((struct text){ request.bytes, whole.head_size });
			passed++;
		} else {
			refused++;
		}
	}
	assert_true(passed > 1000 && refused > 10000); // so that neither half of the law goes untested
}

static void unchanged_the_seeds_pass_and_end_where_they_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
		const struct verdict verdict = judge(seeds[i], strlen(seeds[i]), false);

		assert_null(verdict.refusal);
		assert_true(verdict.is_whole);
		assert_int_equal(verdict.head_size + verdict.body_size, strlen(seeds[i]) - (i > 0 ? 3 : 0));
	}
}

static void a_first_line_that_is_too_long_is_refused_for_that_however_it_comes(void **state)
{
	CLEANUP(buffer_fini) struct buffer request = BUFFER(8192);

	(void)state;
	buffer_add_string(&request, "G@T /");
	while (request.length < 5000) {
		buffer_add_string(&request, "u");
	}
	buffer_add_string(&request, " HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		const struct verdict verdict = judge(request.bytes, request.length, i > 0);

		assert_non_null(verdict.refusal);
		assert_int_equal(verdict.refusal->status, 414);
	}
}

static void a_head_is_taken_apart(void **state)
{
	struct gate_head head;

	(void)state;
	assert_null(gate_parse(&head, text_of("PUT /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Blanks: \t a  b\t \r\n"
		"Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\nConnection: x, CLOSE\r\n\r\n")));
	assert_true(text_equal(head.method, TEXT("PUT")));
	assert_true(text_equal(head.path, TEXT("/a/b")));
	assert_true(text_equal(head.query, TEXT("c=d")));
	assert_int_equal(head.field_count, 6);
	assert_true(text_equal(gate_field(&head, "x-blanks"), TEXT("a  b")));
	assert_non_null(gate_field(&head, "x-empty").bytes);
	assert_int_equal(gate_field(&head, "x-empty").length, 0);
	assert_null(gate_field(&head, "x-none").bytes);
	assert_true(head.is_chunked && head.expects_continue && head.closes && gate_has_body(&head));
	assert_null(gate_parse(&head, text_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n"))); // from the same memory
	assert_false(head.is_chunked || head.expects_continue || head.closes || gate_has_body(&head));
	assert_null(head.query.bytes);
}

static void no_one(struct http_request *request)
{
	(void)request;
}

static const struct http_route routes[] = {
	{ .method = "GET", .pattern = "/", .handle = no_one },
	{ .method = "GET", .pattern = "/a", .handle = no_one },
	{ .method = "POST", .pattern = "/a", .handle = no_one },
	{ .method = "GET", .pattern = "/a/fixed", .handle = no_one },
	{ .method = "GET", .pattern = "/a/{one}", .handle = no_one },
	{ .method = "PUT", .pattern = "/a/{one}", .handle = no_one },
	{ .method = "GET", .pattern = "/a/{one}/{two}/{three}/{four}", .handle = no_one },
	{ .method = "GET", .pattern = "/files/*", .handle = no_one },
};

static void paths_find_their_routes(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		int route; // -1: none
		const char *allow;
		const char *first;
	} rows[] = {
		{ "GET", "/", 0, "", NULL }, { "HEAD", "/a", 1, "", NULL }, { "POST", "/a", 2, "", NULL },
		{ "PUT", "/a", -1, "GET, HEAD, POST", NULL }, { "GET", "/a/fixed", 3, "", NULL }, { "GET", "/a/x", 4, "", "x" },
		{ "PUT", "/a/fixed", 5, "", "fixed" }, { "GET", "/a/", -1, "", NULL }, { "GET", "/a/x/", -1, "", NULL },
		{ "GET", "/a/1/2/3/4", 6, "", "1" }, { "GET", "/a/1/2/3", -1, "", NULL }, { "GET", "/a/1/2/3/4/5", -1, "", NULL },
		{ "GET", "/files/", 7, "", NULL }, { "GET", "/files/x/y/", 7, "", NULL }, { "GET", "/files", -1, "", NULL },
		{ "DELETE", "/files/x", -1, "GET, HEAD", NULL }, { "GET", "/A", -1, "", NULL }, { "get", "/a", -1, "GET, HEAD, POST", NULL },
		{ "GET", "/ab", -1, "", NULL }, { "GET", "/%61", -1, "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct text parameters[HTTP_PARAMETERS_MAX] = { TEXT_NONE };
		char allow[ROUTE_ALLOW_SIZE];
		const struct http_route *found = route_find(routes, sizeof routes / sizeof *routes, text_of(rows[i].method),
			text_of(rows[i].path), parameters, allow);

		if (found != (rows[i].route < 0 ? NULL : &routes[rows[i].route])) {
			fail_msg("%s %s", rows[i].method, rows[i].path);
		}
		if (found == NULL) {
			assert_string_equal(allow, rows[i].allow);
		}
		assert_true(text_equal(parameters[0], text_of(rows[i].first)));
	}
}

static void queries_are_decoded_and_never_ambiguous(void **state)
{
	struct arena arena = ARENA(64 * 1024);
	struct route_query query;

	(void)state;
	assert_true(route_parse_query(&arena, text_of("a=1&&b=%2B+%20&c&=d&e="), &query));
	assert_int_equal(query.count, 5);
	assert_true(text_equal(query.values[1], TEXT("+  ")));
	assert_true(text_equal(query.names[3], TEXT("")) && text_equal(query.values[3], TEXT("d")));
	assert_true(text_equal(query.values[4], TEXT("")) && query.values[4].bytes != NULL);
	assert_true(route_parse_query(&arena, TEXT_NONE, &query));
	assert_int_equal(query.count, 0);
	assert_true(route_parse_query(&arena, text_of("a=1=2"), &query));
	assert_true(text_equal(query.values[0], TEXT("1=2")));
	assert_false(route_parse_query(&arena, text_of("a=1&b=2&a=3"), &query));
	assert_false(route_parse_query(&arena, text_of("a=1&%61=3"), &query));
	assert_false(route_parse_query(&arena, text_of("a=%80"), &query));
	assert_false(route_parse_query(&arena, text_of("%c3=x"), &query));
	arena_fini(&arena);
	arena = ARENA(8);
	assert_false(route_parse_query(&arena, text_of("abcdefgh=12345678"), &query));
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_verdict_does_not_depend_on_how_the_bytes_come_and_what_passes_has_one_meaning, seed),
		cmocka_unit_test(unchanged_the_seeds_pass_and_end_where_they_should),
		cmocka_unit_test(a_first_line_that_is_too_long_is_refused_for_that_however_it_comes),
		cmocka_unit_test(a_head_is_taken_apart),
		cmocka_unit_test(paths_find_their_routes),
		cmocka_unit_test(queries_are_decoded_and_never_ambiguous),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
