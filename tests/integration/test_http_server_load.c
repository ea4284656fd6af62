// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server under clients that are slow, many, or gone, and at its own end.
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/http_server_world.h"

#include "depbroker/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: h\r\n"
#define END  "\r\n"

enum { SHORT_MS = 150 };

static struct world world;

static int start_world_with_deadlines(void **state)
{
	(void)state;
	world_init(&world);
	world.config.head_timeout_ms = SHORT_MS;
	world.config.body_timeout_ms = SHORT_MS;
	world.config.answer_timeout_ms = SHORT_MS;
	world.config.write_timeout_ms = SHORT_MS;
	world_start(&world);
	return 0;
}

static int start_world(void **state)
{
	(void)state;
	world_init(&world);
	world_start(&world);
	return 0;
}

static int stop_world(void **state)
{
	(void)state;
	world_stop(&world);
	return 0;
}

// Sends a byte every few milliseconds until the server says something; the time that took.
static int64_t drip_until_it_answers(struct client *client, char byte)
{
	const int64_t started = clock_monotonic_ms();
	struct pollfd readable = { .fd = client->fd, .events = POLLIN };

	while (poll(&readable, 1, SHORT_MS / 10) == 0) {
		assert_true(clock_monotonic_ms() - started < WORLD_WAIT_MS);
		(void)client_try_send(client, &byte, 1);
	}
	return clock_monotonic_ms() - started;
}

static void a_head_that_drips_is_cut_though_it_never_idles(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "X: ");
	assert_true(drip_until_it_answers(&client, 'x') >= SHORT_MS / 2);
	struct response response = client_read(&client);

	assert_is_problem(&response, 408, "request_timeout");
	assert_true(client_is_at_end(&client));
	response_fini(&response);
	client_fini(&client);
}

static void a_second_head_that_drips_is_cut_too(void **state)
{
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END "GET /hello HT");

	(void)state;
	assert_int_equal(response.status, 200);
	response_fini(&response);
	(void)drip_until_it_answers(&client, 'x');
	response = client_read(&client);
	assert_int_equal(response.status / 100, 4);
	response_fini(&response);
	client_fini(&client);
}

static void a_client_that_says_nothing_is_left(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	assert_true(client_is_at_end(&client));
	client_fini(&client);
}

static void a_body_that_drips_is_cut_though_it_never_idles(void **state)
{
	static const char *const heads[] = {
		"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n",
		"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
		"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		struct client client = client_connect(&world);

		client_send(&client, heads[i]);
		if (i == 2) {
			struct response go_on = client_read(&client);

			assert_int_equal(go_on.status, 100);
			response_fini(&go_on);
		}
		assert_true(drip_until_it_answers(&client, 'x') >= SHORT_MS / 2);
		struct response response = client_read(&client);

		assert_is_problem(&response, 408, "request_timeout");
		assert_true(client_is_at_end(&client));
		response_fini(&response);
		client_fini(&client);
	}
	assert_int_equal(world.handled, 0);
}

static void an_answer_that_is_late_becomes_a_problem_and_is_dropped(void **state)
{
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /slow HTTP/1.1\r\n" HOST END);

	(void)state;
	assert_is_problem(&response, 503, "answer_timeout");
	assert_false(response_has(&response, "X-Slow: yes")); // it was meant for another answer
	response_fini(&response);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END); // the connection is as good as before
	assert_string_equal(response.body.bytes, "hello");
	response_fini(&response);
	world_call(&world, world_answer_parked);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);
	assert_string_equal(response.body.bytes, "hello");
	response_fini(&response);
	assert_int_equal(world_counters(&world).by_class[2], 2);
	assert_int_equal(world_counters(&world).by_class[5], 1);
	client_fini(&client);
}

static void a_stream_that_is_late_hears_that_it_is_lost(void **state)
{
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /slow HTTP/1.1\r\n" HOST END);

	(void)state;
	assert_is_problem(&response, 503, "answer_timeout");
	world_call(&world, world_stream_parked);
	world_wait(&world.gone_one);
	response_fini(&response);
	client_fini(&client);
}

static void an_admission_that_is_late_becomes_a_problem_and_is_dropped(void **state)
{
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "POST /asked HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");

	(void)state;
	assert_is_problem(&response, 503, "answer_timeout");
	assert_true(client_is_at_end(&client));
	world_call(&world, world_admit_parked);
	assert_int_equal(world.handled, 0);
	response_fini(&response);
	client_fini(&client);
}

static void a_reader_that_takes_nothing_is_cut(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	client_send(&client, "GET /stream?size=100000000 HTTP/1.1\r\n" HOST END);
	world_wait(&world.gone_one);
	// What it was not sent was not even made: the stream waits for its reader.
	assert_true(world.stream_bytes_written < 20 * 1000 * 1000);
	struct response response = client_read(&client);

	assert_true(response.is_cut);
	response_fini(&response);
	client_fini(&client);
}

static void a_reader_that_drips_is_cut(void **state)
{
	struct client client = client_connect(&world);
	char byte;

	(void)state;
	client_send(&client, "GET /stream?size=100000000 HTTP/1.1\r\n" HOST END);
	while (sem_trywait(&world.gone_one) != 0) {
		assert_int_equal(recv(client.fd, &byte, 1, 0), 1); // always takes something, and never enough
		(void)poll(NULL, 0, SHORT_MS / 10);
	}
	client_fini(&client);
}

// Its buffers and its pair of sockets go first, the connection itself later.
static void an_idle_connection_is_trimmed_and_then_left(void **state)
{
	const size_t before = count_open_descriptors();
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);
	const int64_t started = clock_monotonic_ms();

	(void)state;
	response_fini(&response);
	while (count_open_descriptors() > before + 2) { // its two ends
		assert_true(clock_monotonic_ms() - started < WORLD_WAIT_MS);
		(void)world_counters(&world);
	}
	response = client_ask(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nok");
	assert_string_equal(response.body.bytes, "ok");
	response_fini(&response);
	assert_true(client_is_at_end(&client));
	client_fini(&client);
}

static void a_stream_is_exempt_from_the_deadline_after_its_head(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	client_send(&client, "GET /stream HTTP/1.1\r\n" HOST END);
	struct response response = client_read_head_answer(&client);
	struct pollfd readable = { .fd = client.fd, .events = POLLIN };

	assert_int_equal(response.status, 200);
	assert_int_equal(poll(&readable, 1, SHORT_MS * 3), 0); // that nothing happens can only be waited for
	response_fini(&response);
	client_fini(&client);
	world_wait(&world.gone_one);
}

static void a_stream_comes_whole_to_a_slow_reader(void **state)
{
	struct client client = client_connect(&world);
	const size_t size = 3 * 1000 * 1000 + 17;
	struct response response = client_ask(&client, "GET /stream?size=3000017 HTTP/1.1\r\n" HOST END);

	(void)state;
	assert_int_equal(response.status, 200);
	assert_false(response.is_cut);
	assert_int_equal(response.body.length, size);
	response_fini(&response);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);
	assert_string_equal(response.body.bytes, "hello");
	response_fini(&response);
	client_send(&client, "HEAD /stream?size=3000 HTTP/1.1\r\n" HOST END);
	response = client_read_head_answer(&client);
	assert_int_equal(response.status, 200);
	response_fini(&response);
	client_fini(&client);
}

static void who_listens_to_a_stream_and_hangs_up_is_noticed(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct client client = client_connect(&world);

		client_send(&client, i % 2 == 0 ? "GET /stream HTTP/1.1\r\n" HOST END : "GET /stream?size=0 HTTP/1.1\r\n" HOST END);
		struct response response = client_read_head_answer(&client);

		response_fini(&response);
		client_fini(&client);
		world_wait(&world.gone_one);
	}
}

// Whoever still works for a client that is gone must be able to end as if it were there.
static void a_client_may_go_in_every_phase(void **state)
{
	static const char *const so_far[] = {
		"", "G", "GET /hello HTTP/1.1\r\n" HOST, "POST /asked HTTP/1.1\r\n" HOST END,
		"POST /asked HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "GET /slow HTTP/1.1\r\n" HOST END,
		"POST /slow HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "GET /hello HTTP/1.1\r\n" HOST END,
		"GET /stream?size=1000000 HTTP/1.1\r\n" HOST END, "GET /hello HTTP/1.0\r\n" HOST END,
		"GET /slow HTTP/1.1\r\n" HOST END "GET /slow HTTP/1.1\r\n" HOST END,
	};
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof so_far / sizeof *so_far; i++) {
		const char *request = so_far[i / 2];
		struct client client = client_connect(&world);

		client_send(&client, request);
		if (strstr(request, "/slow") != NULL || strstr(request, "/asked") != NULL) {
			world_wait(&world.parked_one);
		}
		if (i % 2 == 1) { // leave with a reset instead of a good-bye
			assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
		}
		client_fini(&client);
		if (strstr(request, "/asked") != NULL) {
			world_call(&world, world_admit_parked);
		}
		world_call(&world, world_answer_parked);
	}
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);

	assert_string_equal(response.body.bytes, "hello");
	response_fini(&response);
	client_fini(&client);
}

// Nothing tells a client that the server has noticed its end, so this asks until it has.
static void wait_until_alone(void)
{
	const int64_t started = clock_monotonic_ms();

	while (world_counters(&world).connections > 0) {
		assert_true(clock_monotonic_ms() - started < WORLD_WAIT_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void ten_thousand_requests_and_two_thousand_connections_leak_no_descriptor(void **state)
{
	(void)state;
	wait_until_alone();
	const size_t before = count_open_descriptors();
	struct client client = client_connect(&world);

	for (int i = 0; i < 10000; i++) {
		struct response response = client_ask(&client, i % 2 == 0 ? "GET /hello HTTP/1.1\r\n" HOST END
		                                                          : "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nok");

		assert_int_equal(response.status, 200);
		response_fini(&response);
	}
	client_fini(&client);
	for (int i = 0; i < 2000; i++) {
		client = client_connect(&world);
		if (i % 4 != 3) { // every fourth says nothing at all
			struct response response = client_ask(&client, i % 4 == 0 ? "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n" END
			                                              : i % 4 == 1 ? "GET /hello HTTP/1.1\r\n" HOST END
			                                                           : "GET /hello HTTP/1.0\r\n" END);

			assert_int_equal(response.status, i % 4 == 2 ? 400 : 200);
			response_fini(&response);
		}
		client_fini(&client);
	}
	wait_until_alone();
	// The pairs of sockets are closed one loop round after their connection.
	const int64_t started = clock_monotonic_ms();

	while (count_open_descriptors() != before && clock_monotonic_ms() - started < WORLD_WAIT_MS) {
		(void)world_counters(&world);
	}
	assert_int_equal(count_open_descriptors(), before);
	assert_int_equal(world.parked_count, 0);
}

static void many_clients_are_served_at_once(void **state)
{
	enum { CLIENTS = 64, ROUNDS = 20 };
	static struct client clients[CLIENTS];
	char request[128];

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_connect(&world);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			(void)snprintf(request, sizeof request, i == round ? "GET /slow HTTP/1.1\r\n" HOST END
			                                                    : "GET /items/%d-%d HTTP/1.1\r\n" HOST END, round, i);
			client_send(&clients[i], request);
		}
		world_wait(&world.parked_one);
		for (int i = 0; i < CLIENTS; i++) {
			if (i == round) {
				continue; // it waits, and nobody waits for it
			}
			struct response response = client_read(&clients[i]);

			(void)snprintf(request, sizeof request, "[%d-%d][]", round, i);
			assert_string_equal(response.body.bytes, request);
			response_fini(&response);
		}
		world_call(&world, world_answer_parked);
		struct response response = client_read(&clients[round]);

		assert_string_equal(response.body.bytes, "late");
		response_fini(&response);
	}
	for (int i = 0; i < CLIENTS; i++) {
		client_fini(&clients[i]);
	}
}

static int start_world_for_three(void **state)
{
	(void)state;
	world_init(&world);
	world.config.connection_limit = 3;
	world_start(&world);
	return 0;
}

static void beyond_the_limit_clients_wait_for_their_turn(void **state)
{
	struct client clients[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		clients[i] = client_connect(&world);
		client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST END);
	}
	for (int i = 0; i < 5; i++) {
		struct response response = client_read(&clients[i]);

		assert_int_equal(response.status, 200);
		assert_true(world_counters(&world).connections <= 3);
		response_fini(&response);
		client_fini(&clients[i]);
	}
}

static void who_runs_out_of_descriptors_serves_again_when_there_are_some(void **state)
{
	struct rlimit limit;
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);
	struct client second = client_prepare();

	(void)state;
	response_fini(&response);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const struct rlimit none = { .rlim_cur = 3, .rlim_max = limit.rlim_max };

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	client_start(&second, &world);
	response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END); // what is open goes on
	assert_int_equal(response.status, 200);
	response_fini(&response);
	for (int i = 0; i < 3; i++) { // rounds of the loop, so that it has tried
		(void)world_counters(&world);
	}
	assert_int_equal(world_counters(&world).connections, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	response = client_ask(&second, "GET /hello HTTP/1.1\r\n" HOST END); // though no connection has ended
	assert_int_equal(response.status, 200);
	response_fini(&response);
	client_fini(&client);
	client_fini(&second);
}

static void the_limit_of_descriptors_is_raised_to_what_the_connections_need(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 4000) {
		skip();
	}
	const struct rlimit low = { .rlim_cur = 256, .rlim_max = limit.rlim_max };

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(start_world(NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur >= 3 * 1000);
	world_stop(&world);
}

// ---- the end

static void a_closing_server_ends_what_it_has_begun(void **state)
{
	(void)state;
	assert_int_equal(start_world(NULL), 0);
	struct client idle = client_connect(&world);
	struct client used = client_connect(&world);
	struct client busy = client_connect(&world);
	struct response response = client_ask(&used, "GET /hello HTTP/1.1\r\n" HOST END);

	response_fini(&response);
	client_send(&busy, "GET /slow HTTP/1.1\r\n" HOST END);
	world_wait(&world.parked_one);
	world_begin_close(&world);
	assert_true(client_is_at_end(&idle));
	assert_true(client_is_at_end(&used));
	world_call(&world, world_answer_parked);
	response = client_read(&busy);
	assert_string_equal(response.body.bytes, "late");
	assert_true(response_has(&response, "Connection: close"));
	assert_true(client_is_at_end(&busy));
	response_fini(&response);
	client_fini(&idle);
	client_fini(&used);
	client_fini(&busy);
	world_stop(&world);
}

static void a_closing_server_cuts_what_does_not_end(void **state)
{
	static const char *const requests[] = {
		"GET /hello HT", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", "GET /slow HTTP/1.1\r\n" HOST END,
		"POST /asked HTTP/1.1\r\n" HOST END, "GET /stream HTTP/1.1\r\n" HOST END, "GET /stream?size=1000000000 HTTP/1.1\r\n" HOST END,
	};
	enum { COUNT = sizeof requests / sizeof *requests };
	struct client clients[COUNT];
	const size_t before = count_open_descriptors();

	(void)state;
	world_init(&world);
	world.drain_ms = 50;
	world.keeps_streams = true;
	world_start(&world);
	for (int i = 0; i < COUNT; i++) {
		clients[i] = client_connect(&world);
		client_send(&clients[i], requests[i]);
	}
	world_wait(&world.parked_one);
	world_wait(&world.parked_one);
	for (int i = 4; i < COUNT; i++) {
		struct response response = client_read_head_answer(&clients[i]);

		response_fini(&response);
	}
	world_begin_close(&world);
	world_stop(&world); // in it the handlers that were too late answer, and that must be harmless
	assert_int_equal(world.finished, 5);
	for (int i = 0; i < COUNT; i++) {
		if (i != 5) {
			assert_true(client_is_at_end(&clients[i]));
		}
		client_fini(&clients[i]);
	}
	assert_int_equal(count_open_descriptors(), before);
}

static void a_server_that_nobody_asked_closes_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(start_world(NULL), 0);
		world_stop(&world);
		assert_int_equal(world.finished, 0);
	}
}

static void every_request_ends_once(void **state)
{
	(void)state;
	assert_int_equal(start_world(NULL), 0);
	struct client client = client_connect(&world);

	for (int i = 0; i < 10; i++) {
		struct response response = client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST END);

		response_fini(&response);
	}
	struct response response = client_ask(&client, "GET /guarded HTTP/1.1\r\n" HOST END);

	response_fini(&response);
	client_fini(&client);
	world_stop(&world);
	assert_int_equal(world.finished, 11);
	assert_int_equal(world.last_status, 401);
}

#define WITH_DEADLINES(test) cmocka_unit_test_setup_teardown(test, start_world_with_deadlines, stop_world)
#define WITH_WORLD(test)     cmocka_unit_test_setup_teardown(test, start_world, stop_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DEADLINES(a_head_that_drips_is_cut_though_it_never_idles),
		WITH_DEADLINES(a_second_head_that_drips_is_cut_too),
		WITH_DEADLINES(a_client_that_says_nothing_is_left),
		WITH_DEADLINES(a_body_that_drips_is_cut_though_it_never_idles),
		WITH_DEADLINES(an_answer_that_is_late_becomes_a_problem_and_is_dropped),
		WITH_DEADLINES(a_stream_that_is_late_hears_that_it_is_lost),
		WITH_DEADLINES(an_admission_that_is_late_becomes_a_problem_and_is_dropped),
		WITH_DEADLINES(a_reader_that_takes_nothing_is_cut),
		WITH_DEADLINES(a_reader_that_drips_is_cut),
		WITH_DEADLINES(an_idle_connection_is_trimmed_and_then_left),
		WITH_DEADLINES(a_stream_is_exempt_from_the_deadline_after_its_head),
		WITH_WORLD(a_stream_comes_whole_to_a_slow_reader),
		WITH_WORLD(who_listens_to_a_stream_and_hangs_up_is_noticed),
		WITH_WORLD(a_client_may_go_in_every_phase),
		WITH_WORLD(ten_thousand_requests_and_two_thousand_connections_leak_no_descriptor),
		WITH_WORLD(many_clients_are_served_at_once),
		cmocka_unit_test_setup_teardown(beyond_the_limit_clients_wait_for_their_turn, start_world_for_three, stop_world),
		WITH_WORLD(who_runs_out_of_descriptors_serves_again_when_there_are_some),
		cmocka_unit_test(the_limit_of_descriptors_is_raised_to_what_the_connections_need),
		cmocka_unit_test(a_closing_server_ends_what_it_has_begun),
		cmocka_unit_test(a_closing_server_cuts_what_does_not_end),
		cmocka_unit_test(a_server_that_nobody_asked_closes_at_once),
		cmocka_unit_test(every_request_ends_once),
	};

	return cmocka_run_group_tests_name("http_server_load", tests, NULL, NULL);
}
