// SPDX-License-Identifier: Apache-2.0
//
// Claims and takes of clients that somebody hinted at: never more than without a hint.
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>

static struct store_world world;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	beat(&world, "b");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

static int64_t fresh_tenant(void)
{
	static int number;
	char slug[32];

	(void)snprintf(slug, sizeof slug, "tenant-%d", ++number);
	return new_tenant(&world, slug);
}

__attribute__((format(printf, 1, 2))) static void change(const char *format, ...)
{
	char sql[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(sql, sizeof sql, format, arguments);
	va_end(arguments);
	test_postgres_run(world.postgres, sql);
}

static size_t take_due(int64_t tenant_id, const char *node_id)
{
	struct pg_call call;
	const unsigned statement = store_stream_take_due(begin(&call, store_worker(tenant_id)), tenant_id, text_of(node_id));
	struct stream_row row;
	size_t rows;

	run(&call, &world);
	rows = pg_row_count(&call.transaction, statement);
	if (rows == 1) {
		store_stream_read(&call.transaction, statement, 0, &row);
		assert_true(text_equal_string(row.owner, node_id));
		assert_true(row.epoch > 0);
	}
	end(&call);
	return rows;
}

static size_t claim(const char *node_id, const int64_t *tenant_ids, size_t count)
{
	struct pg_call call;
	size_t rows;

	store_due_claim_hinted(begin(&call, store_directory()), text_of(node_id), tenant_ids, count);
	store_commit_lazily(&call.transaction);
	run(&call, &world);
	rows = pg_row_count(&call.transaction, 0);
	end(&call);
	return rows;
}

static bool is_claimed_by(int64_t tenant_id, const char *node_id)
{
	char sql[160];

	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.sync_due where tenant_id = %lld and claimed_by = '%s' and due_at > now()",
		(long long)tenant_id, node_id);
	return ask_number(&world, sql) == 1;
}

static void what_is_due_is_claimed_and_taken_in_one(void **state)
{
	const int64_t tenant_id = fresh_tenant();

	(void)state;
	assert_int_equal(take_due(tenant_id, "a"), 1);
	assert_true(is_claimed_by(tenant_id, "a"));
	assert_int_equal(take_due(tenant_id, "a"), 0); // due again only later
	assert_int_equal(take_due(tenant_id, "b"), 0);
}

// Each of these is left as it was.
static void what_is_not_to_be_run_is_left_alone(void **state)
{
	static const char *const reasons[] = {
		"update depbroker.sync_due set due_at = now() + interval '1 hour' where tenant_id = %lld",
		"update depbroker.tenants set state = 'archived' where tenant_id = %lld",
		"update depbroker.tenants set state = 'deleting' where tenant_id = %lld",
		"update depbroker.sync_due set crashes = array[now()] where tenant_id = %lld",
		"update depbroker.sync_due set claimed_by = 'b' where tenant_id = %lld",
	};

	(void)state;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		const int64_t tenant_id = fresh_tenant();
		char sql[160];
		char *before, *after;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(sql, sizeof sql, reasons[i], (long long)tenant_id);
#pragma GCC diagnostic pop
		test_postgres_run(world.postgres, sql);
		before = rows_of_tenant(&world, tenant_id);
		assert_int_equal(take_due(tenant_id, "a"), 0);
		assert_int_equal(claim("a", &tenant_id, 1), 0);
		after = rows_of_tenant(&world, tenant_id);
		assert_string_equal(after, before);
		free(before);
		free(after);
	}
}

// Its token is watched, by a run that begins with a claim of its own.
static void a_paused_client_is_claimed_and_not_taken_at_once(void **state)
{
	const int64_t tenant_id = fresh_tenant();

	(void)state;
	change("update depbroker.tenants set state = 'paused' where tenant_id = %lld", (long long)tenant_id);
	assert_int_equal(take_due(tenant_id, "a"), 0);
	assert_int_equal(claim("a", &tenant_id, 1), 1);
}

static void a_living_owner_keeps_what_somebody_hints_at(void **state)
{
	const int64_t tenant_id = fresh_tenant();

	(void)state;
	(void)take(&world, tenant_id, "b");
	assert_int_equal(take_due(tenant_id, "a"), 0);
	change("update depbroker.sync_stream set owner = 'gone' where tenant_id = %lld", (long long)tenant_id);
	assert_int_equal(take_due(tenant_id, "a"), 1);
}

static void of_many_hints_those_that_are_due_are_claimed(void **state)
{
	const int64_t due = fresh_tenant(), later = fresh_tenant(), unhinted = fresh_tenant();
	const int64_t hinted[] = { due, later, 999999999 };

	(void)state;
	change("update depbroker.sync_due set due_at = now() + interval '1 hour' where tenant_id = %lld", (long long)later);
	assert_int_equal(claim("a", hinted, 3), 1);
	assert_true(is_claimed_by(due, "a"));
	assert_false(is_claimed_by(unhinted, "a"));
	assert_int_equal(claim("b", hinted, 3), 0);
}

// Nobody's number, or somebody's who may not be seen in this scope.
static void a_made_up_number_takes_nothing(void **state)
{
	(void)state;
	assert_int_equal(take_due(999999999, "a"), 0);
	assert_int_equal(take_due(INT64_MAX, "a"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_due_is_claimed_and_taken_in_one),
		cmocka_unit_test(what_is_not_to_be_run_is_left_alone),
		cmocka_unit_test(a_paused_client_is_claimed_and_not_taken_at_once),
		cmocka_unit_test(a_living_owner_keeps_what_somebody_hints_at),
		cmocka_unit_test(of_many_hints_those_that_are_due_are_claimed),
		cmocka_unit_test(a_made_up_number_takes_nothing),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
