// SPDX-License-Identifier: Apache-2.0
//
// One client's transactions see and change nothing of another one: by the policies alone, by the statements alone, and by the
// references. Two clients have the same numbers, names and serial numbers, so that only the client tells their rows apart.
#include "store/run_row.h"
#include "store/alerts.h"
#include "store/api_keys.h"
#include "store/bypass_codes.h"
#include "store/definitions.h"
#include "store/dep_profiles.h"
#include "store/dep_servers.h"
#include "store/deliveries.h"
#include "store/account.h"
#include "store/guards.h"
#include "store/approvals.h"
#include "store/jobs.h"
#include "store/endpoints.h"
#include "store/instances.h"
#include "store/routing.h"
#include "store/keys.h"
#include "store/renewal_links.h"
#include "store/secrets.h"
#include "store/templates.h"
#include "store/tokens.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { APPROVAL = 601, PAIR = 501, NEXT_PAIR = 511, TOKEN = 502, INSTANCE = 503, CODE = 504, PENDING = 505, JOB = 701, ATTEMPTS_MADE = 1 };

#define NODE   TEXT("node")
#define SERIAL   TEXT("C02SAME")
#define REROUTED TEXT("C02LATER")

static struct store_world world;
static int64_t mine;
static int64_t theirs;
static int64_t next_assign_us;

// --- the same rows for two clients ---

static const struct text digest_bytes = { "0123456789abcdef0123456789abcdef", 32 };
static const struct text wrapped = { "0123456789abcdef0123456789abcdef0123456789abcdef", 48 };
static const struct text wrapped_anew = { "fedcba9876543210fedcba9876543210fedcba9876543210", 48 };

static const struct tenant_profile_row layers = { .layer = { "{}", 2 } };
static const struct layer_author author = { .made_by = { "key", 3 } };

static const struct profile_check_result drifted = { .profile_uuid = { "uuid", 4 }, .drift_count = 1, .drift = { "[]", 2 }, .mend = true };

static struct tenant_row tenant_of(int64_t tenant_id)
{
	return (struct tenant_row){ .tenant_id = tenant_id, .display_name = TEXT("Name"), .state = TEXT("active"),
		.server_uuid = tenant_id == mine ? TEXT("server-1") : TEXT("server-2") };
}

static struct key_pair_row pair_of(int64_t key_pair_id)
{
	return (struct key_pair_row){ .key_pair_id = key_pair_id,
		.fingerprint = TEXT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.certificate_pem = TEXT("pem"), .not_before_us = SECOND_US, .not_after_us = SECOND_US };
}

static struct token_row token_of(int64_t token_id, int64_t key_pair_id)
{
	return (struct token_row){ .token_id = token_id, .key_pair_id = key_pair_id, .consumer_key_end = TEXT("abcd"),
		.expires_at_us = INSTANT_NONE, .server_uuid = TEXT("server") };
}

static struct pending_token_row pending_of(int64_t token_id)
{
	return (struct pending_token_row){ .token_id = token_id, .key_pair_id = PAIR, .consumer_key_end = TEXT("abcd"),
		.expires_at_us = INSTANT_NONE, .uploaded_by = TEXT("key"), .next_try_at_us = SECOND_US };
}

static struct renewal_link_row link_of(int64_t link_id)
{
	return (struct renewal_link_row){ .link_id = link_id, .key_pair_id = PAIR, .made_by = TEXT("key"),
		.expires_at_us = clock_wall_us() + DAY_S * SECOND_US };
}

static void put_approval(struct pg_transaction *t, int64_t tenant_id, int64_t number)
{
	(void)store_approval_insert(t, &(struct approval_row){ .tenant_id = tenant_id, .approval_id = number * 1000 + tenant_id, .kind = TEXT("rules"),
		.payload = TEXT("{}"), .devices = TEXT("[]"), .requested_by = TEXT("key") });
}

static struct job_row job_of(int64_t tenant_id, int64_t costed, int64_t position)
{
	return (struct job_row){ .job_id = JOB, .tenant_id = tenant_id, .kind = JOB_PIN, .start_at_us = INSTANT_NONE, .row_count = 2,
		.created_by = TEXT("key"), .costed = costed, .position = position };
}

static const struct job_wish job_rows[] = { { .serial_number = SERIAL }, { .serial_number = TEXT("ANOTHER") } };
static const struct job_outcome outcome = { .result = JOB_DONE };
static const int64_t row_numbers[] = { 1, 2 };

static void put_job(struct pg_transaction *t, int64_t tenant_id, int64_t job_id)
{
	struct job_row job = job_of(tenant_id, 0, 0);

	job.job_id = job_id;
	store_job_insert(t, tenant_id, &job);
	store_job_rows_insert(t, tenant_id, job_id, job_rows, 2);
}

// Up to its start; the other instance is there by then.
static struct job_row begin_retiring(struct pg_transaction *t, int64_t tenant_id, int64_t job_id)
{
	struct job_row job = job_of(tenant_id, 0, 0);

	job.job_id = job_id;
	job.kind = JOB_RETIRE;
	job.retires_id = INSTANCE;
	job.target_id = INSTANCE + 10;
	store_job_insert(t, tenant_id, &job);
	store_job_costed(t, &job, TEXT("scheduled"), 1, 10);
	store_job_begin(t, &job);
	return job;
}

static struct instance_row instance_of(int64_t instance_id, const char *name)
{
	return (struct instance_row){ .instance_id = instance_id, .name = text_of(name), .kind = TEXT("fleet"),
		.enrolment_url = TEXT("https://mdm.example.com/"), .allowed_hosts = { TEXT("mdm.example.com") },
		.allowed_host_count = 1, .webhook_url = TEXT("https://mdm.example.com/hook") };
}

static struct profile_row profile_of(int64_t instance_id, int64_t token_id)
{
	return (struct profile_row){ .instance_id = instance_id, .content_digest = digest_bytes, .content = TEXT("{}"),
		.profile_uuid = TEXT("uuid"), .token_id = token_id };
}

static struct bypass_code_row bypass_code_of(int64_t code_id)
{
	return (struct bypass_code_row){ .code_id = code_id, .serial_number = SERIAL, .made_by = TEXT("key") };
}

static struct device_row device_of(int64_t instance_id, int64_t assign_at_us)
{
	return (struct device_row){
		.apple = { .serial_number = SERIAL, .profile_uuid = TEXT("uuid"), .profile_status = TEXT("assigned"),
			.op_date_us = INSTANT_NONE, .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .instance_id = instance_id, .rules_version = 1, .assign_at_us = assign_at_us,
		.first_seen_at_us = SECOND_US, .changed_at_us = SECOND_US,
	};
}

static struct stored_event event_of(int64_t seq, int64_t instance_id)
{
	return (struct stored_event){ .event = { .seq = seq, .at_us = clock_wall_us(), .type = EVENT_DEVICE_ADDED,
		.serial_number = SERIAL }, .instance_id = instance_id };
}

static struct endpoint_row endpoint_of(int64_t endpoint_id)
{
	return (struct endpoint_row){ .endpoint_id = endpoint_id, .instance_id = INSTANCE, .url = TEXT("https://mdm.example.com/2"),
		.batch_size = 1 };
}

static struct parked_event_row parked_event_of(int64_t seq)
{
	return (struct parked_event_row){ .endpoint_id = INSTANCE, .seq = seq, .first_failed_at_us = SECOND_US };
}

static struct attempt_row attempt_of(int attempt)
{
	return (struct attempt_row){ .endpoint_id = INSTANCE, .seq = 1, .attempt = attempt, .events = 1, .at_us = clock_wall_us(), .status = 500 };
}

static void put_secret(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int version)
{
	const struct data_key key = { .version = 1 };
	const int64_t object_id = kind == SECRET_WEBHOOK ? INSTANCE : kind == SECRET_BYPASS_CODE ? CODE : TOKEN;

	store_secret_put(t, &key, kind, tenant_id, object_id, version, TEXT("secret"));
}

static void rewrap(struct pg_transaction *t, int64_t tenant_id)
{
	struct data_key_row old = { .version = 1, .wrapped = BUFFER(STORE_WRAPPED_MAX) };

	buffer_add_text(&old.wrapped, wrapped);
	(void)store_data_key_rewrap(t, tenant_id, &old, wrapped_anew, TEXT(""));
	buffer_fini(&old.wrapped);
}

static void reseal(struct pg_transaction *t, int64_t tenant_id)
{
	const struct data_key key = { .version = 1 };
	const struct seal_binding binding = { SECRET_WEBHOOK, tenant_id, 1, INSTANCE, 1 };
	struct sealed sealed;

	seal(&sealed, &key, &binding, TEXT("secret"));
	(void)store_secret_reseal(t, &binding, 1, &sealed);
	sealed_fini(&sealed);
}

static struct stream_fence fence_of(int64_t tenant_id) // of a client as fill() leaves it
{
	return (struct stream_fence){ .tenant_id = tenant_id, .node_id = NODE, .epoch = 1, .write_seq = 1, .event_seq = 1,
		.config_version = 6 };
}

static void put_dep_server(struct pg_transaction *t, int64_t tenant_id)
{
	store_dep_server_put(t, tenant_id, &(struct dep_server_row){ .instance_id = INSTANCE, .server_uuid = TEXT("0123456789ABCDEF0123456789ABCDEF"),
		.consumer_key = TEXT("CK_1"), .secret_version = 1, .fingerprint = TEXT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		.made_by = TEXT("key"), .expires_at_us = clock_wall_us() });
	store_dep_profile_put(t, tenant_id, INSTANCE, TEXT("UUID"), TEXT("{}"));
}

static void fill_by_api(int64_t tenant_id)
{
	const struct key_pair_row pair = pair_of(PAIR);
	const struct key_pair_row next_pair = pair_of(NEXT_PAIR);
	const struct token_row token = token_of(TOKEN, PAIR);
	const struct instance_row instance = instance_of(INSTANCE, "main");
	const struct bypass_code_row bypass_code = bypass_code_of(CODE);
	const struct pending_token_row pending = pending_of(PENDING);
	const struct renewal_link_row link = link_of(PENDING);
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_api(tenant_id));

	(void)store_data_key_insert(t, tenant_id, 1, wrapped, TEXT(""));
	put_secret(t, tenant_id, SECRET_WEBHOOK, 1);
	put_secret(t, tenant_id, SECRET_SERVER_TOKEN, 1);
	put_secret(t, tenant_id, SECRET_BYPASS_CODE, 1);
	(void)store_bypass_code_insert(t, tenant_id, &bypass_code);
	(void)store_key_pair_insert(t, tenant_id, &pair);
	(void)store_key_pair_insert(t, tenant_id, &next_pair);
	run_and_end(&call, &world);
	t = begin(&call, store_api(tenant_id));
	store_token_take(t, tenant_id, &token);
	store_instance_insert(t, tenant_id, &instance);
	(void)store_rules_put(t, tenant_id, 0, &(struct rules_row){ .document = TEXT("{}"), .made_by = TEXT("key") });
	store_pins_put(t, tenant_id, &(struct pin_row){ .instance_id = INSTANCE, .made_by = TEXT("key") }, (const struct text[]){ SERIAL }, 1);
	put_approval(t, tenant_id, APPROVAL);
	put_job(t, tenant_id, JOB);
	store_account_spend(t, &(const struct account_spending){ tenant_id, 1, 100 }, 1, TEXT("rules"), TEXT("key"));
	(void)store_tenant_profile_put(t, tenant_id, 0, &layers, &author);
	(void)store_instance_profile_put(t, tenant_id, INSTANCE, 0, TEXT("{}"), &author);
	run_and_end(&call, &world);
	t = begin(&call, store_api(tenant_id));
	store_pending_put(t, tenant_id, &pending);
	(void)store_renewal_link_insert(t, tenant_id, &link, (const unsigned char *)digest_bytes.bytes);
	put_dep_server(t, tenant_id);
	run_and_end(&call, &world);
}

static void fill_by_worker(int64_t tenant_id, int64_t assign_at_us)
{
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);
	const struct device_row device = device_of(INSTANCE, assign_at_us);
	const struct serial_claim claim = { .serial_number = SERIAL, .assigned_at_us = INSTANT_NONE };
	const struct stored_event event = event_of(1, INSTANCE);
	const struct ledger_entry entry = { .kind = "fetch" };
	const struct attempt_row attempt = attempt_of(ATTEMPTS_MADE);
	const struct parked_event_row parked = parked_event_of(1);
	const struct stream_fence fence = take(&world, tenant_id, "node");
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));

	store_stream_advance(t, &fence, 1, NULL);
	(void)store_profile_put(t, tenant_id, &profile);
	store_definition_begin(t, tenant_id, INSTANCE, profile.content_digest);
	(void)store_device_put(t, tenant_id, &device, 1);
	store_claims_put(t, tenant_id, &claim, 1);
	(void)store_event_insert(t, tenant_id, &event, 1);
	store_reroute_delete(t, tenant_id, (const struct text[]){ SERIAL }, 1); // of its pin
	store_reroute_insert(t, tenant_id, (const struct text[]){ REROUTED }, 1);
	(void)store_ledger_insert(t, &fence, 1, &entry);
	(void)store_attempt_insert(t, tenant_id, &attempt, 1);
	(void)store_parked_event_insert(t, tenant_id, &parked, 1);
	(void)store_alert_raise(t, tenant_id, TEXT("token.expiring"), TEXT("why"));
	run_and_end(&call, &world);
}

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "node");
	mine = new_tenant(&world, "mine");
	theirs = new_tenant(&world, "theirs");
	next_assign_us = 20 * SECOND_US;
	fill_by_api(mine);
	fill_by_worker(mine, next_assign_us);
	fill_by_api(theirs);
	fill_by_worker(theirs, next_assign_us - SECOND_US);
	test_postgres_run(world.postgres, "insert into depbroker.dep_wishes (tenant_id, serial_number, instance_id, profile_uuid)"
		" select tenant_id, 'C02SAME', instance_id, profile_uuid from depbroker.dep_profiles;"
		" insert into depbroker.dep_nonces select tenant_id, instance_id, sha256('once'), now() from depbroker.dep_servers");
	test_postgres_run(world.postgres, "insert into depbroker.resends (tenant_id, endpoint_id, seq) select tenant_id, endpoint_id, 0 from depbroker.endpoints;"
		" update depbroker.positions set attempts = 1; update depbroker.jobs set state = 'running', costed = 2, allowed = 2;"
		" update depbroker.job_rows set result = 'asked' where row_number = 2;"
		" insert into depbroker.device_labels (tenant_id, serial_number, labels, made_by)"
		" select tenant_id, serial_number, '{a}', 'key' from depbroker.devices; update depbroker.sync_due set claimed_by = 'node'");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

// --- the policies alone ---

static int64_t rows_of(const char *table, int64_t tenant_id)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.%s where tenant_id = %lld", table, (long long)tenant_id);
	return ask_number(&world, sql);
}

// Tables of the directory have policies for these roles only; all others have them for everybody, their owner too.
static const char *role_for(const char *table)
{
	const bool directory = strcmp(table, "tenants") == 0 || strcmp(table, "sync_due") == 0 || strcmp(table, "tenant_status") == 0;

	if (strcmp(table, "serial_claims") == 0 || strcmp(table, "sync_stream") == 0 || strcmp(table, "run_news") == 0) {
		return "depbroker_worker"; // the owner's functions look at those of several clients
	}
	return directory ? "depbroker_api" : "depbroker_owner";
}

// In a session of its own: what the server answers, as SQLSTATE, or "" with the number of rows.
static int64_t ask_as(const char *role, const char *setting, const char *sql, char sqlstate[6])
{
	PGconn *connection = PQconnectdb(world.postgres->url);
	char settings[128];
	PGresult *result;
	int64_t rows;

	(void)snprintf(settings, sizeof settings, "set role %s; %s", role, setting);
	PQclear(PQexec(connection, settings));
	result = PQexec(connection, sql);
	(void)snprintf(sqlstate, 6, "%s", PQresultStatus(result) == PGRES_FATAL_ERROR ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : "");
	rows = PQresultStatus(result) == PGRES_TUPLES_OK ? PQntuples(result) : strtoll(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	PQfinish(connection);
	return rows;
}

static void a_forgotten_client_is_an_error_for_each_table(void **state)
{
	(void)state;
	for (size_t i = 0; client_tables[i] != NULL; i++) {
		char sql[128];
		char sqlstate[6];

		assert_true(rows_of(client_tables[i], mine) > 0);
		(void)snprintf(sql, sizeof sql, "select tenant_id from depbroker.%s", client_tables[i]);
		(void)ask_as(role_for(client_tables[i]), "", sql, sqlstate);
		assert_string_equal(sqlstate, "42704");
		(void)ask_as(role_for(client_tables[i]), "set depbroker.tenant = ''", sql, sqlstate);
		assert_string_equal(sqlstate, "22P02");
	}
}

static void the_policies_alone_hide_other_clients(void **state)
{
	char *before = rows_of_tenant(&world, theirs);
	char *after;
	char setting[64];

	(void)state;
	(void)snprintf(setting, sizeof setting, "set depbroker.tenant = %lld", (long long)mine);
	for (size_t i = 0; client_tables[i] != NULL; i++) {
		const char *role = role_for(client_tables[i]);
		char sql[160];
		char sqlstate[6];

		assert_true(rows_of(client_tables[i], theirs) > 0);
		(void)snprintf(sql, sizeof sql, "select tenant_id from depbroker.%s", client_tables[i]);
		assert_int_equal(ask_as(role, setting, sql, sqlstate), rows_of(client_tables[i], mine));
		(void)snprintf(sql, sizeof sql, "update depbroker.%s set tenant_id = tenant_id", client_tables[i]);
		assert_int_equal(ask_as(role, setting, sql, sqlstate), strcmp(client_tables[i], "run_news") == 0 ? 0 // nobody updates it
			: rows_of(client_tables[i], mine));
		(void)snprintf(sql, sizeof sql, "update depbroker.%s set tenant_id = %lld", client_tables[i], (long long)theirs);
		(void)ask_as(role, setting, sql, sqlstate);
		assert_string_equal(sqlstate, "42501"); // "new row violates row-level security policy"
	}
	after = rows_of_tenant(&world, theirs);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void the_directory_cannot_read_inside_of_a_client(void **state)
{
	struct pg_call call;

	(void)state;
	(void)store_device_list(begin(&call, store_directory()), mine, TEXT_NONE, true, -1, 10);
	refuse(&call, &world, ERR_DATABASE);
}

// --- every function of the store, with the client's number as its argument ---

struct function {
	const char *name;
	struct pg_scope (*scope)(int64_t tenant_id);
	bool gives_rows; // and changes nothing
	unsigned (*add)(struct pg_transaction *t, int64_t tenant_id);
};

#define READS(name_, scope_, call)                                                            \
	static unsigned add_##name_(struct pg_transaction *t, int64_t tenant_id) { return call; } \
	static const struct function name_ = { #name_, scope_, true, add_##name_ };
#define CHANGES(name_, scope_, call)                                                              \
	static unsigned add_##name_(struct pg_transaction *t, int64_t tenant_id) { call; return 0; } \
	static const struct function name_ = { #name_, scope_, false, add_##name_ };

READS(tenant_by_id, store_api, store_tenant_by_id(t, tenant_id))
READS(data_key_current, store_worker, store_data_key_current(t, tenant_id))
READS(data_key_list, store_api, store_data_key_list(t, tenant_id))
READS(secret_list, store_api, store_secret_list(t, tenant_id, &(struct seal_binding){ 0 }, 0, 10))
READS(secret_select, store_worker, store_secret_select(t, tenant_id, SECRET_WEBHOOK, INSTANCE))
READS(secret_select_all, store_worker, store_secret_select(t, tenant_id, SECRET_WEBHOOK, 0))
READS(secret_select_for_run, store_worker, store_secret_select_for_run(t, tenant_id))
READS(run_select, store_worker, store_run_select(t, tenant_id))
READS(key_pair_list, store_api, store_key_pair_list(t, tenant_id))
READS(key_pair_by_id, store_api, store_key_pair_by_id(t, tenant_id, PAIR))
READS(token_current, store_worker, store_token_current(t, tenant_id))
READS(instance_list, store_worker, store_instance_list(t, tenant_id))
READS(instance_by_name, store_api, store_instance_by_name(t, tenant_id, TEXT("main")))
READS(rules_current, store_worker, store_rules_current(t, tenant_id))
READS(rules_by_version, store_worker, store_rules_by_version(t, tenant_id, 1))
READS(rules_list, store_api, store_rules_list(t, tenant_id, INT64_MAX, 10))
READS(fact_by_serials, store_worker, store_fact_by_serials(t, tenant_id, (const struct text[]){ SERIAL }, 1))
READS(fact_list, store_worker, store_fact_list(t, tenant_id, TEXT_NONE, 10))
READS(fact_to_assign, store_worker, store_fact_to_assign(t, tenant_id, clock_wall_us(), 10))
READS(reroute_list, store_worker, store_reroute_list(t, tenant_id, 10))
READS(pin_select, store_api, store_pin_select(t, tenant_id, SERIAL))
READS(pin_list, store_api, store_pin_list(t, tenant_id, TEXT_NONE, -1, 10))
READS(device_shown_list, store_api, store_device_shown_list(t, tenant_id, &DEVICE_FILTER_ANY, 10))
READS(account_select, store_api, store_account_select(t, tenant_id))
READS(routed_by_serials, store_api, store_routed_by_serials(t, tenant_id, (const struct text[]){ SERIAL }, 1))
READS(instance_device_list, store_api, store_instance_device_list(t, tenant_id, (const int64_t[]){ INSTANCE }, (const struct text[]){ TEXT("digest") }, 1, 0))
READS(routed_list, store_api, store_routed_list(t, tenant_id, TEXT_NONE, INSTANT_NONE, 10))
READS(dep_server_select, store_api, store_dep_server_select(t, tenant_id, INSTANCE))
READS(dep_server_list, store_api, store_dep_server_list(t, tenant_id))
READS(dep_profile_find, store_api, store_dep_profile_find(t, tenant_id, INSTANCE, TEXT("UUID")))
READS(dep_profile_uuids, store_api, store_dep_profile_uuids(t, tenant_id, INSTANCE))
READS(event_of_instance, store_api, store_event_of_instance(t, tenant_id, INSTANCE, 0, 10))
CHANGES(dep_server_revoke, store_api, (void)store_dep_server_revoke(t, tenant_id, INSTANCE))
CHANGES(dep_nonce_take, store_api,
	(void)store_dep_nonce_take(t, tenant_id, INSTANCE, (const unsigned char *)digest_bytes.bytes, clock_wall_us(), 300))
CHANGES(dep_profile_put, store_api, store_dep_profile_put(t, tenant_id, INSTANCE, TEXT("another"), TEXT("{}")))
CHANGES(dep_profile_lose, store_worker, store_dep_profile_lose(t, tenant_id, TEXT("UUID")))
CHANGES(dep_wish_put, store_api, store_dep_wish_put(t, tenant_id, INSTANCE, TEXT("UUID"), (const struct text[]){ SERIAL }, 1))
CHANGES(dep_wish_delete, store_api, (void)store_dep_wish_delete(t, tenant_id, INSTANCE, (const struct text[]){ SERIAL }, 1))
READS(profile_list, store_worker, store_profile_list(t, tenant_id))
READS(due_select, store_worker, store_due_select(t, tenant_id))
READS(stream_select, store_worker, store_stream_select(t, tenant_id))
READS(device_by_serials, store_worker, store_device_by_serials(t, tenant_id, (const struct text[]){ SERIAL }, 1))
READS(device_fingerprints, store_worker, store_device_fingerprints(t, tenant_id, TEXT_NONE, 10))
READS(device_list, store_api, store_device_list(t, tenant_id, TEXT_NONE, true, -1, 10))
READS(device_to_assign_alike, store_worker,
	store_device_to_assign_alike(t, tenant_id, clock_wall_us(), 10, INSTANCE, (const struct text[]){ TEXT("") , TEXT("otherwise") }, 2))
READS(device_to_assign, store_worker, store_device_to_assign(t, tenant_id, clock_wall_us(), 10))
READS(event_list, store_api, store_event_list(t, tenant_id, 0, 10))
READS(event_by_serial, store_api, store_event_by_serial(t, tenant_id, SERIAL, 0, 10))
READS(event_to_deliver, store_worker, store_event_to_deliver(t, tenant_id, INSTANCE, 0, 0, 10))
READS(position_list, store_worker, store_position_list(t, tenant_id))
READS(bypass_code_list, store_api, store_bypass_code_list(t, tenant_id, SERIAL))
READS(bypass_code_secrets, store_api, store_bypass_code_secrets(t, tenant_id, SERIAL))
READS(attempt_list, store_api, store_attempt_list(t, tenant_id, INSTANCE, 10))

CHANGES(advance, store_worker, {
	const struct stream_fence fence = fence_of(tenant_id);

	store_stream_advance(t, &fence, 1, NULL);
})
CHANGES(finish, store_worker, {
	struct stream_fence fence = fence_of(tenant_id);

	fence.write_seq += tenant_id == mine ? 1 : 0; // after the advance above
	fence.event_seq += tenant_id == mine ? 1 : 0;
	store_stream_finish(t, &fence, NULL, SECOND_US, 0);
})
CHANGES(finish_quietly, store_worker, {
	const struct tenant_status_row status = { .token_state = TEXT("active") };
	const struct stream_row next = { .sync_next_at_us = SECOND_US };
	struct stream_fence fence = fence_of(tenant_id);

	fence.epoch += tenant_id == mine ? 1 : 0; // after the take above, of what the finish had let go
	fence.write_seq += tenant_id == mine ? 2 : 0;
	fence.event_seq += tenant_id == mine ? 1 : 0;
	store_stream_finish_quietly(t, &fence, &next, SECOND_US, 0, &status, true);
})
CHANGES(stream_take, store_worker, (void)store_stream_take(t, tenant_id, NODE))
CHANGES(ledger_insert, store_worker, {
	const struct stream_fence fence = fence_of(tenant_id);
	const struct ledger_entry entry = { .kind = "fetch" };

	(void)store_ledger_insert(t, &fence, 0, &entry);
})
CHANGES(device_put, store_worker, {
	const struct device_row device = device_of(0, INSTANT_NONE);

	(void)store_device_put(t, tenant_id, &device, 1);
})
CHANGES(device_insert, store_worker, {
	struct device_row device = device_of(0, INSTANT_NONE);

	device.apple.serial_number = TEXT("INSERTED");
	(void)store_device_insert(t, tenant_id, &device, 1);
})
CHANGES(event_insert, store_worker, {
	const struct stored_event event = event_of(2, INSTANCE);

	(void)store_event_insert(t, tenant_id, &event, 1);
})
CHANGES(position_settle, store_worker, {
	const struct stream_fence fence = fence_of(tenant_id);

	store_position_settle(t, &fence, 0, &(const struct position_row){ .endpoint_id = INSTANCE, .acked_seq = 1 });
})
CHANGES(attempt_insert, store_worker, {
	const struct attempt_row attempt = attempt_of(2);

	(void)store_attempt_insert(t, tenant_id, &attempt, 1);
})
CHANGES(endpoint_disable, store_worker, (void)store_endpoint_disable(t, tenant_id, INSTANCE, TEXT("410")))
CHANGES(endpoint_enable, store_api, store_endpoint_enable(t, tenant_id, INSTANCE))
CHANGES(endpoint_slow, store_worker, (void)store_endpoint_slow(t, tenant_id, INSTANCE, SECOND_US))
CHANGES(endpoint_succeeded, store_worker, (void)store_endpoint_succeeded(t, tenant_id, INSTANCE, SECOND_US))
CHANGES(endpoint_insert, store_api, {
	const struct endpoint_row endpoint = endpoint_of(INSTANCE + 20);

	store_endpoint_insert(t, tenant_id, &endpoint);
})
CHANGES(endpoint_update, store_api, {
	const struct endpoint_row endpoint = endpoint_of(INSTANCE);

	(void)store_endpoint_update(t, tenant_id, &endpoint);
})
READS(endpoint_select, store_api, store_endpoint_select(t, tenant_id, 0))
READS(endpoint_list_with_secrets, store_worker, store_endpoint_list_with_secrets(t, tenant_id))
CHANGES(parked_event_insert, store_worker, {
	const struct parked_event_row event = parked_event_of(7);

	(void)store_parked_event_insert(t, tenant_id, &event, 1);
})
CHANGES(endpoint_delete, store_api, store_endpoint_delete(t, tenant_id, INSTANCE + 20))
CHANGES(resend_order, store_api, {
	const int64_t seq = 1;
	struct resend_order order = { .seqs = &seq };

	order.count = 1;
	(void)store_resend_order(t, tenant_id, INSTANCE, &order);
})
CHANGES(resend_order_serial, store_api, (void)store_resend_order(t, tenant_id, INSTANCE, &(const struct resend_order){ .serial = SERIAL }))
CHANGES(resend_order_time, store_api, {
	struct resend_order order = { .from_us = SECOND_US };

	order.to_us = INSTANT_NONE;
	(void)store_resend_order(t, tenant_id, INSTANCE, &order);
})
CHANGES(resend_order_parked, store_api, (void)store_resend_order(t, tenant_id, INSTANCE, &(const struct resend_order){ .parked = true }))
CHANGES(resend_ping, store_api, store_resend_ping(t, tenant_id, INSTANCE))
READS(resend_list, store_worker, store_resend_list(t, tenant_id, INSTANCE, 10))
CHANGES(resend_done, store_worker, {
	const int64_t seq = 0;

	(void)store_resend_done(t, tenant_id, INSTANCE, &seq, 1);
})
READS(parked_event_list, store_api, store_parked_event_list(t, tenant_id, INSTANCE, 0, 10))
CHANGES(profile_put, store_worker, {
	struct profile_row profile = profile_of(INSTANCE, TOKEN);

	profile.profile_uuid = TEXT("other");
	(void)store_profile_put(t, tenant_id, &profile);
})
READS(tenant_profile_select, store_worker, store_tenant_profile_select(t, tenant_id))
READS(tenant_profile_versions, store_api, store_tenant_profile_versions(t, tenant_id, 0, 10))
READS(instance_profile_versions, store_api, store_instance_profile_versions(t, tenant_id, INSTANCE, 0, 10))
READS(instance_device_counts, store_api, store_instance_device_counts(t, tenant_id))
READS(definition_list, store_worker, store_definition_list(t, tenant_id))
READS(profile_to_check, store_worker, store_profile_to_check(t, tenant_id, INT64_C(4102444800) * SECOND_US))
CHANGES(tenant_profile_put, store_api, (void)store_tenant_profile_put(t, tenant_id, -1, &layers, &author))
CHANGES(instance_profile_put, store_api, (void)store_instance_profile_put(t, tenant_id, INSTANCE, -1, TEXT("{\"a\":1}"), &author))
CHANGES(template_done, store_worker, store_template_done(t, tenant_id, 17))
CHANGES(definition_begin, store_worker, {
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);

	store_definition_begin(t, tenant_id, INSTANCE, profile.content_digest);
})
CHANGES(definition_withdraw, store_worker, {
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);

	store_definition_withdraw(t, tenant_id, INSTANCE, profile.content_digest, SECOND_US);
})
CHANGES(definition_taken, store_worker, {
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);

	store_definition_withdraw(t, tenant_id, INSTANCE, profile.content_digest, INT64_C(4102444800) * SECOND_US);
	store_definition_taken(t, tenant_id, INSTANCE, profile.content_digest);
})
CHANGES(definition_end_waits, store_worker, {
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);

	store_definition_withdraw(t, tenant_id, INSTANCE, profile.content_digest, INT64_C(4102444800) * SECOND_US);
	store_definition_end_waits(t, tenant_id, clock_wall_us());
})
CHANGES(definition_lost, store_worker, store_definition_lost(t, tenant_id))
CHANGES(profile_checked, store_worker, store_profile_checked(t, tenant_id, &drifted))
CHANGES(profile_forget, store_worker, (void)store_profile_forget(t, tenant_id, TEXT("uuid")))
CHANGES(status_run, store_worker,
	(void)store_tenant_status_run(t, tenant_id, &(const struct tenant_status_row){ .token_state = TEXT("active") }, true))
CHANGES(status_token, store_api, (void)store_tenant_status_token(t, tenant_id, TEXT("active"), SECOND_US))
CHANGES(due_request, store_api, (void)store_due_request(t, tenant_id, DUE_FULL))
CHANGES(tenant_insert, store_api, {
	struct tenant_row tenant = tenant_of(tenant_id);

	tenant.slug = TEXT("third");
	store_tenant_insert(t, &tenant);
})
CHANGES(tenant_pin, store_api, {
	const struct tenant_row tenant = tenant_of(tenant_id);

	(void)store_tenant_pin(t, &tenant);
})
CHANGES(tenant_update, store_api, {
	const struct tenant_row tenant = tenant_of(tenant_id);

	store_tenant_update(t, &tenant);
})
CHANGES(data_key_insert, store_api, (void)store_data_key_insert(t, tenant_id, 2, digest_bytes, TEXT("")))
CHANGES(data_key_rewrap, store_api, rewrap(t, tenant_id))
CHANGES(data_key_supersede, store_api, store_data_key_supersede(t, tenant_id, 1))
CHANGES(secret_reseal, store_api, reseal(t, tenant_id))
CHANGES(data_key_drop_unused, store_api, (void)store_data_key_drop_unused(t, tenant_id))
CHANGES(secret_put, store_api, put_secret(t, tenant_id, SECRET_WEBHOOK, 2))
CHANGES(secret_delete, store_worker, (void)store_secret_delete(t, tenant_id, SECRET_WEBHOOK, INSTANCE))
CHANGES(key_pair_insert, store_api, {
	const struct key_pair_row pair = pair_of(NEXT_PAIR + 10);

	(void)store_key_pair_insert(t, tenant_id, &pair);
})
CHANGES(token_take, store_api, {
	const struct token_row token = token_of(TOKEN + 10, NEXT_PAIR);

	store_token_take(t, tenant_id, &token);
})
CHANGES(token_remove, store_api, store_token_remove(t, tenant_id))
CHANGES(instance_insert, store_api, {
	const struct instance_row instance = instance_of(INSTANCE + 10, "second");

	store_instance_insert(t, tenant_id, &instance);
})
CHANGES(instance_update, store_api, {
	const struct instance_row instance = instance_of(INSTANCE, "main");

	(void)store_instance_update(t, tenant_id, &instance);
})
CHANGES(reroute_insert, store_worker, store_reroute_insert(t, tenant_id, (const struct text[]){ TEXT("ANOTHER") }, 1))
CHANGES(reroute_delete, store_worker, store_reroute_delete(t, tenant_id, (const struct text[]){ REROUTED }, 1))
CHANGES(claims_put, store_worker, store_claims_put(t, tenant_id, &(struct serial_claim){ .serial_number = SERIAL, .gone = true }, 1))
CHANGES(claims_insert, store_worker, store_claims_insert(t, tenant_id, &(struct serial_claim){ .serial_number = TEXT("INSERTED") }, 1))
CHANGES(list_hashes, store_worker, store_device_list_hashes(t, tenant_id, (const struct text[]){ SERIAL }, (const int64_t[]){ 5 }, 1))
CHANGES(pin_put, store_api, store_pins_put(t, tenant_id, &(struct pin_row){ .made_by = TEXT("other") }, (const struct text[]){ SERIAL }, 1))
CHANGES(pin_delete, store_api, (void)store_pins_delete(t, tenant_id, (const struct text[]){ SERIAL }, 1))
CHANGES(account_spend, store_api, store_account_spend(t, &(const struct account_spending){ tenant_id, 3, 100 }, 1, TEXT("rules"), TEXT("key")))
CHANGES(account_note, store_api, store_account_note_limits(t, &(const struct tenant_row){ .tenant_id = tenant_id }, TEXT("key")))
CHANGES(approval_insert, store_api, put_approval(t, tenant_id, APPROVAL + 1))
CHANGES(approval_close, store_api, store_approval_close(t, tenant_id, APPROVAL * 1000 + tenant_id, TEXT("rejected"), TEXT("key")))
READS(job_by_id, store_api, store_job_by_id(t, tenant_id, JOB))
READS(job_list, store_api, store_job_list(t, &tenant_id, 1, &(struct job_filter){ .before_id = INT64_MAX }, 10))
READS(job_lines, store_api, store_job_lines(t, tenant_id, JOB, 0, 10))
READS(job_counts, store_api, store_job_counts(t, tenant_id, JOB))
READS(job_slice, store_api, store_job_slice(t, tenant_id, JOB, 0))
READS(job_asked, store_worker, store_job_asked(t, tenant_id, 10))
READS(device_labels, store_api, store_device_labels(t, tenant_id, SERIAL))
CHANGES(device_labels_put, store_api, (void)store_device_labels_put(t, tenant_id, &(struct device_labels_row){ .made_by = TEXT("key") }, SERIAL))
CHANGES(job_insert, store_api, put_job(t, tenant_id, JOB + 1))
CHANGES(job_rows_of_devices, store_api, {
	struct job_row job = job_of(tenant_id, 0, 0);

	job.job_id = JOB + 2;
	store_job_insert(t, tenant_id, &job);
	store_job_rows_of_devices(t, tenant_id, JOB + 2, &DEVICE_FILTER_ANY, INSTANCE);
})
CHANGES(job_carry_out, store_api, {
	const struct job_row job = job_of(tenant_id, 2, 0);

	store_job_carry_out(t, &(struct job_progress){ &job, 1, &outcome, row_numbers, 1 });
})
CHANGES(job_answered, store_worker,
	store_job_answered(t, tenant_id, JOB, &(struct job_answer){ .row_number = 2, .result = JOB_FAILED, .detail = TEXT("why") }, 1))
CHANGES(job_cost_again, store_api, {
	const struct job_row job = job_of(tenant_id, 2, 1);

	store_job_cost_again(t, &job);
})
CHANGES(job_cost, store_api, {
	const struct job_row job = job_of(tenant_id, 1, 1);

	store_job_cost(t, &(struct job_progress){ &job, 2, &outcome, row_numbers + 1, 1 });
})
CHANGES(job_costed, store_api, {
	const struct job_row job = job_of(tenant_id, 2, 1);

	store_job_costed(t, &job, TEXT("waiting"), 1, 0);
})
CHANGES(job_ask, store_api, {
	const struct job_row job = job_of(tenant_id, 2, 1);

	store_job_ask(t, &job, JOB * 1000 + tenant_id, 1, 1);
})
CHANGES(job_approved, store_api, store_job_approved(t, tenant_id, JOB * 1000 + tenant_id))
CHANGES(job_begin, store_api, {
	const struct job_row job = job_of(tenant_id, 2, 1);

	store_job_begin(t, &job);
})
CHANGES(job_cancel, store_api, store_job_cancel(t, tenant_id, JOB, TEXT("key")))
CHANGES(job_retire, store_api, {
	const struct job_row job = begin_retiring(t, tenant_id, JOB + 3);

	store_job_retire(t, &job, -1, TEXT_NONE);
})
CHANGES(job_retire_again, store_api, {
	const struct job_row job = begin_retiring(t, tenant_id, JOB + 4);

	store_job_retire_again(t, &job);
})
CHANGES(approval_grant, store_api, store_approval_grant(t, tenant_id, (APPROVAL + 1) * 1000 + tenant_id, TEXT("another"), TEXT("[]")))
CHANGES(rules_put, store_api, (void)store_rules_put(t, tenant_id, -1, &(struct rules_row){ .document = TEXT("{}"), .made_by = TEXT("key") }))
CHANGES(bypass_code_insert, store_api, {
	const struct bypass_code_row code = bypass_code_of(CODE + 10);

	(void)store_bypass_code_insert(t, tenant_id, &code);
})
CHANGES(bypass_code_sent, store_api, (void)store_bypass_code_sent(t, tenant_id, CODE))
CHANGES(bypass_code_answered, store_api, (void)store_bypass_code_answered(t, tenant_id, CODE, TEXT("SUCCESS")))
CHANGES(tenant_quarantine, store_worker, (void)store_tenant_quarantine(t, tenant_id, TEXT("why")))

READS(pending_select, store_worker, store_pending_select(t, tenant_id))
CHANGES(pending_put, store_api, {
	const struct pending_token_row pending = pending_of(PENDING + 10);

	store_pending_put(t, tenant_id, &pending);
})
CHANGES(pending_retry, store_worker, {
	const struct pending_token_row pending = pending_of(PENDING);

	(void)store_pending_retry(t, tenant_id, &pending);
})
CHANGES(pending_drop, store_api, store_pending_drop(t, tenant_id, 0))
CHANGES(token_set_admin, store_worker, (void)store_token_set_admin(t, tenant_id, TOKEN, TEXT("other")))
CHANGES(status_told, store_worker, (void)store_tenant_status_told(t, tenant_id, TOKEN, 7, TEXT("admin")))
CHANGES(alert_raise, store_worker, (void)store_alert_raise(t, tenant_id, TEXT("token.expired"), TEXT("why")))
CHANGES(alert_clear, store_worker, (void)store_alert_clear(t, tenant_id, TEXT("token.expiring")))
CHANGES(alerts_seen, store_worker, (void)store_alerts_seen(t, tenant_id))
CHANGES(alert_ack, store_api, (void)store_alert_ack(t, tenant_id, 0, TEXT("key"), true))
CHANGES(link_insert, store_api, {
	const struct renewal_link_row link = link_of(PENDING + 20);

	(void)store_renewal_link_insert(t, tenant_id, &link, (const unsigned char *)digest_bytes.bytes);
})
CHANGES(link_use, store_api, store_renewal_link_use(t, tenant_id, PENDING))
CHANGES(begin_erase, store_api, store_tenant_begin_erase(t, tenant_id))

static const struct function *const functions[] = {
	&dep_server_select, &dep_server_list, &dep_profile_find, &dep_profile_uuids, &event_of_instance,
	&pending_select, &run_select, &tenant_by_id, &data_key_current, &secret_select, &secret_select_all,
	&secret_select_for_run, &key_pair_list, &key_pair_by_id, &token_current,
	&instance_list, &instance_by_name, &rules_current, &rules_by_version, &rules_list,
	&account_select, &routed_by_serials, &instance_device_list, &fact_by_serials, &fact_list, &fact_to_assign, &reroute_list, &pin_select, &pin_list, &device_shown_list, &routed_list, &reroute_insert, &reroute_delete,
	&approval_insert, &approval_close, &approval_grant, &profile_list, &due_select, &stream_select, &device_by_serials,
	&device_fingerprints, &device_list, &instance_device_counts, &device_to_assign, &device_to_assign_alike, &event_list, &event_by_serial, &event_to_deliver, &position_list,
	&attempt_list, &advance, &ledger_insert, &device_put, &device_insert, &claims_put, &claims_insert, &list_hashes, &event_insert, &position_settle, &attempt_insert, &endpoint_select,
	&endpoint_list_with_secrets, &parked_event_list, &endpoint_disable, &endpoint_enable, &endpoint_slow, &endpoint_succeeded, &parked_event_insert,
	 &tenant_profile_select, &tenant_profile_versions, &instance_profile_versions, &definition_list, &profile_to_check,
	&template_done, &definition_begin, &definition_withdraw, &definition_taken, &definition_end_waits, &definition_lost, &profile_put, &profile_checked, &profile_forget,
	&status_run, &status_token, &due_request, &tenant_insert, &tenant_pin,
	&token_set_admin, &status_told, &alert_raise, &alerts_seen, &alert_clear, &alert_ack, &link_insert, &link_use, &pending_retry,
	&pending_put, &pending_drop, &data_key_insert, &data_key_list, &data_key_rewrap, &data_key_drop_unused, &secret_list,
	&secret_reseal, &secret_put, &secret_delete, &key_pair_insert, &finish, &stream_take, &finish_quietly, &tenant_update,
	&instance_update, &instance_insert, &tenant_profile_put, &instance_profile_put, &rules_put, &pin_put, &pin_delete,
	&dep_nonce_take, &dep_profile_put, &dep_profile_lose, &dep_wish_put, &dep_wish_delete, &dep_server_revoke,
	&account_spend, &account_note,
	&token_take, &token_remove,
	&tenant_quarantine, &bypass_code_list, &bypass_code_secrets,
	&bypass_code_insert, &bypass_code_sent, &bypass_code_answered, &data_key_supersede,
	&job_by_id, &job_list, &job_lines, &job_counts, &job_slice, &job_asked, &device_labels, &device_labels_put, &job_insert, &job_rows_of_devices, &job_carry_out, &job_answered,
	&job_cost_again, &job_cost, &job_costed, &job_ask, &job_approved, &job_begin, &job_cancel, &job_retire_again, &job_retire,
	&resend_list, &resend_order, &resend_order_serial, &resend_order_time, &resend_order_parked, &resend_ping, &resend_done,
	&endpoint_insert, &endpoint_update, &endpoint_delete, &begin_erase,
};

enum { FUNCTIONS = sizeof functions / sizeof *functions };

// Rows that it gave; -1: it was refused.
static int64_t call_function(const struct function *function, int64_t scope_tenant, int64_t argument_tenant)
{
	struct pg_call call;
	const unsigned statement = function->add(begin(&call, function->scope(scope_tenant)), argument_tenant);
	int64_t rows = -1;

	if (pg_call_run(&call, &world.pg) == OK) {
		rows = function->gives_rows ? (int64_t)pg_row_count(&call.transaction, statement) : 0;
	}
	end(&call);
	return rows;
}

static void expect_unchanged(const char *before, const struct function *function)
{
	char *after = rows_of_tenant(&world, theirs);

	if (strcmp(before, after) != 0) {
		fail_msg("%s changed another client:\n%s\n%s", function->name, before, after);
	}
	free(after);
}

static void no_function_reaches_another_client_through_the_policies(void **state)
{
	char *before = rows_of_tenant(&world, theirs);

	(void)state;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		const int64_t rows = call_function(functions[i], mine, theirs);

		if (rows > 0 || (functions[i]->gives_rows && rows != 0)) {
			fail_msg("%s gave %lld rows of another client", functions[i]->name, (long long)rows);
		}
		expect_unchanged(before, functions[i]);
	}
	free(before);
}

// PostgreSQL keeps the plans that sessions have by name when only a role's right changes: each table is touched as well.
static void set_walls(const char *option)
{
	struct buffer sql CLEANUP(buffer_fini) = BUFFER(4096);

	buffer_add_format(&sql, "alter role depbroker_api %s; alter role depbroker_worker %s", option, option);
	for (size_t i = 0; client_tables[i] != NULL; i++) {
		buffer_add_format(&sql, "; alter table depbroker.%s force row level security", client_tables[i]);
	}
	test_postgres_run(world.postgres, sql.bytes);
}

// With no policy at work, only the statements' own conditions are left.
static void no_function_reaches_another_client_by_its_statement(void **state)
{
	char *before = rows_of_tenant(&world, theirs);
	int64_t rows[FUNCTIONS];

	(void)state;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		rows[i] = functions[i]->gives_rows ? call_function(functions[i], mine, mine) : 0;
	}
	set_walls("bypassrls");
	for (size_t i = 0; i < FUNCTIONS; i++) {
		const int64_t without_policies = call_function(functions[i], mine, mine);

		if ((without_policies < 0) != (functions[i] == &tenant_insert || functions[i] == &data_key_insert)) { // these exist
			fail_msg("%s was %s", functions[i]->name, without_policies < 0 ? "refused" : "not refused");
		}
		if (functions[i]->gives_rows && (rows[i] <= 0 || without_policies != rows[i])) {
			fail_msg("%s gave %lld rows, without policies %lld", functions[i]->name, (long long)rows[i],
				(long long)without_policies);
		}
		expect_unchanged(before, functions[i]);
	}
	set_walls("nobypassrls");
	free(before);
}

static void the_next_assignment_is_the_own_clients(void **state)
{
	struct pg_call call;
	unsigned statement;

	(void)state;
	set_walls("bypassrls");
	statement = store_device_next_assign(begin(&call, store_worker(mine)), mine);
	run(&call, &world);
	set_walls("nobypassrls");
	assert_int_equal(store_device_next_assign_read(&call.transaction, statement), next_assign_us);
	end(&call);
	(void)store_device_next_assign(begin(&call, store_worker(mine)), theirs);
	run(&call, &world);
	assert_int_equal(store_device_next_assign_read(&call.transaction, 0), INSTANT_NONE);
	end(&call);
}

static struct tenant_status_row counted(int64_t tenant_id)
{
	const struct tenant_status_row status = { .synced_at_us = INSTANT_NONE, .sync_next_at_us = INSTANT_NONE };
	struct tenant_status_row row;
	struct pg_call call;
	unsigned statement;

	(void)store_tenant_status_run(begin(&call, store_worker(tenant_id)), tenant_id, &status, true);
	statement = store_tenant_by_id(&call.transaction, tenant_id);
	run(&call, &world);
	store_tenant_status_read(&call.transaction, statement, 0, &row);
	end(&call);
	return row;
}

static bool is_anything_pending(int64_t tenant_id)
{
	bool pending = false;
	struct pg_call call;
	const unsigned statement = store_position_list(begin(&call, store_worker(tenant_id)), tenant_id);

	run(&call, &world);
	for (size_t row = 0; row < pg_row_count(&call.transaction, statement); row++) {
		struct position_row position;

		store_position_read(&call.transaction, statement, row, &position);
		pending = pending || position.pending;
	}
	end(&call);
	return pending;
}

static void put(int64_t tenant_id, const struct device_row *device, const struct stored_event *event)
{
	struct pg_call call;

	(void)store_device_put(begin(&call, store_worker(tenant_id)), tenant_id, device, device != NULL ? 1 : 0);
	(void)store_event_insert(&call.transaction, tenant_id, event, event != NULL ? 1 : 0);
	run_and_end(&call, &world);
}

// A client with the same instance as the others, whose profile, events and log the statements must not take for its own.
static void what_is_counted_is_the_own_clients(void **state)
{
	const int64_t tenant_id = new_tenant(&world, "counted");
	const struct device_row device = device_of(INSTANCE, INSTANT_NONE);
	const struct stored_event event = event_of(1, INSTANCE);
	struct instance_row instance = instance_of(INSTANCE, "main");
	struct tenant_status_row status;
	struct pg_call call;

	(void)state;
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	run_and_end(&call, &world);
	set_walls("bypassrls");
	status = counted(tenant_id);
	assert_int_equal(status.devices, 0);
	assert_int_equal(status.event_seq, 0);
	assert_int_equal(status.announced_seq, 0);
	assert_false(is_anything_pending(tenant_id));

	put(tenant_id, &device, NULL);
	status = counted(tenant_id);
	assert_int_equal(status.devices, 1);
	assert_int_equal(status.assigned, 0); // it has no profile; the others have one of this name
	test_postgres_run(world.postgres, "update depbroker.sync_stream set event_seq = 9 where tenant_id = "
		"(select tenant_id from depbroker.tenants where slug = 'counted')");
	assert_int_equal(counted(tenant_id).announced_seq, 9); // the others' events wait, not ours

	put(tenant_id, NULL, &event);
	assert_int_equal(counted(tenant_id).announced_seq, 0);
	test_postgres_run(world.postgres, "update depbroker.positions set acked_seq = 1 where tenant_id = "
		"(select tenant_id from depbroker.tenants where slug = 'counted')");
	assert_int_equal(counted(tenant_id).announced_seq, 9); // the others stand at 0
	test_postgres_run(world.postgres, "update depbroker.positions set acked_seq = 0 where tenant_id = "
		"(select tenant_id from depbroker.tenants where slug = 'counted')");
	assert_int_equal(counted(tenant_id).announced_seq, 0);
	instance.webhook_url = TEXT_NONE;
	(void)store_instance_update(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	run_and_end(&call, &world);
	assert_int_equal(counted(tenant_id).announced_seq, 9); // only the others' instances have a webhook
	set_walls("nobypassrls");
}

static void ownership_of_another_client_proves_nothing(void **state)
{
	const int64_t tenant_id = new_tenant(&world, "unowned");
	const struct instance_row instance = instance_of(INSTANCE, "main");
	const struct stream_fence fence = { .tenant_id = tenant_id, .node_id = NODE, .epoch = 1 }; // as the others have it
	struct pg_call call;

	(void)state;
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	run_and_end(&call, &world);
	set_walls("bypassrls");
	store_position_settle(begin(&call, store_worker(tenant_id)), &fence, 0,
		&(const struct position_row){ .endpoint_id = INSTANCE, .acked_seq = 1 });
	refuse(&call, &world, ERR_FENCED);
	set_walls("nobypassrls");
}

// --- references ---

static void put_job_of_its_own(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	store_job_insert(t, tenant_id, &(struct job_row){ .job_id = JOB + 9, .kind = JOB_PIN, .start_at_us = INSTANT_NONE, .created_by = TEXT("key") });
	store_job_rows_insert(t, tenant_id, JOB + 9, &(struct job_wish){ .serial_number = SERIAL, .instance_id = instance_id }, 1);
}

static void references_do_not_leave_the_client(void **state)
{
	const int64_t stranger = new_tenant(&world, "stranger");
	const struct device_row device = device_of(INSTANCE, INSTANT_NONE);
	const struct profile_row profile = profile_of(INSTANCE, TOKEN);
	const struct token_row token = token_of(TOKEN, PAIR);
	struct profile_row without_token;
	struct pg_call call;

	(void)state;
	(void)store_device_put(begin(&call, store_worker(stranger)), stranger, &device, 1);
	refuse(&call, &world, ERR_DATABASE); // a wall, and no reference
	store_pins_put(begin(&call, store_api(stranger)), stranger, &(struct pin_row){ .instance_id = INSTANCE, .made_by = TEXT("key") }, (const struct text[]){ SERIAL }, 1);
	refuse(&call, &world, ERR_BAD_INPUT);
	(void)store_profile_put(begin(&call, store_worker(stranger)), stranger, &profile);
	refuse(&call, &world, ERR_BAD_INPUT);
	store_token_take(begin(&call, store_api(stranger)), stranger, &token);
	refuse(&call, &world, ERR_BAD_INPUT);
	put_secret(begin(&call, store_api(stranger)), stranger, SECRET_WEBHOOK, 1);
	refuse(&call, &world, ERR_BAD_INPUT);
	store_job_rows_insert(begin(&call, store_api(stranger)), stranger, JOB, job_rows, 2);
	refuse(&call, &world, ERR_BAD_INPUT);
	put_job_of_its_own(begin(&call, store_api(stranger)), stranger, INSTANCE);
	refuse(&call, &world, ERR_BAD_INPUT);
	put_job_of_its_own(begin(&call, store_api(stranger)), stranger, 0);
	run_and_end(&call, &world);

	// The profile's other reference: the instance is its own, the token is not.
	without_token = profile_of(new_instance(&world, stranger, "own"), TOKEN);
	(void)store_profile_put(begin(&call, store_worker(stranger)), stranger, &without_token);
	refuse(&call, &world, ERR_BAD_INPUT);
	without_token.token_id = new_token(&world, stranger);
	(void)store_profile_put(begin(&call, store_worker(stranger)), stranger, &without_token);
	run_and_end(&call, &world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forgotten_client_is_an_error_for_each_table),
		cmocka_unit_test(the_policies_alone_hide_other_clients),
		cmocka_unit_test(the_directory_cannot_read_inside_of_a_client),
		cmocka_unit_test(the_next_assignment_is_the_own_clients),
		cmocka_unit_test(what_is_counted_is_the_own_clients),
		cmocka_unit_test(ownership_of_another_client_proves_nothing),
		cmocka_unit_test(references_do_not_leave_the_client),
		cmocka_unit_test(no_function_reaches_another_client_through_the_policies),
		cmocka_unit_test(no_function_reaches_another_client_by_its_statement), // last: it changes the own rows
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
