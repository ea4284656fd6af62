// SPDX-License-Identifier: Apache-2.0
//
// Which clients list a serial number, and which devices are held when they arrive.
#include "store/alerts.h"
#include "store/devices.h"
#include "store/expected.h"
#include "store/guards.h"
#include "store/routing.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>

static struct store_world world;
static int64_t older, newer;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	older = new_tenant(&world, "older");
	newer = new_tenant(&world, "newer");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

// A serial number of its own for each test.
static struct text fresh_serial(char out[16])
{
	static unsigned short number;

	(void)snprintf(out, 16, "GUARD%hu", ++number);
	return text_of(out);
}

static void claim(int64_t tenant_id, struct text serial, int64_t assigned_at_us, bool gone)
{
	const struct serial_claim row = { .serial_number = serial, .assigned_at_us = assigned_at_us, .gone = gone };
	struct pg_call call;

	store_claims_put(begin(&call, store_worker(tenant_id)), tenant_id, &row, 1);
	run_and_end(&call, &world);
}

static bool is_guarded(int64_t tenant_id, struct text serial, int64_t assigned_at_us)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));
	const unsigned statement = store_guard_by_serials(t, tenant_id, &serial, &assigned_at_us, 1);
	struct guard_row row = { .serial_number = TEXT_NONE };

	run(&call, &world);
	const size_t count = pg_row_count(t, statement);

	if (count > 0) {
		store_guard_read(t, statement, 0, &row);
		assert_true(text_equal(row.serial_number, serial));
		assert_true(row.reason.length > 0);
	}
	end(&call);
	return count > 0;
}

static void the_second_client_that_lists_a_serial_number_is_held_and_the_first_is_not(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);

	(void)state;
	assert_false(is_guarded(older, serial, INSTANT_NONE));
	claim(older, serial, INSTANT_NONE, false);
	assert_true(is_guarded(newer, serial, INSTANT_NONE)); // before it is listed
	claim(newer, serial, INSTANT_NONE, false);
	assert_true(is_guarded(newer, serial, INSTANT_NONE));
	assert_false(is_guarded(older, serial, INSTANT_NONE));
}

static void a_client_that_has_the_device_no_more_rivals_nobody_and_comes_back_as_the_second(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);

	(void)state;
	claim(older, serial, INSTANT_NONE, false);
	claim(newer, serial, INSTANT_NONE, false);
	claim(older, serial, INSTANT_NONE, true);
	assert_false(is_guarded(newer, serial, INSTANT_NONE));
	claim(older, serial, INSTANT_NONE, false);
	assert_true(is_guarded(older, serial, INSTANT_NONE));
	assert_false(is_guarded(newer, serial, INSTANT_NONE));
}

static void a_later_date_of_apples_decides_for_the_second(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);

	(void)state;
	claim(older, serial, 1000 * SECOND_US, false);
	assert_true(is_guarded(newer, serial, 1000 * SECOND_US));
	assert_true(is_guarded(newer, serial, 999 * SECOND_US));
	assert_false(is_guarded(newer, serial, 1001 * SECOND_US));
	claim(newer, serial, 1001 * SECOND_US, false);
	assert_false(is_guarded(newer, serial, INSTANT_NONE)); // the date that is stored
	assert_false(is_guarded(older, serial, INSTANT_NONE)); // and nothing is taken from the first
}

static size_t owners(struct text serial, const int64_t *tenant_ids, size_t count, struct text wanted_first)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_directory());
	const unsigned statement = store_claim_list(t, serial, tenant_ids, count, 10);
	struct claim_row row = { .slug = TEXT_NONE };

	run(&call, &world);
	const size_t found = pg_row_count(t, statement);

	if (found > 0) {
		store_claim_read(t, statement, 0, &row);
		assert_true(text_equal(row.slug, wanted_first));
	}
	end(&call);
	return found;
}

static void owners_are_found_among_the_clients_that_are_asked_about(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);

	(void)state;
	claim(older, serial, INSTANT_NONE, false);
	claim(newer, serial, INSTANT_NONE, false);
	assert_int_equal(owners(serial, NULL, 0, TEXT("older")), 2);
	assert_int_equal(owners(serial, &newer, 1, TEXT("newer")), 1);
	assert_int_equal(owners(serial, (const int64_t[]){ 0 }, 1, TEXT_NONE), 0);
	claim(older, serial, INSTANT_NONE, true);
	assert_int_equal(owners(serial, NULL, 0, TEXT("newer")), 2); // the present one first
}

static void a_client_sees_no_other_clients_claims(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);
	struct pg_call call;

	(void)state;
	claim(older, serial, INSTANT_NONE, false);
	struct pg_transaction *t = begin(&call, store_api(newer));
	const unsigned statement = store_claim_list(t, serial, NULL, 0, 10);

	run(&call, &world);
	assert_int_equal(pg_row_count(t, statement), 0);
	end(&call);
}

// --- held devices ---

static void put_device(int64_t tenant_id, struct text serial, enum route_decider decider, int64_t held_since_us)
{
	struct pg_call call;
	const struct device_row row = {
		.apple = { .serial_number = serial, .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE, .op_date_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE, .first_seen_at_us = clock_wall_us(), .changed_at_us = clock_wall_us(),
		.decider = decider, .hold_reason = TEXT("why"), .held_since_us = held_since_us,
	};

	(void)store_device_put(begin(&call, store_worker(tenant_id)), tenant_id, &row, 1);
	run_and_end(&call, &world);
}

static bool is_looked_at_again(int64_t tenant_id, struct text serial)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(tenant_id));
	const unsigned listed = store_reroute_list(t, tenant_id, 1000);
	const unsigned asked = store_routing_select(t, tenant_id);
	bool has_facts, has_reroutes, found = false;

	run(&call, &world);
	store_routing_read(t, asked, &has_facts, &has_reroutes);
	for (size_t i = 0; i < pg_row_count(t, listed); i++) {
		found = found || text_equal(store_reroute_read(t, listed, i), serial);
	}
	assert_int_equal(has_reroutes, pg_row_count(t, listed) > 0);
	end(&call);
	return found;
}

static void what_a_guard_held_is_looked_at_again_when_it_would_not_any_more(void **state)
{
	char room[16];
	const struct text serial = fresh_serial(room);

	(void)state;
	claim(older, serial, INSTANT_NONE, false);
	claim(newer, serial, INSTANT_NONE, false);
	put_device(newer, serial, ROUTE_BY_GUARD, 1);
	assert_false(is_looked_at_again(newer, serial));
	claim(older, serial, INSTANT_NONE, true);
	assert_true(is_looked_at_again(newer, serial));
	put_device(newer, serial, ROUTE_BY_RULE, INSTANT_NONE);
	assert_false(is_looked_at_again(newer, serial));
}

static void expect(int64_t tenant_id, const struct expected_row *rows, size_t count, bool replaces, enum expected_hold hold)
{
	struct pg_call call;

	store_expected_put(begin(&call, store_api(tenant_id)), tenant_id, rows, count, replaces, hold, TEXT("key"));
	run_and_end(&call, &world);
}

static void what_is_not_on_a_list_that_holds_is_held_when_it_arrives_later(void **state)
{
	const int64_t client = new_tenant(&world, "expects");
	const struct expected_row row = { .serial_number = TEXT("EXPECTED") };
	char before[16], after[16];

	(void)state;
	const struct text there = fresh_serial(before), comes = fresh_serial(after);

	put_device(client, there, ROUTE_BY_RULE, INSTANT_NONE);
	expect(client, &row, 1, true, EXPECTED_HOLD_NOT);
	assert_false(is_guarded(client, comes, INSTANT_NONE));
	expect(client, &row, 1, true, EXPECTED_HOLD);
	assert_true(is_guarded(client, comes, INSTANT_NONE));
	assert_false(is_guarded(client, row.serial_number, INSTANT_NONE));
	assert_false(is_guarded(client, there, INSTANT_NONE));
	put_device(client, comes, ROUTE_BY_GUARD, 1);
	assert_false(is_looked_at_again(client, comes));
	expect(client, &(struct expected_row){ .serial_number = comes }, 1, false, EXPECTED_HOLD_AS_IT_WAS);
	assert_true(is_looked_at_again(client, comes));
	assert_true(is_guarded(client, TEXT("ANOTHER"), INSTANT_NONE)); // the list holds as before
}

static struct text open_alert(int64_t tenant_id, const char *kind, char out[128])
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_directory());
	const unsigned statement = store_alert_list(t, 0, true, &tenant_id, 1, 100);
	struct alert_row row;

	out[0] = '\0';
	run(&call, &world);
	for (size_t i = 0; i < pg_row_count(t, statement); i++) {
		store_alert_read(t, statement, i, &row);
		if (text_equal_string(row.kind, kind)) {
			(void)snprintf(out, 128, "%.*s", TEXT_ARGS(row.detail));
		}
	}
	end(&call);
	return text_of(out);
}

static void review(int64_t tenant_id)
{
	struct pg_call call;

	(void)store_tenant_status_run(begin(&call, store_worker(tenant_id)), tenant_id, &(const struct tenant_status_row){ 0 }, true);
	run_and_end(&call, &world);
}

static void held_devices_are_one_alert_that_ends_with_the_last_of_them(void **state)
{
	const int64_t client = new_tenant(&world, "holds");
	char detail[128];

	(void)state;
	review(client);
	assert_int_equal(open_alert(client, "device.held", detail).length, 0);
	put_device(client, TEXT("HELD1"), ROUTE_BY_RULE, 1);
	put_device(client, TEXT("HELD2"), ROUTE_BY_GUARD, 1);
	review(client);
	assert_string_equal(open_alert(client, "device.held", detail).bytes, "2 devices are held, HELD1 among them.");
	put_device(client, TEXT("HELD1"), ROUTE_BY_RULE, INSTANT_NONE);
	put_device(client, TEXT("HELD2"), ROUTE_BY_RULE, INSTANT_NONE);
	review(client);
	assert_int_equal(open_alert(client, "device.held", detail).length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_client_that_lists_a_serial_number_is_held_and_the_first_is_not),
		cmocka_unit_test(a_client_that_has_the_device_no_more_rivals_nobody_and_comes_back_as_the_second),
		cmocka_unit_test(a_later_date_of_apples_decides_for_the_second),
		cmocka_unit_test(owners_are_found_among_the_clients_that_are_asked_about),
		cmocka_unit_test(a_client_sees_no_other_clients_claims),
		cmocka_unit_test(what_a_guard_held_is_looked_at_again_when_it_would_not_any_more),
		cmocka_unit_test(what_is_not_on_a_list_that_holds_is_held_when_it_arrives_later),
		cmocka_unit_test(held_devices_are_one_alert_that_ends_with_the_last_of_them),
	};

	return cmocka_run_group_tests_name("store_guards", tests, open_world, close_world);
}
