// SPDX-License-Identifier: Apache-2.0
//
// pg_world.h - a loop with a pool of PostgreSQL connections, and transactions that a test waits for.
//
// Laws       waiting never sleeps: the loop runs until what is waited for is so, and the test fails when that takes too long
//
//   struct pg_world world;
//   pg_world_open(&world, (struct pg_pool_config){ .url = postgres->url });
//   struct pg_call call;
//   pg_call_init(&call, pg_scope_directory("depbroker_worker"));
//   PG_ADD(&call.transaction, "select $1::bigint", PG_V_INT8(1));
//   assert_int_equal(pg_call_run(&call, &world), OK);
//   pg_transaction_fini(&call.transaction);
//   pg_world_close(&world);
#pragma once

#include "loop/pg.h"

struct pg_world {
	struct loop loop;
	struct pg_pool *pool;
	struct delay limit; // how long anything may take
	bool is_closed;     // the pool
};

void pg_world_open(struct pg_world *world, struct pg_pool_config config); // pg_world_init and pg_world_open_pool
void pg_world_close(struct pg_world *world);                              // with the pool, when it is open
void pg_world_init(struct pg_world *world);
void pg_world_open_pool(struct pg_world *world, struct pg_pool_config config);
void pg_world_start_closing_pool(struct pg_world *world); // `is_closed` tells when it is
void pg_world_close_pool(struct pg_world *world);
// One round of the loop: `while (!something) pg_world_turn(&world);`
void pg_world_turn(struct pg_world *world);
void pg_world_wait_connected(struct pg_world *world, unsigned count); // until that many connections work and are free

struct pg_call {
	struct pg_transaction transaction;
	bool is_done;
	unsigned order; // the first that was done has 1, and so on
};

void pg_call_init(struct pg_call *call, struct pg_scope scope);
void pg_call_start(struct pg_call *call, struct pg_world *world, int64_t timeout_ms); // asserts that it is not done inside
enum err pg_call_wait(struct pg_call *call, struct pg_world *world);
enum err pg_call_run(struct pg_call *call, struct pg_world *world); // both, with a long time-out
