// SPDX-License-Identifier: Apache-2.0
//
// What the HTTP server refuses on sight: malformed requests, and those beyond its limits.
#include "support/cmocka_all.h"
#include "support/http_server_world.h"

#include <stdlib.h>
#include <string.h>

#define HOST "Host: h\r\n"
#define END  "\r\n"

static void assert_answer(const struct world *world, const char *request, unsigned status, const char *body)
{
	struct client client = client_connect(world);
	struct response response = client_ask(&client, request);

	if (response.status != status) {
		fail_msg("%s\nexpected %u, got %s%s", request, status, response.head.bytes, buffer_text(&response.body).bytes);
	}
	if (body != NULL) {
		assert_string_equal(buffer_text(&response.body).bytes, body);
	}
	response_fini(&response);
	client_fini(&client);
}

static void assert_problem_of(const struct world *world, const char *request, size_t length, unsigned status, const char *code)
{
	struct client client = client_connect(world);

	client_send_bytes(&client, request, length);
	struct response response = client_read(&client);

	assert_is_problem(&response, status, code);
	response_fini(&response);
	client_fini(&client);
}

#define GET(target) "GET " target " HTTP/1.1\r\n"
#define POST        "POST /echo HTTP/1.1\r\n" HOST

static const struct malformed {
	const char *request;
	size_t length; // 0: as a string
	unsigned status;
	const char *code;
} malformed[] = {
#define BAD(request)               { (request), sizeof(request) - 1, 400, "malformed_request" }
#define BAD_PATH(target)           { GET(target) HOST END, sizeof(GET(target) HOST END) - 1, 400, "ambiguous_path" }
#define BAD_TARGET(target)         BAD(GET(target) HOST END)
#define BAD_QUERY(target)          { GET(target) HOST END, sizeof(GET(target) HOST END) - 1, 400, "bad_query" }
	// lines
	BAD("GET /hello HTTP/1.1\nHost: h\n\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\n\r\n"),
	BAD("GET /hello HTTP/1.1\nHost: h\r\n\r\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\r\n\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\r\r\n\r\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
	BAD("GET /hel\0lo HTTP/1.1\r\nHost: h\r\n\r\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\x01" "b\r\n\r\n"),
	BAD("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n"),
	BAD("\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n"),
	BAD("\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n"),
	BAD("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	BAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	// the request line
	BAD("GET /hello\r\n\r\n"),
	BAD("GET\r\n\r\n"),
	BAD(" GET /hello HTTP/1.1\r\n" HOST END),
	BAD("GET  /hello HTTP/1.1\r\n" HOST END),
	BAD("GET /hello  HTTP/1.1\r\n" HOST END),
	BAD("GET\t/hello HTTP/1.1\r\n" HOST END),
	BAD("GET /hello\tHTTP/1.1\r\n" HOST END),
	BAD("GET /hello HTTP/1.1 \r\n" HOST END),
	BAD("GET /hello HTTP/1.0\r\n" HOST END),
	BAD("GET /hello HTTP/0.9\r\n" HOST END),
	BAD("GET /hello HTTP/2.0\r\n" HOST END),
	BAD("GET /hello HTTP/1.2\r\n" HOST END),
	BAD("GET /hello HTTP/1.10\r\n" HOST END),
	BAD("GET /hello HTTP/1.1x\r\n" HOST END),
	BAD("GET /hello http/1.1\r\n" HOST END),
	BAD("GET /hello HTTPS/1.1\r\n" HOST END),
	BAD("G@T /hello HTTP/1.1\r\n" HOST END),
	BAD("G(T /hello HTTP/1.1\r\n" HOST END),
	BAD("GETGETGETGETGETGET /hello HTTP/1.1\r\n" HOST END),
	BAD("G\xc3\x89T /hello HTTP/1.1\r\n" HOST END),
	// headers
	BAD(GET("/hello") HOST " folded: x\r\n" END),
	BAD(GET("/hello") HOST "X: a\r\n b\r\n" END),
	BAD(GET("/hello") HOST "X: a\r\n\tb\r\n" END),
	BAD(GET("/hello") HOST "X : a\r\n" END),
	BAD(GET("/hello") HOST "X\t: a\r\n" END),
	BAD(GET("/hello") HOST ": a\r\n" END),
	BAD(GET("/hello") HOST "no colon\r\n" END),
	BAD(GET("/hello") HOST "X Y: a\r\n" END),
	BAD(GET("/hello") HOST "X(Y: a\r\n" END),
	BAD(GET("/hello") HOST "X\xc3\xa9: a\r\n" END),
	BAD("GET /hello HTTP/1.1\r\n Host: h\r\n\r\n"),
	// Host
	BAD(GET("/hello") END),
	BAD(GET("/hello") HOST HOST END),
	BAD(GET("/hello") HOST "host: other\r\n" END),
	BAD(GET("/hello") "Host:\r\n" END),
	BAD(GET("/hello") "Host: a b\r\n" END),
	BAD(GET("/hello") "Host: a/b\r\n" END),
	BAD(GET("/hello") "Host : h\r\n" END),
	// where the request ends
	BAD(POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody"),
	BAD(POST "Content-Length: 4\r\ncontent-length: 5\r\n\r\nbody"),
	BAD(POST "Content-Length: 4, 4\r\n\r\nbody"),
	BAD(POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
	BAD(POST "Content-Length: +4\r\n\r\nbody"),
	BAD(POST "Content-Length: -4\r\n\r\nbody"),
	BAD(POST "Content-Length: 0x4\r\n\r\nbody"),
	BAD(POST "Content-Length: 4 4\r\n\r\nbody"),
	BAD(POST "Content-Length: 4.0\r\n\r\nbody"),
	BAD(POST "Content-Length:\r\n\r\nbody"),
	BAD(POST "Content-Length: 18446744073709551620\r\n\r\nbody"),
	BAD(POST "Content-Length: 0000000000000000004\r\n\r\nbody"),
	BAD(POST "Transfer-Encoding: gzip\r\n\r\nbody"),
	BAD(POST "Transfer-Encoding: identity\r\n\r\nbody"),
	BAD(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked;x\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
	// chunks
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\rXbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\r\nbodyX\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4 \r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n 4\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n000000004\r\nbody\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nTrailer: x\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n\r\ng\r\n"),
	// targets
	BAD_TARGET("hello"),
	BAD_TARGET("*"),
	BAD_TARGET("http://h/hello"),
	BAD_TARGET("h:80"),
	BAD_TARGET("?q=1"),
	BAD_TARGET("/hello#x"),
	BAD_TARGET("/h\\ello"),
	BAD_TARGET("/h\"ello"),
	BAD_TARGET("/h<ello>"),
	BAD_TARGET("/h{ello}"),
	BAD_TARGET("/h|ello"),
	BAD_TARGET("/h^ello"),
	BAD_TARGET("/h`ello"),
	BAD_TARGET("/h\xc3\xa9llo"),
	BAD_TARGET("/hello?\xc3\xa9"),
	BAD_TARGET("/items/%"),
	BAD_TARGET("/items/%4"),
	BAD_TARGET("/items/%zz"),
	BAD_TARGET("/items/%4g"),
	BAD_TARGET("/items/%00"),
	BAD_TARGET("/items/a%0d%0ab"),
	BAD_TARGET("/items/%1F"),
	BAD_TARGET("/items/%7f"),
	BAD_TARGET("/items/a?q=%0a"),
	BAD_TARGET("/items/a?q=%"),
	BAD_PATH("//"),
	BAD_PATH("//hello"),
	BAD_PATH("/items//a"),
	BAD_PATH("/./hello"),
	BAD_PATH("/../hello"),
	BAD_PATH("/items/."),
	BAD_PATH("/items/.."),
	BAD_PATH("/items/a/../b"),
	BAD_PATH("/items/%2e"),
	BAD_PATH("/items/%2E%2e"),
	BAD_PATH("/items/.%2e/b"),
	BAD_PATH("/items/a%2fb"),
	BAD_PATH("/items/a%2Fb"),
	BAD_PATH("/items/a%5cb"),
	BAD_PATH("/items/a%5Cb"),
	BAD_PATH("/items/%ff"),
	BAD_PATH("/items/%c0%af"),
	BAD_PATH("/items/%ed%a0%80"),
	BAD_QUERY("/items/a?q=1&q=2"),
	BAD_QUERY("/items/a?q=1&%71=2"),
	BAD_QUERY("/items/a?q&q"),
	BAD_QUERY("/items/a?q=%ff"),
	BAD_QUERY("/items/a?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t&u&v&w&x&y&z&1&2&3&4&5&6&7"),
	{ GET("/hello") HOST "Expect: the-worst\r\n" END, 0, 417, "expectation_failed" },
	{ GET("/hello") HOST "Expect: 100-continue\r\nExpect: x\r\n" END, 0, 417, "expectation_failed" },
};

static void what_is_malformed_is_refused_with_a_problem_and_the_connection_closed(void **state)
{
	struct world *world = *state;
	const struct http_server_counters before = world_counters(world);
	const unsigned handled = world->handled;
	const size_t count = sizeof malformed / sizeof *malformed;

	assert_true(count >= 100);
	for (size_t i = 0; i < count; i++) {
		const struct malformed *row = &malformed[i];
		const size_t length = row->length > 0 ? row->length : strlen(row->request);
		struct client client = client_connect(world);

		client_send_bytes(&client, row->request, length);
		struct response response = client_read(&client);

		if (response.status != row->status || !client_is_at_end(&client)) {
			fail_msg("row %zu: %s\ngot %s", i, row->request, response.head.bytes);
		}
		assert_is_problem(&response, row->status, row->code);
		response_fini(&response);
		client_fini(&client);
	}
	assert_int_equal(world->handled, handled);
	assert_int_equal(world_counters(world).refused_by_gate - before.refused_by_gate, count);
	assert_int_equal(world_counters(world).by_class[4] - before.by_class[4], count);
}

// The same, byte by byte: the gate's verdict does not depend on how the bytes come.
static void a_request_in_single_bytes_is_judged_alike(void **state)
{
	struct client client = client_connect(*state);
	static const char good[] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

	for (size_t i = 0; good[i] != '\0'; i++) {
		client_send_bytes(&client, good + i, 1);
	}
	struct response response = client_read(&client);

	assert_string_equal(response.body.bytes, "abc");
	response_fini(&response);
	client_send(&client, "GET /hello HTTP/1.1\r");
	client_send(&client, "x");
	response = client_read(&client);
	assert_is_problem(&response, 400, "malformed_request");
	response_fini(&response);
	client_fini(&client);
}

static void add_repeated(struct buffer *out, char c, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buffer_add(out, &c, 1);
	}
}

static void the_largest_head_passes_and_one_byte_more_does_not(void **state)
{
	const size_t limit = 16384;

	for (size_t more = 0; more < 2; more++) {
		CLEANUP(buffer_fini) struct buffer request = BUFFER(64 * 1024);

		buffer_add_string(&request, "GET /hello HTTP/1.1\r\n" HOST "Cookie: ");
		add_repeated(&request, 'c', limit - request.length - 4 + more);
		buffer_add_string(&request, "\r\n\r\n");
		assert_int_equal(request.length, limit + more);
		if (more == 0) {
			assert_answer(*state, request.bytes, 200, "hello");
		} else {
			assert_problem_of(*state, request.bytes, request.length, 431, "head_too_large");
		}
	}
}

static void a_head_that_never_ends_is_refused(void **state)
{
	CLEANUP(buffer_fini) struct buffer request = BUFFER(64 * 1024);

	buffer_add_string(&request, "GET /hello HTTP/1.1\r\n" HOST "Cookie: ");
	add_repeated(&request, 'c', 16384 - request.length);
	assert_problem_of(*state, request.bytes, request.length, 431, "head_too_large");
}

static void sixty_four_headers_pass_and_one_more_does_not(void **state)
{
	for (int count = 64; count <= 65; count++) {
		CLEANUP(buffer_fini) struct buffer request = BUFFER(64 * 1024);

		buffer_add_string(&request, "GET /hello HTTP/1.1\r\n" HOST);
		for (int i = 1; i < count; i++) {
			buffer_add_format(&request, "X-%d: %d\r\n", i, i);
		}
		buffer_add_string(&request, END);
		if (count == 64) {
			assert_answer(*state, request.bytes, 200, "hello");
		} else {
			assert_problem_of(*state, request.bytes, request.length, 431, "head_too_large");
		}
	}
}

static void the_longest_url_passes_and_one_byte_more_does_not(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		CLEANUP(buffer_fini) struct buffer request = BUFFER(64 * 1024);

		buffer_add_string(&request, "GET /files/");
		add_repeated(&request, 'u', 4096 - strlen("/files/") + more);
		buffer_add_string(&request, " HTTP/1.1\r\n" HOST END);
		if (more == 0) {
			assert_answer(*state, request.bytes, 200, "hello");
		} else {
			assert_problem_of(*state, request.bytes, request.length, 414, "uri_too_long");
		}
	}
}

static void a_url_without_end_is_refused_before_its_line_ends(void **state)
{
	CLEANUP(buffer_fini) struct buffer request = BUFFER(64 * 1024);

	buffer_add_string(&request, "GET /");
	add_repeated(&request, 'u', 5000);
	assert_problem_of(*state, request.bytes, request.length, 414, "uri_too_long");
}

static void a_body_at_its_routes_limit_passes_and_one_byte_more_does_not(void **state)
{
	assert_answer(*state, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 16\r\n\r\n0123456789abcdef", 200, "0123456789abcdef");
	assert_answer(*state, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"8\r\n01234567\r\n8\r\n89abcdef\r\n0\r\n\r\n", 200, "0123456789abcdef");
	static const char announced[] = "POST /small HTTP/1.1\r\n" HOST "Content-Length: 17\r\n\r\n"; // none of it is sent
	static const char counted[] = "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"8\r\n01234567\r\n9\r\n";
	static const char expecting[] = "POST /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 999999\r\n\r\n";

	assert_problem_of(*state, announced, sizeof announced - 1, 413, "body_too_large");
	assert_problem_of(*state, counted, sizeof counted - 1, 413, "body_too_large");
	assert_problem_of(*state, expecting, sizeof expecting - 1, 413, "body_too_large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_malformed_is_refused_with_a_problem_and_the_connection_closed),
		cmocka_unit_test(a_request_in_single_bytes_is_judged_alike),
		cmocka_unit_test(the_largest_head_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_head_that_never_ends_is_refused),
		cmocka_unit_test(sixty_four_headers_pass_and_one_more_does_not),
		cmocka_unit_test(the_longest_url_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_url_without_end_is_refused_before_its_line_ends),
		cmocka_unit_test(a_body_at_its_routes_limit_passes_and_one_byte_more_does_not),
	};

	return cmocka_run_group_tests_name("http_gate", tests, world_setup, world_teardown);
}
