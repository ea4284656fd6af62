// SPDX-License-Identifier: Apache-2.0
//
// Migrations on a real PostgreSQL, several at once, and the linter against planted breaches.
#include "store/migrate.h"

#include "depbroker/log.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store_world world; // migrated

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

// --- migrations ---

extern const size_t migrations_count;

enum { PROCESSES = 4, ROUNDS = 4 };

struct process { // as far as the database can tell
	struct migration migration;
	struct pg_pool *pool;
	bool is_done;
	bool is_closed;
};

static void on_migrated(struct op *op)
{
	CONTAINER_OF(CONTAINER_OF(op, struct migration, op), struct process, migration)->is_done = true;
}

static void on_closed(void *argument)
{
	((struct process *)argument)->is_closed = true;
}

static bool all(const struct process *processes, size_t offset)
{
	for (size_t i = 0; i < PROCESSES; i++) {
		if (!((const bool *)(const void *)((const char *)&processes[i] + offset))[0]) {
			return false;
		}
	}
	return true;
}

static void migrate_at_once(struct process *processes, const char *url)
{
	const struct pg_pool_config config = { .url = url, .application_name = "depbroker/test", .size = 1 };
	struct fault fault;

	for (size_t i = 0; i < PROCESSES; i++) {
		processes[i] = (struct process){ .is_done = false };
		assert_int_equal(pg_pool_open(&processes[i].pool, &world.pg.loop, &config, &fault), OK);
	}
	for (size_t i = 0; i < PROCESSES; i++) {
		migration_start(&processes[i].migration, processes[i].pool, on_migrated);
	}
	while (!all(processes, offsetof(struct process, is_done))) {
		pg_world_turn(&world.pg);
	}
	for (size_t i = 0; i < PROCESSES; i++) {
		pg_pool_close(processes[i].pool, on_closed, &processes[i]);
	}
	while (!all(processes, offsetof(struct process, is_closed))) {
		pg_world_turn(&world.pg);
	}
}

static void several_processes_apply_each_migration_once(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct process processes[PROCESSES];
		unsigned applied = 0;
		char sql[64];
		char name[16];
		char *url;

		(void)snprintf(name, sizeof name, "race%d", round);
		(void)snprintf(sql, sizeof sql, "create database %s", name);
		test_postgres_run(world.postgres, sql);
		url = test_postgres_url(world.postgres, "postgres", name);
		migrate_at_once(processes, url);
		for (size_t i = 0; i < PROCESSES; i++) {
			if (processes[i].migration.op.rc != OK) {
				fail_msg("%s", processes[i].migration.op.fault.text);
			}
			applied += processes[i].migration.applied;
		}
		assert_int_equal(applied, migrations_count);
		free(url);
	}
}

static void a_second_run_applies_nothing(void **state)
{
	struct migration migration;

	(void)state;
	assert_int_equal(migrate_now(&migration, &world.pg), OK);
	assert_int_equal(migration.applied, 0);
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.schema_migrations"), migrations_count);
}

static void an_applied_migration_with_other_content_is_refused(void **state)
{
	struct migration migration;

	(void)state;
	test_postgres_run(world.postgres, "create table saved as select * from depbroker.schema_migrations; "
		"update depbroker.schema_migrations set sha256 = sha256('other') where number = 1");
	assert_int_equal(migrate_now(&migration, &world.pg), ERR_CONFLICT);
	assert_true(migration.is_foreign);
	test_postgres_run(world.postgres, "update depbroker.schema_migrations m set sha256 = s.sha256 from saved s "
		"where s.number = m.number; drop table saved");
	assert_int_equal(migrate_now(&migration, &world.pg), OK);
}

static void a_schema_of_a_newer_program_is_refused(void **state)
{
	struct migration migration;

	(void)state;
	test_postgres_run(world.postgres, "insert into depbroker.schema_migrations values (9000, 'tomorrow', sha256('x'), now())");
	assert_int_equal(migrate_now(&migration, &world.pg), ERR_CONFLICT);
	assert_true(migration.is_foreign);
	test_postgres_run(world.postgres, "delete from depbroker.schema_migrations where number = 9000");
	assert_int_equal(migrate_now(&migration, &world.pg), OK);
}

static void a_schema_that_the_linter_complains_of_is_refused(void **state)
{
	struct migration migration;

	(void)state;
	test_postgres_run(world.postgres, "alter table depbroker.devices no force row level security");
	assert_int_equal(migrate_now(&migration, &world.pg), ERR_BUG);
	assert_non_null(strstr(migration.op.fault.text, "devices"));
	test_postgres_run(world.postgres, "alter table depbroker.devices force row level security");
	assert_int_equal(migrate_now(&migration, &world.pg), OK);
}

// A login that owns its database, and may do nothing else than take our roles.
static void a_login_without_superuser_rights_can_migrate(void **state)
{
	struct process processes[PROCESSES];
	char *url;

	(void)state;
	test_postgres_run(world.postgres, "create role plain login noinherit; "
		"grant depbroker_owner, depbroker_directory, depbroker_api, depbroker_worker to plain");
	test_postgres_run(world.postgres, "create database plain owner plain");
	url = test_postgres_url(world.postgres, "plain", "plain");
	for (int round = 0; round < 2; round++) {
		migrate_at_once(processes, url);
		for (size_t i = 0; i < PROCESSES; i++) {
			if (processes[i].migration.op.rc != OK) {
				fail_msg("%s", processes[i].migration.op.fault.text);
			}
		}
	}
	free(url);
}

// What a function writes to standard error meanwhile; the caller frees.
static char *standard_error_of(void (*function)(void))
{
	FILE *file = tmpfile();
	const int kept = dup(STDERR_FILENO);
	char *text = allocate(16384);

	assert_non_null(file);
	assert_true(kept >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	function();
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	(void)close(kept);
	assert_int_equal(fseek(file, 0, SEEK_SET), 0);
	assert_true(fread(text, 1, 16383, file) < 16383);
	(void)fclose(file);
	return text;
}

static void migrate_aloud(void)
{
	struct migration migration;

	assert_true(log_set_level(TEXT("warning")));
	(void)migrate_now(&migration, &world.pg);
	assert_true(log_set_level(TEXT("error")));
}

static void a_server_that_may_lose_data_is_warned_of(void **state)
{
	char *log = standard_error_of(migrate_aloud); // the servers of tests run without fsync

	(void)state;
	assert_non_null(strstr(log, "database.may_lose_data"));
	assert_non_null(strstr(log, "\"fsync\""));
	assert_null(strstr(log, "synchronous_commit"));
	free(log);
}

static void readiness_sees_version_and_complaints(void **state)
{
	struct buffer complaints CLEANUP(buffer_fini) = BUFFER(256);
	struct pg_call call;
	const unsigned version = store_schema_select(begin(&call, store_directory()));
	const unsigned lint = store_lint_select(&call.transaction);

	(void)state;
	run(&call, &world);
	assert_int_equal(store_schema_version(&call.transaction, version), store_schema_expected());
	assert_false(store_lint_read(&call.transaction, lint, &complaints));
	assert_int_equal(complaints.length, 0);
	end(&call);
}

static void partitions_are_ensured_twice_without_harm(void **state)
{
	const char *const count = "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhparent "
		"where c.relname in ('events', 'attempts')";
	int64_t before;

	(void)state;
	test_postgres_run(world.postgres, "do $$ begin execute format('drop table depbroker.events_%s', "
		"to_char((now() at time zone 'UTC') + interval '2 months', 'YYYYMM')); end $$");
	before = ask_number(&world, count);
	for (int i = 0; i < 2; i++) {
		struct pg_call call;

		(void)store_partitions_ensure(begin(&call, store_directory()));
		run_and_end(&call, &world);
		assert_int_equal(ask_number(&world, count), before + 1);
	}
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.lint()"), 0);
}

static void attempts_of_long_ago_are_dropped_whole(void **state)
{
	const char *const parts = "select count(*) from pg_inherits where inhparent = 'depbroker.attempts'::regclass";
	const int64_t before = ask_number(&world, parts);
	struct pg_call call;

	(void)state;
	test_postgres_run(world.postgres, "set role depbroker_owner; create table depbroker.attempts_202001 partition of depbroker.attempts "
		"for values from ('2020-01-01') to ('2020-02-01'); create table depbroker.events_202001 partition of depbroker.events "
		"for values from ('2020-01-01') to ('2020-02-01')");
	(void)store_partitions_ensure(begin(&call, store_directory()));
	run_and_end(&call, &world);
	assert_int_equal(ask_number(&world, parts), before);
	assert_int_equal(ask_number(&world, "select count(*) from pg_class where relname = 'attempts_202001'"), 0);
	assert_int_equal(ask_number(&world, "select count(*) from pg_class where relname = 'events_202001'"), 1); // the log stays
	test_postgres_run(world.postgres, "drop table depbroker.events_202001");
}

// --- the linter ---

static const struct breach {
	const char *sql;
	const char *rule;
	const char *object;
} breaches[] = {
	{ "alter table depbroker.devices disable row level security", "row level security is not enabled and forced", "devices" },
	{ "alter table depbroker.secrets no force row level security", "row level security is not enabled and forced", "secrets" },
	{ "drop policy own_client on depbroker.events", "no permissive policy for the own client", "events" },
	{ "drop policy own_client_only on depbroker.tenants", "no restrictive policy for the own client", "tenants" },
	{ "drop policy own_client_only on depbroker.devices; create policy own_client_only on depbroker.devices as restrictive "
		"to depbroker_api using (tenant_id = (select depbroker.current_tenant()))",
		"no restrictive policy for the own client", "devices" },
	{ "create policy more on depbroker.devices using (true)", "a policy does not name the client", "devices.more" },
	{ "create policy more on depbroker.devices using (tenant_id = (select depbroker.current_tenant()) or true)",
		"a policy does not name the client", "devices.more" },
	{ "create policy more on depbroker.devices for insert with check (true)", "a policy does not name the client",
		"devices.more" },
	{ "create policy more on depbroker.devices using (tenant_id = (select depbroker.current_tenant())) with check (true)",
		"a policy does not name the client", "devices.more" },
	{ "create policy directory on depbroker.devices to depbroker_directory using (true)", "a policy does not name the client",
		"devices.directory" },
	{ "create or replace function depbroker.current_tenant() returns bigint language sql stable set search_path = pg_catalog "
		"as 'select nullif(current_setting(''depbroker.tenant'', true), '''')::bigint'",
		"policies do not ask for the client of the transaction", "current_tenant" },
	{ "create table depbroker.extra (a int); alter table depbroker.extra owner to depbroker_owner", "a table has no client",
		"extra" },
	{ "create table depbroker.extra (a int, tenant_id bigint primary key)", "row level security is not enabled and forced",
		"extra" },
	{ "create table depbroker.events_old partition of depbroker.events for values from ('2001-01-01') to ('2001-02-01')",
		"row level security is not enabled and forced", "events_old" },
	{ "grant select on depbroker.devices to depbroker_directory", "the directory may use a client's table", "devices" },
	{ "grant select (serial_number) on depbroker.devices to depbroker_directory", "the directory may use a client's table",
		"devices" },
	{ "grant select on depbroker.api_keys to public", "everybody may use a table", "api_keys" },
	{ "do $$ begin execute format('grant select on depbroker.events_%s to depbroker_api', "
		"to_char(now() at time zone 'UTC', 'YYYYMM')); end $$", "a partition has grants of its own", "events_" },
	{ "create unique index wrong on depbroker.devices (serial_number)", "a key does not begin with the client", "depbroker.wrong" },
	{ "create unique index wide on depbroker.instances (instance_id); alter table depbroker.pins add constraint leak "
		"foreign key (instance_id) references depbroker.instances (instance_id)", "a reference leaves the client", "leak" },
	{ "alter role depbroker_api bypassrls", "a role can get around row level security", "depbroker_api" },
	{ "alter table depbroker.rules owner to postgres", "a table has another owner", "rules" },
	{ "grant depbroker_owner to depbroker_worker", "a role is a member of another one", "depbroker_worker" },
	{ "create view depbroker.all_devices as select * from depbroker.devices", "a view gets around row level security",
		"all_devices" },
	{ "create materialized view depbroker.all_devices as select * from depbroker.devices",
		"a view gets around row level security", "all_devices" },
	{ "create function depbroker.danger() returns int language sql security definer as 'select 1'; "
		"revoke all on function depbroker.danger() from public", "a definer function has no search_path", "danger" },
	{ "create function depbroker.danger() returns int language sql security definer set search_path = pg_catalog as 'select 1'",
		"a definer function is for everybody", "danger" },
	{ "grant truncate on depbroker.page_ledger to depbroker_worker", "a role may truncate, reference or trigger",
		"page_ledger" },
};

static void exec(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		fail_msg("%s: %s", sql, PQerrorMessage(connection));
	}
	PQclear(result);
}

static bool is_told(const PGresult *complaints, const struct breach *breach)
{
	for (int row = 0; row < PQntuples(complaints); row++) {
		if (strcmp(PQgetvalue(complaints, row, 0), breach->rule) == 0 &&
			strncmp(PQgetvalue(complaints, row, 1), breach->object, strlen(breach->object)) == 0) {
			return true;
		}
	}
	return false;
}

static void the_linter_finds_every_planted_breach(void **state)
{
	PGconn *connection = PQconnectdb(world.postgres->url);

	(void)state;
	exec(connection, "set client_min_messages = error");
	for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
		PGresult *complaints;

		exec(connection, "begin");
		exec(connection, breaches[i].sql);
		complaints = PQexec(connection, "select rule, object from depbroker.lint()");
		assert_int_equal(PQresultStatus(complaints), PGRES_TUPLES_OK);
		if (!is_told(complaints, &breaches[i])) {
			fail_msg("not found: %s", breaches[i].sql);
		}
		PQclear(complaints);
		exec(connection, "rollback");
	}
	PQfinish(connection);
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.lint()"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_run_applies_nothing),
		cmocka_unit_test(an_applied_migration_with_other_content_is_refused),
		cmocka_unit_test(a_schema_of_a_newer_program_is_refused),
		cmocka_unit_test(a_schema_that_the_linter_complains_of_is_refused),
		cmocka_unit_test(several_processes_apply_each_migration_once),
		cmocka_unit_test(a_login_without_superuser_rights_can_migrate),
		cmocka_unit_test(a_server_that_may_lose_data_is_warned_of),
		cmocka_unit_test(readiness_sees_version_and_complaints),
		cmocka_unit_test(partitions_are_ensured_twice_without_harm),
		cmocka_unit_test(attempts_of_long_ago_are_dropped_whole),
		cmocka_unit_test(the_linter_finds_every_planted_breach),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
