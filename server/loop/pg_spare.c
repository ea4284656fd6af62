// SPDX-License-Identifier: Apache-2.0
//
// How many connections a pool keeps open. Each costs the server 5 to 15 MiB, and used in turns they are all used, however little
// there is to do. So a transaction that has waited for long opens another one, and a minute after the last was opened those beyond
// what is kept are closed.
#include "loop/pg_inner.h"

#include "depbroker/clock.h"

#define SPARE_AFTER_DEFAULT_MS 60000
#define LOOK_AGAIN_MS          1000
#define PATIENCE_MS            20 // about what connecting takes, with the caches that a new session has to fill

void pg_spare_init(struct pg_pool *pool, unsigned kept, int spare_after_ms)
{
	pool->kept = kept > 0 && kept < pool->size ? kept : pool->size;
	pool->spare_after_ms = spare_after_ms > 0 ? spare_after_ms : SPARE_AFTER_DEFAULT_MS;
	pool->spare_at_ms = INT64_MAX;
}

static unsigned open_count(const struct pg_pool *pool)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pool->size; i++) {
		count += pool->connections[i].state != PG_SPARE ? 1 : 0;
	}
	return count;
}

void pg_spare_note_waiting(struct pg_pool *pool)
{
	if (open_count(pool) < pool->size) {
		pg_pool_watch_deadline(pool, clock_monotonic_ms() + PATIENCE_MS);
	}
}

static void open_one(struct pg_pool *pool, int64_t now_ms)
{
	pool->spare_at_ms = now_ms + pool->spare_after_ms;
	for (unsigned i = 0; i < pool->size; i++) {
		if (pool->connections[i].state == PG_SPARE) {
			pg_connection_wake(&pool->connections[i]);
			return;
		}
	}
}

// One at a time, and none while the server is away: those that are open come back first.
static void open_for_the_waiting(struct pg_pool *pool, int64_t now_ms)
{
	const struct pg_inner *first;
	int64_t patient_until_ms;

	if (list_is_empty(&pool->waiting) || open_count(pool) == pool->size) {
		return;
	}
	first = LIST_FIRST(&pool->waiting, struct pg_inner, link);
	patient_until_ms = first->waiting_since_ms + PATIENCE_MS;
	if (patient_until_ms <= now_ms) {
		patient_until_ms = now_ms + PATIENCE_MS;
		if (pg_pool_is_connected(pool)) {
			open_one(pool, now_ms);
		}
	}
	pg_pool_watch_deadline(pool, patient_until_ms);
}

// Also when all are in use now and then: what is needed more often than that is opened again.
static void close_the_spare(struct pg_pool *pool, int64_t now_ms)
{
	if (pool->spare_at_ms <= now_ms) {
		while (open_count(pool) > pool->kept && !list_is_empty(&pool->free)) {
			pg_connection_spare(CONTAINER_OF(pool->free.previous, struct pg_connection, link)); // the one with the coldest caches
		}
		pool->spare_at_ms = open_count(pool) > pool->kept ? now_ms + LOOK_AGAIN_MS : INT64_MAX;
	}
	if (pool->spare_at_ms != INT64_MAX) {
		pg_pool_watch_deadline(pool, pool->spare_at_ms);
	}
}

void pg_spare_look(struct pg_pool *pool, int64_t now_ms)
{
	open_for_the_waiting(pool, now_ms);
	close_the_spare(pool, now_ms);
}
