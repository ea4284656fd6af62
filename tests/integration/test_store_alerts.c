// SPDX-License-Identifier: Apache-2.0
//
// Whatever becomes of an alert is in the log of alerts, in the same transaction, without gaps; and that log is behind its own wall.
#include "store/alerts.h"
#include "store/deliveries.h"
#include "store/endpoints.h"
#include "store/secrets.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store_world world;

#define NODE TEXT("node")

static int64_t log_length(void)
{
	return ask_number(&world, "select seq from depbroker.alert_log");
}

// What the log has after `seq`, as "type tenant kind", separated by commas.
static void assert_logged(int64_t seq, const char *wanted)
{
	char sql[512];
	char *found;

	(void)snprintf(sql, sizeof sql, "select coalesce(string_agg(case type when 20 then 'raised' when 21 then 'cleared' end || ' ' ||"
		" coalesce(device::json->>'tenant', '-') || ' ' || (device::json->>'kind'), ', ' order by seq), '') from depbroker.events"
		" where tenant_id = 9223372036854775807 and seq > %lld", (long long)seq);
	found = test_postgres_ask(world.postgres, sql);
	assert_string_equal(found, wanted);
	free(found);
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.events where tenant_id = 9223372036854775807"), log_length());
	assert_int_equal(ask_number(&world, "select coalesce(max(seq), 0) from depbroker.events where tenant_id = 9223372036854775807"), log_length());
}

static void raise_alert(int64_t tenant_id, const char *kind, const char *detail)
{
	struct pg_call call;

	(void)store_alert_raise(begin(&call, store_worker(tenant_id)), tenant_id, text_of(kind), text_of(detail));
	run_and_end(&call, &world);
}

static void clear_alert(int64_t tenant_id, const char *kind)
{
	struct pg_call call;

	(void)store_alert_clear(begin(&call, store_worker(tenant_id)), tenant_id, text_of(kind));
	run_and_end(&call, &world);
}

static void acknowledge(int64_t tenant_id, const char *kind, bool is_notice)
{
	struct pg_call call;
	char sql[192];

	(void)snprintf(sql, sizeof sql, "select alert_id from depbroker.alerts where tenant_id = %lld and kind = '%s'", (long long)tenant_id, kind);
	(void)store_alert_ack(begin(&call, store_api(tenant_id)), tenant_id, ask_number(&world, sql), TEXT("key"), is_notice);
	run_and_end(&call, &world);
}

static void what_is_news_of_an_alert_is_logged_once(void **state)
{
	const int64_t first = log_length(), acme = new_tenant(&world, "acme"), birch = new_tenant(&world, "birch");
	struct pg_call call;

	(void)state;
	raise_alert(acme, "token.expiring", "30 days");
	raise_alert(birch, "sync.failing", "no answer");
	assert_logged(first, "raised acme token.expiring, raised birch sync.failing");
	(void)store_alerts_seen(begin(&call, store_worker(acme)), acme);
	run_and_end(&call, &world);
	acknowledge(acme, "token.expiring", false);
	clear_alert(acme, "token.rejected"); // there is none
	assert_logged(first, "raised acme token.expiring, raised birch sync.failing");
	raise_alert(acme, "token.expiring", "7 days");
	clear_alert(acme, "token.expiring");
	clear_alert(acme, "token.expiring");
	raise_alert(acme, "token.expiring", "7 days");
	assert_logged(first + 2, "raised acme token.expiring, cleared acme token.expiring, raised acme token.expiring");
}

// The same words once more are another renewal.
static void a_notice_that_comes_again_is_news_and_ends_when_it_is_acknowledged(void **state)
{
	const int64_t first = log_length(), client = new_tenant(&world, "notices");

	(void)state;
	raise_alert(client, "token.renewed", "by a link");
	raise_alert(client, "token.renewed", "by a link");
	acknowledge(client, "token.renewed", true);
	acknowledge(client, "token.renewed", true);
	assert_logged(first, "raised notices token.renewed, raised notices token.renewed, cleared notices token.renewed");
}

static void an_alert_says_what_its_row_does(void **state)
{
	const int64_t client = new_tenant(&world, "faithful");
	char *differing;

	(void)state;
	raise_alert(client, "sync.failing", "a \"quote\" and \xc3\xbc");
	clear_alert(client, "sync.failing");
	differing = test_postgres_ask(world.postgres,
		"select count(*) from depbroker.alerts a, depbroker.events e where e.tenant_id = 9223372036854775807 and e.seq = (select seq from depbroker.alert_log)"
		" and a.kind = 'sync.failing' and a.alert_id::text = e.device::json->>'id' and a.detail = e.device::json->>'detail'"
		" and a.since = (e.device::json->>'since')::timestamptz and a.cleared_at = (e.device::json->>'cleared_at')::timestamptz"
		" and e.device::json->>'tenant' = 'faithful' and e.serial_number is null and e.instance_id is null");
	assert_string_equal(differing, "1");
	free(differing);
}

static void what_is_taken_back_leaves_no_gap(void **state)
{
	const int64_t first = log_length(), client = new_tenant(&world, "undone");
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(client));

	(void)state;
	(void)store_alert_raise(t, client, TEXT("sync.failing"), TEXT("why"));
	(void)PG_ADD(t, "select depbroker.require_fence(false)");
	refuse(&call, &world, ERR_FENCED);
	raise_alert(client, "token.expired", "why");
	assert_logged(first, "raised undone token.expired");
}

static void whoever_raises_goes_on_in_its_own_name(void **state)
{
	const int64_t client = new_tenant(&world, "itself");
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(client));
	unsigned statement;

	(void)state;
	(void)store_alert_raise(t, client, TEXT("sync.failing"), TEXT("why"));
	statement = PG_ADD(t, "select current_setting('depbroker.tenant')::bigint, current_user::text, count(*) from depbroker.events");
	run(&call, &world);
	assert_int_equal(pg_int8(t, statement, 0, 0), client);
	assert_true(text_equal(pg_text(t, statement, 0, 1), TEXT("depbroker_worker")));
	assert_int_equal(pg_int8(t, statement, 0, 2), 0); // another client's log is not seen
	end(&call);
}

static void a_crash_that_quarantines_is_logged_for_each_client(void **state)
{
	const int64_t first = log_length(), one = new_tenant(&world, "struck-1"), other = new_tenant(&world, "struck-2");
	struct pg_call call;

	(void)state;
	for (int i = 0; i < CRASHES_MAX; i++) {
		char sql[160];

		(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set claimed_by = 'crashing' where tenant_id in (%lld, %lld) returning 1",
			(long long)one, (long long)other);
		(void)ask_number(&world, sql);
		(void)store_node_crashed(begin(&call, store_directory()), TEXT("crashing"));
		run_and_end(&call, &world);
	}
	assert_int_equal(log_length(), first + 2);
	assert_int_equal(ask_number(&world, "select count(distinct device::json->>'tenant') from depbroker.events where tenant_id = 9223372036854775807"
		" and type = 20 and device::json->>'kind' = 'tenant.quarantined' and device::json->>'tenant' like 'struck-%'"), 2);
}

static void what_is_open_ends_with_its_client(void **state)
{
	const int64_t client = new_tenant(&world, "leaving");
	const int64_t first = log_length();
	struct pg_call call;
	struct pg_transaction *t;
	unsigned statement;

	(void)state;
	raise_alert(client, "sync.failing", "why");
	raise_alert(client, "token.expired", "why");
	clear_alert(client, "token.expired");
	t = begin(&call, store_api(client));
	store_tenant_begin_erase(t, client);
	statement = store_tenant_erase(t, STORE_ERASE_ROWS);
	run(&call, &world);
	assert_true(store_tenant_erase_read(t, statement));
	end(&call);
	assert_logged(first, "raised leaving sync.failing, raised leaving token.expired, cleared leaving token.expired, cleared leaving sync.failing");
}

// --- the reserved client ---

static void no_list_has_it_and_no_slug_names_it(void **state)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_directory());

	(void)state;
	const unsigned by_slug = store_tenant_by_slug(t, TEXT("*"));
	const unsigned listed = store_tenant_list(t, TEXT_NONE, NULL, 0, 1000);
	const unsigned by_expiry = store_tenant_list_by_expiry(t, 0, TEXT_NONE, NULL, 0, 1000);
	const unsigned names = store_tenant_names(t, NULL, 0, NULL, 0, 1000, 0);

	run(&call, &world);
	assert_int_equal(pg_row_count(t, by_slug), 0);
	for (size_t i = 0; i < pg_row_count(t, listed); i++) {
		struct tenant_row row;

		store_tenant_read(t, listed, i, &row);
		assert_true(row.tenant_id != STORE_EVERYBODY);
	}
	assert_true(pg_row_count(t, listed) > 0);
	assert_int_equal(pg_row_count(t, by_expiry), pg_row_count(t, listed));
	assert_true(pg_row_count(t, names) > 0 && !text_equal(store_tenant_names_read(t, names, 0), TEXT("*")));
	end(&call);
}

static void refuse_statement(const char *sql)
{
	struct pg_call call;

	(void)pg_add(begin(&call, store_api(STORE_EVERYBODY)), sql, NULL, 0);
	refuse(&call, &world, ERR_BAD_INPUT);
}

static void it_has_no_instances_no_keys_and_no_other_state(void **state)
{
	(void)state;
	refuse_statement("update depbroker.tenants set state = 'deleting' where tenant_id = 9223372036854775807");
	refuse_statement("update depbroker.tenants set server_uuid = 'x', pinned_at = now() where tenant_id = 9223372036854775807");
	refuse_statement("insert into depbroker.instances (tenant_id, instance_id, name, kind, enrolment_url, allowed_hosts)"
		" values (9223372036854775807, 1, 'main', 'fleet', 'https://a.example/', '{a.example}')");
	refuse_statement("insert into depbroker.key_pairs (tenant_id, key_pair_id, fingerprint, certificate_pem, not_before, not_after)"
		" values (9223372036854775807, 1, repeat('a', 64), '', now(), now())");
}

static void nobody_else_is_reserved(void **state)
{
	const int64_t client = new_tenant(&world, "ordinary");
	struct pg_call call;

	(void)state;
	(void)PG_ADD(begin(&call, store_api(client)), "update depbroker.tenants set state = 'reserved' where tenant_id = $1", PG_V_INT8(client));
	refuse(&call, &world, ERR_BAD_INPUT);
	(void)PG_ADD(begin(&call, store_api(client)), "update depbroker.tenants set slug = '*' where tenant_id = $1", PG_V_INT8(client));
	refuse(&call, &world, ERR_BAD_INPUT);
}

static void put_endpoint(int64_t tenant_id, int64_t endpoint_id)
{
	struct pg_call call;

	store_endpoint_insert(begin(&call, store_api(tenant_id)), tenant_id,
		&(struct endpoint_row){ .endpoint_id = endpoint_id, .url = TEXT("https://chat.example/") });
	run_and_end(&call, &world);
}

static void its_endpoints_begin_at_the_end_of_the_log_and_are_ten_at_most(void **state)
{
	struct pg_call call;

	(void)state;
	raise_alert(new_tenant(&world, "before"), "sync.failing", "why");
	for (int i = 0; i < STORE_ENDPOINTS_FOR_ALERTS_MAX; i++) {
		put_endpoint(STORE_EVERYBODY, 100 + i);
	}
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.positions where endpoint_id = 100 and acked_seq = (select seq from depbroker.alert_log)"),
		DELIVERY_LANES);
	store_endpoint_insert(begin(&call, store_api(STORE_EVERYBODY)), STORE_EVERYBODY,
		&(struct endpoint_row){ .endpoint_id = 999, .url = TEXT("https://chat.example/") });
	refuse(&call, &world, ERR_FENCED);
}

static void a_clients_transaction_sees_nothing_of_it(void **state)
{
	static const char *const tables[] = { "tenants", "alert_log", "events", "endpoints", "positions", "sync_stream", "tenant_status" };
	const int64_t client = new_tenant(&world, "walled");

	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct pg_call call;
		char sql[128];

		(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.%s where tenant_id = 9223372036854775807", tables[i]);
		(void)pg_add(begin(&call, store_api(client)), sql, NULL, 0);
		run(&call, &world);
		assert_int_equal(pg_int8(&call.transaction, 0, 0, 0), 0);
		end(&call);
	}
}

// Nobody could make it active again.
static void it_is_claimed_again_an_hour_after_three_crashes(void **state)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_api(STORE_EVERYBODY));
	static const struct { const char *ago; size_t claimed; } cases[] = { { "59 minutes", 0 }, { "61 minutes", 1 } };

	(void)state;
	store_tenant_everybody_begin(t);
	run_and_end(&call, &world);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char sql[320];

		(void)snprintf(sql, sizeof sql, "with others as (update depbroker.sync_due set due_at = now() + interval '1 day' where tenant_id < 9223372036854775807)"
			" update depbroker.sync_due set due_at = now(), claimed_by = null, crashes = array_fill(now() - interval '%s', '{3}')"
			" where tenant_id = 9223372036854775807 returning 1", cases[i].ago);
		(void)ask_number(&world, sql);
		t = begin(&call, store_directory());
		(void)store_due_claim(t, NODE, 10, true, (struct due_share){ 1, 0 });
		run(&call, &world);
		assert_int_equal(pg_row_count(t, 0), cases[i].claimed);
		end(&call);
	}
}

static int set_up(void **state)
{
	(void)state;
	store_world_open(&world);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_news_of_an_alert_is_logged_once),
		cmocka_unit_test(a_notice_that_comes_again_is_news_and_ends_when_it_is_acknowledged),
		cmocka_unit_test(an_alert_says_what_its_row_does),
		cmocka_unit_test(what_is_taken_back_leaves_no_gap),
		cmocka_unit_test(whoever_raises_goes_on_in_its_own_name),
		cmocka_unit_test(a_crash_that_quarantines_is_logged_for_each_client),
		cmocka_unit_test(what_is_open_ends_with_its_client),
		cmocka_unit_test(no_list_has_it_and_no_slug_names_it),
		cmocka_unit_test(it_has_no_instances_no_keys_and_no_other_state),
		cmocka_unit_test(nobody_else_is_reserved),
		cmocka_unit_test(its_endpoints_begin_at_the_end_of_the_log_and_are_ten_at_most),
		cmocka_unit_test(a_clients_transaction_sees_nothing_of_it),
		cmocka_unit_test(it_is_claimed_again_an_hour_after_three_crashes),
	};

	return cmocka_run_group_tests_name("alerts", tests, set_up, tear_down);
}
