// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server as a client sees it: routes, admission, bodies, order.
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
	assert_answer(world, "GET /who HTTP/1.1\r\n" HOST END, 200, "127.0.0.1");
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

static void add_repeated(struct buffer *out, char c, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buffer_add(out, &c, 1);
	}
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

// A connection that is closed while input waits is reset, and a reset may overtake the answer. So it must be ended in order.
static void a_refused_client_sees_an_orderly_end(void **state)
{
	struct client client = client_connect(*state);
	CLEANUP(buffer_fini) struct buffer request = BUFFER(1024 * 1024);
	char byte;

	buffer_add_string(&request, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
	add_repeated(&request, 'b', 100000);
	client_send_bytes(&client, request.bytes, request.length);
	struct response response = client_read(&client);

	assert_is_problem(&response, 413, "body_too_large");
	assert_int_equal(recv(client.fd, &byte, 1, 0), 0);
	response_fini(&response);
	client_fini(&client);
}

static void an_answer_that_cannot_be_written_ends_the_connection(void **state)
{
	struct client client = client_connect(*state);

	client_send(&client, "GET /huge HTTP/1.1\r\n" HOST END "GET /hello HTTP/1.1\r\n" HOST END); // whose answer would be taken for it
	assert_true(client_is_at_end(&client));
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

static void a_server_listens_on_ipv6_too(void **state)
{
	struct world *world = allocate(sizeof *world);
	struct http_server *server;

	(void)state;
	world_init(world);
	world->config.listen = "[::1]:0";
	loop_init(&world->loop);
	if (http_server_open(&server, &world->loop, &world->config, NULL) != OK) { // this machine has none
		loop_fini(&world->loop);
		free(world);
		skip();
	}
	assert_true(http_server_port(server) > 0);
	http_server_close(server, 0, NULL, NULL);
	loop_run(&world->loop);
	loop_fini(&world->loop);
	free(world);
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
		cmocka_unit_test(a_client_that_goes_on_sending_still_reads_why_it_was_refused),
		cmocka_unit_test(a_refused_client_sees_an_orderly_end),
		cmocka_unit_test(an_answer_that_cannot_be_written_ends_the_connection),
		cmocka_unit_test(a_large_body_passes_in_both_framings),
		cmocka_unit_test(a_server_listens_on_ipv6_too),
		cmocka_unit_test(an_address_that_makes_no_sense_or_is_taken_is_a_fault),
	};

	return cmocka_run_group_tests_name("http_server", tests, world_setup, world_teardown);
}
