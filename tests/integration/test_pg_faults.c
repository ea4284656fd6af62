// SPDX-License-Identifier: Apache-2.0
//
// What transactions are told when the server, the network or the pool itself goes away under them.
#include "loop/pg.h"

#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/pg_world.h"
#include "support/postgres.h"
#include "support/proxy.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROLE "depbroker_worker"

static struct test_postgres *postgres;

static int start_postgres(void **state)
{
	(void)state;
	postgres = test_postgres_new();
	test_postgres_run(postgres, "create role depbroker_worker; create table things (id bigint primary key); "
		"grant all on things to depbroker_worker");
	return 0;
}

static int stop_postgres(void **state)
{
	(void)state;
	test_postgres_free(postgres);
	return 0;
}

static int empty_things(void **state)
{
	(void)state;
	test_postgres_run(postgres, "truncate things");
	return 0;
}

static struct pg_pool_config config_of(unsigned size)
{
	return (struct pg_pool_config){ .url = postgres->url, .size = size, .backoff_max_ms = 200 };
}

static int64_t count_of_things(void)
{
	char *value = test_postgres_ask(postgres, "select count(*) from things");
	const int64_t count = strtoll(value, NULL, 10);

	free(value);
	return count;
}

static void call_with(struct pg_call *call, const char *sql)
{
	pg_call_init(call, pg_scope_directory(ROLE));
	(void)pg_add(&call->transaction, sql, NULL, 0);
}

static enum err run_once(struct pg_world *world, const char *sql)
{
	struct pg_call call;
	enum err rc;

	call_with(&call, sql);
	rc = pg_call_run(&call, world);
	pg_transaction_fini(&call.transaction);
	return rc;
}

// Others can see that it runs.
#define SLEEP "select pg_sleep(60)"

static void wait_until_it_runs(struct pg_world *world)
{
	for (;;) {
		char *value = test_postgres_ask(postgres, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'");
		const bool runs = strcmp(value, "0") != 0;

		free(value);
		if (runs) {
			return;
		}
		(void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
	}
}

// --- the server ---

static void a_killed_server_leaves_it_unknown_and_comes_back_by_itself(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(2));
	pg_world_wait_connected(&world, 2);
	call_with(&call, SLEEP);
	pg_call_start(&call, &world, 60000);
	wait_until_it_runs(&world);
	test_postgres_kill(postgres);
	assert_int_equal(pg_call_wait(&call, &world), ERR_UNKNOWN);
	assert_string_equal(call.transaction.sqlstate, "");
	assert_true(strlen(call.transaction.op.fault.text) > 0);
	pg_transaction_fini(&call.transaction);
	while (pg_pool_is_connected(world.pool)) {
		pg_world_turn(&world);
	}
	assert_true(pg_pool_last_error(world.pool).length > 0);
	test_postgres_start(postgres);
	pg_world_wait_connected(&world, 2);
	assert_int_equal(pg_pool_last_error(world.pool).length, 0);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 2);
	assert_int_equal(run_once(&world, "insert into things values (1)"), OK);
	assert_int_equal(count_of_things(), 1);
	pg_world_close(&world);
}

static void a_stopped_server_leaves_it_unknown_and_comes_back_by_itself(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_with(&call, SLEEP);
	pg_call_start(&call, &world, 60000);
	wait_until_it_runs(&world);
	test_postgres_stop(postgres);
	assert_int_equal(pg_call_wait(&call, &world), ERR_UNKNOWN);
	pg_transaction_fini(&call.transaction);
	test_postgres_start(postgres);
	assert_int_equal(run_once(&world, "select 1"), OK);
	pg_world_close(&world);
}

// The pool has not looked since, and finds out when it wants to send: nothing was sent, so nothing is unknown.
static void a_server_that_was_restarted_unnoticed_costs_nothing(void **state)
{
	struct pg_world world;

	(void)state;
	pg_world_open(&world, config_of(3));
	pg_world_wait_connected(&world, 3);
	test_postgres_stop(postgres);
	test_postgres_start(postgres);
	assert_int_equal(run_once(&world, "insert into things values (1)"), OK);
	assert_int_equal(count_of_things(), 1);
	pg_world_close(&world);
}

static void a_server_that_is_absent_at_the_start_is_waited_for(void **state)
{
	struct pg_world world;
	struct pg_call hasty;
	struct pg_call patient;

	(void)state;
	test_postgres_stop(postgres);
	pg_world_open(&world, config_of(2));
	call_with(&hasty, "insert into things values (1)");
	pg_call_start(&hasty, &world, 50);
	call_with(&patient, "insert into things values (2)");
	pg_call_start(&patient, &world, 60000);
	assert_int_equal(pg_call_wait(&hasty, &world), ERR_UNAVAILABLE);
	assert_non_null(strstr(hasty.transaction.op.fault.text, "connection to server"));
	assert_false(pg_pool_is_connected(world.pool));
	assert_false(patient.is_done);
	test_postgres_start(postgres);
	assert_int_equal(pg_call_wait(&patient, &world), OK);
	assert_int_equal(count_of_things(), 1);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	pg_transaction_fini(&hasty.transaction);
	pg_transaction_fini(&patient.transaction);
	pg_world_close(&world);
}

static void a_server_that_turns_read_only_is_left_until_it_takes_changes_again(void **state)
{
	struct pg_world world;
	struct pg_call call;
	bool refused = false;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	test_postgres_run(postgres, "alter system set default_transaction_read_only = on");
	test_postgres_run(postgres, "select pg_reload_conf()");
	while (!refused) { // until the connection's backend has read it
		call_with(&call, "insert into things values (1) on conflict do nothing");
		refused = pg_call_run(&call, &world) == ERR_UNAVAILABLE;
		assert_true(refused || call.transaction.op.rc == OK);
		assert_true(!refused || strcmp(call.transaction.sqlstate, "25006") == 0);
		pg_transaction_fini(&call.transaction);
	}
	assert_false(pg_pool_is_connected(world.pool));
	while (!text_contains_ignoring_case(pg_pool_last_error(world.pool), "session is read-only")) {
		pg_world_turn(&world);
	}
	test_postgres_run(postgres, "alter system reset default_transaction_read_only");
	test_postgres_run(postgres, "select pg_reload_conf()");
	assert_int_equal(run_once(&world, "insert into things values (2)"), OK);
	pg_world_close(&world);
}

// --- the network ---

static void open_through(struct pg_world *world, struct proxy *proxy, const struct pg_pool_config *config)
{
	struct pg_pool_config through = *config;
	char url[128];

	pg_world_init(world);
	proxy_open(proxy, &world->loop, postgres);
	(void)snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable", proxy->port);
	through.url = url;
	pg_world_open_pool(world, through);
	pg_world_wait_connected(world, config->size);
}

static void close_through(struct pg_world *world, struct proxy *proxy)
{
	pg_world_close_pool(world);
	proxy_close(proxy);
	pg_world_close(world);
}

static void a_lost_answer_is_unknown_although_it_was_committed(void **state)
{
	const struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct proxy proxy;

	(void)state;
	open_through(&world, &proxy, &config);
	proxy.mode = PROXY_CUT_AT_ANSWER;
	assert_int_equal(run_once(&world, "insert into things values (1)"), ERR_UNKNOWN);
	proxy.mode = PROXY_PASS;
	assert_int_equal(run_once(&world, "insert into things values (2)"), OK);
	assert_int_equal(count_of_things(), 2);
	close_through(&world, &proxy);
}

static void a_deadline_after_sending_is_unknown_and_costs_the_connection(void **state)
{
	const struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct proxy proxy;
	struct pg_call call;

	(void)state;
	open_through(&world, &proxy, &config);
	proxy.mode = PROXY_SWALLOW_ANSWERS;
	call_with(&call, "insert into things values (1)");
	pg_call_start(&call, &world, 100);
	assert_int_equal(pg_call_wait(&call, &world), ERR_UNKNOWN);
	assert_false(pg_pool_is_connected(world.pool));
	proxy.mode = PROXY_PASS;
	assert_int_equal(run_once(&world, "select 1"), OK);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 1);
	assert_int_equal(count_of_things(), 1);
	pg_transaction_fini(&call.transaction);
	close_through(&world, &proxy);
}

static void statements_that_together_take_too_long_meet_the_deadline(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_with(&call, "insert into things values (1)");
	for (unsigned i = 0; i < 10; i++) {
		(void)pg_add(&call.transaction, "select pg_sleep(0.1)", NULL, 0);
	}
	pg_call_start(&call, &world, 300);
	assert_int_equal(pg_call_wait(&call, &world), ERR_UNKNOWN);
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void a_cancelled_transaction_that_never_ends_costs_its_connection_at_its_deadline(void **state)
{
	const struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct proxy proxy;
	struct pg_call call;

	(void)state;
	open_through(&world, &proxy, &config);
	proxy.mode = PROXY_SWALLOW_ANSWERS;
	call_with(&call, "select 1");
	pg_call_start(&call, &world, 100);
	pg_cancel(&call.transaction);
	assert_int_equal(pg_call_wait(&call, &world), ERR_CANCELLED);
	pg_transaction_fini(&call.transaction);
	while (pg_pool_is_connected(world.pool)) {
		pg_world_turn(&world);
	}
	proxy.mode = PROXY_PASS;
	assert_int_equal(run_once(&world, "select 1"), OK);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 1);
	close_through(&world, &proxy);
}

// "C", length, tag: a CommandComplete message.
static void make_commit_a_rollback(struct buffer *from_server)
{
	static const char commit[] = "C\0\0\0\013COMMIT";
	static const char rollback[] = "C\0\0\0\015ROLLBACK";
	const char *at = memmem(from_server->bytes, from_server->length, commit, sizeof commit);

	if (at != NULL) {
		struct buffer changed = BUFFER(from_server->limit);
		const size_t before = (size_t)(at - from_server->bytes);

		buffer_add(&changed, from_server->bytes, before);
		buffer_add(&changed, rollback, sizeof rollback);
		buffer_add(&changed, at + sizeof commit, from_server->length - before - sizeof commit);
		buffer_fini(from_server);
		*from_server = changed;
	}
}

static void a_commit_that_is_answered_with_rollback_is_an_error(void **state)
{
	const struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct proxy proxy;

	(void)state;
	open_through(&world, &proxy, &config);
	proxy.change = make_commit_a_rollback;
	assert_int_equal(run_once(&world, "select 1"), ERR_DATABASE);
	proxy.change = NULL;
	assert_int_equal(run_once(&world, "select 1"), OK);
	close_through(&world, &proxy);
}

// "Z", length, status: a ReadyForQuery message, which answers the sync.
static void lose_the_end(struct buffer *from_server)
{
	static const char end[] = { 'Z', 0, 0, 0, 5, 'I' };

	if (from_server->length >= sizeof end) {
		const size_t before = from_server->length - sizeof end;

		from_server->length = memcmp(from_server->bytes + before, end, sizeof end) == 0 ? before : from_server->length;
	}
}

static void a_commit_that_was_answered_counts_also_when_the_end_is_lost(void **state)
{
	const struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct proxy proxy;
	struct pg_call call;

	(void)state;
	open_through(&world, &proxy, &config);
	proxy.change = lose_the_end;
	call_with(&call, "select 42");
	pg_call_start(&call, &world, 200);
	assert_int_equal(pg_call_wait(&call, &world), OK);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 0), 42);
	assert_false(pg_pool_is_connected(world.pool));
	pg_transaction_fini(&call.transaction);
	call_with(&call, "select 1 / 0"); // an error is as certain
	proxy.change = NULL;
	pg_world_wait_connected(&world, 1);
	proxy.change = lose_the_end;
	pg_call_start(&call, &world, 200);
	assert_int_equal(pg_call_wait(&call, &world), ERR_BAD_INPUT);
	pg_transaction_fini(&call.transaction);
	close_through(&world, &proxy);
}

static void a_large_transaction_through_a_slow_reader_arrives_whole(void **state)
{
	const size_t length = (size_t)4 * 1024 * 1024;
	const struct pg_pool_config config = config_of(1);
	char *large = allocate(length);
	struct pg_world world;
	struct proxy proxy;
	struct pg_call call;

	(void)state;
	memset(large, 'y', length);
	open_through(&world, &proxy, &config);
	pg_call_init(&call, pg_scope_directory(ROLE));
	for (unsigned i = 0; i < 4; i++) {
		PG_ADD(&call.transaction, "select length($1)", PG_V_TEXT(((struct text){ large, length })));
	}
	assert_int_equal(pg_call_run(&call, &world), OK);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pg_int8(&call.transaction, i, 0, 0), length);
	}
	pg_transaction_fini(&call.transaction);
	close_through(&world, &proxy);
	free(large);
}

// --- closing ---

static void closing_cancels_what_is_under_way_and_leaves_no_descriptor(void **state)
{
	struct pg_world world;
	struct pg_call calls[3];
	size_t descriptors;

	(void)state;
	pg_world_init(&world);
	descriptors = count_open_descriptors();
	pg_world_open_pool(&world, config_of(2));
	pg_world_wait_connected(&world, 2);
	for (unsigned i = 0; i < 3; i++) { // two are sent, one waits
		call_with(&calls[i], SLEEP);
		pg_call_start(&calls[i], &world, 60000);
	}
	wait_until_it_runs(&world);
	pg_world_start_closing_pool(&world);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(calls[i].is_done);
	}
	while (!world.is_closed) {
		pg_world_turn(&world);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(calls[i].is_done); // before the pool was called closed
		assert_int_equal(calls[i].transaction.op.rc, ERR_CANCELLED);
		pg_transaction_fini(&calls[i].transaction);
	}
	assert_int_equal(count_open_descriptors(), descriptors);
	pg_world_close(&world);
}

struct chain { // a transaction whose end starts another one
	struct pg_call first;
	struct pg_call second;
	struct pg_world *world;
};

static void on_first(struct op *op)
{
	struct chain *chain = CONTAINER_OF(op, struct chain, first.transaction.op);

	chain->first.is_done = true;
	pg_transaction_fini(&chain->first.transaction); // which `done` may do
	pg_call_start(&chain->second, chain->world, 60000);
}

static void what_is_started_while_the_pool_closes_is_cancelled_too(void **state)
{
	struct pg_world world;
	struct chain chain = { .world = &world };

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	pg_transaction_init(&chain.first.transaction, pg_scope_directory(ROLE), on_first);
	(void)pg_add(&chain.first.transaction, SLEEP, NULL, 0);
	call_with(&chain.second, "select 1");
	pg_call_start(&chain.first, &world, 60000);
	pg_world_close_pool(&world);
	assert_true(chain.first.is_done);
	assert_true(chain.second.is_done);
	assert_int_equal(chain.second.transaction.op.rc, ERR_CANCELLED);
	pg_transaction_fini(&chain.second.transaction);
	pg_world_close(&world);
}

static void the_end_of_one_may_start_the_next(void **state)
{
	struct pg_world world;
	struct chain chain = { .world = &world };

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_transaction_init(&chain.first.transaction, pg_scope_directory(ROLE), on_first);
	call_with(&chain.second, "select 1");
	pg_call_start(&chain.first, &world, 60000);
	assert_int_equal(pg_call_wait(&chain.second, &world), OK);
	pg_transaction_fini(&chain.second.transaction);
	pg_world_close(&world);
}

// A port that takes connections and never says a word.
static int silent_port(uint16_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	return listener;
}

static void a_pool_is_closed_in_each_state_of_connecting(void **state)
{
	uint16_t port;
	const int listener = silent_port(&port);
	char silent[64];
	const char *const urls[] = { "postgresql://no-such-host.invalid/x", silent, "postgresql://127.0.0.1:1/x",
		"postgresql:///x?host=/nonexistent", "postgresql:///x?host=/nonexistent&sslmode=nonsense" };

	(void)state;
	(void)snprintf(silent, sizeof silent, "postgresql://127.0.0.1:%d/x", port);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		const size_t descriptors = count_open_descriptors();

		for (unsigned rounds = 0; rounds < 6; rounds++) {
			struct pg_world world;

			pg_world_open(&world, (struct pg_pool_config){ .url = urls[i], .size = 2 });
			for (unsigned at = 0; at < rounds; at++) {
				(void)uv_run(&world.loop.uv, UV_RUN_NOWAIT);
			}
			pg_world_close(&world);
		}
		assert_int_equal(count_open_descriptors(), descriptors);
	}
	(void)close(listener);
}

// --- back-off ---

struct counting_port {
	uv_tcp_t listener;
	uv_tcp_t accepted;
	unsigned count;
	bool is_closed;
};

static void on_attempt(uv_stream_t *listener, int status)
{
	struct counting_port *port = CONTAINER_OF(listener, struct counting_port, listener);

	assert_int_equal(status, 0);
	port->count++;
	assert_int_equal(uv_tcp_init(listener->loop, &port->accepted), 0);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&port->accepted), 0);
	uv_close((uv_handle_t *)&port->accepted, NULL);
}

static void on_port_closed(uv_handle_t *handle)
{
	CONTAINER_OF(handle, struct counting_port, listener)->is_closed = true;
}

// Seven pauses of at most 100, 200, 400 ... 1000 ms take a second or two; without them they would take a few milliseconds.
static void attempts_become_rarer(void **state)
{
	struct counting_port port = { .count = 0 };
	struct sockaddr_in address;
	int size = sizeof address;
	struct pg_world world;
	char url[64];
	int64_t began_ms;

	(void)state;
	pg_world_init(&world);
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	assert_int_equal(uv_tcp_init(&world.loop.uv, &port.listener), 0);
	assert_int_equal(uv_tcp_bind(&port.listener, (const struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_tcp_getsockname(&port.listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&port.listener, 16, on_attempt), 0);
	(void)snprintf(url, sizeof url, "postgresql://127.0.0.1:%d/x?sslmode=disable", ntohs(address.sin_port));
	began_ms = clock_monotonic_ms();
	pg_world_open_pool(&world, (struct pg_pool_config){ .url = url, .size = 1, .backoff_max_ms = 1000 });
	while (port.count < 8) {
		pg_world_turn(&world);
	}
	assert_true(clock_monotonic_ms() - began_ms > 250);
	uv_close((uv_handle_t *)&port.listener, on_port_closed);
	while (!port.is_closed) {
		pg_world_turn(&world);
	}
	pg_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_killed_server_leaves_it_unknown_and_comes_back_by_itself, empty_things),
		cmocka_unit_test(a_stopped_server_leaves_it_unknown_and_comes_back_by_itself),
		cmocka_unit_test_setup(a_server_that_was_restarted_unnoticed_costs_nothing, empty_things),
		cmocka_unit_test_setup(a_server_that_is_absent_at_the_start_is_waited_for, empty_things),
		cmocka_unit_test_setup(a_server_that_turns_read_only_is_left_until_it_takes_changes_again, empty_things),
		cmocka_unit_test_setup(a_lost_answer_is_unknown_although_it_was_committed, empty_things),
		cmocka_unit_test_setup(a_deadline_after_sending_is_unknown_and_costs_the_connection, empty_things),
		cmocka_unit_test_setup(statements_that_together_take_too_long_meet_the_deadline, empty_things),
		cmocka_unit_test(a_cancelled_transaction_that_never_ends_costs_its_connection_at_its_deadline),
		cmocka_unit_test(a_commit_that_is_answered_with_rollback_is_an_error),
		cmocka_unit_test(a_commit_that_was_answered_counts_also_when_the_end_is_lost),
		cmocka_unit_test(a_large_transaction_through_a_slow_reader_arrives_whole),
		cmocka_unit_test(closing_cancels_what_is_under_way_and_leaves_no_descriptor),
		cmocka_unit_test(what_is_started_while_the_pool_closes_is_cancelled_too),
		cmocka_unit_test(the_end_of_one_may_start_the_next),
		cmocka_unit_test(a_pool_is_closed_in_each_state_of_connecting),
		cmocka_unit_test(attempts_become_rarer),
	};

	return cmocka_run_group_tests_name("pg_faults", tests, start_postgres, stop_postgres);
}
