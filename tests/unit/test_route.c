// SPDX-License-Identifier: Apache-2.0
//
// Where a device belongs and who is told: every combination of what is stored and what is reported.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/route.h"

#include <string.h>

enum { A = 11, B = 22 };

static const unsigned char print_1[DEVICE_FINGERPRINT_SIZE] = { 1 };
static const unsigned char print_2[DEVICE_FINGERPRINT_SIZE] = { 2 };

static struct route_stored present_at(int64_t instance_id)
{
	return (struct route_stored){
		.known = true, .instance_id = instance_id, .op_date_us = 50 * SECOND_US, .fingerprint = { 1 },
	};
}

static const struct route_stored unknown = { 0 };
static const struct route_stored gone = { .known = true, .gone = true, .op_date_us = 50 * SECOND_US, .fingerprint = { 1 } };

static const struct route_report same = { .op_date_us = INSTANT_NONE, .fingerprint = print_1 };
static const struct route_report changed = { .op_date_us = INSTANT_NONE, .fingerprint = print_2 };
static const struct route_report deleted = { .gone = true, .op_date_us = 60 * SECOND_US, .fingerprint = print_1 };
static const struct route_report not_seen = { .gone = true, .op_date_us = INSTANT_NONE };

static struct route_outcome route(int64_t default_instance_id, struct route_stored stored, struct route_report report)
{
	return route_device(&(struct route_wish){ .instance_id = default_instance_id }, &stored, &report);
}

static void each_combination_has_its_instance_and_its_events(void **state)
{
	const struct {
		struct route_stored stored;
		struct route_report report;
		int64_t default_instance_id;
		int64_t instance_id;
		bool write;
		struct route_event events[ROUTE_EVENTS_MAX];
	} cases[] = {
		{ unknown, same, A, A, true, { { EVENT_DEVICE_ADDED, A } } },
		{ unknown, same, INSTANCE_NONE, INSTANCE_NONE, true, { { EVENT_DEVICE_HELD, INSTANCE_NONE } } },
		{ unknown, deleted, A, INSTANCE_NONE, true, { { 0 } } }, // kept, so that nothing older brings it back
		{ gone, same, A, A, true, { { EVENT_DEVICE_ADDED, A } } },
		{ gone, same, INSTANCE_NONE, INSTANCE_NONE, true, { { EVENT_DEVICE_HELD, INSTANCE_NONE } } },
		{ gone, not_seen, A, INSTANCE_NONE, false, { { 0 } } },
		{ present_at(A), same, A, A, false, { { 0 } } },
		{ present_at(A), changed, A, A, true, { { EVENT_DEVICE_CHANGED, A } } },
		{ present_at(A), same, B, B, true, { { EVENT_DEVICE_REMOVED, A }, { EVENT_DEVICE_ADDED, B } } },
		{ present_at(A), changed, B, B, true, { { EVENT_DEVICE_REMOVED, A }, { EVENT_DEVICE_ADDED, B } } },
		{ present_at(A), same, INSTANCE_NONE, INSTANCE_NONE, true,
			{ { EVENT_DEVICE_REMOVED, A }, { EVENT_DEVICE_HELD, INSTANCE_NONE } } },
		{ present_at(A), deleted, A, INSTANCE_NONE, true, { { EVENT_DEVICE_REMOVED, A } } },
		{ present_at(A), not_seen, B, INSTANCE_NONE, true, { { EVENT_DEVICE_REMOVED, A } } },
		{ present_at(INSTANCE_NONE), same, INSTANCE_NONE, INSTANCE_NONE, false, { { 0 } } },
		{ present_at(INSTANCE_NONE), changed, INSTANCE_NONE, INSTANCE_NONE, true,
			{ { EVENT_DEVICE_CHANGED, INSTANCE_NONE } } },
		{ present_at(INSTANCE_NONE), same, B, B, true, { { EVENT_DEVICE_ADDED, B } } },
		{ present_at(INSTANCE_NONE), deleted, A, INSTANCE_NONE, true, { { EVENT_DEVICE_REMOVED, INSTANCE_NONE } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct route_outcome outcome = route(cases[i].default_instance_id, cases[i].stored, cases[i].report);

		assert_false(outcome.stale);
		assert_int_equal(outcome.instance_id, cases[i].instance_id);
		assert_int_equal(outcome.gone, cases[i].report.gone);
		assert_int_equal(outcome.write, cases[i].write);
		for (size_t at = 0; at < ROUTE_EVENTS_MAX; at++) {
			assert_int_equal(at < outcome.event_count, cases[i].events[at].type != 0);
			assert_int_equal(outcome.events[at].type, cases[i].events[at].type);
			assert_int_equal(outcome.events[at].instance_id, cases[i].events[at].instance_id);
		}
	}
}

static void what_is_older_than_the_row_changes_nothing(void **state)
{
	const struct route_report old = { .gone = true, .op_date_us = 50 * SECOND_US - 1, .fingerprint = print_2 };
	const struct route_outcome outcome = route(B, present_at(A), old);

	(void)state;
	assert_true(outcome.stale);
	assert_false(outcome.write);
	assert_int_equal(outcome.event_count, 0);
	assert_int_equal(outcome.instance_id, A);
	assert_int_equal(outcome.op_date_us, 50 * SECOND_US);
}

static void equally_old_and_identical_is_no_event_and_equally_old_and_different_is_one(void **state)
{
	struct route_report report = { .op_date_us = 50 * SECOND_US, .fingerprint = print_1 };

	(void)state;
	assert_false(route(A, present_at(A), report).write);
	report.fingerprint = print_2;
	assert_int_equal(route(A, present_at(A), report).events[0].type, EVENT_DEVICE_CHANGED);
}

static void a_younger_op_date_is_kept_even_if_nothing_else_changed(void **state)
{
	const struct route_report report = { .op_date_us = 51 * SECOND_US, .fingerprint = print_1 };
	const struct route_outcome outcome = route(A, present_at(A), report);

	(void)state;
	assert_true(outcome.write);
	assert_int_equal(outcome.op_date_us, 51 * SECOND_US);
	assert_int_equal(outcome.event_count, 0);
}

static void a_fetch_does_not_overwrite_the_op_date(void **state)
{
	(void)state;
	assert_int_equal(route(A, present_at(A), changed).op_date_us, 50 * SECOND_US);
	assert_int_equal(route(A, unknown, same).op_date_us, INSTANT_NONE);
	assert_int_equal(route(A, present_at(A), not_seen).op_date_us, 50 * SECOND_US);
}

static struct route_stored apply(struct route_stored stored, struct route_outcome outcome, struct route_report report)
{
	if (!outcome.write) {
		return stored;
	}
	stored.known = true;
	stored.gone = outcome.gone;
	stored.instance_id = outcome.instance_id;
	stored.op_date_us = outcome.op_date_us;
	if (report.fingerprint != NULL) {
		memcpy(stored.fingerprint, report.fingerprint, sizeof stored.fingerprint);
	}
	return stored;
}

static void a_deletion_that_apple_repeats_does_not_undo_the_fetch_that_brought_the_device_back(void **state)
{
	struct route_stored stored = apply(present_at(A), route(A, present_at(A), deleted), deleted);

	(void)state;
	assert_true(stored.gone);
	assert_false(route(A, stored, deleted).write); // repeated by every sync
	stored = apply(stored, route(A, stored, same), same);
	assert_false(stored.gone);
	assert_true(route(A, stored, deleted).stale);

	const struct route_report again = { .gone = true, .op_date_us = deleted.op_date_us + SECOND_US };

	assert_true(route(A, stored, again).write); // a new one counts
}

static void a_deletion_from_before_the_assignment_that_a_fetch_shows_is_stale(void **state)
{
	const struct route_report fetched = {
		.op_date_us = INSTANT_NONE, .assigned_at_us = 70 * SECOND_US, .fingerprint = print_1,
	};
	struct route_report deletion = { .gone = true, .op_date_us = 69 * SECOND_US };
	const struct route_stored before[] = { unknown, present_at(A), gone };

	(void)state;
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		const struct route_stored stored = apply(before[i], route(A, before[i], fetched), fetched);

		assert_true(route(A, stored, deletion).stale);
		assert_false(route(A, stored, fetched).write);
	}
	deletion.op_date_us = 70 * SECOND_US; // in the same second: the later report counts
	assert_true(route(A, apply(unknown, route(A, unknown, fetched), fetched), deletion).write);
}

static void a_device_that_no_generation_saw_may_come_back_by_any_report(void **state)
{
	const struct route_stored stored = apply(present_at(A), route(A, present_at(A), not_seen), not_seen);
	const struct route_report repeated = { .op_date_us = 50 * SECOND_US, .fingerprint = print_1 };

	(void)state;
	assert_true(stored.gone);
	assert_int_equal(route(A, stored, repeated).events[0].type, EVENT_DEVICE_ADDED);
}

static struct route_report random_report(void)
{
	return (struct route_report){
		.gone = random_chance(30),
		.op_date_us = random_chance(40) ? INSTANT_NONE : (int64_t)random_below(10) * SECOND_US,
		.assigned_at_us = random_chance(50) ? INSTANT_NONE : (int64_t)random_below(10) * SECOND_US,
		.fingerprint = random_chance(20) ? NULL : random_chance(50) ? print_1 : print_2,
	};
}

// The consumers' view: who has the device, told by the events alone.
static void consume(const struct route_outcome *outcome, int64_t *holder)
{
	for (size_t i = 0; i < outcome->event_count; i++) {
		switch (outcome->events[i].type) {
		case EVENT_DEVICE_ADDED:
			LAW(*holder == INSTANCE_NONE && outcome->events[i].instance_id != INSTANCE_NONE);
			*holder = outcome->events[i].instance_id;
			break;
		case EVENT_DEVICE_REMOVED:
			LAW(*holder == outcome->events[i].instance_id);
			*holder = INSTANCE_NONE;
			break;
		case EVENT_DEVICE_CHANGED: LAW(*holder == outcome->events[i].instance_id); break;
		case EVENT_DEVICE_HELD: LAW(*holder == INSTANCE_NONE && outcome->events[i].instance_id == INSTANCE_NONE); break;
		case EVENT_DEVICE_ASSIGNED:
		case EVENT_PING:
		case EVENT_DEVICE_REPLACED:
		case EVENT_PROFILE_UNUSABLE:
		case EVENT_PROFILE_UNDEFINED:
		case EVENT_PROFILE_DRIFTED:
		case EVENT_DEVICE_ENROLLED:
		case EVENT_DEVICE_UNENROLLED:
		case EVENT_DEVICE_MISROUTED:
		case EVENT_TOKEN_EXPIRING:
		case EVENT_TOKEN_EXPIRED:
		case EVENT_TOKEN_REJECTED:
		case EVENT_TERMS_UNSIGNED:
		case EVENT_SYNC_FAILING:
		case EVENT_TENANT_QUARANTINED:
		case EVENT_TOKEN_RENEWED:
		case EVENT_TOKEN_ADMIN_CHANGED:
		case EVENT_TOKEN_REFUSED:
		case EVENT_ENDPOINT_DISABLED:
		case EVENT_ALERT_RAISED:
		case EVENT_ALERT_CLEARED: LAW(false); break;
		}
	}
}

static void events_alone_tell_who_has_a_device_and_repetitions_tell_nothing(void **state)
{
	static const int64_t defaults[] = { INSTANCE_NONE, A, B };

	(void)state;
	for (size_t number = 0; number < 20000; number++) {
		struct route_stored stored = unknown;
		int64_t holder = INSTANCE_NONE;

		random_case("test_route", number);
		for (int step = 0; step < 20; step++) {
			const int64_t wanted = defaults[random_below(3)];
			const struct route_report report = random_report();
			const struct route_outcome outcome = route(wanted, stored, report);

			LAW(outcome.stale || outcome.gone == report.gone);
			LAW(outcome.stale || outcome.instance_id == (report.gone ? INSTANCE_NONE : wanted)); // law 4
			LAW(outcome.write || outcome.event_count == 0);
			LAW(!stored.known || outcome.op_date_us >= stored.op_date_us);
			stored = apply(stored, outcome, report);
			consume(&outcome, &holder);
			LAW(holder == stored.instance_id);
			LAW(!stored.gone || stored.instance_id == INSTANCE_NONE);

			const struct route_outcome repeated = route(wanted, stored, report);

			LAW(!repeated.write || outcome.stale); // law 2
			LAW(repeated.event_count == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_combination_has_its_instance_and_its_events),
		cmocka_unit_test(what_is_older_than_the_row_changes_nothing),
		cmocka_unit_test(equally_old_and_identical_is_no_event_and_equally_old_and_different_is_one),
		cmocka_unit_test(a_younger_op_date_is_kept_even_if_nothing_else_changed),
		cmocka_unit_test(a_fetch_does_not_overwrite_the_op_date),
		cmocka_unit_test(a_deletion_that_apple_repeats_does_not_undo_the_fetch_that_brought_the_device_back),
		cmocka_unit_test(a_deletion_from_before_the_assignment_that_a_fetch_shows_is_stale),
		cmocka_unit_test(a_device_that_no_generation_saw_may_come_back_by_any_report),
		cmocka_unit_test(events_alone_tell_who_has_a_device_and_repetitions_tell_nothing),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
