// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server as a client sees it: routes, admission, bodies, limits, and what the gate refuses.
#include "support/cmocka_all.h"
#include "support/http_server_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

static void a_request_is_answered_with_the_headers_that_every_answer_carries(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);

	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.bytes, "hello");
	assert_true(response_has(&response, "Content-Type: text/plain"));
	assert_true(response_has(&response, "X-Test: yes"));
	assert_true(response_has(&response, "Cache-Control: no-store"));
	assert_true(response_has(&response, "X-Content-Type-Options: nosniff"));
	assert_true(text_contains_ignoring_case(buffer_text(&response.head), "\r\nX-Request-Id: "));
	assert_true(text_contains_ignoring_case(buffer_text(&response.head), "\r\nDate: "));
	assert_false(text_contains_ignoring_case(buffer_text(&response.head), "\r\nServer:"));
	response_fini(&response);
	client_fini(&client);
}

static void a_body_is_given_to_the_handler(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct response response = client_ask(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody");

	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.bytes, "body");
	response_fini(&response);
	response = client_ask(&client,
		"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n002\r\nde\r\n0\r\n\r\n");
	assert_string_equal(response.body.bytes, "abcde");
	response_fini(&response);
	response = client_ask(&client, "PATCH /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
	assert_int_equal(response.status, 200);
	assert_int_equal(response.body.length, 0);
	response_fini(&response);
	client_fini(&client);
}

static void a_head_request_is_served_by_the_get_route_without_its_body(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);

	client_send(&client, "HEAD /hello HTTP/1.1\r\n" HOST END "HEAD /nowhere HTTP/1.1\r\n" HOST END);
	struct response response = client_read_head_answer(&client);

	assert_int_equal(response.status, 200);
	assert_true(response_has(&response, "Content-Length: 5"));
	response_fini(&response);
	response = client_read_head_answer(&client);
	assert_int_equal(response.status, 404);
	response_fini(&response);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END); // and nothing of a body is in the way
	assert_int_equal(response.status, 200);
	response_fini(&response);
	client_fini(&client);
}

static void an_answer_can_be_empty(void **state)
{
	struct client client = client_connect(*state);
	struct response response = client_ask(&client, "DELETE /items/1 HTTP/1.1\r\n" HOST END);

	assert_int_equal(response.status, 204);
	assert_false(text_contains_ignoring_case(buffer_text(&response.head), "\r\nContent-Length:"));
	response_fini(&response);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);
	assert_string_equal(response.body.bytes, "hello");
	response_fini(&response);
	client_fini(&client);
}

static void parameters_are_decoded_once_after_routing(void **state)
{
	const struct world *world = *state;

	assert_answer(world, "GET /items/a%20b+c HTTP/1.1\r\n" HOST END, 200, "[a b+c][]");
	assert_answer(world, "GET /items/%2541 HTTP/1.1\r\n" HOST END, 200, "[%41][]");
	assert_answer(world, "GET /items/%C3%A9/parts/7 HTTP/1.1\r\n" HOST END, 200, "[\xc3\xa9][7]");
	assert_answer(world, "GET /items/x?q=a+b%2Fc&limit=&flag HTTP/1.1\r\n" HOST END, 200, "[x][] q=a b/c limit= flag=");
	assert_answer(world, "GET /items/x? HTTP/1.1\r\n" HOST END, 200, "[x][]");
	assert_answer(world, "GET /files/a/b/c HTTP/1.1\r\n" HOST END, 200, "hello");
	assert_answer(world, "GET /%68ello HTTP/1.1\r\n" HOST END, 404, NULL); // literal segments are compared raw
	assert_answer(world, "GET /items/ HTTP/1.1\r\n" HOST END, 404, NULL);
	assert_answer(world, "GET /items/a/ HTTP/1.1\r\n" HOST END, 404, NULL);
	assert_answer(world, "GET /files HTTP/1.1\r\n" HOST END, 404, NULL);
	assert_answer(world, "GET /header HTTP/1.1\r\n" HOST "X-CUSTOM: \t a b \t\r\n" END, 200, "a b");
	assert_answer(world, "GET /header HTTP/1.1\r\n" HOST END, 404, NULL);
}

static void an_unknown_path_and_an_unknown_method_are_problems(void **state)
{
	struct client client = client_connect(*state);
	struct response response = client_ask(&client, "GET /nowhere HTTP/1.1\r\n" HOST END);

	assert_is_problem(&response, 404, "route_not_found");
	response_fini(&response);
	response = client_ask(&client, "PUT /items/3 HTTP/1.1\r\n" HOST END); // on the same connection
	assert_is_problem(&response, 405, "method_not_allowed");
	assert_true(response_has(&response, "Allow: GET, HEAD, DELETE"));
	response_fini(&response);
	client_fini(&client);
}

static void who_is_refused_admission_is_not_asked_for_a_body(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct response response = client_ask(&client,
		"PATCH /guarded HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");

	assert_is_problem(&response, 401, "no_key"); // the first thing that comes: no "100 Continue"
	assert_true(response_has(&response, "WWW-Authenticate: Bearer"));
	assert_true(response_has(&response, "Connection: close"));
	assert_true(client_is_at_end(&client));
	response_fini(&response);
	client_fini(&client);
}

static void a_refusal_without_a_body_keeps_the_connection(void **state)
{
	struct client client = client_connect(*state);

	for (int i = 0; i < 3; i++) {
		struct response response = client_ask(&client, "GET /guarded HTTP/1.1\r\n" HOST END);

		assert_is_problem(&response, 401, "no_key");
		response_fini(&response);
	}
	client_fini(&client);
}

static void who_is_admitted_later_is_asked_for_the_body_then(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	char byte;

	client_send(&client, "POST /asked HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	world_wait(&world->parked_one);
	assert_int_equal(recv(client.fd, &byte, 1, MSG_DONTWAIT), -1);
	world_call(world, world_admit_parked);
	struct response response = client_read(&client);

	assert_int_equal(response.status, 100);
	response_fini(&response);
	response = client_ask(&client, "body");
	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.bytes, "body");
	response_fini(&response);
	client_fini(&client);
}

static void an_answer_may_come_later(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);

	client_send(&client, "GET /slow HTTP/1.1\r\n" HOST END);
	world_wait(&world->parked_one);
	world_call(world, world_answer_parked);
	struct response response = client_read(&client);

	assert_string_equal(response.body.bytes, "late");
	response_fini(&response);
	client_fini(&client);
}

static void a_handler_may_answer_for_another(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct client other = client_connect(world);

	client_send(&client, "GET /slow HTTP/1.1\r\n" HOST END);
	world_wait(&world->parked_one);
	struct response response = client_ask(&other, "POST /release HTTP/1.1\r\n" HOST END);

	assert_int_equal(response.status, 200);
	response_fini(&response);
	response = client_read(&client);
	assert_string_equal(response.body.bytes, "late");
	response_fini(&response);
	client_fini(&client);
	client_fini(&other);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct client client = client_connect(*state);
	CLEANUP(buffer_fini) struct buffer requests = BUFFER(1024 * 1024);
	enum { COUNT = 300 };

	for (int i = 0; i < COUNT; i++) {
		if (i % 3 == 2) {
			buffer_add_string(&requests, "GET /nowhere HTTP/1.1\r\n" HOST END);
		} else if (i % 3 == 1) {
			buffer_add_format(&requests, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%4d", i);
		} else {
			buffer_add_format(&requests, "GET /items/%d HTTP/1.1\r\n" HOST END, i);
		}
	}
	client_send_bytes(&client, requests.bytes, requests.length);
	for (int i = 0; i < COUNT; i++) {
		struct response response = client_read(&client);
		char expected[16];

		(void)snprintf(expected, sizeof expected, i % 3 == 0 ? "[%d][]" : "%4d", i);
		if (i % 3 == 2) {
			assert_is_problem(&response, 404, "route_not_found");
		} else {
			assert_string_equal(response.body.bytes, expected);
		}
		response_fini(&response);
	}
	client_fini(&client);
}

static void a_pipelined_malformed_request_is_refused_after_the_answer_before_it(void **state)
{
	struct client client = client_connect(*state);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END "GET / HTTP/1.1\nHost: h\n\n" "GET /hello HTTP/1.1\r\n" HOST END);

	assert_int_equal(response.status, 200);
	response_fini(&response);
	response = client_read(&client);
	assert_is_problem(&response, 400, "malformed_request");
	assert_true(client_is_at_end(&client)); // what follows is not even looked at
	response_fini(&response);
	client_fini(&client);
}

static void a_client_that_asks_to_close_is_left_after_the_answer(void **state)
{
	static const char *const requests[] = {
		"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n" END,
		"GET /hello HTTP/1.1\r\n" HOST "Connection: keep-alive, Close\r\n" END,
		"GET /nowhere HTTP/1.1\r\n" HOST "Connection: close\r\n" END,
	};

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		struct client client = client_connect(*state);
		struct response response = client_ask(&client, requests[i]);

		assert_true(response_has(&response, "Connection: close"));
		assert_true(client_is_at_end(&client));
		response_fini(&response);
		client_fini(&client);
	}
}

static void a_client_that_has_said_all_still_gets_its_answer(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);

	client_send(&client, "POST /slow HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
	assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
	world_wait(&world->parked_one);
	world_call(world, world_answer_parked);
	struct response response = client_read(&client);

	assert_string_equal(response.body.bytes, "late");
	assert_true(client_is_at_end(&client));
	response_fini(&response);
	client_fini(&client);
}

static void request_ids_differ(void **state)
{
	struct client client = client_connect(*state);
	char ids[2][33];

	for (int i = 0; i < 2; i++) {
		struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: mine\r\n" END);
		const char *id = strcasestr(response.head.bytes, "\r\nX-Request-Id: ");

		assert_non_null(id);
		memcpy(ids[i], id + 16, 32);
		ids[i][32] = '\0';
		assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
		response_fini(&response);
	}
	assert_string_not_equal(ids[0], ids[1]);
	client_fini(&client);
}

// ---- the gate

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

static void a_client_that_goes_on_sending_still_reads_why_it_was_refused(void **state)
{
	struct client client = client_connect(*state);
	CLEANUP(buffer_fini) struct buffer body = BUFFER(4 * 1024 * 1024);

	add_repeated(&body, 'b', 1024 * 1024);
	client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 4194304\r\n\r\n");
	for (int i = 0; i < 4; i++) {
		if (!client_try_send(&client, body.bytes, body.length)) {
			break;
		}
	}
	struct response response = client_read(&client);

	assert_is_problem(&response, 413, "body_too_large");
	response_fini(&response);
	client_fini(&client);
}

static void a_large_body_passes_in_both_framings(void **state)
{
	const size_t size = 1024 * 1024;
	CLEANUP(buffer_fini) struct buffer body = BUFFER(2 * 1024 * 1024);

	for (size_t i = 0; i < size; i++) {
		const char c = (char)('a' + i % 23);

		buffer_add(&body, &c, 1);
	}
	for (int chunked = 0; chunked < 2; chunked++) {
		CLEANUP(buffer_fini) struct buffer request = BUFFER(4 * 1024 * 1024);
		struct client client = client_connect(*state);

		buffer_add_format(&request, "POST /echo HTTP/1.1\r\n" HOST "%s\r\n\r\n",
			chunked ? "Transfer-Encoding: chunked" : "Content-Length: 1048576");
		for (size_t at = 0; chunked && at < size; at += 4096) {
			buffer_add_string(&request, "1000\r\n");
			buffer_add(&request, body.bytes + at, 4096);
			buffer_add_string(&request, "\r\n");
		}
		buffer_add_string(&request, chunked ? "0\r\n\r\n" : body.bytes);
		client_send_bytes(&client, request.bytes, request.length);
		struct response response = client_read(&client);

		assert_int_equal(response.status, 200);
		assert_int_equal(response.body.length, size);
		assert_memory_equal(response.body.bytes, body.bytes, size);
		response_fini(&response);
		client_fini(&client);
	}
}

static void an_address_that_makes_no_sense_or_is_taken_is_a_fault(void **state)
{
	static const char *const bad[] = { "", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "localhost:80",
		"::1:80", "[::1]", "[::1:80", "127.0.0.1:-1", "300.0.0.1:80" };
	struct world *world = *state;
	struct http_server_config config = world->config;
	char taken[32];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct http_server *server;
		struct fault fault = { .text = "" };

		config.listen = bad[i];
		assert_int_equal(http_server_open(&server, &world->loop, &config, &fault), ERR_BAD_INPUT);
		assert_null(server);
		assert_non_null(strstr(fault.text, "cannot listen on"));
	}
	struct http_server *server;
	struct fault fault = { .text = "" };

	(void)snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(world->server));
	config.listen = taken;
	assert_int_equal(http_server_open(&server, &world->loop, &config, &fault), ERR_SYSTEM);
	assert_null(server);
	assert_non_null(strstr(fault.text, taken));
}

static int start_world(void **state)
{
	struct world *world = allocate(sizeof *world);

	world_init(world);
	world_start(world);
	*state = world;
	return 0;
}

static int stop_world(void **state)
{
	world_stop(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_with_the_headers_that_every_answer_carries),
		cmocka_unit_test(a_body_is_given_to_the_handler),
		cmocka_unit_test(a_head_request_is_served_by_the_get_route_without_its_body),
		cmocka_unit_test(an_answer_can_be_empty),
		cmocka_unit_test(parameters_are_decoded_once_after_routing),
		cmocka_unit_test(an_unknown_path_and_an_unknown_method_are_problems),
		cmocka_unit_test(who_is_refused_admission_is_not_asked_for_a_body),
		cmocka_unit_test(a_refusal_without_a_body_keeps_the_connection),
		cmocka_unit_test(who_is_admitted_later_is_asked_for_the_body_then),
		cmocka_unit_test(an_answer_may_come_later),
		cmocka_unit_test(a_handler_may_answer_for_another),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_pipelined_malformed_request_is_refused_after_the_answer_before_it),
		cmocka_unit_test(a_client_that_asks_to_close_is_left_after_the_answer),
		cmocka_unit_test(a_client_that_has_said_all_still_gets_its_answer),
		cmocka_unit_test(request_ids_differ),
		cmocka_unit_test(what_is_malformed_is_refused_with_a_problem_and_the_connection_closed),
		cmocka_unit_test(a_request_in_single_bytes_is_judged_alike),
		cmocka_unit_test(the_largest_head_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_head_that_never_ends_is_refused),
		cmocka_unit_test(sixty_four_headers_pass_and_one_more_does_not),
		cmocka_unit_test(the_longest_url_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_url_without_end_is_refused_before_its_line_ends),
		cmocka_unit_test(a_body_at_its_routes_limit_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_client_that_goes_on_sending_still_reads_why_it_was_refused),
		cmocka_unit_test(a_large_body_passes_in_both_framings),
		cmocka_unit_test(an_address_that_makes_no_sense_or_is_taken_is_a_fault),
	};

	return cmocka_run_group_tests_name("http_server", tests, start_world, stop_world);
}
