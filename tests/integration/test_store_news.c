// SPDX-License-Identifier: Apache-2.0
//
// What tells a worker that what it has read of a client may be another one by now: news, and the stream's load_id.
#include "store/run_row.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store_world world;
static int64_t client, other;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	client = new_tenant(&world, "client");
	other = new_tenant(&world, "other");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

static int forget_news(void **state)
{
	(void)state;
	test_postgres_run(world.postgres, "delete from depbroker.run_news; update depbroker.sync_stream set owner = null");
	return 0;
}

static bool has_news(int64_t tenant_id)
{
	struct pg_call call;
	const unsigned at = store_news_select(begin(&call, store_worker(tenant_id)), tenant_id);
	bool news;

	run(&call, &world);
	news = store_news_read(&call.transaction, at);
	end(&call);
	return news;
}

static int64_t load_id_of(int64_t tenant_id)
{
	struct stream_row row;
	struct pg_call call;
	const unsigned at = store_stream_select(begin(&call, store_worker(tenant_id)), tenant_id);

	run(&call, &world);
	store_stream_read(&call.transaction, at, 0, &row);
	end(&call);
	return row.load_id;
}

static int64_t take_news(int64_t tenant_id, const char *node_id)
{
	const struct stream_row before = { .load_id = load_id_of(tenant_id) };
	struct pg_call call;
	const unsigned at = store_news_take(begin(&call, store_worker(tenant_id)), tenant_id, text_of(node_id));
	int64_t load_id;

	run(&call, &world);
	load_id = store_news_taken(&call.transaction, at, &before);
	end(&call);
	return load_id;
}

// --- who leaves news ---

// Tables of clients whose rows no run reads when it begins, that only workers write behind the fence, or that tell by themselves.
static const char *const silent_tables = "'sync_stream', 'sync_due', 'run_news', 'devices', 'events', 'attempts', 'page_ledger', 'serial_claims', "
	"'parked', 'parked_events', 'key_pairs', 'bypass_codes', 'renewal_links', 'approvals', 'brake_account', 'dep_servers', 'dep_nonces', "
	"'dep_profiles', 'tenants', 'tenant_status', 'alert_log'";

static void every_other_table_of_clients_leaves_news_of_all_that_is_done_to_it(void **state)
{
	struct buffer sql CLEANUP(buffer_fini) = BUFFER(4096);
	char *names;

	(void)state;
	buffer_add_format(&sql,
		"select coalesce(string_agg(c.relname, ' '), '') from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
		" where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname not in (%s)"
		" and 3 <> (select count(*) from pg_trigger t where t.tgrelid = c.oid and t.tgname in ('news_of_insert', 'news_of_update', 'news_of_delete')"
		"  and t.tgenabled = 'O')", silent_tables);
	names = test_postgres_ask(world.postgres, sql.bytes);
	assert_string_equal(names, ""); // a table that a run reads needs the triggers of migration 0025; another one belongs into silent_tables
	free(names);
}

static void what_the_api_writes_is_news_of_this_client_alone(void **state)
{
	(void)state;
	(void)new_instance(&world, client, "one");
	assert_true(has_news(client));
	assert_false(has_news(other));
}

static void so_is_what_commands_and_people_write(void **state)
{
	char sql[200];

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.tenants set state_reason = 'why' where tenant_id = %lld", (long long)client);
	test_postgres_run(world.postgres, sql);
	assert_true(has_news(client));
	assert_false(has_news(other));
	(void)snprintf(sql, sizeof sql, "update depbroker.tenant_status set told_days = 3 where tenant_id = %lld", (long long)other);
	test_postgres_run(world.postgres, sql);
	assert_true(has_news(other));
}

static void a_crash_that_quarantines_is_news(void **state)
{
	char sql[300];
	struct pg_call call;

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set claimed_by = 'crashed', crashes = array[now(), now()] where tenant_id = %lld",
		(long long)client);
	test_postgres_run(world.postgres, sql);
	(void)store_node_crashed(begin(&call, store_directory()), TEXT("crashed"));
	run_and_end(&call, &world);
	assert_true(has_news(client));
	(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set crashes = '{}' where tenant_id = %lld;"
		"update depbroker.tenants set state = 'active' where tenant_id = %lld", (long long)client, (long long)client);
	test_postgres_run(world.postgres, sql);
}

static void a_new_version_of_a_template_is_news_of_those_that_have_it(void **state)
{
	char sql[300];

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.tenants set template = 'school' where tenant_id = %lld", (long long)client);
	test_postgres_run(world.postgres, sql);
	(void)forget_news(NULL);
	test_postgres_run(world.postgres, "set role depbroker_directory;"
		"insert into depbroker.template_versions (name, version, layer, made_by) values ('school', 1, '{}', 'key'), ('firm', 1, '{}', 'key')");
	assert_true(has_news(client));
	assert_false(has_news(other));
}

static void what_fails_leaves_none(void **state)
{
	const struct stream_fence stale = { .tenant_id = client, .node_id = TEXT("nobody"), .epoch = -1 };
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_api(client));

	(void)state;
	(void)PG_ADD(t, "update depbroker.instances set updated_at = now() where tenant_id = $1", PG_V_INT8(client));
	store_stream_require(t, &stale);
	refuse(&call, &world, ERR_FENCED);
	assert_false(has_news(client));
}

// --- workers ---

static const struct stream_row next = {
	.sync = { .phase = SYNC_PHASE_CHANGES }, .sync_next_at_us = INSTANT_NONE, .run_started_at_us = INSTANT_NONE, .synced_at_us = INSTANT_NONE,
};
static const struct tenant_status_row status = {
	.sync_phase = { "changes", 7 }, .sync_reason = { "up_to_date", 10 }, .synced_at_us = INSTANT_NONE, .sync_next_at_us = INSTANT_NONE,
};

static void end_quietly(bool load_changes)
{
	const struct stream_fence fence = take(&world, client, "a");
	struct pg_call call;

	store_stream_finish_quietly(begin(&call, store_worker(client)), &fence, &next, SECOND_US, 0, &status, load_changes);
	run_and_end(&call, &world);
}

static void a_quiet_run_leaves_no_news_and_everything_as_it_was(void **state)
{
	const int64_t before = load_id_of(client);

	(void)state;
	end_quietly(false);
	assert_int_equal(load_id_of(client), before);
	assert_false(has_news(client));
}

static void any_other_write_of_a_worker_draws_another_load_id(void **state)
{
	const int64_t before = load_id_of(client);
	struct stream_fence fence;
	struct pg_call call;
	int64_t drawn[3];

	(void)state;
	end_quietly(true);
	drawn[0] = load_id_of(client);
	fence = take(&world, client, "a");
	store_stream_advance(begin(&call, store_worker(client)), &fence, 0, NULL);
	run_and_end(&call, &world);
	drawn[1] = load_id_of(client);
	fence = take(&world, client, "a");
	store_stream_finish(begin(&call, store_worker(client)), &fence, &next, SECOND_US, 0);
	run_and_end(&call, &world);
	drawn[2] = load_id_of(client);
	assert_true(drawn[0] != before && drawn[1] != drawn[0] && drawn[2] != drawn[1] && drawn[1] != before && drawn[2] != before);
	assert_false(has_news(client)); // workers need none
}

static void the_owner_takes_the_news_and_the_load_id_goes_with_it(void **state)
{
	int64_t before, taken;

	(void)state;
	(void)new_instance(&world, client, "two");
	(void)new_instance(&world, other, "two");
	(void)take(&world, client, "a");
	before = load_id_of(client);
	taken = take_news(client, "a");
	assert_true(taken != before);
	assert_int_equal(load_id_of(client), taken);
	assert_false(has_news(client));
	assert_true(has_news(other));
	assert_int_equal(take_news(client, "a"), taken); // no news, no other one
}

static void nobody_takes_the_news_of_a_client_that_is_not_its_own(void **state)
{
	int64_t before;

	(void)state;
	(void)take(&world, client, "a");
	(void)new_instance(&world, client, "three");
	before = load_id_of(client);
	assert_int_equal(take_news(client, "b"), before);
	assert_int_equal(load_id_of(client), before);
	assert_true(has_news(client));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup(test, forget_news)
	const struct CMUnitTest tests[] = {
		FRESH(every_other_table_of_clients_leaves_news_of_all_that_is_done_to_it),
		FRESH(what_the_api_writes_is_news_of_this_client_alone),
		FRESH(so_is_what_commands_and_people_write),
		FRESH(a_crash_that_quarantines_is_news),
		FRESH(a_new_version_of_a_template_is_news_of_those_that_have_it),
		FRESH(what_fails_leaves_none),
		FRESH(a_quiet_run_leaves_no_news_and_everything_as_it_was),
		FRESH(any_other_write_of_a_worker_draws_another_load_id),
		FRESH(the_owner_takes_the_news_and_the_load_id_goes_with_it),
		FRESH(nobody_takes_the_news_of_a_client_that_is_not_its_own),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
