// SPDX-License-Identifier: Apache-2.0
#include "support/store_world.h"

#include "store/instances.h"
#include "store/tokens.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

// --- the database ---

struct waiting {
	struct migration migration;
	bool is_done;
};

static void on_migrated(struct op *op)
{
	CONTAINER_OF(CONTAINER_OF(op, struct migration, op), struct waiting, migration)->is_done = true;
}

enum err migrate_now(struct migration *migration, struct pg_world *pg)
{
	struct waiting waiting = { .is_done = false };

	migration_start(&waiting.migration, pg->pool, on_migrated);
	while (!waiting.is_done) {
		pg_world_turn(pg);
	}
	*migration = waiting.migration;
	return migration->op.rc;
}

void store_world_open(struct store_world *world)
{
	struct migration migration;

	world->postgres = test_postgres_new();
	pg_world_open(&world->pg, (struct pg_pool_config){ .url = world->postgres->url, .application_name = "depbroker/test" });
	if (migrate_now(&migration, &world->pg) != OK) {
		fail_msg("%s", migration.op.fault.text);
	}
}

void store_world_close(struct store_world *world)
{
	pg_world_close(&world->pg);
	test_postgres_free(world->postgres);
}

int64_t ask_number(const struct store_world *world, const char *sql)
{
	char *value = test_postgres_ask(world->postgres, sql);
	int64_t number;

	assert_non_null(value);
	number = strtoll(value, NULL, 10);
	free(value);
	return number;
}

const char *const client_tables[] = { "serial_claims", "tenants", "sync_due", "tenant_status", "data_keys", "secrets", "key_pairs", "server_tokens",
	"instances", "endpoints", "parked_events", "resends", "rules", "pins", "reroutes", "approvals", "jobs", "job_rows", "device_labels", "profiles", "sync_stream", "devices", "events", "page_ledger", "positions", "attempts",
	"bypass_codes", "pending_tokens", "renewal_links", "alerts", "tenant_profiles", "instance_profiles", "profile_definitions", "dep_servers", "dep_nonces", "dep_profiles", "dep_wishes", "run_news",
	NULL };

char *rows_of_tenant(const struct store_world *world, int64_t tenant_id)
{
	struct buffer sql CLEANUP(buffer_fini) = BUFFER(16384);

	buffer_add_string(&sql, "select concat_ws(' '");
	for (size_t i = 0; client_tables[i] != NULL; i++) {
		buffer_add_format(&sql, ", '%s', (select md5(string_agg(x::text, '|' order by x::text)) from depbroker.%s x where tenant_id = %lld)",
			client_tables[i], client_tables[i], (long long)tenant_id);
	}
	buffer_add_string(&sql, ")");
	return test_postgres_ask(world->postgres, sql.bytes);
}

// --- transactions ---

struct pg_transaction *begin(struct pg_call *call, struct pg_scope scope)
{
	pg_call_init(call, scope);
	return &call->transaction;
}

void run(struct pg_call *call, struct store_world *world)
{
	if (pg_call_run(call, &world->pg) != OK) {
		fail_msg("%s: %s", err_name(call->transaction.op.rc), call->transaction.op.fault.text);
	}
}

void end(struct pg_call *call)
{
	pg_transaction_fini(&call->transaction);
}

void run_and_end(struct pg_call *call, struct store_world *world)
{
	run(call, world);
	end(call);
}

void refuse(struct pg_call *call, struct store_world *world, enum err expected)
{
	const enum err rc = pg_call_run(call, &world->pg);

	if (rc != expected) {
		fail_msg("expected %s, got %s: %s", err_name(expected), err_name(rc), call->transaction.op.fault.text);
	}
	end(call);
}

// --- rows ---

int64_t new_tenant(struct store_world *world, const char *slug)
{
	struct tenant_row tenant = { .slug = text_of(slug), .display_name = text_of(slug), .state = TEXT("active") };
	struct pg_call call;
	const unsigned id = store_tenant_next_id(begin(&call, store_directory()));

	run(&call, world);
	tenant.tenant_id = store_tenant_next_id_read(&call.transaction, id);
	end(&call);
	store_tenant_insert(begin(&call, store_api(tenant.tenant_id)), &tenant);
	run_and_end(&call, world);
	return tenant.tenant_id;
}

int64_t new_object_id(struct store_world *world)
{
	struct pg_call call;
	const unsigned statement = store_object_next_id(begin(&call, store_directory()));
	int64_t id;

	run(&call, world);
	id = store_object_next_id_read(&call.transaction, statement);
	end(&call);
	return id;
}

int64_t new_instance(struct store_world *world, int64_t tenant_id, const char *name)
{
	const struct instance_row instance = {
		.instance_id = new_object_id(world),
		.name = text_of(name),
		.kind = TEXT("nanomdm"),
		.enrolment_url = TEXT("https://mdm.example.com/enrol"),
		.allowed_hosts = { TEXT("mdm.example.com") },
		.allowed_host_count = 1,
		.webhook_url = TEXT("https://mdm.example.com/hook"),
	};
	struct pg_call call;

	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	run_and_end(&call, world);
	return instance.instance_id;
}

int64_t new_token(struct store_world *world, int64_t tenant_id)
{
	const struct key_pair_row pair = {
		.key_pair_id = new_object_id(world),
		.fingerprint = TEXT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.certificate_pem = TEXT("-----BEGIN CERTIFICATE-----"),
		.not_before_us = SECOND_US,
		.not_after_us = 2 * SECOND_US,
	};
	const struct token_row token = {
		.token_id = new_object_id(world),
		.key_pair_id = pair.key_pair_id,
		.consumer_key_end = TEXT("abcd"),
		.expires_at_us = INSTANT_NONE,
		.server_uuid = TEXT("server"),
	};
	struct pg_call call;

	(void)store_key_pair_insert(begin(&call, store_api(tenant_id)), tenant_id, &pair);
	store_token_take(&call.transaction, tenant_id, &token);
	run_and_end(&call, world);
	return token.token_id;
}

void beat(struct store_world *world, const char *node_id)
{
	char sql[160];
	struct pg_call call;

	(void)store_node_beat(begin(&call, store_directory()), text_of(node_id));
	run_and_end(&call, world);
	(void)snprintf(sql, sizeof sql, "update depbroker.nodes set alive_until = now() + interval '1 hour' where node_id = '%s'", node_id);
	test_postgres_run(world->postgres, sql);
}

struct stream_fence take(struct store_world *world, int64_t tenant_id, const char *node_id)
{
	struct stream_fence fence = { .tenant_id = tenant_id, .node_id = text_of(node_id) };
	struct stream_row row;
	struct pg_call call;
	const unsigned statement = store_stream_take(begin(&call, store_worker(tenant_id)), tenant_id, fence.node_id);

	run(&call, world);
	assert_int_equal(pg_row_count(&call.transaction, statement), 1);
	store_stream_read(&call.transaction, statement, 0, &row);
	fence.epoch = row.epoch;
	fence.write_seq = row.write_seq;
	fence.event_seq = row.event_seq;
	fence.config_version = row.config_version;
	end(&call);
	return fence;
}
