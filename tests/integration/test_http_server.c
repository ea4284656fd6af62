// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server as a client sees it: routes, admission, bodies, and what the gate refuses.
#include "support/cmocka_all.h"
#include "support/http_server_world.h"

#include <stdlib.h>
#include <string.h>

static void a_request_is_answered_with_the_headers_that_every_answer_carries(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");

	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.bytes, "hello");
	assert_true(response_has(&response, "Content-Type: text/plain"));
	assert_true(response_has(&response, "X-Test: yes"));
	assert_true(response_has(&response, "Cache-Control: no-store"));
	assert_true(response_has(&response, "X-Content-Type-Options: nosniff"));
	assert_true(text_contains_ignoring_case(buffer_text(&response.head), "\r\nX-Request-Id: "));
	assert_false(text_contains_ignoring_case(buffer_text(&response.head), "\r\nServer:"));
	response_fini(&response);
	client_fini(&client);
}

static void a_body_is_given_to_the_handler(void **state)
{
	struct world *world = *state;
	struct client client = client_connect(world);
	struct response response = client_ask(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");

	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.bytes, "body");
	response_fini(&response);
	response = client_ask(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	assert_string_equal(response.body.bytes, "abcde");
	response_fini(&response);
	client_fini(&client);
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
	};

	return cmocka_run_group_tests_name("http_server", tests, start_world, stop_world);
}
