// SPDX-License-Identifier: Apache-2.0
//
// Many calls at once: whose turn it is, how many are on their way, what is kept and what is given back.
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include "depbroker/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 16 };

// What the peer sees. A path is "/KEY/NUMBER", or a way to misbehave.
static struct {
	unsigned arrived;
	unsigned pending;
	unsigned most_pending;
	unsigned pending_of[KEYS_MAX];
	unsigned most_pending_of[KEYS_MAX];
	unsigned arrived_when_key_1; // how many of others had arrived before the first of key 1
} seen;

static unsigned most(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static unsigned key_of(const struct raw_connection *connection)
{
	const unsigned key = (unsigned)strtoul(connection->path.bytes + 1, NULL, 10);

	assert_true(key < KEYS_MAX);
	return key;
}

static void answer(struct raw_connection *connection)
{
	seen.pending--;
	seen.pending_of[(size_t)(uintptr_t)connection->owner]--;
	raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void on_request(struct raw_peer *peer, struct raw_connection *connection)
{
	const unsigned key = key_of(connection);

	(void)peer;
	if (key == 1 && seen.arrived_when_key_1 == 0) {
		seen.arrived_when_key_1 = seen.arrived;
	}
	seen.arrived++;
	seen.most_pending = most(seen.most_pending, ++seen.pending);
	seen.most_pending_of[key] = most(seen.most_pending_of[key], ++seen.pending_of[key]);
	connection->owner = (void *)(uintptr_t)key;
	raw_later(connection, 1, answer);
}

static void answer_at_once(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static struct http_trial *start_many(struct http_world *world, size_t count, unsigned keys)
{
	struct http_trial *trials = allocate_array(count, sizeof *trials);

	for (size_t i = 0; i < count; i++) {
		char path[64];

		(void)snprintf(path, sizeof path, "/%zu/%zu", i % keys, i);
		http_trial_init(&trials[i], world, path);
		trials[i].call.lane_key = (int64_t)(i % keys);
		http_trial_start(&trials[i]);
	}
	return trials;
}

static void wait_for_all(struct http_world *world, struct http_trial *trials, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		HTTP_WAIT_UNTIL(world, trials[i].completions > 0);
		assert_int_equal(trials[i].completions, 1);
		assert_int_equal(trials[i].call.op.rc, OK);
		http_trial_fini(&trials[i]);
	}
	free(trials);
}

static void a_busy_key_delays_another_one_by_no_more_than_a_round(void **state)
{
	enum { BUSY = 1000, IN_FLIGHT = 4 };
	struct http_trial *busy;
	struct http_trial single;
	struct http_world world;

	(void)state;
	memset(&seen, 0, sizeof seen);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true, .in_flight = IN_FLIGHT,
		.in_flight_per_key = IN_FLIGHT }, on_request);
	busy = start_many(&world, BUSY, 1);
	HTTP_WAIT_UNTIL(&world, seen.arrived >= 20);
	const unsigned before = seen.arrived;

	http_trial_init(&single, &world, "/1/0");
	single.call.lane_key = 1;
	http_trial_start(&single);
	http_trial_wait(&single);
	assert_int_equal(single.call.op.rc, OK);
	assert_true(seen.arrived_when_key_1 >= before);
	assert_true(seen.arrived_when_key_1 <= before + 2 * IN_FLIGHT); // those on their way to the peer, and a round
	http_trial_fini(&single);
	wait_for_all(&world, busy, BUSY);
	assert_int_equal(seen.arrived, BUSY + 1);
	http_world_close(&world);
}

static void as_many_are_on_their_way_as_allowed_and_no_more(void **state)
{
	enum { CALLS = 400, KEYS = 8 };
	struct http_world world;

	(void)state;
	memset(&seen, 0, sizeof seen);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true, .in_flight = 7, .in_flight_per_key = 2 },
		on_request);
	wait_for_all(&world, start_many(&world, CALLS, KEYS), CALLS);
	assert_int_equal(seen.most_pending, 7);
	for (size_t key = 0; key < KEYS; key++) {
		assert_in_range(seen.most_pending_of[key], 1, 2);
	}
	memset(&seen, 0, sizeof seen);
	wait_for_all(&world, start_many(&world, CALLS / 4, 1), CALLS / 4);
	assert_int_equal(seen.most_pending, 2);
	http_world_close(&world);
}

static void the_defaults_are_32_in_all_and_2_of_a_key(void **state)
{
	struct http_world world;

	(void)state;
	memset(&seen, 0, sizeof seen);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true }, on_request);
	wait_for_all(&world, start_many(&world, 400, KEYS_MAX), 400);
	assert_int_equal(seen.most_pending, 32);
	assert_int_equal(seen.most_pending_of[3], 2);
	http_world_close(&world);
}

static void ten_thousand_requests_share_few_connections_and_leak_nothing(void **state)
{
	enum { CALLS = 10000, IN_FLIGHT = 8 };
	struct http_client_counters counters;
	struct http_world world;
	int64_t took_ms;

	(void)state;
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true, .in_flight = IN_FLIGHT }, answer_at_once);
	took_ms = clock_monotonic_ms();
	wait_for_all(&world, start_many(&world, CALLS, 100), CALLS);
	took_ms = clock_monotonic_ms() - took_ms;
	print_message("10,000 requests in %lld ms\n", (long long)took_ms);
	assert_int_equal(world.peer.requests, CALLS);
	assert_true(world.peer.accepted <= IN_FLIGHT); // over all keys
	counters = http_client_counters(world.client);
	assert_int_equal(counters.started, CALLS);
	assert_int_equal(counters.succeeded, CALLS);
	assert_int_equal(counters.failed, 0);
	assert_int_equal(counters.waiting, 0);
	assert_int_equal(counters.in_flight, 0);
	http_world_close(&world); // counts the descriptors
}

static unsigned open_connections(struct http_world *world)
{
	unsigned count = 0;

	LIST_EACH(at, after, &world->peer.connections) {
		count++;
	}
	return count;
}

static void only_so_many_idle_connections_are_kept(void **state)
{
	struct http_world world;

	(void)state;
	memset(&seen, 0, sizeof seen);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true, .in_flight = 12, .connections = 3 },
		on_request);
	wait_for_all(&world, start_many(&world, 120, 12), 120);
	assert_int_equal(seen.most_pending, 12);
	HTTP_WAIT_UNTIL(&world, open_connections(&world) <= 3);
	http_world_close(&world);
}

static void a_kept_connection_that_died_is_replaced(void **state)
{
	struct http_world world;
	struct raw_connection *kept;

	(void)state;
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true }, answer_at_once);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(http_outcome(&world, "/ok"), OK);
		assert_int_equal(world.peer.accepted, i);
		kept = LIST_FIRST(&world.peer.connections, struct raw_connection, link);
		raw_finish(kept);
		HTTP_WAIT_UNTIL(&world, open_connections(&world) == 0);
	}
	http_world_close(&world);
}

static void end_without_a_word(struct raw_peer *peer, struct raw_connection *connection)
{
	if (peer->requests == 2) {
		raw_finish(connection);
	} else {
		answer_at_once(peer, connection);
	}
}

// Why whatever is sent must bear repetition: curl cannot know whether a kept connection ended before or after the request.
static void a_request_is_sent_again_when_its_kept_connection_ends_without_an_answer(void **state)
{
	struct http_world world;

	(void)state;
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true }, end_without_a_word);
	assert_int_equal(http_outcome(&world, "/first"), OK);
	assert_int_equal(http_outcome(&world, "/second"), OK);
	assert_int_equal(world.peer.requests, 3);
	http_world_close(&world);
}

static void a_request_that_must_not_be_repeated_uses_no_kept_connection(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true }, end_without_a_word);
	assert_int_equal(http_outcome(&world, "/first"), OK);
	http_trial_init(&trial, &world, "/second");
	trial.call.once = true;
	assert_int_equal(http_trial_run(&trial), ERR_NETWORK); // whoever asked decides what follows
	http_trial_fini(&trial);
	assert_int_equal(world.peer.requests, 2);
	http_world_close(&world);
}

static uint64_t random_state;

static unsigned below(unsigned limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(random_state >> 33) % limit;
}

static void misbehave(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	switch (below(8)) {
	case 0: raw_finish(connection); break;
	case 1: break; // hangs
	case 2: raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"); break;
	case 3: raw_send_string(connection, "nonsense\r\n\r\n"); break;
	case 4: raw_repeat(connection, "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n", 1); break;
	case 5:
		raw_send_string(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok");
		raw_finish(connection);
		break;
	default: answer_at_once(peer, connection); break;
	}
}

// Random calls, answers, time-outs and cancellations; whatever happens, each call completes once and nothing is left.
static void every_call_completes_once_whatever_happens(void **state)
{
	enum { CALLS = 1500 };
	const char *seed = getenv("DEPBROKER_TEST_SEED");
	struct http_trial *trials = allocate_array(CALLS, sizeof *trials);
	struct http_world world;
	unsigned succeeded = 0;

	(void)state;
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)clock_wall_us();
	print_message("seed %llu\n", (unsigned long long)random_state);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true, .in_flight = 24, .connections = 4 },
		misbehave);
	for (size_t i = 0; i < CALLS; i++) {
		http_trial_init(&trials[i], &world, "/0/0");
		trials[i].call.lane_key = below(20);
		trials[i].call.timeout_ms = 1 + below(400);
		http_trial_start(&trials[i]);
		if (below(4) == 0) {
			http_trial_cancel(&trials[below((unsigned)i + 1)]);
		}
		if (below(2) == 0) {
			(void)uv_run(&world.loop.uv, UV_RUN_NOWAIT);
		}
	}
	for (size_t i = 0; i < CALLS - 100; i++) {
		HTTP_WAIT_UNTIL(&world, trials[i].completions > 0);
	}
	http_world_close_client(&world);
	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(trials[i].completions, 1);
		succeeded += trials[i].call.op.rc == OK ? 1 : 0;
		http_trial_fini(&trials[i]);
	}
	assert_true(succeeded > 20);
	free(trials);
	http_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_key_delays_another_one_by_no_more_than_a_round),
		cmocka_unit_test(as_many_are_on_their_way_as_allowed_and_no_more),
		cmocka_unit_test(the_defaults_are_32_in_all_and_2_of_a_key),
		cmocka_unit_test(ten_thousand_requests_share_few_connections_and_leak_nothing),
		cmocka_unit_test(only_so_many_idle_connections_are_kept),
		cmocka_unit_test(a_kept_connection_that_died_is_replaced),
		cmocka_unit_test(a_request_is_sent_again_when_its_kept_connection_ends_without_an_answer),
		cmocka_unit_test(a_request_that_must_not_be_repeated_uses_no_kept_connection),
		cmocka_unit_test(every_call_completes_once_whatever_happens),
	};

	return cmocka_run_group_tests_name("http_fairness", tests, NULL, NULL);
}
