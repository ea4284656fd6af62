// SPDX-License-Identifier: Apache-2.0
//
// Bodies that come in parts, and answers that are announced or broken off.
#include "support/cmocka_all.h"
#include "support/http_server_world.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST "Host: h\r\n"
#define END  "\r\n"

enum { BODY_SIZE = 300000, SHORT_MS = 150 };

static struct world world;

static int start_world(void **state)
{
	(void)state;
	world_init(&world);
	world_start(&world);
	return 0;
}

static int start_impatient_world(void **state)
{
	(void)state;
	world_init(&world);
	world.config.body_timeout_ms = SHORT_MS;
	world_start(&world);
	return 0;
}

static int stop_world(void **state)
{
	(void)state;
	world_stop(&world);
	return 0;
}

static char *new_body(void)
{
	char *body = allocate(BODY_SIZE);

	for (size_t i = 0; i < BODY_SIZE; i++) {
		body[i] = (char)('a' + i * i % 23);
	}
	return body;
}

static void send_chunk(struct client *client, const char *bytes, size_t length)
{
	char size[32];

	(void)snprintf(size, sizeof size, "%zx\r\n", length);
	client_send(client, size);
	client_send_bytes(client, bytes, length);
	client_send(client, "\r\n");
}

static void begin_body(struct client *client, const char *method, const char *query, bool is_chunked)
{
	struct buffer head = BUFFER(1000);

	buffer_add_format(&head, "%s /parts%s HTTP/1.1\r\n" HOST, method, query);
	if (is_chunked) {
		buffer_add_string(&head, "Transfer-Encoding: chunked\r\n\r\n");
	} else {
		buffer_add_format(&head, "Content-Length: %d\r\n\r\n", BODY_SIZE);
	}
	client_send(client, head.bytes);
	buffer_fini(&head);
}

static void send_part(struct client *client, const char *body, size_t from, size_t to, bool is_chunked)
{
	if (is_chunked) {
		send_chunk(client, body + from, to - from);
	} else {
		client_send_bytes(client, body + from, to - from);
	}
	if (is_chunked && to == BODY_SIZE) {
		client_send(client, "0\r\n\r\n");
	}
}

static void a_body_in_parts_comes_whole_and_before_its_end(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "GET" };
	char *body = new_body();
	struct client client = client_connect(&world);

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		const bool is_chunked = i % 2 == 0;

		begin_body(&client, methods[i / 2], "", is_chunked);
		send_part(&client, body, 0, 2000, is_chunked);
		world_wait(&world.part_one);
		world_wait(&world.part_one);
		send_part(&client, body, 2000, BODY_SIZE, is_chunked);
		struct response response = client_read(&client);

		assert_int_equal(response.status, 200);
		assert_int_equal(response.body.length, BODY_SIZE);
		assert_memory_equal(response.body.bytes, body, BODY_SIZE);
		response_fini(&response);
		while (sem_trywait(&world.part_one) == 0) {
		}
	}
	client_fini(&client);
	assert_true(world.part_bytes_offered <= 16 * 1024);
	free(body);
}

static void without_a_body_or_by_its_own_word_a_route_reads_as_ever(void **state)
{
	struct client client = client_connect(&world);
	struct response response = client_ask(&client, "DELETE /parts HTTP/1.1\r\n" HOST END);

	(void)state;
	assert_int_equal(response.body.length, 0);
	response_fini(&response);
	response = client_ask(&client, "POST /parts?how=whole HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody");
	assert_true(text_equal(buffer_text(&response.body), TEXT("body")));
	response_fini(&response);
	client_fini(&client);
}

static void who_asks_for_it_is_told_to_go_on(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	client_send(&client, "PUT /parts HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
	struct response response = client_read(&client);

	assert_int_equal(response.status, 100);
	response_fini(&response);
	client_send(&client, "4\r\nbody\r\n0\r\n\r\n");
	response = client_read(&client);
	assert_true(text_equal(buffer_text(&response.body), TEXT("body")));
	response_fini(&response);
	client_fini(&client);
}

static void an_early_answer_follows_the_body_and_the_connection_goes_on(void **state)
{
	char *body = new_body();
	struct client client = client_connect(&world);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		begin_body(&client, i / 2 == 0 ? "POST" : "DELETE", "?how=early", i % 2 == 0);
		send_part(&client, body, 0, BODY_SIZE, i % 2 == 0);
		struct response response = client_read(&client);

		assert_int_equal(response.status, 200);
		assert_true(text_equal(buffer_text(&response.body), TEXT("early")));
		response_fini(&response);
	}
	assert_int_equal(world.handled, 4);
	client_fini(&client);
	free(body);
}

static void who_does_not_take_makes_the_client_wait(void **state)
{
	static char block[64 * 1024];
	struct client client = client_connect(&world);
	struct pollfd writable = { .fd = client.fd, .events = POLLOUT };
	size_t sent = 0;

	(void)state;
	client_send(&client, "POST /parts?how=never HTTP/1.1\r\n" HOST "Content-Length: 16000000\r\n\r\n");
	assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
	while (sent + sizeof block < 16000000 && poll(&writable, 1, 2 * SHORT_MS) == 1) {
		const ssize_t length = send(client.fd, block, sizeof block, MSG_NOSIGNAL);

		sent += length > 0 ? (size_t)length : 0;
	}
	assert_true(sent < 15000000); // what the kernel holds for both sides
	client_fini(&client);
	world.drain_ms = SHORT_MS;
	world_begin_close(&world); // it hears of it at the latest then
	world_wait(&world.gone_one);
}

static void who_takes_hears_once_that_the_client_is_gone(void **state)
{
	char *body = new_body();

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct client client = client_connect(&world);

		begin_body(&client, i / 2 == 0 ? "POST" : "DELETE", "", i % 2 == 0);
		send_part(&client, body, 0, 100000, i % 2 == 0);
		client_fini(&client);
		world_wait(&world.gone_one);
	}
	free(body);
	world_call(&world, world_answer_parked);
	assert_int_not_equal(sem_trywait(&world.gone_one), 0);
	assert_int_equal(world.handled, 4);
}

static void who_takes_hears_that_a_body_was_too_slow(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	begin_body(&client, "POST", "", true);
	send_chunk(&client, "abc", 3);
	struct response response = client_read(&client);

	assert_is_problem(&response, 408, "request_timeout");
	response_fini(&response);
	assert_true(client_is_at_end(&client));
	client_fini(&client);
	world_wait(&world.gone_one);
}

static void a_body_beyond_the_limit_is_refused_while_it_comes(void **state)
{
	char *body = new_body();
	struct client client = client_connect(&world);

	(void)state;
	begin_body(&client, "POST", "", true);
	for (size_t sent = 0; sent < (16 << 20); sent += BODY_SIZE) {
		char size[32];

		(void)snprintf(size, sizeof size, "%x\r\n", BODY_SIZE);
		if (!client_try_send(&client, size, strlen(size)) || !client_try_send(&client, body, BODY_SIZE) || !client_try_send(&client, "\r\n", 2)) {
			break;
		}
	}
	struct response response = client_read(&client);

	assert_int_equal(response.status, 413);
	response_fini(&response);
	client_fini(&client);
	world_wait(&world.gone_one);
	free(body);
}

static void an_announced_stream_has_its_length_and_ends_with_it(void **state)
{
	struct client client = client_connect(&world);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct response response = client_ask(&client, "GET /stream?size=100000&length=100000 HTTP/1.1\r\n" HOST END);

		assert_int_equal(response.body.length, 100000);
		assert_true(response_has(&response, "Content-Length: 100000"));
		assert_false(response.is_cut);
		response_fini(&response);
	}
	assert_int_not_equal(sem_trywait(&world.gone_one), 0); // who has all is not gone
	client_fini(&client);
}

static void what_is_broken_off_is_seen_as_broken(void **state)
{
	static const char *const requests[] = {
		"GET /stream?size=100000&length=200000&breaks=1 HTTP/1.1\r\n" HOST END,
		"GET /stream?size=100000&breaks=1 HTTP/1.1\r\n" HOST END,
		"GET /stream?size=100000&length=200000 HTTP/1.1\r\n" HOST END,
	};

	(void)state;
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		struct client client = client_connect(&world);
		struct response response = client_ask(&client, requests[i]);

		assert_int_equal(response.status, 200);
		assert_true(response.is_cut);
		response_fini(&response);
		client_fini(&client);
	}
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, start_world, stop_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_body_in_parts_comes_whole_and_before_its_end),
		WITH_WORLD(without_a_body_or_by_its_own_word_a_route_reads_as_ever),
		WITH_WORLD(who_asks_for_it_is_told_to_go_on),
		WITH_WORLD(an_early_answer_follows_the_body_and_the_connection_goes_on),
		WITH_WORLD(who_does_not_take_makes_the_client_wait),
		WITH_WORLD(who_takes_hears_once_that_the_client_is_gone),
		cmocka_unit_test_setup_teardown(who_takes_hears_that_a_body_was_too_slow, start_impatient_world, stop_world),
		WITH_WORLD(a_body_beyond_the_limit_is_refused_while_it_comes),
		WITH_WORLD(an_announced_stream_has_its_length_and_ends_with_it),
		WITH_WORLD(what_is_broken_off_is_seen_as_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
