// SPDX-License-Identifier: Apache-2.0
//
// What workers do for several clients in one transaction: taking what they claim, and ending runs that found nothing.
#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 3 };

static struct store_world world;
static int64_t clients[CLIENTS];

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	beat(&world, "b");
	for (int i = 0; i < CLIENTS; i++) {
		char slug[32];

		(void)snprintf(slug, sizeof slug, "client-%d", i);
		clients[i] = new_tenant(&world, slug);
	}
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

// Due, nobody's, and without news.
static int set_back(void **state)
{
	(void)state;
	test_postgres_run(world.postgres, "delete from depbroker.run_news; update depbroker.sync_stream set owner = null;"
		" update depbroker.sync_due set due_at = now() - interval '1 minute', claimed_by = null, crashes = '{}', wake = 0");
	return 0;
}

// `sql` ends where the client is to be named.
static void change(const char *sql, int64_t tenant_id)
{
	char whole[300];

	(void)snprintf(whole, sizeof whole, "%s tenant_id = %lld", sql, (long long)tenant_id);
	test_postgres_run(world.postgres, whole);
}

static int64_t ask_of(const char *sql, int64_t tenant_id)
{
	char whole[300];

	(void)snprintf(whole, sizeof whole, "%s tenant_id = %lld", sql, (long long)tenant_id);
	return ask_number(&world, whole);
}

// Somebody whose transaction does not end.
static PGconn *lock(const char *table, int64_t tenant_id)
{
	PGconn *connection = PQconnectdb(world.postgres->url);
	char sql[200];
	PGresult *result;

	(void)snprintf(sql, sizeof sql, "begin; select from depbroker.%s where tenant_id = %lld for update", table, (long long)tenant_id);
	result = PQexec(connection, sql);
	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	PQclear(result);
	return connection;
}

// --- taking ---

struct taken {
	struct stream_fence fences[CLIENTS];
	size_t count;
	size_t claimed;
};

static void claim_and_take(struct taken *taken)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_directory());
	const unsigned claimed = store_due_claim(t, TEXT("a"), 10, true, (struct due_share){ 1, 0 });
	const unsigned at = store_stream_take_claimed(t, TEXT("a"));

	run(&call, &world);
	*taken = (struct taken){ .count = pg_row_count(t, at), .claimed = pg_row_count(t, claimed) };
	for (size_t i = 0; i < taken->count; i++) {
		struct stream_row row;

		store_stream_read(t, at, i, &row);
		assert_true(text_equal(row.owner, TEXT("a")) && row.now_us > 0 && row.run_pages == 0);
		taken->fences[i] = (struct stream_fence){ store_stream_taken_client(t, at, i), TEXT("a"), row.epoch, row.write_seq, row.event_seq,
			row.config_version };
	}
	end(&call);
}

static const struct stream_fence *fence_of(const struct taken *taken, int64_t tenant_id)
{
	for (size_t i = 0; i < taken->count; i++) {
		if (taken->fences[i].tenant_id == tenant_id) {
			return &taken->fences[i];
		}
	}
	return NULL;
}

static void what_is_claimed_is_taken_with_it(void **state)
{
	const int64_t epoch = ask_of("select epoch from depbroker.sync_stream where", clients[0]);
	struct taken taken;

	(void)state;
	claim_and_take(&taken);
	assert_int_equal(taken.claimed, CLIENTS);
	assert_int_equal(taken.count, CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		assert_non_null(fence_of(&taken, clients[i]));
	}
	assert_int_equal(fence_of(&taken, clients[0])->epoch, epoch + 1);
	assert_int_equal(ask_of("select epoch from depbroker.sync_stream where owner = 'a' and", clients[0]), epoch + 1);
}

static void only_the_first_is_left_out(void)
{
	struct taken taken;

	claim_and_take(&taken);
	assert_int_equal(taken.count, CLIENTS - 1);
	assert_null(fence_of(&taken, clients[0]));
}

static void a_client_with_news_is_left_to_its_run(void **state)
{
	(void)state;
	change("insert into depbroker.run_news select tenant_id from depbroker.tenants where", clients[0]);
	only_the_first_is_left_out();
	assert_int_equal(ask_of("select count(*) from depbroker.sync_stream where owner is null and", clients[0]), 1);
}

static void so_is_one_that_has_an_owner_even_the_same(void **state)
{
	static const char *const owners[] = { "a", "b", "nobody who is alive" };

	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
		char sql[120];

		(void)set_back(state);
		(void)snprintf(sql, sizeof sql, "update depbroker.sync_stream set owner = '%s' where", owners[i]);
		change(sql, clients[0]);
		only_the_first_is_left_out();
	}
}

static void so_is_a_suspect(void **state)
{
	(void)state;
	change("update depbroker.sync_due set crashes = array[now() - interval '2 hours'] where", clients[0]);
	only_the_first_is_left_out();
}

static void what_was_claimed_before_is_not_taken(void **state)
{
	struct taken taken;

	(void)state;
	change("update depbroker.sync_due set claimed_by = 'a', due_at = now() + interval '14 seconds' where", clients[0]);
	claim_and_take(&taken);
	assert_int_equal(taken.count, CLIENTS - 1);
	assert_null(fence_of(&taken, clients[0]));
}

static void nobody_waits_for_a_client_whose_stream_is_locked(void **state)
{
	PGconn *somebody = lock("sync_stream", clients[0]);

	(void)state;
	only_the_first_is_left_out();
	PQfinish(somebody);
}

// --- ending ---

static const struct stream_row next = {
	.cursor = { "moved on", 8 }, .sync = { .phase = SYNC_PHASE_CHANGES, .has_cursor = true, .cursor_at_us = 4 * SECOND_US },
	.sync_next_at_us = 7 * SECOND_US, .run_pages = 1, .run_started_at_us = INSTANT_NONE, .synced_at_us = 5 * SECOND_US,
};

static void end_runs(const struct taken *taken, bool ended[CLIENTS])
{
	struct quiet_end ends[CLIENTS];
	struct pg_call call;
	unsigned at;

	for (size_t i = 0; i < taken->count; i++) {
		ends[i] = (struct quiet_end){ .fence = taken->fences[i], .next = &next, .due_at_us = (int64_t)(9 + i) * SECOND_US, .tells_token = i == 0 };
		ended[i] = false;
	}
	at = store_streams_end_quietly(begin(&call, store_directory()), TEXT("a"), ends, taken->count);
	run(&call, &world);
	for (size_t row = 0; row < pg_row_count(&call.transaction, at); row++) {
		for (size_t i = 0; i < taken->count; i++) {
			ended[i] = ended[i] || taken->fences[i].tenant_id == store_stream_ended_client(&call.transaction, at, row);
		}
	}
	end(&call);
}

static void take_all(struct taken *taken)
{
	claim_and_take(taken);
	assert_int_equal(taken->count, CLIENTS);
}

static void runs_that_found_nothing_end_together(void **state)
{
	const int64_t load_id = ask_of("select load_id from depbroker.sync_stream where", clients[0]);
	struct taken taken;
	bool ended[CLIENTS];

	(void)state;
	take_all(&taken);
	test_postgres_run(world.postgres, "update depbroker.tenant_status set token_checked_at = null, token_word = 'before';"
		" delete from depbroker.run_news");
	end_runs(&taken, ended);
	for (int i = 0; i < CLIENTS; i++) {
		char sql[900];

		assert_true(ended[i]);
		(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.sync_stream s join depbroker.sync_due d using (tenant_id)"
			" join depbroker.tenant_status t using (tenant_id) where tenant_id = %lld and s.owner is null and s.write_seq = %lld and s.epoch = %lld"
			" and s.cursor = 'moved on' and extract(epoch from s.cursor_at) = 4 and extract(epoch from s.sync_next_at) = 7 and s.run_pages = 1"
			" and s.run_devices = 0 and extract(epoch from s.synced_at) = 5 and d.claimed_by is null and extract(epoch from d.due_at) = %d"
			" and extract(epoch from t.synced_at) = 5 and extract(epoch from t.sync_next_at) = 7 and (t.token_checked_at is not null) = %s"
			" and t.token_word = '%s'", (long long)taken.fences[i].tenant_id, (long long)taken.fences[i].write_seq + 1,
			(long long)taken.fences[i].epoch, 9 + i, i == 0 ? "true" : "false", i == 0 ? "" : "before");
		assert_int_equal(ask_number(&world, sql), 1);
	}
	assert_int_equal(ask_of("select load_id from depbroker.sync_stream where", clients[0]), load_id);
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.run_news"), 0);
}

static void expect_only_the_first_refused(const struct taken *taken, const char *why)
{
	char *before = rows_of_tenant(&world, taken->fences[0].tenant_id);
	char *after;
	bool ended[CLIENTS];

	end_runs(taken, ended);
	after = rows_of_tenant(&world, taken->fences[0].tenant_id);
	if (ended[0] || strcmp(before, after) != 0 || !ended[1] || !ended[2]) {
		fail_msg("%s: %d %d %d", why, ended[0], ended[1], ended[2]);
	}
	free(before);
	free(after);
}

static void one_whose_fence_does_not_hold_stays_and_the_others_end(void **state)
{
	static const char *const changes[] = { "epoch = epoch + 1", "write_seq = write_seq + 1", "event_seq = event_seq + 1",
		"config_version = config_version + 1", "owner = 'b'", "owner = null" };

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct taken taken;
		char sql[160];

		(void)set_back(state);
		take_all(&taken);
		(void)snprintf(sql, sizeof sql, "update depbroker.sync_stream set %s where", changes[i]);
		change(sql, taken.fences[0].tenant_id);
		expect_only_the_first_refused(&taken, changes[i]);
	}
}

static void one_that_is_locked_stays_and_nobody_waits_for_it(void **state)
{
	static const char *const tables[] = { "sync_stream", "sync_due" };

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct taken taken;
		PGconn *somebody;

		(void)set_back(state);
		take_all(&taken);
		somebody = lock(tables[i], taken.fences[0].tenant_id);
		expect_only_the_first_refused(&taken, tables[i]);
		PQfinish(somebody);
	}
}

static void a_wish_meanwhile_makes_the_client_due_at_once(void **state)
{
	struct taken taken;
	bool ended[CLIENTS];

	(void)state;
	take_all(&taken);
	change("update depbroker.sync_due set wake = 1 where", taken.fences[0].tenant_id);
	end_runs(&taken, ended);
	assert_true(ended[0]);
	assert_int_equal(ask_of("select count(*) from depbroker.sync_due where due_at between now() - interval '1 minute' and now() and",
		taken.fences[0].tenant_id), 1);
	assert_int_equal(ask_of("select extract(epoch from due_at)::bigint from depbroker.sync_due where", taken.fences[1].tenant_id), 10);
}

static void what_another_process_has_claimed_stays_its_own(void **state)
{
	struct taken taken;
	bool ended[CLIENTS];

	(void)state;
	take_all(&taken);
	change("update depbroker.sync_due set claimed_by = 'b' where", taken.fences[0].tenant_id);
	end_runs(&taken, ended);
	assert_true(ended[0]);
	assert_int_equal(ask_of("select count(*) from depbroker.sync_due where claimed_by = 'b' and due_at > now() and",
		taken.fences[0].tenant_id), 1);
}

// --- who may ---

static void only_the_directory_may_do_this_and_it_reads_no_stream_otherwise(void **state)
{
	const struct pg_scope others[] = { store_worker(clients[0]), store_api(clients[0]) };
	struct pg_call call;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct quiet_end quiet = { .fence = { .tenant_id = clients[0], .node_id = TEXT("a") }, .next = &next };

		(void)store_stream_take_claimed(begin(&call, others[i]), TEXT("a"));
		refuse(&call, &world, ERR_DATABASE);
		(void)store_streams_end_quietly(begin(&call, others[i]), TEXT("a"), &quiet, 1);
		refuse(&call, &world, ERR_DATABASE);
	}
	(void)store_stream_select(begin(&call, store_directory()), clients[0]);
	refuse(&call, &world, ERR_DATABASE);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup(test, set_back)
	const struct CMUnitTest tests[] = {
		FRESH(what_is_claimed_is_taken_with_it),
		FRESH(a_client_with_news_is_left_to_its_run),
		FRESH(so_is_one_that_has_an_owner_even_the_same),
		FRESH(so_is_a_suspect),
		FRESH(what_was_claimed_before_is_not_taken),
		FRESH(nobody_waits_for_a_client_whose_stream_is_locked),
		FRESH(runs_that_found_nothing_end_together),
		FRESH(one_whose_fence_does_not_hold_stays_and_the_others_end),
		FRESH(one_that_is_locked_stays_and_nobody_waits_for_it),
		FRESH(a_wish_meanwhile_makes_the_client_due_at_once),
		FRESH(what_another_process_has_claimed_stays_its_own),
		FRESH(only_the_directory_may_do_this_and_it_reads_no_stream_otherwise),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
