// SPDX-License-Identifier: Apache-2.0
//
// Transactions on a real PostgreSQL that stays well: values, scopes, errors, waiting, cancelling. test_pg_faults.c has the rest.
#include "loop/pg.h"

#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/pg_world.h"
#include "support/postgres.h"
#include "support/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLE "depbroker_worker"

static struct test_postgres *postgres;

static int start_postgres(void **state)
{
	(void)state;
	postgres = test_postgres_new();
	test_postgres_run(postgres, "create role depbroker_worker; create role depbroker_api; "
		"create table things (id bigint primary key, name text constraint things_name_not_empty check (name <> ''), "
		"other bigint constraint things_other_is_there references things deferrable initially deferred); "
		"grant all on things to depbroker_worker, depbroker_api");
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
	return (struct pg_pool_config){ .url = postgres->url, .application_name = "depbroker/test", .size = size };
}

static int64_t count_of_things(void)
{
	char *value = test_postgres_ask(postgres, "select count(*) from things");
	const int64_t count = strtoll(value, NULL, 10);

	free(value);
	return count;
}

static void call_directory(struct pg_call *call)
{
	pg_call_init(call, pg_scope_directory(ROLE));
}

#define RUN(call, world) assert_ok((call), pg_call_run((call), (world)))

static void assert_ok(const struct pg_call *call, enum err rc)
{
	if (rc != OK) {
		fail_msg("%s: %s", err_name(rc), call->transaction.op.fault.text);
	}
}

static void assert_text(struct pg_call *call, unsigned statement, size_t row, unsigned column, const char *expected)
{
	const struct text text = pg_text(&call->transaction, statement, row, column);

	assert_non_null(text.bytes);
	assert_string_equal(text.bytes, expected);
	assert_int_equal(text.length, strlen(expected));
}

// --- values ---

static void single_values_of_each_kind_come_back(void **state)
{
	static const char bytes[] = { 0, 1, '\'', '\\', (char)0xff, 0 };
	const int64_t instant = INT64_C(1790000000123456);
	struct buffer out CLEANUP(buffer_fini) = BUFFER(64);
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2, $3, $4, $5, $6, $7, $8, $9", PG_V_INT8(INT64_MIN), PG_V_INT4(INT32_MIN),
		PG_V_BOOL(true), PG_V_STRING("Grüße, 'O''Neill' \\ \"x\""),
		PG_V_BYTEA(((struct text){ bytes, sizeof bytes })), PG_V_INSTANT(instant),
		PG_V_JSONB(TEXT("{\"a\": [1, null]}")), PG_V_BOOL(false), PG_V_TEXT(TEXT("")));
	RUN(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 1);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 0), INT64_MIN);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 1), INT32_MIN);
	assert_true(pg_bool(&call.transaction, 0, 0, 2));
	assert_text(&call, 0, 0, 3, "Grüße, 'O''Neill' \\ \"x\"");
	assert_true(pg_bytes(&call.transaction, 0, 0, 4, &out));
	assert_int_equal(out.length, sizeof bytes);
	assert_memory_equal(out.bytes, bytes, sizeof bytes);
	assert_int_equal(pg_instant(&call.transaction, 0, 0, 5), instant);
	assert_text(&call, 0, 0, 6, "{\"a\": [1, null]}");
	assert_false(pg_bool(&call.transaction, 0, 0, 7));
	assert_text(&call, 0, 0, 8, "");
	assert_false(pg_is_null(&call.transaction, 0, 0, 8));
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void the_absence_of_a_value_comes_back_as_absence(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(64);
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2, $3, $4, $5::bigint, $6, pg_typeof($1), pg_typeof($5)",
		PG_V_TEXT(TEXT_NONE), PG_V_BYTEA(TEXT_NONE), PG_V_JSONB(TEXT_NONE), PG_V_INSTANT(INSTANT_NONE),
		((struct pg_value){ .kind = PG_NULL }),
		PG_V_STRING(NULL));
	RUN(&call, &world);
	for (unsigned column = 0; column < 6; column++) {
		assert_true(pg_is_null(&call.transaction, 0, 0, column));
	}
	assert_null(pg_text(&call.transaction, 0, 0, 0).bytes);
	assert_true(pg_bytes(&call.transaction, 0, 0, 1, &out));
	assert_int_equal(out.length, 0);
	assert_int_equal(pg_instant(&call.transaction, 0, 0, 3), INSTANT_NONE);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 4), 0);
	assert_false(pg_bool(&call.transaction, 0, 0, 4));
	assert_text(&call, 0, 0, 6, "text");
	assert_text(&call, 0, 0, 7, "bigint");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void arrays_of_each_kind_arrive(void **state)
{
	static const int64_t numbers[] = { 1, -2, INT32_MAX };
	static const int64_t flags[] = { 1, 0 };
	const int64_t instants[] = { 0, INSTANT_NONE, -1 };
	const struct text texts[] = { TEXT("a"), TEXT_NONE, TEXT(""), TEXT("NULL"), TEXT("{,\"}") };
	const struct text bytes[] = { { "\0\1", 2 }, TEXT_NONE };
	const struct text documents[] = { TEXT("{\"a\":1}"), TEXT("null"), TEXT_NONE };
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2, $3, $4, $5, $6, $7", PG_V_NUMBERS(PG_INT8_ARRAY, numbers, 3),
		PG_V_NUMBERS(PG_INT4_ARRAY, numbers, 3), PG_V_NUMBERS(PG_BOOL_ARRAY, flags, 2),
		PG_V_NUMBERS(PG_TIMESTAMPTZ_ARRAY, instants, 3), PG_V_TEXTS(PG_TEXT_ARRAY, texts, 5),
		PG_V_TEXTS(PG_BYTEA_ARRAY, bytes, 2),
		PG_V_TEXTS(PG_JSONB_ARRAY, documents, 3));
	// As unnest gives them, which is how statements will use them.
	PG_ADD(&call.transaction, "select * from unnest($1, $2) as u(n, t)", PG_V_NUMBERS(PG_INT8_ARRAY, numbers, 3),
		PG_V_TEXTS(PG_TEXT_ARRAY, texts, 3));
	RUN(&call, &world);
	assert_text(&call, 0, 0, 0, "{1,-2,2147483647}");
	assert_text(&call, 0, 0, 1, "{1,-2,2147483647}");
	assert_text(&call, 0, 0, 2, "{t,f}");
	assert_text(&call, 0, 0, 3, "{\"1970-01-01 00:00:00+00\",NULL,\"1969-12-31 23:59:59.999999+00\"}");
	assert_text(&call, 0, 0, 4, "{a,NULL,\"\",\"NULL\",\"{,\\\"}\"}");
	assert_text(&call, 0, 0, 5, "{\"\\\\x0001\",NULL}");
	assert_text(&call, 0, 0, 6, "{\"{\\\"a\\\": 1}\",\"null\",NULL}");
	assert_int_equal(pg_row_count(&call.transaction, 1), 3);
	assert_int_equal(pg_int8(&call.transaction, 1, 1, 0), -2);
	assert_true(pg_is_null(&call.transaction, 1, 1, 1));
	assert_text(&call, 1, 2, 1, "");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void empty_arrays_are_empty_and_not_absent(void **state)
{
	static const struct { enum pg_kind kind; const char *type; } kinds[] = {
		{ PG_INT8_ARRAY, "bigint[]" }, { PG_INT4_ARRAY, "integer[]" }, { PG_BOOL_ARRAY, "boolean[]" },
		{ PG_TEXT_ARRAY, "text[]" }, { PG_BYTEA_ARRAY, "bytea[]" },
		{ PG_TIMESTAMPTZ_ARRAY, "timestamp with time zone[]" }, { PG_JSONB_ARRAY, "jsonb[]" },
	};
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		PG_ADD(&call.transaction, "select $1, pg_typeof($1), cardinality($1)", { .kind = kinds[i].kind });
	}
	RUN(&call, &world);
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		assert_text(&call, i, 0, 0, "{}");
		assert_text(&call, i, 0, 1, kinds[i].type);
		assert_int_equal(pg_int8(&call.transaction, i, 0, 2), 0);
	}
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void values_are_copied_when_they_are_added(void **state)
{
	char text[] = "before";
	int64_t number[] = { 1 };
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2", PG_V_STRING(text), PG_V_NUMBERS(PG_INT8_ARRAY, number, 1));
	memcpy(text, "after!", sizeof text);
	number[0] = 2;
	RUN(&call, &world);
	assert_text(&call, 0, 0, 0, "before");
	assert_text(&call, 0, 0, 1, "{1}");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void numbers_that_do_not_fit_are_refused_and_never_cut(void **state)
{
	static const int64_t numbers[] = { 0, INT64_C(1) << 31 };
	const struct pg_value values[] = { PG_V_INT4(INT64_C(1) << 31), PG_V_INT4(INT64_C(-1) - INT32_MAX - 1),
		PG_V_NUMBERS(PG_INT4_ARRAY, numbers, 2), PG_V_INSTANT(INT64_MIN + 1) };
	struct pg_world world;

	(void)state;
	pg_world_open(&world, config_of(1));
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct pg_call call;

		call_directory(&call);
		(void)pg_add(&call.transaction, "insert into things (id) values (1)", NULL, 0);
		(void)pg_add(&call.transaction, "select $1", &values[i], 1);
		assert_int_equal(pg_call_run(&call, &world), ERR_BAD_INPUT);
		assert_non_null(strstr(call.transaction.op.fault.text, "statement 1: value 1"));
		pg_transaction_fini(&call.transaction);
	}
	assert_int_equal(count_of_things(), 0);
	pg_world_close(&world);
}

static void instants_are_the_same_whatever_the_server_prefers(void **state)
{
	struct pg_world world;
	struct pg_call call;
	char *url = test_postgres_url(postgres, "odd", "postgres");
	const int64_t instant = INT64_C(1790000000000001);

	(void)state;
	test_postgres_run(postgres, "create role odd login; grant depbroker_worker to odd; "
		"alter role odd set timezone = 'Asia/Kolkata'; alter role odd set datestyle = 'German'; alter role odd set bytea_output = 'escape'");
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2", PG_V_INSTANT(instant), PG_V_BYTEA(TEXT("\\")));
	RUN(&call, &world);
	assert_int_equal(pg_instant(&call.transaction, 0, 0, 0), instant);
	assert_text(&call, 0, 0, 1, "\\x5c");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
	free(url);
}

static void bytes_that_do_not_fit_into_the_buffer_are_refused(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(3);
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "select $1, $2", PG_V_BYTEA(TEXT("abcd")), PG_V_BYTEA(TEXT("abc")));
	RUN(&call, &world);
	assert_false(pg_bytes(&call.transaction, 0, 0, 0, &out));
	buffer_clear(&out);
	assert_true(pg_bytes(&call.transaction, 0, 0, 1, &out));
	assert_string_equal(out.bytes, "abc");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

// --- one round trip, all or nothing ---

static void a_transaction_is_one_round_trip(void **state)
{
	struct pg_world world;
	struct pg_call call;
	struct proxy proxy;
	char url[128];

	(void)state;
	pg_world_init(&world);
	proxy_open(&proxy, &world.loop, postgres);
	(void)snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable", proxy.port);
	pg_world_open_pool(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	pg_world_wait_connected(&world, 1);
	proxy.round_trips = 0;
	call_directory(&call);
	for (int64_t i = 0; i < PG_STATEMENTS_MAX; i++) {
		PG_ADD(&call.transaction, "insert into things (id) values ($1)", PG_V_INT8(i));
	}
	RUN(&call, &world);
	assert_int_equal(proxy.round_trips, 1);
	assert_int_equal(count_of_things(), PG_STATEMENTS_MAX);
	pg_transaction_fini(&call.transaction);
	pg_world_close_pool(&world);
	proxy_close(&proxy);
	pg_world_close(&world);
}

static void rows_that_were_changed_are_counted(void **state)
{
	static const int64_t ids[] = { 1, 2, 3 };
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	PG_ADD(&call.transaction, "insert into things (id) select unnest($1)", PG_V_NUMBERS(PG_INT8_ARRAY, ids, 3));
	PG_ADD(&call.transaction, "update things set name = 'x' where id > $1 returning id", PG_V_INT8(1));
	PG_ADD(&call.transaction, "select id from things where id > $1 order by id desc", PG_V_INT8(0));
	PG_ADD(&call.transaction, "select id from things where id > $1", PG_V_INT8(100));
	RUN(&call, &world);
	assert_int_equal(pg_affected(&call.transaction, 0), 3);
	assert_int_equal(pg_row_count(&call.transaction, 0), 0);
	assert_int_equal(pg_affected(&call.transaction, 1), 2);
	assert_int_equal(pg_row_count(&call.transaction, 1), 2);
	assert_int_equal(pg_int8(&call.transaction, 2, 0, 0), 3);
	assert_int_equal(pg_int8(&call.transaction, 2, 2, 0), 1);
	assert_int_equal(pg_row_count(&call.transaction, 3), 0);
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void an_error_rolls_the_whole_back_and_the_connection_goes_on(void **state)
{
	struct pg_world world;

	(void)state;
	pg_world_open(&world, config_of(1));
	for (unsigned bad = 0; bad < 3; bad++) { // the first, the middle, the last statement
		struct pg_call call;

		call_directory(&call);
		for (unsigned i = 0; i < 3; i++) {
			PG_ADD(&call.transaction, i == bad ? "select 1 / ($1 - $1)" : "insert into things (id) values ($1)",
				PG_V_INT8(i));
		}
		assert_int_equal(pg_call_run(&call, &world), ERR_BAD_INPUT);
		assert_string_equal(call.transaction.sqlstate, "22012");
		pg_transaction_fini(&call.transaction);
		assert_int_equal(count_of_things(), 0);
	}
	pg_world_wait_connected(&world, 1);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	assert_int_equal(pg_pool_counters(world.pool).failed, 3);
	pg_world_close(&world);
}

static void a_failed_transaction_does_not_harm_those_behind_it(void **state)
{
	struct pg_world world;
	struct pg_call calls[3];

	(void)state;
	pg_world_open(&world, config_of(1));
	for (unsigned i = 0; i < 3; i++) {
		call_directory(&calls[i]);
		PG_ADD(&calls[i].transaction, "insert into things (id) values ($1)", PG_V_INT8(i));
		if (i == 1) {
			PG_ADD(&calls[i].transaction, "select 1 / ($1 - $1)", PG_V_INT8(i));
		}
		pg_call_start(&calls[i], &world, 10000);
	}
	assert_int_equal(pg_call_wait(&calls[0], &world), OK);
	assert_int_equal(pg_call_wait(&calls[1], &world), ERR_BAD_INPUT);
	assert_int_equal(pg_call_wait(&calls[2], &world), OK);
	assert_true(calls[0].order < calls[1].order && calls[1].order < calls[2].order); // first come, first served
	assert_int_equal(count_of_things(), 2);
	for (unsigned i = 0; i < 3; i++) {
		pg_transaction_fini(&calls[i].transaction);
	}
	pg_world_close(&world);
}

static void a_transaction_without_statements_is_a_sign_of_life(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	RUN(&call, &world);
	pg_transaction_fini(&call.transaction);
	call_directory(&call); // and one that is never started
	PG_ADD(&call.transaction, "select $1", PG_V_STRING("x"));
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

// --- scopes ---

static void the_scope_says_whose_rows_and_as_whom(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_call_init(&call, pg_scope_tenant("depbroker_api", INT64_MAX));
	(void)pg_add(&call.transaction, "select current_setting('depbroker.tenant')::bigint, current_user, session_user",
		NULL, 0);
	RUN(&call, &world);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 0), INT64_MAX);
	assert_text(&call, 0, 0, 1, "depbroker_api");
	assert_text(&call, 0, 0, 2, "postgres");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void reading_the_tenant_is_an_error_in(struct pg_world *world)
{
	struct pg_call call;

	call_directory(&call);
	(void)pg_add(&call.transaction, "select current_setting('depbroker.tenant')::bigint", NULL, 0);
	assert_int_equal(pg_call_run(&call, world), ERR_BAD_INPUT);
	assert_string_equal(call.transaction.sqlstate, "22P02");
	pg_transaction_fini(&call.transaction);
}

static void nothing_of_a_transaction_reaches_the_next_on_its_connection(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	reading_the_tenant_is_an_error_in(&world); // never set before
	pg_call_init(&call, pg_scope_tenant("depbroker_api", 7));
	(void)pg_add(&call.transaction, "select set_config('work_mem', '123kB', true)", NULL, 0);
	RUN(&call, &world);
	pg_transaction_fini(&call.transaction);
	reading_the_tenant_is_an_error_in(&world); // left over
	call_directory(&call);
	(void)pg_add(&call.transaction, "select current_user, current_setting('work_mem'), "
		"current_setting('statement_timeout')", NULL, 0);
	RUN(&call, &world);
	assert_text(&call, 0, 0, 0, ROLE);
	assert_text(&call, 0, 0, 1, "4MB");
	assert_text(&call, 0, 0, 2, "10s");
	pg_transaction_fini(&call.transaction);
	// The same after one that failed.
	pg_call_init(&call, pg_scope_tenant("depbroker_api", 7));
	(void)pg_add(&call.transaction, "select 1/0", NULL, 0);
	assert_int_equal(pg_call_run(&call, &world), ERR_BAD_INPUT);
	pg_transaction_fini(&call.transaction);
	reading_the_tenant_is_an_error_in(&world);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0); // it was one connection all the time
	pg_world_close(&world);
}

static void a_tenant_that_the_role_prefers_is_not_the_directorys(void **state)
{
	struct pg_world world;
	char *url = test_postgres_url(postgres, "careless", "postgres");

	(void)state;
	test_postgres_run(postgres, "create role careless login; grant depbroker_worker to careless; "
		"alter role careless set depbroker.tenant = '42'");
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	reading_the_tenant_is_an_error_in(&world);
	pg_world_close(&world);
	free(url);
}

static void a_role_that_may_not_be_taken_is_an_error_of_ours(void **state)
{
	static const char *const roles[] = { "postgres", "nobody_of_that_name" };
	struct pg_world world;
	char *url = test_postgres_url(postgres, "limited", "postgres");

	(void)state;
	test_postgres_run(postgres, "create role limited login; grant depbroker_worker to limited");
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		struct pg_call call;

		pg_call_init(&call, pg_scope_directory(roles[i]));
		(void)pg_add(&call.transaction, "select 1", NULL, 0);
		assert_int_equal(pg_call_run(&call, &world), ERR_DATABASE);
		assert_non_null(strstr(call.transaction.op.fault.text, "before the statements"));
		pg_transaction_fini(&call.transaction);
	}
	pg_world_close(&world);
	free(url);
}

// --- errors ---

static void each_sqlstate_has_its_meaning(void **state)
{
	static const struct {
		const char *sql;
		enum err code;
		const char *sqlstate;
		const char *constraint;
	} cases[] = {
		{ "insert into things (id) values (1), (1)", ERR_CONFLICT, "23505", "things_pkey" },
		{ "insert into things (id, name) values (1, '')", ERR_BAD_INPUT, "23514", "things_name_not_empty" },
		{ "insert into things (id) values (null)", ERR_BAD_INPUT, "23502", "" },
		// deferred, and so an error of the commit:
		{ "insert into things (id, other) values (1, 2)", ERR_BAD_INPUT, "23503", "things_other_is_there" },
		{ "select 'x'::text::bigint", ERR_BAD_INPUT, "22P02", "" },
		{ "do $$ begin raise exception 'stale' using errcode = 'DB001'; end $$", ERR_FENCED, "DB001", "" },
		{ "do $$ begin raise exception 'again' using errcode = '40001'; end $$", ERR_UNAVAILABLE, "40001", "" },
		{ "do $$ begin raise exception 'again' using errcode = '40P01'; end $$", ERR_UNAVAILABLE, "40P01", "" },
		{ "do $$ begin raise exception 'x' using errcode = '23P01', constraint = 'c'; end $$", ERR_CONFLICT, "23P01", "c" },
		{ "do $$ begin raise exception 'mine'; end $$", ERR_DATABASE, "P0001", "" },
		{ "selec 1", ERR_DATABASE, "42601", "" },
		{ "select nothing from nowhere", ERR_DATABASE, "42P01", "" },
		{ "create table t (a int)", ERR_DATABASE, "42501", "" },
	};
	struct pg_world world;

	(void)state;
	pg_world_open(&world, config_of(1));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pg_call call;

		call_directory(&call);
		(void)pg_add(&call.transaction, cases[i].sql, NULL, 0);
		assert_string_equal(err_name(pg_call_run(&call, &world)), err_name(cases[i].code));
		assert_string_equal(call.transaction.sqlstate, cases[i].sqlstate);
		assert_string_equal(call.transaction.constraint, cases[i].constraint);
		assert_non_null(strstr(call.transaction.op.fault.text, cases[i].sqlstate));
		pg_transaction_fini(&call.transaction);
	}
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	assert_int_equal(count_of_things(), 0);
	pg_world_close(&world);
}

static void no_fault_tells_a_value(void **state)
{
	static const char *const statements[] = {
		"select $1::bigint", "select $1::jsonb", "insert into canary (secret) values ($1), ($1)",
		"select to_timestamp($1, 'YYYY')",
		"insert into canary (secret, checked) values ($1, $1)", "select $1::timestamptz", "select ('{' || $1)::int[]",
	};
	struct pg_world world;

	(void)state;
	test_postgres_run(postgres, "create table canary (secret text unique, checked text check (checked = 'y')); "
		"grant all on canary to depbroker_worker");
	pg_world_open(&world, config_of(1));
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		struct pg_call call;

		call_directory(&call);
		PG_ADD(&call.transaction, statements[i], PG_V_STRING("tweety"));
		assert_int_not_equal(pg_call_run(&call, &world), OK);
		assert_int_equal(strlen(call.transaction.sqlstate), 5);
		assert_null(strstr(call.transaction.op.fault.text, "tweety"));
		pg_transaction_fini(&call.transaction);
	}
	pg_world_close(&world);
}

// --- time ---

static void a_statement_that_takes_too_long_is_ended_by_the_server(void **state)
{
	struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct pg_call call;

	(void)state;
	config.statement_timeout_ms = 50;
	pg_world_open(&world, config);
	call_directory(&call);
	(void)pg_add(&call.transaction, "insert into things (id) values (1)", NULL, 0);
	(void)pg_add(&call.transaction, "select pg_sleep(30)", NULL, 0);
	assert_int_equal(pg_call_run(&call, &world), ERR_TIMEOUT);
	assert_string_equal(call.transaction.sqlstate, "57014");
	pg_transaction_fini(&call.transaction);
	call_directory(&call);
	RUN(&call, &world);
	pg_transaction_fini(&call.transaction);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	assert_int_equal(count_of_things(), 0);
	pg_world_close(&world);
}

static void a_short_deadline_shortens_the_servers_time_so_that_the_end_is_known(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_directory(&call);
	(void)pg_add(&call.transaction, "select pg_sleep(30)", NULL, 0);
	pg_call_start(&call, &world, 2000);
	assert_int_equal(pg_call_wait(&call, &world), ERR_TIMEOUT);
	assert_string_equal(call.transaction.sqlstate, "57014");
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
}

static void the_deadline_counts_waiting(void **state)
{
	struct pg_world world;
	struct pg_call busy;
	struct pg_call late;
	struct pg_call patient;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_directory(&busy);
	(void)pg_add(&busy.transaction, "select pg_sleep(0.3)", NULL, 0);
	pg_call_start(&busy, &world, 10000);
	call_directory(&patient);
	pg_call_start(&patient, &world, 10000);
	call_directory(&late);
	(void)pg_add(&late.transaction, "insert into things (id) values (1)", NULL, 0);
	pg_call_start(&late, &world, 20);
	assert_int_equal(pg_pool_counters(world.pool).waiting, 2);
	assert_int_equal(pg_call_wait(&late, &world), ERR_TIMEOUT);
	assert_false(busy.is_done);
	assert_int_equal(pg_pool_counters(world.pool).waiting, 1);
	assert_int_equal(pg_call_wait(&busy, &world), OK);
	assert_int_equal(pg_call_wait(&patient, &world), OK);
	assert_int_equal(count_of_things(), 0);
	pg_transaction_fini(&busy.transaction);
	pg_transaction_fini(&late.transaction);
	pg_transaction_fini(&patient.transaction);
	pg_world_close(&world);
}

static void when_too_many_wait_the_next_is_refused(void **state)
{
	struct pg_pool_config config = config_of(1);
	struct pg_world world;
	struct pg_call calls[4];

	(void)state;
	config.waiting_limit = 2;
	pg_world_open(&world, config);
	pg_world_wait_connected(&world, 1);
	for (unsigned i = 0; i < 4; i++) { // one is served, two wait, one is too many
		call_directory(&calls[i]);
		(void)pg_add(&calls[i].transaction, "select pg_sleep(0.05)", NULL, 0);
		pg_call_start(&calls[i], &world, 10000);
	}
	assert_int_equal(pg_call_wait(&calls[3], &world), ERR_UNAVAILABLE);
	assert_false(calls[0].is_done);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pg_call_wait(&calls[i], &world), OK);
	}
	for (unsigned i = 0; i < 4; i++) {
		pg_transaction_fini(&calls[i].transaction);
	}
	pg_world_close(&world);
}

// --- cancelling ---

static void a_waiting_transaction_is_cancelled_without_being_sent(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	pg_cancel(&call.transaction); // not started: nothing happens
	(void)pg_add(&call.transaction, "insert into things (id) values (1)", NULL, 0);
	pg_call_start(&call, &world, 10000); // nothing is connected yet
	pg_cancel(&call.transaction);
	assert_false(call.is_done);
	pg_cancel(&call.transaction); // twice is once
	assert_int_equal(pg_call_wait(&call, &world), ERR_CANCELLED);
	pg_cancel(&call.transaction); // done: nothing happens
	pg_transaction_fini(&call.transaction);
	pg_world_wait_connected(&world, 1);
	assert_int_equal(pg_pool_counters(world.pool).waiting, 0);
	assert_int_equal(count_of_things(), 0);
	pg_world_close(&world);
}

static void a_sent_transaction_is_cancelled_at_once_and_its_connection_stays(void **state)
{
	struct pg_world world;
	struct pg_call call;
	struct pg_call next;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_directory(&call);
	(void)pg_add(&call.transaction, "select pg_sleep(0.2)", NULL, 0);
	pg_call_start(&call, &world, 10000);
	call_directory(&next);
	(void)pg_add(&next.transaction, "select 42", NULL, 0);
	pg_call_start(&next, &world, 10000);
	pg_cancel(&call.transaction);
	assert_false(call.is_done);
	assert_int_equal(pg_call_wait(&call, &world), ERR_CANCELLED);
	assert_false(next.is_done);
	pg_transaction_fini(&call.transaction); // its memory is gone while its answers are still to come
	assert_int_equal(pg_call_wait(&next, &world), OK);
	assert_int_equal(pg_int8(&next.transaction, 0, 0, 0), 42); // and not an answer of the other one
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	pg_transaction_fini(&next.transaction);
	pg_world_close(&world);
}

static void a_failing_transaction_may_be_cancelled_too(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	pg_world_wait_connected(&world, 1);
	call_directory(&call);
	(void)pg_add(&call.transaction, "select 1/0", NULL, 0);
	pg_call_start(&call, &world, 10000);
	pg_cancel(&call.transaction);
	assert_int_equal(pg_call_wait(&call, &world), ERR_CANCELLED);
	pg_transaction_fini(&call.transaction);
	call_directory(&call);
	RUN(&call, &world);
	pg_transaction_fini(&call.transaction);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	pg_world_close(&world);
}

// --- much ---

static void large_values_in_both_directions_do_not_block_each_other(void **state)
{
	const size_t length = (size_t)1024 * 1024;
	char *large = allocate(length);
	struct pg_world world;
	struct pg_call call;

	(void)state;
	memset(large, 'x', length);
	pg_world_open(&world, config_of(1));
	call_directory(&call);
	for (unsigned i = 0; i < PG_STATEMENTS_MAX; i++) {
		large[0] = (char)('A' + i);
		PG_ADD(&call.transaction, "select $1, $1", PG_V_TEXT(((struct text){ large, length })));
	}
	RUN(&call, &world);
	for (unsigned i = 0; i < PG_STATEMENTS_MAX; i++) {
		const struct text text = pg_text(&call.transaction, i, 0, 1);

		large[0] = (char)('A' + i);
		assert_int_equal(text.length, length);
		assert_memory_equal(text.bytes, large, length);
	}
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
	free(large);
}

// --- statements by name ---

static const char names_there[] = "select count(*) from pg_prepared_statements where name like 'depbroker_%'";

static int64_t count_of_names(struct pg_world *world)
{
	struct pg_call call;
	int64_t count;

	call_directory(&call);
	(void)pg_add(&call.transaction, names_there, NULL, 0);
	RUN(&call, world);
	count = pg_int8(&call.transaction, 0, 0, 0);
	pg_transaction_fini(&call.transaction);
	return count;
}

static void insert_thing(struct pg_world *world, int64_t id)
{
	struct pg_call call;

	call_directory(&call);
	PG_ADD(&call.transaction, "insert into things (id) values ($1)", PG_V_INT8(id));
	RUN(&call, world);
	pg_transaction_fini(&call.transaction);
}

static void a_statement_gets_its_name_with_the_third_use(void **state)
{
	struct pg_world world;

	(void)state;
	pg_world_open(&world, config_of(1));
	insert_thing(&world, 1);
	insert_thing(&world, 2);
	assert_int_equal(count_of_names(&world), 2); // the third transaction: begin, the settings, and then commit
	insert_thing(&world, 3);
	insert_thing(&world, 4);
	assert_int_equal(count_of_names(&world), 4);
	assert_int_equal(count_of_things(), 4);
	pg_world_close(&world);
}

// As behind a pooler. The transaction that finds it out is made once, and those after it without names.
static void a_server_that_forgets_names_is_told_whole_statements(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	for (int64_t i = 0; i < 5; i++) {
		insert_thing(&world, i);
	}
	call_directory(&call);
	PG_ADD(&call.transaction, "insert into things (id) values ($1)", PG_V_INT8(5));
	(void)pg_add(&call.transaction, "deallocate all", NULL, 0); // so COMMIT has lost its name
	RUN(&call, &world);
	assert_string_equal(call.transaction.sqlstate, "");
	pg_transaction_fini(&call.transaction);
	assert_int_equal(count_of_things(), 6);
	for (int64_t i = 6; i < 10; i++) {
		insert_thing(&world, i);
	}
	assert_int_equal(count_of_names(&world), 0);
	assert_int_equal(count_of_things(), 10);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	assert_int_equal(pg_pool_counters(world.pool).failed, 0);
	pg_world_close(&world);
}

// The error comes before the name is given, so the name must be given again.
static void what_an_error_kept_from_being_prepared_is_prepared_later(void **state)
{
	struct pg_world world;
	struct pg_call call;

	(void)state;
	pg_world_open(&world, config_of(1));
	insert_thing(&world, 1);
	insert_thing(&world, 2);
	call_directory(&call);
	(void)pg_add(&call.transaction, "select 1/0", NULL, 0);
	PG_ADD(&call.transaction, "insert into things (id) values ($1)", PG_V_INT8(3));
	assert_int_equal(pg_call_run(&call, &world), ERR_BAD_INPUT);
	pg_transaction_fini(&call.transaction);
	insert_thing(&world, 3);
	insert_thing(&world, 4);
	assert_int_equal(count_of_things(), 4);
	assert_int_equal(count_of_names(&world), 4);
	pg_world_close(&world);
}

static void ten_thousand_transactions_leave_no_descriptor_and_only_their_statements(void **state)
{
	enum { ALL = 10000, AT_ONCE = 50 };
	struct pg_world world;
	struct pg_call calls[AT_ONCE];
	size_t descriptors;

	(void)state;
	pg_world_open(&world, config_of(4));
	pg_world_wait_connected(&world, 4);
	descriptors = count_open_descriptors();
	for (unsigned round = 0; round < ALL / AT_ONCE; round++) {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			pg_call_init(&calls[i], pg_scope_tenant(ROLE, round * AT_ONCE + i + 1));
			PG_ADD(&calls[i].transaction, "select $1, current_setting('depbroker.tenant')", PG_V_INT8(i));
			pg_call_start(&calls[i], &world, 60000);
		}
		for (unsigned i = 0; i < AT_ONCE; i++) {
			assert_int_equal(pg_call_wait(&calls[i], &world), OK);
			assert_int_equal(pg_int8(&calls[i].transaction, 0, 0, 0), i);
			assert_int_equal(pg_int8(&calls[i].transaction, 0, 0, 1), round * AT_ONCE + i + 1);
			pg_transaction_fini(&calls[i].transaction);
		}
	}
	pg_world_wait_connected(&world, 4);
	assert_int_equal(count_open_descriptors(), descriptors);
	assert_int_equal(pg_pool_counters(world.pool).transactions, ALL);
	assert_int_equal(pg_pool_counters(world.pool).failed, 0);
	call_directory(&calls[0]);
	(void)pg_add(&calls[0].transaction, names_there, NULL, 0);
	RUN(&calls[0], &world);
	assert_int_equal(pg_int8(&calls[0].transaction, 0, 0, 0), 4); // begin, the settings, the statement, commit
	pg_transaction_fini(&calls[0].transaction);
	pg_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_values_of_each_kind_come_back),
		cmocka_unit_test(the_absence_of_a_value_comes_back_as_absence),
		cmocka_unit_test(arrays_of_each_kind_arrive),
		cmocka_unit_test(empty_arrays_are_empty_and_not_absent),
		cmocka_unit_test(values_are_copied_when_they_are_added),
		cmocka_unit_test_setup(numbers_that_do_not_fit_are_refused_and_never_cut, empty_things),
		cmocka_unit_test(instants_are_the_same_whatever_the_server_prefers),
		cmocka_unit_test(bytes_that_do_not_fit_into_the_buffer_are_refused),
		cmocka_unit_test_setup(a_transaction_is_one_round_trip, empty_things),
		cmocka_unit_test_setup(rows_that_were_changed_are_counted, empty_things),
		cmocka_unit_test_setup(an_error_rolls_the_whole_back_and_the_connection_goes_on, empty_things),
		cmocka_unit_test_setup(a_failed_transaction_does_not_harm_those_behind_it, empty_things),
		cmocka_unit_test(a_transaction_without_statements_is_a_sign_of_life),
		cmocka_unit_test(the_scope_says_whose_rows_and_as_whom),
		cmocka_unit_test(nothing_of_a_transaction_reaches_the_next_on_its_connection),
		cmocka_unit_test(a_tenant_that_the_role_prefers_is_not_the_directorys),
		cmocka_unit_test(a_role_that_may_not_be_taken_is_an_error_of_ours),
		cmocka_unit_test_setup(each_sqlstate_has_its_meaning, empty_things),
		cmocka_unit_test(no_fault_tells_a_value),
		cmocka_unit_test_setup(a_statement_that_takes_too_long_is_ended_by_the_server, empty_things),
		cmocka_unit_test(a_short_deadline_shortens_the_servers_time_so_that_the_end_is_known),
		cmocka_unit_test_setup(the_deadline_counts_waiting, empty_things),
		cmocka_unit_test(when_too_many_wait_the_next_is_refused),
		cmocka_unit_test_setup(a_waiting_transaction_is_cancelled_without_being_sent, empty_things),
		cmocka_unit_test(a_sent_transaction_is_cancelled_at_once_and_its_connection_stays),
		cmocka_unit_test(a_failing_transaction_may_be_cancelled_too),
		cmocka_unit_test(large_values_in_both_directions_do_not_block_each_other),
		cmocka_unit_test_setup(a_statement_gets_its_name_with_the_third_use, empty_things),
		cmocka_unit_test_setup(a_server_that_forgets_names_is_told_whole_statements, empty_things),
		cmocka_unit_test_setup(what_an_error_kept_from_being_prepared_is_prepared_later, empty_things),
		cmocka_unit_test(ten_thousand_transactions_leave_no_descriptor_and_only_their_statements),
	};

	return cmocka_run_group_tests_name("pg", tests, start_postgres, stop_postgres);
}
