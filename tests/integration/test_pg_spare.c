// SPDX-License-Identifier: Apache-2.0
//
// Connections that nobody needs are closed, and those that are needed opened.
#include "loop/pg.h"

#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/pg_world.h"
#include "support/postgres.h"

#include <stdlib.h>

#define ROLE  "depbroker_worker"
#define CALLS 4

static struct test_postgres *postgres;

static int start_postgres(void **state)
{
	(void)state;
	postgres = test_postgres_new();
	test_postgres_run(postgres, "create role depbroker_worker");
	return 0;
}

static int stop_postgres(void **state)
{
	(void)state;
	test_postgres_free(postgres);
	return 0;
}

static struct pg_pool_config config_of(unsigned size, unsigned kept)
{
	return (struct pg_pool_config){ .url = postgres->url, .application_name = "spare", .size = size, .kept = kept,
		.spare_after_ms = 100, .backoff_max_ms = 200 };
}

static int64_t sessions_at_the_server(void)
{
	char *value = test_postgres_ask(postgres, "select count(*) from pg_stat_activity where application_name = 'spare'");
	const int64_t count = strtoll(value, NULL, 10);

	free(value);
	return count;
}

static void start(struct pg_call *call, struct pg_world *world, const char *sql)
{
	pg_call_init(call, pg_scope_directory(ROLE));
	(void)pg_add(&call->transaction, sql, NULL, 0);
	pg_call_start(call, world, 60000);
}

static void assert_ends_well(struct pg_call *call, struct pg_world *world)
{
	assert_int_equal(pg_call_wait(call, world), OK);
	pg_transaction_fini(&call->transaction);
}

// False: the server was so slow to take new connections that the first call ended meanwhile.
static bool all_are_busy_at_once(struct pg_world *world)
{
	struct pg_call calls[CALLS];
	bool busy;

	for (unsigned i = 0; i < CALLS; i++) {
		start(&calls[i], world, "select pg_sleep(0.5)");
	}
	while (pg_pool_counters(world->pool).busy < CALLS && !calls[0].is_done) {
		pg_world_turn(world);
	}
	busy = pg_pool_counters(world->pool).busy == CALLS;
	for (unsigned i = 0; i < CALLS; i++) {
		assert_ends_well(&calls[i], world);
	}
	return busy;
}

static void open_all(struct pg_world *world)
{
	while (!all_are_busy_at_once(world)) {
	}
}

static void wait_until_connected(struct pg_world *world, unsigned count)
{
	while (pg_pool_counters(world->pool).connected != count) {
		pg_world_turn(world);
	}
}

// --- tests ---

static void who_waits_gets_more_connections_and_they_go_when_nobody_needs_them(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(CALLS, 1));
	for (unsigned i = 0; i < 2; i++) {
		wait_until_connected(&world, 1);
		open_all(&world);
	}
	wait_until_connected(&world, 1);
	while (sessions_at_the_server() > 1) { // the server takes note of the farewell in its own time
		pg_world_turn(&world);
	}
	start(&call, &world, "select 1");
	assert_ends_well(&call, &world);
	assert_int_equal(pg_pool_counters(world.pool).connected, 1);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	pg_world_close(&world);
}

static void a_pool_keeps_all_unless_it_is_told_otherwise(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(CALLS, 0));
	pg_world_wait_connected(&world, CALLS);
	start(&call, &world, "select pg_sleep(0.3)"); // three times what makes one spare
	assert_ends_well(&call, &world);
	assert_int_equal(pg_pool_counters(world.pool).connected, CALLS);
	pg_world_close(&world);
}

static void a_server_that_comes_back_is_used_again_whatever_was_open(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(CALLS, 1));
	wait_until_connected(&world, 1);
	open_all(&world);
	test_postgres_kill(postgres);
	wait_until_connected(&world, 0);
	start(&call, &world, "select 1");
	test_postgres_start(postgres);
	assert_ends_well(&call, &world);
	wait_until_connected(&world, 1);
	pg_world_close(&world);
}

static void a_pool_with_spare_ones_closes_and_leaves_no_descriptor(void **state)
{
	struct pg_world world;
	size_t before;

	(void)state;
	pg_world_init(&world);
	before = count_open_descriptors();
	pg_world_open_pool(&world, config_of(CALLS, 1));
	wait_until_connected(&world, 1);
	open_all(&world);
	pg_world_close_pool(&world);
	assert_int_equal(count_open_descriptors(), before);
	pg_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_gets_more_connections_and_they_go_when_nobody_needs_them),
		cmocka_unit_test(a_pool_keeps_all_unless_it_is_told_otherwise),
		cmocka_unit_test(a_server_that_comes_back_is_used_again_whatever_was_open),
		cmocka_unit_test(a_pool_with_spare_ones_closes_and_leaves_no_descriptor),
	};

	return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
