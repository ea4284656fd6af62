// SPDX-License-Identifier: Apache-2.0
//
// Results that outlive their transaction, and what a worker keeps of them for each client.
#include "depbroker/text.h"
#include "loop/pg.h"
#include "support/cmocka_all.h"
#include "support/pg_world.h"
#include "support/postgres.h"
#include "worker/load_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_postgres *postgres;
static struct pg_world world;

static int open_world(void **state)
{
	(void)state;
	postgres = test_postgres_new();
	test_postgres_run(postgres, "create role depbroker_worker");
	pg_world_open(&world, (struct pg_pool_config){ .url = postgres->url, .application_name = "depbroker/test", .size = 1 });
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	pg_world_close(&world);
	test_postgres_free(postgres);
	return 0;
}

// Of about so many bytes.
static struct pg_kept *rows_of(size_t bytes)
{
	struct pg_kept *kept;
	struct pg_call call;

	pg_call_init(&call, pg_scope_directory("depbroker_worker"));
	(void)PG_ADD(&call.transaction, "select repeat('x', $1::int)", PG_V_INT4((int64_t)bytes));
	assert_int_equal(pg_call_run(&call, &world), OK);
	kept = pg_keep(&call.transaction, 0);
	pg_transaction_fini(&call.transaction);
	return kept;
}

static void put(struct load_cache *cache, int64_t tenant_id, size_t bytes)
{
	load_cache_put(cache, &(struct load_kept){ .tenant_id = tenant_id, .load_id = tenant_id + 1, .rows = rows_of(bytes) });
}

static void what_is_kept_reads_like_the_results_it_was_kept_from(void **state)
{
	struct pg_transaction read;
	struct pg_kept *kept;
	struct pg_call call;

	(void)state;
	pg_call_init(&call, pg_scope_directory("depbroker_worker"));
	(void)pg_add(&call.transaction, "select 1", NULL, 0);
	(void)pg_add(&call.transaction, "select n, case when n <> 2 then 'name ' || n end, '', n = 3 from generate_series(1, 3) n", NULL, 0);
	(void)pg_add(&call.transaction, "select 1 where false", NULL, 0);
	(void)pg_add(&call.transaction, "select null::text, '\\x00ff'::bytea, null::bigint", NULL, 0);
	assert_int_equal(pg_call_run(&call, &world), OK);
	kept = pg_keep(&call.transaction, 1);
	pg_transaction_fini(&call.transaction);
	read = pg_kept_read(kept);
	assert_int_equal(pg_row_count(&read, 0), 0); // before the first one that was to be kept
	assert_int_equal(pg_row_count(&read, 1), 3);
	assert_int_equal(pg_row_count(&read, 2), 0);
	assert_int_equal(pg_row_count(&read, 3), 1);
	assert_int_equal(pg_int8(&read, 1, 2, 0), 3);
	assert_string_equal(pg_text(&read, 1, 0, 1).bytes, "name 1");
	assert_true(pg_is_null(&read, 1, 1, 1));
	assert_true(text_equal(pg_text(&read, 1, 2, 1), TEXT("name 3")));
	assert_false(pg_is_null(&read, 1, 1, 2));
	assert_int_equal(pg_text(&read, 1, 1, 2).length, 0);
	assert_true(pg_bool(&read, 1, 2, 3));
	assert_true(pg_is_null(&read, 3, 0, 0));
	assert_true(text_equal(pg_text(&read, 3, 0, 1), TEXT("\\x00ff")));
	assert_int_equal(pg_int8(&read, 3, 0, 2), 0);
	pg_kept_free(kept);
}

static void each_client_has_its_own_and_the_newest(void **state)
{
	struct load_cache cache = { 0 };
	struct pg_transaction read;

	(void)state;
	assert_null(load_cache_look(&cache, 7));
	put(&cache, 7, 10);
	put(&cache, 8, 20);
	put(&cache, 7, 30);
	read = pg_kept_read(load_cache_look(&cache, 7)->rows);
	assert_int_equal(pg_text(&read, 0, 0, 0).length, 30);
	read = pg_kept_read(load_cache_look(&cache, 8)->rows);
	assert_int_equal(pg_text(&read, 0, 0, 0).length, 20);
	load_cache_drop(&cache, 7);
	assert_null(load_cache_look(&cache, 7));
	assert_non_null(load_cache_look(&cache, 8));
	load_cache_free(&cache);
	assert_null(load_cache_look(&cache, 8));
}

static void of_two_clients_with_one_place_the_later_one_has_it(void **state)
{
	struct load_cache cache = { 0 };

	(void)state;
	put(&cache, 3, 10);
	put(&cache, 3 + LOAD_CACHE_PLACES, 10);
	assert_null(load_cache_look(&cache, 3));
	load_cache_drop(&cache, 3); // which leaves the other one alone
	assert_int_equal(load_cache_look(&cache, 3 + LOAD_CACHE_PLACES)->load_id, 4 + LOAD_CACHE_PLACES);
	load_cache_free(&cache);
}

static void no_more_is_kept_than_it_may_be(void **state)
{
	enum { LARGE = 8 << 20, CLIENTS = 10 };
	struct load_cache cache = { 0 };
	size_t left = 0;

	(void)state;
	for (int64_t tenant_id = 1; tenant_id <= CLIENTS; tenant_id++) {
		put(&cache, tenant_id, LARGE);
		assert_true(cache.bytes <= LOAD_CACHE_BYTES);
		assert_non_null(load_cache_look(&cache, tenant_id));
	}
	for (int64_t tenant_id = 1; tenant_id <= CLIENTS; tenant_id++) {
		left += load_cache_look(&cache, tenant_id) != NULL;
	}
	assert_int_equal(left, LOAD_CACHE_BYTES / LARGE - 1); // each is a little more than its text
	load_cache_free(&cache);
	assert_int_equal(cache.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_reads_like_the_results_it_was_kept_from),
		cmocka_unit_test(each_client_has_its_own_and_the_newest),
		cmocka_unit_test(of_two_clients_with_one_place_the_later_one_has_it),
		cmocka_unit_test(no_more_is_kept_than_it_may_be),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
