// SPDX-License-Identifier: Apache-2.0
#include "support/pg_world.h"

#include "depbroker/log.h"
#include "support/cmocka_all.h"


enum { LIMIT_MS = 60000 };

static void on_limit(struct delay *limit)
{
	(void)limit;
	fail_msg("waited for too long");
}

void pg_world_init(struct pg_world *world)
{
	*world = (struct pg_world){ .is_closed = true };
	assert_true(log_set_level(TEXT("error"))); // lost connections are what these tests are about
	loop_init(&world->loop);
	delay_init(&world->limit, &world->loop, on_limit);
	delay_start(&world->limit, LIMIT_MS);
}

void pg_world_open_pool(struct pg_world *world, struct pg_pool_config config)
{
	struct fault fault = { "" };

	if (pg_pool_open(&world->pool, &world->loop, &config, &fault) != OK) {
		fail_msg("%s", fault.text);
	}
	world->is_closed = false;
}

void pg_world_open(struct pg_world *world, struct pg_pool_config config)
{
	pg_world_init(world);
	pg_world_open_pool(world, config);
}

void pg_world_turn(struct pg_world *world)
{
	(void)uv_run(&world->loop.uv, UV_RUN_ONCE);
}

void pg_world_wait_connected(struct pg_world *world, unsigned count)
{
	for (;;) {
		const struct pg_pool_counters counters = pg_pool_counters(world->pool);

		if (counters.connected >= count && counters.busy == 0) {
			return;
		}
		pg_world_turn(world);
	}
}

static void on_closed(void *argument)
{
	struct pg_world *world = argument;

	assert_false(world->is_closed);
	world->is_closed = true;
	world->pool = NULL;
}

void pg_world_start_closing_pool(struct pg_world *world)
{
	pg_pool_close(world->pool, on_closed, world);
	assert_false(world->is_closed);
}

void pg_world_close_pool(struct pg_world *world)
{
	pg_world_start_closing_pool(world);
	while (!world->is_closed) {
		pg_world_turn(world);
	}
}

void pg_world_close(struct pg_world *world)
{
	if (!world->is_closed) {
		pg_world_close_pool(world);
	}
	delay_close(&world->limit, NULL);
	loop_run(&world->loop);
	loop_fini(&world->loop);
}

static void on_done(struct op *op)
{
	static unsigned order;
	struct pg_call *call = CONTAINER_OF(op, struct pg_call, transaction.op);

	assert_false(call->is_done);
	call->is_done = true;
	call->order = ++order;
}

void pg_call_init(struct pg_call *call, struct pg_scope scope)
{
	*call = (struct pg_call){ 0 };
	pg_transaction_init(&call->transaction, scope, on_done);
}

void pg_call_start(struct pg_call *call, struct pg_world *world, int64_t timeout_ms)
{
	pg_start(&call->transaction, world->pool, timeout_ms);
	assert_false(call->is_done);
}

enum err pg_call_wait(struct pg_call *call, struct pg_world *world)
{
	while (!call->is_done) {
		pg_world_turn(world);
	}
	return call->transaction.op.rc;
}

enum err pg_call_run(struct pg_call *call, struct pg_world *world)
{
	pg_call_start(call, world, LIMIT_MS);
	return pg_call_wait(call, world);
}
