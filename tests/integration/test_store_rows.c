// SPDX-License-Identifier: Apache-2.0
//
// Every row of the store comes back as it was written, with NULLs, quotes and characters beyond ASCII.
#include "store/api_keys.h"
#include "store/dep_profiles.h"
#include "store/dep_servers.h"
#include "store/deliveries.h"
#include "store/instances.h"
#include "store/account.h"
#include "store/approvals.h"
#include "store/routing.h"
#include "store/parked.h"
#include "store/replacements.h"
#include "store/secrets.h"
#include "store/tokens.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ODD      TEXT("it's \"odd\" \\ {a,b} $1 \xc3\xbc\xe2\x82\xac\xf0\x9f\x92\xbb")
#define MOMENT   INT64_C(1764158400123456) // 2025-11-26T12:00:00.123456Z
#define DIGEST64 TEXT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

static struct store_world world;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
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

static void same_text(struct text a, struct text b)
{
	if (!text_equal(a, b)) {
		fail_msg("\"%.*s\" is not \"%.*s\"", TEXT_ARGS(a), TEXT_ARGS(b));
	}
}

static bool is_recent(int64_t instant_us)
{
	return instant_us > clock_wall_us() - 300 * SECOND_US && instant_us < clock_wall_us() + 300 * SECOND_US;
}

// --- clients ---

static void same_settings(const struct tenant_row *a, const struct tenant_row *b)
{
	assert_int_equal(a->tenant_id, b->tenant_id);
	same_text(a->slug, b->slug);
	same_text(a->display_name, b->display_name);
	same_text(a->state, b->state);
	same_text(a->apple_url, b->apple_url);
	assert_int_equal(a->protocol_version, b->protocol_version);
	assert_int_equal(a->sync_interval_s, b->sync_interval_s);
}

static void a_client_comes_back(void **state)
{
	struct tenant_row tenant = { .tenant_id = 7001, .slug = TEXT("acme-1"), .display_name = ODD, .state = TEXT("paused"),
		.apple_url = TEXT("http://127.0.0.1:1/"), .protocol_version = 9, .sync_interval_s = 60 };
	struct tenant_row row;
	struct pg_call call;

	(void)state;
	store_tenant_insert(begin(&call, store_api(7001)), &tenant);
	run_and_end(&call, &world);
	(void)store_tenant_by_slug(begin(&call, store_directory()), tenant.slug);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 1);
	store_tenant_read(&call.transaction, 0, 0, &row);
	same_settings(&row, &tenant);
	assert_int_equal(row.server_uuid.length, 0);
	assert_int_equal(row.pinned_at_us, INSTANT_NONE);
	assert_true(is_recent(row.created_at_us));
	end(&call);

	tenant = (struct tenant_row){ .tenant_id = 7001, .slug = TEXT("acme-1"), .display_name = TEXT("A"), .state = TEXT("active") };
	store_tenant_update(begin(&call, store_api(7001)), &tenant);
	const unsigned shown = store_tenant_by_id(&call.transaction, 7001);

	run(&call, &world);
	store_tenant_read(&call.transaction, shown, 0, &row);
	same_settings(&row, &tenant);
	end(&call);
}

static void a_slug_exists_once(void **state)
{
	const struct tenant_row again = { .tenant_id = 7003, .slug = TEXT("only-one"), .display_name = TEXT("B"), .state = TEXT("active") };
	struct pg_call call;

	(void)state;
	(void)new_tenant(&world, "only-one");
	store_tenant_insert(begin(&call, store_api(7003)), &again);
	assert_int_equal(pg_call_run(&call, &world.pg), ERR_CONFLICT);
	assert_string_equal(call.transaction.constraint, "tenants_slug_key");
	end(&call);
}

static struct tenant_row identity_of(int64_t tenant_id, struct text server_uuid)
{
	return (struct tenant_row){ .tenant_id = tenant_id, .server_uuid = server_uuid, .server_name = ODD, .org_id = TEXT("1"),
		.org_id_hash = TEXT("2"), .org_name = TEXT("3"), .org_type = TEXT("edu") };
}

static enum err pin(const struct tenant_row *identity)
{
	struct pg_call call;
	enum err rc;

	store_tenant_pin(begin(&call, store_api(identity->tenant_id)), identity);
	rc = pg_call_run(&call, &world.pg);
	end(&call);
	return rc;
}

static void a_client_is_pinned_to_one_server(void **state)
{
	const struct tenant_row identity = identity_of(fresh_tenant(), TEXT("uuid-1"));
	const struct tenant_row other = identity_of(identity.tenant_id, TEXT("uuid-2"));
	const struct tenant_row thief = identity_of(fresh_tenant(), TEXT("uuid-1"));
	struct tenant_row row;
	struct pg_call call;

	(void)state;
	assert_int_equal(pin(&identity), OK);
	assert_int_equal(pin(&identity), OK);
	assert_int_equal(pin(&other), ERR_FENCED);
	store_tenant_pin(begin(&call, store_api(thief.tenant_id)), &thief);
	assert_int_equal(pg_call_run(&call, &world.pg), ERR_CONFLICT);
	assert_string_equal(call.transaction.constraint, "tenants_server_uuid_key");
	end(&call);
	(void)store_tenant_by_server(begin(&call, store_directory()), TEXT("uuid-1"));
	(void)store_tenant_by_server(&call.transaction, TEXT("uuid-2"));
	run(&call, &world);
	store_tenant_read(&call.transaction, 0, 0, &row);
	assert_int_equal(row.tenant_id, identity.tenant_id);
	same_text(row.server_uuid, identity.server_uuid);
	same_text(row.server_name, identity.server_name);
	same_text(row.org_id, identity.org_id);
	same_text(row.org_id_hash, identity.org_id_hash);
	same_text(row.org_name, identity.org_name);
	same_text(row.org_type, identity.org_type);
	assert_true(is_recent(row.pinned_at_us));
	assert_int_equal(pg_row_count(&call.transaction, 1), 0);
	end(&call);
}

static void lists_of_clients_are_by_slug_and_in_pages(void **state)
{
	const int64_t first = new_tenant(&world, "list-a");
	const int64_t second = new_tenant(&world, "list-b");
	const int64_t ids[] = { second, first };
	struct tenant_row row;
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_directory());

	(void)state;
	(void)store_tenant_list(t, TEXT("list-"), NULL, 0, 1);
	(void)store_tenant_list(t, TEXT("list-a"), NULL, 0, 1);
	(void)store_tenant_list(t, TEXT_NONE, ids, 2, 10);
	(void)store_tenant_list(t, TEXT_NONE, ids, 0, 10);
	run(&call, &world);
	assert_int_equal(pg_row_count(t, 0), 1);
	store_tenant_read(t, 0, 0, &row);
	assert_int_equal(row.tenant_id, first);
	store_tenant_read(t, 1, 0, &row);
	assert_int_equal(row.tenant_id, second);
	assert_int_equal(pg_row_count(t, 2), 2);
	store_tenant_read(t, 2, 0, &row);
	assert_int_equal(row.tenant_id, first);
	assert_int_equal(pg_row_count(t, 3), 0);
	end(&call);
}

// --- devices ---

static struct device_row full_device(struct text serial, int64_t instance_id)
{
	return (struct device_row){
		.apple = {
			.serial_number = serial, .model = ODD, .description = TEXT("d"), .color = TEXT("c"), .asset_tag = TEXT("t"),
			.device_family = TEXT("f"), .os = TEXT("o"), .profile_status = TEXT("pushed"), .profile_uuid = TEXT("u"),
			.device_assigned_by = TEXT("b@example.com"), .profile_assign_time_us = MOMENT, .profile_push_time_us = MOMENT + 1,
			.device_assigned_date_us = MOMENT + 2, .mdm_migration_deadline_us = MOMENT + 3, .op_date_us = MOMENT + 4,
			.operation = DEVICE_MODIFIED, .response_status = TEXT("SUCCESS"), .extra = TEXT("{\"a\": [1,  2]}"),
			.fingerprint = { 0, 1, 2, 0xff, '\\', '\'', 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, .list_hash = UINT64_MAX - 6,
		},
		.gone_at_us = MOMENT + 5, .gone_reason = REMOVAL_UNLISTED, .gone_seq = 11, .instance_id = instance_id, .rules_version = 6, .assign_state = ASSIGN_THROTTLED,
		.assign_at_us = MOMENT + 7, .assign_attempts = 8, .assigned_profile_uuid = TEXT("p"), .first_seen_at_us = MOMENT + 9,
		.changed_at_us = MOMENT + 10, .last_instance_id = 12, .decider = ROUTE_BY_RULE, .rule_id = TEXT("ipads"), .hold_reason = ODD,
		.held_since_us = MOMENT + 13,
	};
}

static struct device_row empty_device(struct text serial)
{
	return (struct device_row){
		.apple = { .serial_number = serial, .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE, .op_date_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .held_since_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE, .first_seen_at_us = MOMENT, .changed_at_us = MOMENT,
	};
}

static void same_device(const struct device_row *a, const struct device_row *b)
{
	same_text(a->apple.serial_number, b->apple.serial_number);
	same_text(a->apple.model, b->apple.model);
	same_text(a->apple.description, b->apple.description);
	same_text(a->apple.color, b->apple.color);
	same_text(a->apple.asset_tag, b->apple.asset_tag);
	same_text(a->apple.device_family, b->apple.device_family);
	same_text(a->apple.os, b->apple.os);
	same_text(a->apple.profile_status, b->apple.profile_status);
	same_text(a->apple.profile_uuid, b->apple.profile_uuid);
	same_text(a->apple.device_assigned_by, b->apple.device_assigned_by);
	same_text(a->apple.extra, b->apple.extra);
	same_text(a->assigned_profile_uuid, b->assigned_profile_uuid);
	assert_int_equal(a->apple.profile_assign_time_us, b->apple.profile_assign_time_us);
	assert_int_equal(a->apple.profile_push_time_us, b->apple.profile_push_time_us);
	assert_int_equal(a->apple.device_assigned_date_us, b->apple.device_assigned_date_us);
	assert_int_equal(a->apple.mdm_migration_deadline_us, b->apple.mdm_migration_deadline_us);
	assert_int_equal(a->apple.op_date_us, b->apple.op_date_us);
	assert_memory_equal(a->apple.fingerprint, b->apple.fingerprint, DEVICE_FINGERPRINT_SIZE);
	assert_true(a->apple.list_hash == b->apple.list_hash);
	assert_int_equal(a->gone_at_us, b->gone_at_us);
	assert_int_equal(a->gone_reason, b->gone_reason);
	assert_int_equal(a->gone_seq, b->gone_seq);
	assert_int_equal(a->instance_id, b->instance_id);
	assert_int_equal(a->rules_version, b->rules_version);
	assert_int_equal(a->assign_state, b->assign_state);
	assert_int_equal(a->assign_at_us, b->assign_at_us);
	assert_int_equal(a->assign_attempts, b->assign_attempts);
	assert_int_equal(a->first_seen_at_us, b->first_seen_at_us);
	assert_int_equal(a->changed_at_us, b->changed_at_us);
	assert_int_equal(a->last_instance_id, b->last_instance_id);
	assert_int_equal(a->decider, b->decider);
	same_text(a->rule_id, b->rule_id);
	same_text(a->hold_reason, b->hold_reason);
	assert_int_equal(a->held_since_us, b->held_since_us);
	assert_int_equal(a->apple.operation, DEVICE_PRESENT);
	assert_int_equal(a->apple.response_status.length, 0);
}

static void put_devices(int64_t tenant_id, const struct device_row *rows, size_t count)
{
	struct pg_call call;

	(void)store_device_put(begin(&call, store_worker(tenant_id)), tenant_id, rows, count);
	run_and_end(&call, &world);
}

static void what_a_device_was_listed_with_is_written_alone(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct device_row gone = empty_device(TEXT("B2"));
	const struct text serials[] = { TEXT("A1"), TEXT("B2"), TEXT("none") };
	const int64_t hashes[] = { INT64_MIN, 5, 6 };
	struct device_mark mark;
	struct device_row row;
	struct pg_call call;

	(void)state;
	gone.gone_at_us = MOMENT;
	put_devices(tenant_id, (const struct device_row[]){ empty_device(TEXT("A1")), gone }, 2);
	store_device_list_hashes(begin(&call, store_worker(tenant_id)), tenant_id, serials, hashes, 3);
	run_and_end(&call, &world);
	(void)store_device_fingerprints(begin(&call, store_worker(tenant_id)), tenant_id, TEXT_NONE, 10);
	(void)store_device_by_serials(&call.transaction, tenant_id, serials, 1);
	run(&call, &world);
	store_device_mark_read(&call.transaction, 0, 0, &mark);
	assert_true(mark.list_hash == (uint64_t)INT64_MIN && !mark.gone);
	store_device_mark_read(&call.transaction, 0, 1, &mark);
	assert_true(mark.list_hash == 0 && mark.gone);
	store_device_read(&call.transaction, 1, 0, &row);
	assert_true(row.apple.list_hash == (uint64_t)INT64_MIN);
	row.apple.list_hash = 0;
	same_device(&row, &(struct device_row[]){ empty_device(TEXT("A1")) }[0]);
	end(&call);
}

static void devices_come_back(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct device_row rows[] = { full_device(TEXT("A1"), new_instance(&world, tenant_id, "main")), empty_device(TEXT("B2")) };
	const struct text serials[] = { TEXT("B2"), TEXT("none"), TEXT("A1") };
	struct device_row row;
	struct pg_call call;

	(void)state;
	put_devices(tenant_id, rows, 0);
	put_devices(tenant_id, rows, 2);
	for (int round = 0; round < 2; round++) { // the second time each becomes what the other one was
		(void)store_device_by_serials(begin(&call, store_api(tenant_id)), tenant_id, serials, 3);
		(void)store_device_list(&call.transaction, tenant_id, TEXT_NONE, true, -1, 10);
		run(&call, &world);
		assert_int_equal(pg_row_count(&call.transaction, 0), 2);
		for (size_t i = 0; i < 2; i++) {
			store_device_read(&call.transaction, 1, i, &row);
			same_device(&row, &rows[i]);
		}
		end(&call);
		row = rows[0];
		rows[0] = rows[1];
		rows[1] = row;
		rows[0].apple.serial_number = TEXT("A1");
		rows[1].apple.serial_number = TEXT("B2");
		put_devices(tenant_id, rows, 2);
	}
}

static void insert_devices(struct pg_call *call, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	(void)store_device_insert(begin(call, store_worker(tenant_id)), tenant_id, rows, count);
}

static void new_devices_come_back_whatever_they_have_in_common(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const struct text serials[] = { TEXT("A1"), TEXT("B2"), TEXT("C3") };
	struct device_row rows[] = { full_device(serials[0], instance_id), full_device(serials[1], instance_id), empty_device(serials[2]) };
	struct device_row row;
	struct pg_call call;

	(void)state;
	insert_devices(&call, tenant_id, rows, 2); // all but the key is the same in both
	run_and_end(&call, &world);
	insert_devices(&call, tenant_id, rows + 2, 1);
	run_and_end(&call, &world);
	(void)store_device_list(begin(&call, store_api(tenant_id)), tenant_id, TEXT_NONE, true, -1, 10);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 3);
	for (size_t i = 0; i < 3; i++) {
		store_device_read(&call.transaction, 0, i, &row);
		same_device(&row, &rows[i]);
	}
	end(&call);
}

static void a_device_that_is_there_is_not_inserted(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct device_row rows[] = { empty_device(TEXT("A1")), empty_device(TEXT("B2")) };
	struct pg_call call;

	(void)state;
	insert_devices(&call, tenant_id, rows, 1);
	run_and_end(&call, &world);
	insert_devices(&call, tenant_id, rows, 2);
	refuse(&call, &world, ERR_CONFLICT);
}

static void a_device_goes_to_no_other_clients_instance(void **state)
{
	const int64_t stranger = new_instance(&world, fresh_tenant(), "main");
	const int64_t tenant_id = fresh_tenant();
	struct device_row rows[] = { empty_device(TEXT("A1")), full_device(TEXT("B2"), new_instance(&world, tenant_id, "main")) };
	struct pg_call call;

	(void)state;
	put_devices(tenant_id, rows, 2);
	rows[0].instance_id = stranger;
	(void)store_device_put(begin(&call, store_worker(tenant_id)), tenant_id, rows, 2);
	refuse(&call, &world, ERR_DATABASE);
	rows[0].apple.serial_number = TEXT("C3");
	insert_devices(&call, tenant_id, rows, 1);
	refuse(&call, &world, ERR_DATABASE);
}

static void expect_serials(const struct pg_transaction *t, unsigned statement, const char *expected)
{
	struct buffer serials CLEANUP(buffer_fini) = BUFFER(256);

	buffer_add_string(&serials, "");
	for (size_t i = 0; i < pg_row_count(t, statement); i++) {
		struct device_row row;

		store_device_read(t, statement, i, &row);
		buffer_add_text(&serials, row.apple.serial_number);
	}
	assert_string_equal(serials.bytes, expected);
}

static void devices_are_found_by_what_is_to_be_done(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	struct device_row rows[] = { empty_device(TEXT("A")), empty_device(TEXT("B")), empty_device(TEXT("C")), empty_device(TEXT("D")) };
	struct pg_call call;
	struct pg_transaction *t;

	(void)state;
	rows[0].assign_at_us = MOMENT + 2;
	rows[1].assign_at_us = MOMENT + 1;
	rows[1].instance_id = instance_id;
	rows[2].assign_at_us = MOMENT + 3;
	rows[3].gone_at_us = MOMENT;
	put_devices(tenant_id, rows, 4);
	t = begin(&call, store_worker(tenant_id));
	(void)store_device_to_assign(t, tenant_id, MOMENT + 2, 10);
	(void)store_device_to_assign(t, tenant_id, MOMENT + 3, 1);
	(void)store_device_list(t, tenant_id, TEXT_NONE, false, -1, 10);
	(void)store_device_list(t, tenant_id, TEXT("A"), true, 0, 10);
	(void)store_device_list(t, tenant_id, TEXT_NONE, true, instance_id, 10);
	(void)store_device_list(t, tenant_id, TEXT("A"), true, -1, 2);
	(void)store_device_next_assign(t, tenant_id);
	run(&call, &world);
	expect_serials(t, 0, "BA");
	expect_serials(t, 1, "B");
	expect_serials(t, 2, "ABC");
	expect_serials(t, 3, "CD");
	expect_serials(t, 4, "B");
	expect_serials(t, 5, "BC");
	assert_int_equal(store_device_next_assign_read(t, 6), MOMENT + 1);
	end(&call);
	store_reroute_insert(begin(&call, store_api(tenant_id)), tenant_id, (const struct text[]){ TEXT("B") }, 1);
	run_and_end(&call, &world);
	(void)store_device_to_assign(begin(&call, store_worker(tenant_id)), tenant_id, MOMENT + 2, 10);
	run(&call, &world);
	expect_serials(&call.transaction, 0, "A"); // where B goes is to be looked at first
	end(&call);
}

static void devices_to_be_assigned_are_found_by_what_decided_about_them(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const int64_t other_id = new_instance(&world, tenant_id, "other");
	struct device_row rows[] = { empty_device(TEXT("A")), empty_device(TEXT("B")), empty_device(TEXT("C")), empty_device(TEXT("D")),
		empty_device(TEXT("E")), empty_device(TEXT("F")) };
	struct pg_call call;
	struct pg_transaction *t;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		rows[i].assign_at_us = MOMENT - (int64_t)i;
		rows[i].assign_state = ASSIGN_PENDING;
		rows[i].instance_id = instance_id;
		rows[i].decider = ROUTE_BY_RULE;
		rows[i].rule_id = TEXT("some");
	}
	rows[1].instance_id = other_id;
	rows[2].rule_id = TEXT("else");
	rows[3].decider = ROUTE_BY_PIN;
	rows[3].rule_id = TEXT_NONE;
	rows[4].assign_state = ASSIGN_CONFIRMING;
	rows[5].assigned_profile_uuid = TEXT("before"); // has one already: after those that have none
	put_devices(tenant_id, rows, 6);
	t = begin(&call, store_worker(tenant_id));
	(void)store_device_to_assign_alike(t, tenant_id, MOMENT, 10, instance_id, (const struct text[]){ TEXT("some") }, 1);
	(void)store_device_to_assign_alike(t, tenant_id, MOMENT, 10, instance_id, (const struct text[]){ TEXT("some"), TEXT("") }, 2);
	(void)store_device_to_assign_alike(t, tenant_id, MOMENT, 1, other_id, (const struct text[]){ TEXT("some") }, 1);
	run(&call, &world);
	expect_serials(t, 0, "AF");
	expect_serials(t, 1, "DAF");
	expect_serials(t, 2, "B");
	end(&call);
}

static void many_devices_are_one_statement(void **state)
{
	enum { MANY = 3000 };
	const int64_t tenant_id = fresh_tenant();
	struct device_row *rows = allocate_array(MANY, sizeof *rows);
	char (*serials)[16] = allocate_array(MANY, sizeof *serials);
	char sql[96];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(serials[i], sizeof serials[i], "S%08d", i);
		rows[i] = empty_device(text_of(serials[i]));
	}
	put_devices(tenant_id, rows, MANY);
	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.devices where tenant_id = %lld", (long long)tenant_id);
	assert_int_equal(ask_number(&world, sql), MANY);
	free(rows);
	free(serials);
}

// --- the log ---

static void same_event(const struct stored_event *a, const struct stored_event *b, struct text instance)
{
	assert_int_equal(a->event.seq, b->event.seq);
	assert_int_equal(a->event.at_us, b->event.at_us);
	assert_int_equal(a->event.type, b->event.type);
	same_text(a->event.serial_number, b->event.serial_number);
	same_text(a->event.instance, instance);
	same_text(a->event.device_json, b->event.device_json);
	same_text(a->event.changes, b->event.changes);
	assert_int_equal(a->event.reason, b->event.reason);
	assert_int_equal(a->instance_id, b->instance_id);
	assert_int_equal(a->lane, b->lane);
}

static void events_come_back(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t at_us = clock_wall_us();
	const struct stored_event events[] = {
		{ { .seq = 1, .at_us = at_us, .type = EVENT_DEVICE_ADDED, .serial_number = TEXT("S1"),
			.device_json = TEXT("{\"b\": 1,  \"a\":\"\xc3\xbc'\"}") }, new_instance(&world, tenant_id, "main"), 7 },
		{ { .seq = 2, .at_us = at_us + 1, .type = EVENT_PING }, 0, 0 },
		{ { .seq = 3, .at_us = at_us + 2, .type = EVENT_DEVICE_REMOVED, .serial_number = TEXT("S1"),
			.reason = REMOVAL_INACCESSIBLE, .changes = TEXT("{\"a\":[1,  null]}") }, events[0].instance_id, 7 },
	};
	struct stored_event event;
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));

	(void)state;
	(void)store_event_insert(t, tenant_id, events, 0);
	(void)store_event_insert(t, tenant_id, events, 3);
	(void)store_event_list(t, tenant_id, 0, 2);
	(void)store_event_by_serial(t, tenant_id, TEXT("S1"), 1, 10);
	(void)store_event_to_deliver(t, tenant_id, events[0].instance_id, 7, 1, 10);
	(void)store_event_to_deliver(t, tenant_id, events[0].instance_id, 6, 0, 10);
	(void)store_incarnation(t);
	run(&call, &world);
	assert_int_equal(pg_row_count(t, 2), 2);
	store_event_read(t, 2, 0, &event);
	same_event(&event, &events[0], TEXT("main"));
	store_event_read(t, 2, 1, &event);
	same_event(&event, &events[1], TEXT_NONE);
	assert_int_equal(pg_row_count(t, 3), 1);
	store_event_read(t, 3, 0, &event);
	same_event(&event, &events[2], TEXT("main"));
	assert_int_equal(pg_row_count(t, 4), 1);
	assert_int_equal(pg_row_count(t, 5), 0);
	assert_int_equal(store_incarnation_read(t, 6), 1);
	end(&call);
}

static void expect_as_of(const struct pg_transaction *t, unsigned statement, const char *seqs)
{
	assert_int_equal(pg_row_count(t, statement), strlen(seqs));
	for (size_t i = 0; i < strlen(seqs); i++) {
		struct stored_event event;

		store_event_read(t, statement, i, &event);
		assert_int_equal(event.event.seq, seqs[i] - '0');
	}
}

static void devices_are_found_as_they_were(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t main_id = new_instance(&world, tenant_id, "main");
	const int64_t at_us = clock_wall_us();
	struct device_row rows[] = { empty_device(TEXT("A")), empty_device(TEXT("B")), empty_device(TEXT("C")) };
	const struct stored_event events[] = {
		{ { .seq = 1, .at_us = at_us, .type = EVENT_DEVICE_ADDED, .serial_number = TEXT("A") }, main_id, 0 },
		{ { .seq = 2, .at_us = at_us, .type = EVENT_DEVICE_HELD, .serial_number = TEXT("B") }, 0, 0 },
		{ { .seq = 3, .at_us = at_us + 1, .type = EVENT_DEVICE_REMOVED, .serial_number = TEXT("A"), .reason = REMOVAL_DELETED }, main_id, 0 },
		{ { .seq = 4, .at_us = at_us + 2, .type = EVENT_DEVICE_REPLACED, .serial_number = TEXT("A") }, 0, 0 },
		{ { .seq = 5, .at_us = at_us + 2, .type = EVENT_DEVICE_ADDED, .serial_number = TEXT("B") }, main_id, 0 },
		{ { .seq = 6, .at_us = at_us + 2, .type = EVENT_DEVICE_ASSIGNED, .serial_number = TEXT("B") }, main_id, 0 },
	};
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));

	(void)state;
	(void)store_device_put(t, tenant_id, rows, 3);
	(void)store_event_insert(t, tenant_id, events, 6);
	(void)store_event_list_as_of(t, tenant_id, at_us - 1, TEXT_NONE, true, -1, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us, TEXT_NONE, false, -1, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us, TEXT_NONE, false, 0, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us + 1, TEXT_NONE, false, -1, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us + 1, TEXT_NONE, true, -1, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us + 9, TEXT_NONE, true, main_id, 10);
	(void)store_event_list_as_of(t, tenant_id, at_us + 9, TEXT("A"), true, -1, 1);
	(void)store_event_as_of(t, tenant_id, at_us + 2, TEXT("A"));
	(void)store_event_as_of(t, tenant_id, at_us + 2, TEXT("C"));
	run(&call, &world);
	expect_as_of(t, 2, "");
	expect_as_of(t, 3, "12");
	expect_as_of(t, 4, "2");
	expect_as_of(t, 5, "2");
	expect_as_of(t, 6, "32");
	expect_as_of(t, 7, "6");
	expect_as_of(t, 8, "6");
	expect_as_of(t, 9, "3");
	expect_as_of(t, 10, "");
	end(&call);
}

// --- replacements, parked records ---

static void a_replacement_is_noted_once_and_asked_about_until_it_is_known(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t now_us = clock_wall_us() + 60 * SECOND_US;
	const struct text serials[] = { TEXT("N1"), TEXT("N2") };
	const struct replacement_row known = { .serial_number = TEXT("N1"), .original_serial_number = TEXT("O1"),
		.replacement_date = TEXT("2026-11-24"), .attempts = 2, .ask_at_us = INSTANT_NONE, .resolved_at_us = MOMENT };
	const struct replacement_row unknown = { .serial_number = TEXT("N2"), .apple_word = TEXT("DEVICE_NOT_FOUND"), .attempts = 1,
		.ask_at_us = now_us + 1, .resolved_at_us = INSTANT_NONE };
	struct replacement_row row;
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));

	(void)state;
	store_replacement_note(t, tenant_id, serials, 2);
	(void)store_replacement_due(t, tenant_id, now_us, 10);
	store_replacement_put(t, tenant_id, &known);
	store_replacement_put(t, tenant_id, &unknown);
	store_replacement_note(t, tenant_id, serials, 2);
	(void)store_replacement_due(t, tenant_id, now_us, 10);
	(void)store_replacement_next(t, tenant_id);
	(void)store_replacement_of(t, tenant_id, TEXT("O1"));
	(void)store_replacement_of(t, tenant_id, TEXT("N2"));
	run(&call, &world);
	assert_int_equal(pg_row_count(t, 1), 2);
	assert_int_equal(pg_row_count(t, 5), 0);
	assert_int_equal(store_replacement_next_read(t, 6), now_us + 1);
	store_replacement_read(t, 7, 0, &row);
	same_text(row.serial_number, TEXT("N1"));
	same_text(row.original_serial_number, TEXT("O1"));
	same_text(row.replacement_date, TEXT("2026-11-24"));
	assert_int_equal(row.resolved_at_us, MOMENT);
	assert_int_equal(row.ask_at_us, INSTANT_NONE);
	store_replacement_read(t, 8, 0, &row);
	same_text(row.apple_word, TEXT("DEVICE_NOT_FOUND"));
	assert_int_equal(row.attempts, 1);
	assert_int_equal(row.original_serial_number.length, 0);
	end(&call);
}

static void equal_records_are_parked_once_and_counted(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct parked_row rows[] = {
		{ .serial_number = ODD, .why = TEXT("it is odd"), .record = ODD }, { .why = TEXT("it is no object"), .record = TEXT("17") },
		{ .serial_number = ODD, .why = TEXT("it is odd"), .record = ODD },
	};
	struct parked_row row;
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));
	int64_t times = 0;

	(void)state;
	store_parked_put(t, tenant_id, rows, 3, 5); // two statements
	store_parked_put(t, tenant_id, rows, 1, 1);
	(void)store_parked_list(t, tenant_id, TEXT_NONE, 10);
	(void)store_parked_list(t, tenant_id, TEXT_NONE, 1);
	run(&call, &world);
	assert_int_equal(pg_row_count(t, 4), 2);
	for (size_t i = 0; i < 2; i++) {
		store_parked_read(t, 4, i, &row);
		same_text(row.record, row.serial_number.length > 0 ? ODD : TEXT("17"));
		assert_true(is_recent(row.first_at_us) && is_recent(row.last_at_us));
		times += row.times;
	}
	assert_int_equal(times, 4);
	assert_int_equal(pg_row_count(t, 5), 1);
	end(&call);
}

// --- instances, rules, profiles ---

static void same_instance(const struct instance_row *a, const struct instance_row *b)
{
	assert_int_equal(a->instance_id, b->instance_id);
	same_text(a->name, b->name);
	same_text(a->kind, b->kind);
	same_text(a->enrolment_url, b->enrolment_url);
	assert_int_equal(a->allowed_host_count, b->allowed_host_count);
	for (size_t i = 0; i < a->allowed_host_count; i++) {
		same_text(a->allowed_hosts[i], b->allowed_hosts[i]);
	}
	same_text(a->profile, b->profile);
	same_text(a->webhook_url, b->webhook_url);
	assert_int_equal(a->webhook_secret_version, b->webhook_secret_version);
}

static void an_instance_comes_back(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct instance_row instance = {
		.instance_id = new_object_id(&world), .name = TEXT("main"), .kind = TEXT("jamf"), .enrolment_url = TEXT("https://a/{x}"),
		.allowed_hosts = { TEXT("a.example.com"), TEXT("{b},\"c\""), TEXT("[::1]") }, .allowed_host_count = 3,
		.profile = TEXT("{\"org_magic\":  \"\xe2\x82\xac\"}"), .webhook_url = TEXT("https://h/"), .webhook_secret_version = 2,
	};
	struct instance_row row;
	struct position_row position;
	struct pg_call call;

	(void)state;
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	run_and_end(&call, &world);
	(void)store_instance_by_name(begin(&call, store_worker(tenant_id)), tenant_id, TEXT("main"));
	(void)store_position_list(&call.transaction, tenant_id);
	run(&call, &world);
	store_instance_read(&call.transaction, 0, 0, &row);
	same_instance(&row, &instance);
	assert_int_equal(row.webhook_disabled_at_us, INSTANT_NONE);
	assert_true(is_recent(row.created_at_us));
	assert_int_equal(pg_row_count(&call.transaction, 1), DELIVERY_LANES);
	store_position_read(&call.transaction, 1, 7, &position);
	assert_int_equal(position.endpoint_id, instance.instance_id);
	assert_int_equal(position.lane, 7);
	end(&call);

	instance.enrolment_url = TEXT("https://b/");
	instance.allowed_hosts[0] = TEXT("b");
	instance.allowed_host_count = 1;
	instance.webhook_url = TEXT_NONE;
	(void)store_instance_update(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	(void)store_instance_list(&call.transaction, tenant_id);
	run(&call, &world);
	store_instance_read(&call.transaction, 3, 0, &row);
	same_instance(&row, &instance);
	end(&call);
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	refuse(&call, &world, ERR_CONFLICT);
	instance.instance_id = new_object_id(&world);
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance); // its name exists
	refuse(&call, &world, ERR_CONFLICT);
}

static void a_host_with_a_blank_is_refused(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct instance_row instance = { .instance_id = new_object_id(&world), .name = TEXT("main"), .kind = TEXT("jamf"),
		.enrolment_url = TEXT("https://a/"), .allowed_hosts = { TEXT("a b") }, .allowed_host_count = 1 };
	struct pg_call call;

	(void)state;
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	refuse(&call, &world, ERR_BAD_INPUT);
	instance.allowed_hosts[0] = TEXT("");
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	refuse(&call, &world, ERR_BAD_INPUT);
	instance.allowed_host_count = 0;
	store_instance_insert(begin(&call, store_api(tenant_id)), tenant_id, &instance);
	refuse(&call, &world, ERR_BAD_INPUT);
}

static void rules_have_one_version_in_force(void **state)
{
	static const struct rules_row first = { .document = TEXT("{\"default\":null}"), .reason = ODD, .made_by = TEXT("key-1") };
	static const struct rules_row second = { .document = TEXT("{\"default\":\"main\"}"), .made_by = TEXT("key-2") };
	const int64_t tenant_id = fresh_tenant();
	struct rules_row rules;
	struct pg_call call;

	(void)state;
	(void)store_rules_current(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 0);
	end(&call);
	(void)store_rules_put(begin(&call, store_api(tenant_id)), tenant_id, 0, &first);
	run(&call, &world);
	assert_int_equal(store_rules_put_read(&call.transaction, 0), 1);
	end(&call);
	(void)store_rules_current(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	store_rules_read(&call.transaction, 0, 0, &rules);
	assert_int_equal(rules.version, 1);
	same_text(rules.document, first.document);
	same_text(rules.made_by, TEXT("key-1"));
	same_text(rules.reason, ODD);
	assert_true(is_recent(rules.made_at_us));
	end(&call);
	(void)store_rules_put(begin(&call, store_api(tenant_id)), tenant_id, 0, &second);
	refuse(&call, &world, ERR_FENCED);
	(void)store_rules_put(begin(&call, store_api(tenant_id)), tenant_id, -1, &second);
	(void)store_rules_current(&call.transaction, tenant_id);
	(void)store_rules_list(&call.transaction, tenant_id, INT64_MAX, 10);
	(void)store_rules_list(&call.transaction, tenant_id, 2, 10);
	(void)store_rules_by_version(&call.transaction, tenant_id, 1);
	run(&call, &world);
	assert_int_equal(store_rules_put_read(&call.transaction, 0), 2);
	store_rules_read(&call.transaction, 1, 0, &rules);
	assert_int_equal(rules.version, 2);
	same_text(rules.document, second.document);
	assert_int_equal(pg_row_count(&call.transaction, 2), 2);
	store_rules_read(&call.transaction, 2, 0, &rules);
	assert_int_equal(rules.version, 2);
	assert_int_equal(rules.document.length, 0);
	assert_int_equal(pg_row_count(&call.transaction, 3), 1);
	store_rules_read(&call.transaction, 4, 0, &rules);
	same_text(rules.document, first.document);
	end(&call);
}

static struct device_row routed_device(struct text serial, int64_t instance_id, int64_t assign_at_us, struct text assigned)
{
	struct device_row row = empty_device(serial);

	row.instance_id = instance_id;
	row.last_instance_id = instance_id;
	row.assign_at_us = assign_at_us;
	row.assigned_profile_uuid = assigned;
	return row;
}

static void new_devices_are_assigned_before_those_that_move(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const struct device_row rows[] = {
		routed_device(TEXT("MOVED"), instance_id, MOMENT, TEXT("p")),
		routed_device(TEXT("NEW"), instance_id, MOMENT + 5, TEXT_NONE),
		routed_device(TEXT("LATER"), instance_id, MOMENT + 50, TEXT_NONE),
	};
	struct device_row row;
	struct pg_call call;

	(void)state;
	put_devices(tenant_id, rows, 3);
	(void)store_device_to_assign(begin(&call, store_worker(tenant_id)), tenant_id, MOMENT + 10, 10);
	(void)store_device_to_assign(&call.transaction, tenant_id, MOMENT + 10, 1);
	(void)store_device_next_assign(&call.transaction, tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 2);
	store_device_read(&call.transaction, 0, 0, &row);
	same_text(row.apple.serial_number, TEXT("NEW"));
	assert_int_equal(pg_row_count(&call.transaction, 1), 1);
	assert_int_equal(store_device_next_assign_read(&call.transaction, 2), MOMENT);
	end(&call);
}

static void put_a_pin_and_a_replacement(int64_t tenant_id, int64_t instance_id)
{
	const struct pin_row pin = { .serial_number = TEXT("ABSENT"), .instance_id = instance_id, .reason = ODD, .made_by = TEXT("key") };
	const struct replacement_row replacement = { .serial_number = TEXT("NEW"), .original_serial_number = TEXT("OLD"),
		.ask_at_us = INSTANT_NONE, .resolved_at_us = MOMENT };
	struct pg_call call;

	store_replacement_note(begin(&call, store_worker(tenant_id)), tenant_id, &replacement.serial_number, 1);
	store_replacement_put(&call.transaction, tenant_id, &replacement);
	run_and_end(&call, &world);
	store_pins_put(begin(&call, store_api(tenant_id)), tenant_id, &pin, &pin.serial_number, 1);
	run_and_end(&call, &world);
}

static void facts_say_pins_and_where_a_predecessor_was(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	struct device_row rows[] = {
		routed_device(TEXT("NEW"), 0, MOMENT, TEXT_NONE), routed_device(TEXT("OLD"), instance_id, INSTANT_NONE, TEXT_NONE),
		routed_device(TEXT("PLAIN"), instance_id, INSTANT_NONE, TEXT_NONE),
	};
	const struct text serials[] = { TEXT("NEW"), TEXT("ABSENT"), TEXT("PLAIN") };
	struct routing_fact facts[2];
	struct routed_row routed;
	bool has_facts, has_reroutes;
	struct pg_call call;

	(void)state;
	rows[1].gone_at_us = MOMENT;
	rows[1].gone_reason = REMOVAL_REPLACED;
	rows[1].instance_id = 0; // it has gone, and was there
	put_devices(tenant_id, rows, 3);
	put_a_pin_and_a_replacement(tenant_id, instance_id);
	(void)store_fact_by_serials(begin(&call, store_worker(tenant_id)), tenant_id, serials, 3);
	(void)store_fact_list(&call.transaction, tenant_id, TEXT_NONE, 10);
	(void)store_routed_list(&call.transaction, tenant_id, TEXT_NONE, INSTANT_NONE, 10);
	(void)store_routing_select(&call.transaction, tenant_id);
	(void)store_fact_to_assign(&call.transaction, tenant_id, MOMENT, 10);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 2);
	store_fact_read(&call.transaction, 0, 0, &facts[0]);
	store_fact_read(&call.transaction, 0, 1, &facts[1]);
	const struct routing_fact *replaces = text_equal(facts[0].serial_number, TEXT("NEW")) ? &facts[0] : &facts[1];
	const struct routing_fact *pinned = replaces == &facts[0] ? &facts[1] : &facts[0];

	assert_true(replaces->is_replacement && replaces->original_is_known && !replaces->original_is_asked_for && !replaces->is_pinned);
	assert_int_equal(replaces->original_instance_id, instance_id);
	assert_true(pinned->is_pinned && !pinned->is_replacement);
	assert_int_equal(pinned->pin_instance_id, instance_id);
	same_text(pinned->pin_reason, ODD);
	assert_int_equal(pg_row_count(&call.transaction, 1), 1);
	assert_int_equal(pg_row_count(&call.transaction, 2), 2);
	store_routed_read(&call.transaction, 2, 0, &routed);
	same_text(routed.apple.serial_number, TEXT("NEW"));
	assert_int_equal(routed.fact.original_instance_id, instance_id);
	store_routing_read(&call.transaction, 3, &has_facts, &has_reroutes);
	assert_true(has_facts && has_reroutes);
	assert_int_equal(pg_row_count(&call.transaction, 4), 1);
	end(&call);
}

static void wishes_are_of_devices_of_their_instance_and_of_profiles_that_apple_has(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const int64_t other_id = new_instance(&world, tenant_id, "other");
	const struct device_row rows[] = {
		routed_device(TEXT("HERE"), instance_id, INSTANT_NONE, TEXT_NONE), routed_device(TEXT("THERE"), other_id, INSTANT_NONE, TEXT_NONE),
	};
	const struct text serials[] = { TEXT("HERE"), TEXT("THERE"), TEXT("NOWHERE") };
	struct routing_fact fact;
	struct pg_call call;

	(void)state;
	put_devices(tenant_id, rows, 2);
	store_dep_server_put(begin(&call, store_api(tenant_id)), tenant_id, &(struct dep_server_row){ .instance_id = instance_id,
		.server_uuid = TEXT("0123456789ABCDEF0123456789ABCDEF"), .consumer_key = TEXT("CK_1"), .secret_version = 1,
		.fingerprint = TEXT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), .made_by = TEXT("key"), .expires_at_us = MOMENT });
	store_dep_profile_put(&call.transaction, tenant_id, instance_id, TEXT("UUID"), TEXT("{}"));
	store_dep_wish_put(&call.transaction, tenant_id, instance_id, TEXT("UUID"), serials, 3);
	run_and_end(&call, &world);
	(void)store_fact_by_serials(begin(&call, store_worker(tenant_id)), tenant_id, serials, 3);
	store_dep_profile_lose(&call.transaction, tenant_id, TEXT("UUID"));
	(void)store_fact_by_serials(&call.transaction, tenant_id, serials, 3);
	(void)store_dep_profile_find_any(&call.transaction, tenant_id, instance_id, TEXT("UUID"));
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 1);
	store_fact_read(&call.transaction, 0, 0, &fact);
	same_text(fact.serial_number, TEXT("HERE"));
	assert_int_equal(fact.wish_instance_id, instance_id);
	same_text(fact.wished_profile_uuid, TEXT("UUID"));
	assert_int_equal(pg_row_count(&call.transaction, 2), 0);
	assert_int_equal(pg_row_count(&call.transaction, 3), 0);
	end(&call);
	store_dep_wish_put(begin(&call, store_api(tenant_id)), tenant_id, other_id, TEXT("UUID"), &serials[1], 1);
	refuse(&call, &world, ERR_BAD_INPUT); // another instance's profile
}

static void only_another_person_grants_an_approval_and_only_once(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t approval_id = new_object_id(&world);
	const struct approval_row approval = { .tenant_id = tenant_id, .approval_id = approval_id, .kind = TEXT("rules"), .payload = TEXT("{}"),
		.reason = ODD, .base_version = 3, .changes = 40, .present = 50, .devices = TEXT("[{\"serial_number\":\"A\",\"to\":\"x\"}]"), .requested_by = TEXT("first") };
	static const struct text others[] = { // than what was shown
		TEXT("[{\"serial_number\":\"A\",\"to\":\"x\"},{\"serial_number\":\"B\",\"to\":\"x\"}]"),
		TEXT("[{\"serial_number\":\"A\",\"to\":\"y\"}]"),
		TEXT("[{\"serial_number\":\"A\",\"to\":\"x\",\"new_rule\":\"r\"}]"),
		TEXT("[{\"serial_number\":\"A\",\"to\":\"x\",\"profile\":\"p\"}]"),
	};
	struct approval_row row;
	struct pg_call call;

	(void)state;
	(void)store_approval_insert(begin(&call, store_api(tenant_id)), &approval);
	run_and_end(&call, &world);
	store_approval_grant(begin(&call, store_api(tenant_id)), tenant_id, approval_id, TEXT("first"), TEXT("[]"));
	refuse(&call, &world, ERR_FENCED);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		store_approval_grant(begin(&call, store_api(tenant_id)), tenant_id, approval_id, TEXT("second"), others[i]);
		refuse(&call, &world, ERR_FENCED);
	}
	store_approval_grant(begin(&call, store_api(tenant_id)), tenant_id, approval_id, TEXT("second"), approval.devices);
	run_and_end(&call, &world);
	store_approval_grant(begin(&call, store_api(tenant_id)), tenant_id, approval_id, TEXT("third"), approval.devices);
	refuse(&call, &world, ERR_FENCED);
	store_approval_close(begin(&call, store_api(tenant_id)), tenant_id, approval_id, TEXT("rejected"), TEXT("third"));
	refuse(&call, &world, ERR_FENCED);
	(void)store_approval_by_id(begin(&call, store_directory()), approval_id);
	(void)store_approval_devices(&call.transaction, approval_id, 0, 10);
	(void)store_approval_list(&call.transaction, approval_id - 1, true, NULL, 0, 10);
	(void)store_approval_list(&call.transaction, approval_id - 1, false, &tenant_id, 1, 10);
	run(&call, &world);
	store_approval_read(&call.transaction, 0, 0, &row);
	same_text(row.payload, TEXT("{}"));
	same_text(store_approval_device_read(&call.transaction, 1, 0), TEXT("{\"serial_number\":\"A\",\"to\":\"x\"}"));
	same_text(row.reason, ODD);
	same_text(row.state, TEXT("approved"));
	same_text(row.decided_by, TEXT("second"));
	assert_int_equal(row.changes, 40);
	assert_int_equal(row.base_version, 3);
	assert_int_equal(pg_row_count(&call.transaction, 2), 0);
	assert_int_equal(pg_row_count(&call.transaction, 3), 1);
	end(&call);
}

static void read_account(int64_t tenant_id, struct account_row *out)
{
	struct pg_call call;

	(void)store_account_select(begin(&call, store_api(tenant_id)), tenant_id);
	run(&call, &world);
	store_account_read(&call.transaction, 0, out);
	end(&call);
}

static void spend(int64_t tenant_id, int64_t changes, enum err expected)
{
	const struct account_spending spending = { tenant_id, changes, 25 };
	struct pg_call call;

	store_account_spend(begin(&call, store_api(tenant_id)), &spending, 1, TEXT("rules"), TEXT("key"));
	if (expected == OK) {
		run_and_end(&call, &world);
	} else {
		refuse(&call, &world, expected);
	}
}

static void an_account_holds_what_was_spent_and_the_lower_limit_of_a_day(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct tenant_row before = { .tenant_id = tenant_id, .brake_devices = 0, .brake_percent = 40 };
	const struct tenant_row after = { .tenant_id = tenant_id, .brake_devices = 1000, .brake_percent = 20 };
	struct account_row account;
	struct blast_limits limits;
	struct pg_call call;

	(void)state;
	spend(tenant_id, 20, OK);
	spend(tenant_id, 6, ERR_FENCED);
	spend(tenant_id, 5, OK);
	spend(tenant_id, 1, ERR_FENCED);
	store_account_note_limits(begin(&call, store_api(tenant_id)), &before, TEXT("key"));
	run_and_end(&call, &world);
	read_account(tenant_id, &account);
	assert_int_equal(account.spent, 25);
	limits = store_account_limits(&after, &account);
	assert_int_equal(limits.devices, BLAST_DEVICES);
	assert_int_equal(limits.percent, 20);
}

static void profiles_come_back_newest_first(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	unsigned char digest[32] = { 0xff, 0, 1 };
	struct profile_row profile = { .instance_id = new_instance(&world, tenant_id, "main"),
		.content_digest = { (const char *)digest, sizeof digest }, .content = ODD, .profile_uuid = TEXT("u1"),
		.token_id = new_token(&world, tenant_id) };
	struct profile_row row;
	struct pg_call call;

	(void)state;
	for (int i = 0; i < 3; i++) { // the third replaces the first
		digest[3] = (unsigned char)(i % 2);
		profile.profile_uuid = i == 1 ? TEXT_NONE : TEXT("u1");
		profile.refused = i == 1 ? ODD : TEXT_NONE;
		(void)store_profile_put(begin(&call, store_worker(tenant_id)), tenant_id, &profile);
		run_and_end(&call, &world);
	}
	(void)store_profile_list(begin(&call, store_worker(tenant_id)), tenant_id);
	(void)store_profile_forget(&call.transaction, tenant_id, TEXT("u1"));
	(void)store_profile_list(&call.transaction, tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 2);
	store_profile_read(&call.transaction, 0, 0, &row);
	assert_int_equal(row.instance_id, profile.instance_id);
	same_text(row.content_digest, TEXT("ff00010000000000000000000000000000000000000000000000000000000000"));
	same_text(row.content, ODD);
	assert_true(row.is_canonical);
	same_text(row.profile_uuid, TEXT("u1"));
	assert_int_equal(row.refused.length, 0);
	assert_int_equal(row.token_id, profile.token_id);
	assert_true(is_recent(row.defined_at_us));
	assert_int_equal(pg_row_count(&call.transaction, 2), 1);
	store_profile_read(&call.transaction, 2, 0, &row);
	assert_int_equal(row.profile_uuid.length, 0);
	same_text(row.refused, ODD);
	end(&call);
}

// --- tokens ---

static struct key_pair_row new_pair(int64_t tenant_id)
{
	const struct key_pair_row pair = { .key_pair_id = new_object_id(&world), .fingerprint = DIGEST64, .certificate_pem = ODD,
		.not_before_us = MOMENT, .not_after_us = MOMENT + 1 };
	struct pg_call call;

	(void)store_key_pair_insert(begin(&call, store_api(tenant_id)), tenant_id, &pair);
	run_and_end(&call, &world);
	return pair;
}

static void expect_sync_requests(int64_t tenant_id, int64_t wanted)
{
	struct pg_call call;
	struct due_row due;

	(void)store_due_select(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	store_due_read(&call.transaction, 0, 0, &due);
	assert_int_equal(due.sync_requests, wanted);
	end(&call);
}

static void expect_pair_state(int64_t tenant_id, int64_t key_pair_id, struct text expected)
{
	struct key_pair_row row;
	struct pg_call call;

	(void)store_key_pair_by_id(begin(&call, store_api(tenant_id)), tenant_id, key_pair_id);
	run(&call, &world);
	store_key_pair_read(&call.transaction, 0, 0, &row);
	same_text(row.state, expected);
	end(&call);
}

static void key_pairs_come_back_newest_first(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct key_pair_row older = new_pair(tenant_id);
	const struct key_pair_row newer = new_pair(tenant_id);
	struct key_pair_row row;
	struct pg_call call;

	(void)state;
	(void)store_key_pair_list(begin(&call, store_api(tenant_id)), tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 2);
	store_key_pair_read(&call.transaction, 0, 1, &row);
	assert_int_equal(row.key_pair_id, older.key_pair_id);
	store_key_pair_read(&call.transaction, 0, 0, &row);
	assert_int_equal(row.key_pair_id, newer.key_pair_id);
	same_text(row.state, TEXT("staged"));
	same_text(row.fingerprint, newer.fingerprint);
	same_text(row.certificate_pem, newer.certificate_pem);
	assert_int_equal(row.not_before_us, MOMENT);
	assert_int_equal(row.not_after_us, MOMENT + 1);
	assert_true(is_recent(row.created_at_us));
	end(&call);
}

static void the_switch_to_a_new_token_is_whole(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct key_pair_row first = new_pair(tenant_id);
	const struct key_pair_row second = new_pair(tenant_id);
	struct token_row token = { .token_id = new_object_id(&world), .key_pair_id = first.key_pair_id,
		.consumer_key_end = TEXT("abcd"), .expires_at_us = MOMENT, .server_uuid = TEXT("s"), .server_name = ODD,
		.admin_id = TEXT("a"), .org_id = TEXT("o"), .org_id_hash = TEXT("h"), .org_name = TEXT("n"), .org_type = TEXT("org") };
	struct token_row row;
	struct pg_call call;

	(void)state;
	store_token_take(begin(&call, store_api(tenant_id)), tenant_id, &token);
	run_and_end(&call, &world);
	expect_pair_state(tenant_id, first.key_pair_id, TEXT("current"));
	expect_pair_state(tenant_id, second.key_pair_id, TEXT("staged"));
	token.token_id = new_object_id(&world);
	token.key_pair_id = second.key_pair_id;
	store_token_take(begin(&call, store_api(tenant_id)), tenant_id, &token);
	run_and_end(&call, &world);
	expect_pair_state(tenant_id, first.key_pair_id, TEXT("retired"));
	expect_pair_state(tenant_id, second.key_pair_id, TEXT("current"));
	expect_sync_requests(tenant_id, 2);
	(void)store_token_current(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 1);
	store_token_read(&call.transaction, 0, 0, &row);
	assert_int_equal(row.token_id, token.token_id);
	assert_int_equal(row.key_pair_id, token.key_pair_id);
	same_text(row.consumer_key_end, token.consumer_key_end);
	assert_int_equal(row.expires_at_us, MOMENT);
	same_text(row.server_uuid, token.server_uuid);
	same_text(row.server_name, token.server_name);
	same_text(row.admin_id, token.admin_id);
	same_text(row.org_id, token.org_id);
	same_text(row.org_id_hash, token.org_id_hash);
	same_text(row.org_name, token.org_name);
	same_text(row.org_type, token.org_type);
	assert_true(is_recent(row.taken_at_us));
	end(&call);
	store_token_remove(begin(&call, store_api(tenant_id)), tenant_id);
	(void)store_token_current(&call.transaction, tenant_id);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 3), 0);
	end(&call);
}

// --- secrets ---

// A key provider of one master key: what the store knows of any.
struct test_provider {
	struct key_provider provider;
	struct master_key master;
};

static enum err test_unwrap(struct key_provider *provider, struct data_key *key, struct text master_key, struct text wrapped,
	int64_t tenant_id, int version, struct fault *fault)
{
	assert_int_equal(master_key.length, 0);
	return data_key_unwrap(key, wrapped, &((const struct test_provider *)provider)->master, tenant_id, version, fault);
}

static struct test_provider master = { { .unwrap = test_unwrap }, { { 1, 2, 3 } } };

static struct data_key new_data_key(int64_t tenant_id)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(256);
	struct data_key key;
	struct pg_call call;

	data_key_make(&key, 1);
	data_key_wrap(&wrapped, &key, &master.master, tenant_id);
	(void)store_data_key_insert(begin(&call, store_api(tenant_id)), tenant_id, 1, buffer_text(&wrapped), TEXT(""));
	run_and_end(&call, &world);
	return key;
}

static void put_secret(int64_t tenant_id, const struct data_key *key, enum secret_kind kind, int64_t object_id, int version,
	struct text plain)
{
	struct pg_call call;

	store_secret_put(begin(&call, store_api(tenant_id)), key, kind, tenant_id, object_id, version, plain);
	run_and_end(&call, &world);
}

// "" when there is none, or what it says; NULL when it does not open.
static char *open_secret(int64_t tenant_id, const struct data_key *key, enum secret_kind kind, int64_t object_id)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(1024);
	enum err rc = OK;
	struct pg_call call;

	(void)store_secret_select(begin(&call, store_worker(tenant_id)), tenant_id, kind, object_id);
	run(&call, &world);
	if (pg_row_count(&call.transaction, 0) > 0) {
		assert_int_equal(store_secret_object_id(&call.transaction, 0, 0), object_id);
		rc = store_secret_open(&call.transaction, 0, 0, tenant_id, kind, &master.provider, key, &plain, NULL);
	}
	end(&call);
	assert_true(rc == OK || rc == ERR_CRYPTO);
	buffer_add_string(&plain, "");
	return rc == OK ? buffer_take(&plain) : NULL;
}

static void expect_secret(int64_t tenant_id, const struct data_key *key, enum secret_kind kind, int64_t object_id,
	const char *expected)
{
	char *plain = open_secret(tenant_id, key, kind, object_id);

	assert_string_equal(plain != NULL ? plain : "(does not open)", expected);
	free(plain);
}

static void the_data_key_comes_back_unwrapped(void **state)
{
	static struct test_provider other = { { .unwrap = test_unwrap }, { { 9 } } };
	const int64_t tenant_id = fresh_tenant();
	struct data_key key;
	struct data_key made;
	struct pg_call call;

	(void)state;
	(void)store_data_key_current(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	assert_int_equal(store_data_key_read(&call.transaction, 0, &master.provider, tenant_id, &key, NULL), ERR_NOT_FOUND);
	end(&call);
	made = new_data_key(tenant_id);
	(void)store_data_key_current(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	assert_int_equal(store_data_key_read(&call.transaction, 0, &master.provider, tenant_id, &key, NULL), OK);
	assert_int_equal(key.version, made.version);
	assert_memory_equal(key.bytes, made.bytes, sizeof key.bytes);
	assert_int_equal(store_data_key_read(&call.transaction, 0, &other.provider, tenant_id, &key, NULL), ERR_CRYPTO);
	assert_int_equal(store_data_key_read(&call.transaction, 0, &master.provider, tenant_id + 1, &key, NULL), ERR_CRYPTO);
	end(&call);
}

static void the_newest_version_of_a_secret_is_the_only_one(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct data_key key = new_data_key(tenant_id);
	struct pg_call call;

	(void)state;
	put_secret(tenant_id, &key, SECRET_WEBHOOK, 11, 1, TEXT("first"));
	put_secret(tenant_id, &key, SECRET_WEBHOOK, 12, 1, TEXT("other"));
	put_secret(tenant_id, &key, SECRET_WEBHOOK, 11, 2, TEXT("second"));
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.secrets where object_id = 11"), 1);
	expect_secret(tenant_id, &key, SECRET_WEBHOOK, 11, "second");
	expect_secret(tenant_id, &key, SECRET_WEBHOOK, 12, "other");
	expect_secret(tenant_id, &key, SECRET_PRIVATE_KEY, 11, "");
	(void)store_secret_select(begin(&call, store_worker(tenant_id)), tenant_id, SECRET_WEBHOOK, 0);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 2);
	assert_int_equal(store_secret_version(&call.transaction, 0, 0), 2);
	assert_int_equal(store_secret_object_id(&call.transaction, 0, 1), 12);
	end(&call);
	(void)store_secret_delete(begin(&call, store_api(tenant_id)), tenant_id, SECRET_WEBHOOK, 11);
	run_and_end(&call, &world);
	expect_secret(tenant_id, &key, SECRET_WEBHOOK, 11, "");
	expect_secret(tenant_id, &key, SECRET_WEBHOOK, 12, "other");
}

static void a_secret_in_another_place_does_not_open(void **state)
{
	static const char *const moves[] = { "object_id = 22", "version = 2", "kind = 3",
		"nonce = set_byte(nonce, 0, get_byte(nonce, 0) # 1)", "ciphertext = set_byte(ciphertext, 3, get_byte(ciphertext, 3) # 1)" };
	const int64_t tenant_id = fresh_tenant();
	const struct data_key key = new_data_key(tenant_id);

	(void)state;
	for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
		char sql[256];
		const bool is_kind = strncmp(moves[i], "kind", 4) == 0;

		put_secret(tenant_id, &key, SECRET_WEBHOOK, 21, 1, TEXT("secret"));
		expect_secret(tenant_id, &key, SECRET_WEBHOOK, 21, "secret");
		(void)snprintf(sql, sizeof sql, "update depbroker.secrets set %s where tenant_id = %lld", moves[i], (long long)tenant_id);
		test_postgres_run(world.postgres, sql);
		expect_secret(tenant_id, &key, is_kind ? SECRET_PRIVATE_KEY : SECRET_WEBHOOK, i == 0 ? 22 : 21, "(does not open)");
		(void)snprintf(sql, sizeof sql, "delete from depbroker.secrets where tenant_id = %lld", (long long)tenant_id);
		test_postgres_run(world.postgres, sql);
	}
}

static void a_secret_of_another_client_does_not_open(void **state)
{
	const int64_t owner = fresh_tenant();
	const int64_t thief = fresh_tenant();
	const struct data_key owners = new_data_key(owner);
	const struct data_key thiefs = new_data_key(thief);
	char sql[256];

	(void)state;
	put_secret(owner, &owners, SECRET_SERVER_TOKEN, 31, 1, TEXT("secret"));
	(void)snprintf(sql, sizeof sql, "update depbroker.secrets set tenant_id = %lld where tenant_id = %lld", (long long)thief,
		(long long)owner);
	test_postgres_run(world.postgres, sql);
	expect_secret(thief, &thiefs, SECRET_SERVER_TOKEN, 31, "(does not open)");
	expect_secret(thief, &owners, SECRET_SERVER_TOKEN, 31, "(does not open)"); // not even with the owner's key
}

static void a_former_tokens_secrets_go_away(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct data_key key = new_data_key(tenant_id);
	const int64_t former = new_token(&world, tenant_id);
	struct pg_call call;
	int64_t now;

	(void)state;
	put_secret(tenant_id, &key, SECRET_SERVER_TOKEN, former, 1, TEXT("former"));
	put_secret(tenant_id, &key, SECRET_APPLE_SESSION, former, 1, TEXT("session"));
	put_secret(tenant_id, &key, SECRET_PRIVATE_KEY, former, 1, TEXT("pair"));
	now = new_token(&world, tenant_id);
	put_secret(tenant_id, &key, SECRET_SERVER_TOKEN, now, 1, TEXT("now"));
	expect_secret(tenant_id, &key, SECRET_SERVER_TOKEN, former, "");
	expect_secret(tenant_id, &key, SECRET_APPLE_SESSION, former, "");
	expect_secret(tenant_id, &key, SECRET_PRIVATE_KEY, former, "pair");
	expect_secret(tenant_id, &key, SECRET_SERVER_TOKEN, now, "now");
	store_token_remove(begin(&call, store_api(tenant_id)), tenant_id);
	run_and_end(&call, &world);
	expect_secret(tenant_id, &key, SECRET_SERVER_TOKEN, now, "");
}

// --- API keys ---

static void api_keys_come_back(void **state)
{
	static struct api_key_row key;
	static struct api_key_row row;
	struct pg_call call;

	(void)state;
	key = (struct api_key_row){ .key_id = TEXT("AbCd0123"), .hash = { 0, 0xff, 2 }, .name = ODD, .role = TEXT("viewer"),
		.tenant_ids = { 5, INT64_MAX, 7 }, .tenant_count = 3, .created_at_us = MOMENT, .expires_at_us = MOMENT + 1,
		.revoked_at_us = MOMENT + 2 };
	(void)store_api_key_insert(begin(&call, store_directory()), &key);
	(void)store_api_key_by_id(&call.transaction, key.key_id);
	run(&call, &world);
	store_api_key_read(&call.transaction, 1, 0, &row);
	same_text(row.key_id, key.key_id);
	assert_memory_equal(row.hash, key.hash, sizeof key.hash);
	same_text(row.name, key.name);
	same_text(row.role, key.role);
	assert_false(row.all_tenants);
	assert_int_equal(row.tenant_count, 3);
	assert_memory_equal(row.tenant_ids, key.tenant_ids, 3 * sizeof *key.tenant_ids);
	assert_int_equal(row.created_at_us, MOMENT);
	assert_int_equal(row.expires_at_us, MOMENT + 1);
	assert_int_equal(row.revoked_at_us, MOMENT + 2);
	end(&call);

	key.key_id = TEXT("zzzzzzz0");
	key.role = TEXT("admin");
	key.all_tenants = true;
	key.revoked_at_us = INSTANT_NONE;
	(void)store_api_key_insert(begin(&call, store_directory()), &key);
	(void)store_api_key_by_id(&call.transaction, key.key_id);
	(void)store_api_key_by_id(&call.transaction, TEXT("nobodys0"));
	run(&call, &world);
	store_api_key_read(&call.transaction, 1, 0, &row);
	assert_true(row.all_tenants);
	assert_int_equal(row.tenant_count, 0);
	assert_int_equal(row.revoked_at_us, INSTANT_NONE);
	assert_int_equal(pg_row_count(&call.transaction, 2), 0);
	end(&call);
}

static void a_key_of_no_client_is_not_a_key_of_all(void **state)
{
	static struct api_key_row key;
	static struct api_key_row row;
	struct pg_call call;

	(void)state;
	key = (struct api_key_row){ .key_id = TEXT("none0000"), .name = TEXT("n"), .role = TEXT("viewer"), .created_at_us = MOMENT,
		.expires_at_us = MOMENT, .revoked_at_us = INSTANT_NONE };
	(void)store_api_key_insert(begin(&call, store_directory()), &key);
	(void)store_api_key_by_id(&call.transaction, key.key_id);
	run(&call, &world);
	store_api_key_read(&call.transaction, 1, 0, &row);
	assert_false(row.all_tenants);
	assert_int_equal(row.tenant_count, 0);
	end(&call);
	key.key_id = TEXT("none0001");
	key.role = TEXT("admin"); // of some clients only: there is no such thing
	(void)store_api_key_insert(begin(&call, store_directory()), &key);
	refuse(&call, &world, ERR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_comes_back),
		cmocka_unit_test(a_slug_exists_once),
		cmocka_unit_test(a_client_is_pinned_to_one_server),
		cmocka_unit_test(lists_of_clients_are_by_slug_and_in_pages),
		cmocka_unit_test(devices_come_back),
		cmocka_unit_test(what_a_device_was_listed_with_is_written_alone),
		cmocka_unit_test(new_devices_come_back_whatever_they_have_in_common),
		cmocka_unit_test(a_device_that_is_there_is_not_inserted),
		cmocka_unit_test(a_device_goes_to_no_other_clients_instance),
		cmocka_unit_test(devices_are_found_by_what_is_to_be_done),
		cmocka_unit_test(devices_to_be_assigned_are_found_by_what_decided_about_them),
		cmocka_unit_test(many_devices_are_one_statement),
		cmocka_unit_test(events_come_back),
		cmocka_unit_test(devices_are_found_as_they_were),
		cmocka_unit_test(a_replacement_is_noted_once_and_asked_about_until_it_is_known),
		cmocka_unit_test(equal_records_are_parked_once_and_counted),
		cmocka_unit_test(an_instance_comes_back),
		cmocka_unit_test(a_host_with_a_blank_is_refused),
		cmocka_unit_test(rules_have_one_version_in_force),
		cmocka_unit_test(new_devices_are_assigned_before_those_that_move),
		cmocka_unit_test(wishes_are_of_devices_of_their_instance_and_of_profiles_that_apple_has),
		cmocka_unit_test(facts_say_pins_and_where_a_predecessor_was),
		cmocka_unit_test(only_another_person_grants_an_approval_and_only_once),
		cmocka_unit_test(an_account_holds_what_was_spent_and_the_lower_limit_of_a_day),
		cmocka_unit_test(profiles_come_back_newest_first),
		cmocka_unit_test(key_pairs_come_back_newest_first),
		cmocka_unit_test(the_switch_to_a_new_token_is_whole),
		cmocka_unit_test(the_data_key_comes_back_unwrapped),
		cmocka_unit_test(the_newest_version_of_a_secret_is_the_only_one),
		cmocka_unit_test(a_secret_in_another_place_does_not_open),
		cmocka_unit_test(a_secret_of_another_client_does_not_open),
		cmocka_unit_test(a_former_tokens_secrets_go_away),
		cmocka_unit_test(api_keys_come_back),
		cmocka_unit_test(a_key_of_no_client_is_not_a_key_of_all),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
