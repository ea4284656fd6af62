// SPDX-License-Identifier: Apache-2.0
//
// What news about a device makes of its row: routing and assignment together, single cases and random lives of devices.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/device.h"
#include "tenants/reconcile.h"

#include <string.h>

#define NOW    (INT64_C(1764000000) * SECOND_US)
#define UUID_A TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
#define UUID_B TEXT("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB")

enum { MAIN = 7, OTHER = 8 };

static struct reconcile_settings settings_with(int64_t instance_id, struct text uuid)
{
	return (struct reconcile_settings){
		.wish = { .instance_id = instance_id },
		.rules_version = 3,
		.wanted_profile_uuid = uuid,
		.now_us = NOW,
	};
}

static struct device_record record_with(struct text status, struct text uuid)
{
	struct device_record record = {
		.serial_number = TEXT("C02TEST0001"),
		.model = TEXT("MacBook Air"),
		.profile_status = status,
		.profile_uuid = uuid,
		.profile_assign_time_us = INSTANT_NONE,
		.profile_push_time_us = INSTANT_NONE,
		.device_assigned_date_us = INSTANT_NONE,
		.mdm_migration_deadline_us = INSTANT_NONE,
		.op_date_us = INSTANT_NONE,
	};

	device_fingerprint(&record);
	return record;
}

static struct reconcile_outcome tell(const struct reconcile_settings *settings, const struct device_row *stored,
	const struct device_record *record, bool gone)
{
	struct reconcile_outcome outcome;

	reconcile_record(&outcome, settings, stored, record, gone);
	return outcome;
}

static void expect_events(const struct reconcile_outcome *outcome, size_t count, const enum event_type *types)
{
	assert_int_equal(outcome->event_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(outcome->events[i].type, types[i]);
	}
}

static void a_new_device_is_routed_and_due_to_be_assigned(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record record = record_with(TEXT("empty"), TEXT_NONE);
	const struct reconcile_outcome outcome = tell(&settings, NULL, &record, false);

	(void)state;
	assert_true(outcome.write);
	assert_int_equal(outcome.next.instance_id, MAIN);
	assert_int_equal(outcome.next.rules_version, 3);
	assert_int_equal(outcome.next.assign_state, ASSIGN_PENDING);
	assert_true(outcome.next.assign_at_us == NOW);
	assert_true(outcome.next.first_seen_at_us == NOW);
	expect_events(&outcome, 1, (const enum event_type[]){ EVENT_DEVICE_ADDED });
	assert_int_equal(outcome.events[0].instance_id, MAIN);
}

static void without_a_rule_a_device_is_held_and_never_assigned(void **state)
{
	const struct reconcile_settings settings = settings_with(INSTANCE_NONE, UUID_A);
	const struct device_record record = record_with(TEXT("empty"), TEXT_NONE);
	const struct reconcile_outcome outcome = tell(&settings, NULL, &record, false);

	(void)state;
	assert_int_equal(outcome.next.instance_id, INSTANCE_NONE);
	assert_true(outcome.next.assign_at_us == INSTANT_NONE);
	expect_events(&outcome, 1, (const enum event_type[]){ EVENT_DEVICE_HELD });
	assert_int_equal(outcome.events[0].instance_id, INSTANCE_NONE);
}

static void a_device_that_already_has_the_profile_is_announced_as_assigned_at_once(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record record = record_with(TEXT("assigned"), UUID_A);
	const struct reconcile_outcome outcome = tell(&settings, NULL, &record, false);

	(void)state;
	assert_int_equal(outcome.next.assign_state, ASSIGN_SETTLED);
	assert_true(text_equal(outcome.next.assigned_profile_uuid, UUID_A));
	expect_events(&outcome, 2, (const enum event_type[]){ EVENT_DEVICE_ADDED, EVENT_DEVICE_ASSIGNED });
}

static void success_is_told_once_whoever_tells_it_first(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record empty = record_with(TEXT("empty"), TEXT_NONE);
	const struct device_record assigned = record_with(TEXT("assigned"), UUID_A);
	const struct reconcile_outcome first = tell(&settings, NULL, &empty, false);
	struct reconcile_outcome accepted;
	struct reconcile_outcome shown;

	(void)state;
	reconcile_assigned(&accepted, &settings, &first.next, UUID_A, ASSIGN_RESULT_SUCCESS, -1, 0);
	expect_events(&accepted, 1, (const enum event_type[]){ EVENT_DEVICE_ASSIGNED });
	assert_int_equal(accepted.next.assign_state, ASSIGN_CONFIRMING);
	shown = tell(&settings, &accepted.next, &assigned, false);
	expect_events(&shown, 1, (const enum event_type[]){ EVENT_DEVICE_CHANGED });
	assert_int_equal(shown.next.assign_state, ASSIGN_SETTLED);

	shown = tell(&settings, &first.next, &assigned, false); // Apple's answer to the assignment was lost
	expect_events(&shown, 2, (const enum event_type[]){ EVENT_DEVICE_CHANGED, EVENT_DEVICE_ASSIGNED });
}

static void a_profile_that_apple_took_away_is_assigned_and_announced_again(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record assigned = record_with(TEXT("assigned"), UUID_A);
	const struct device_record empty = record_with(TEXT("empty"), TEXT_NONE);
	const struct reconcile_outcome first = tell(&settings, NULL, &assigned, false);
	const struct reconcile_outcome taken = tell(&settings, &first.next, &empty, false);
	struct reconcile_outcome again;

	(void)state;
	assert_int_equal(taken.next.assign_state, ASSIGN_PENDING);
	reconcile_assigned(&again, &settings, &taken.next, UUID_A, ASSIGN_RESULT_SUCCESS, -1, 0);
	expect_events(&again, 1, (const enum event_type[]){ EVENT_DEVICE_ASSIGNED });
}

// A, then B, which Apple accepts, then A again, before any record has shown B.
static void what_apple_accepted_last_counts_when_rules_go_back(void **state)
{
	const struct reconcile_settings to_a = settings_with(MAIN, UUID_A), to_b = settings_with(OTHER, UUID_B);
	const struct device_record record = record_with(TEXT("assigned"), UUID_A);
	struct reconcile_outcome outcome = tell(&to_a, NULL, &record, false);
	struct device_row row = outcome.next;

	(void)state;
	reconcile_again(&outcome, &to_b, &row);
	row = outcome.next;
	reconcile_assigned(&outcome, &to_b, &row, UUID_B, ASSIGN_RESULT_SUCCESS, -1, 0);
	row = outcome.next;
	assert_int_equal(row.assign_state, ASSIGN_CONFIRMING);
	reconcile_again(&outcome, &to_a, &row);
	assert_true(outcome.write);
	assert_int_equal(outcome.next.assign_state, ASSIGN_PENDING);
	row = outcome.next;
	const struct assign_view view = reconcile_assign_view(&to_a, &row);

	assert_int_equal(assign_need(&view, to_a.now_us), ASSIGN_NEED_CALL);
	reconcile_again(&outcome, &to_a, &row);
	assert_false(outcome.write);
}

static void other_rules_move_a_device_and_make_it_due(void **state)
{
	const struct reconcile_settings before = settings_with(MAIN, UUID_A);
	struct reconcile_settings after = settings_with(OTHER, UUID_B);
	const struct device_record assigned = record_with(TEXT("assigned"), UUID_A);
	const struct reconcile_outcome first = tell(&before, NULL, &assigned, false);
	struct reconcile_outcome moved;

	(void)state;
	after.rules_version = 4;
	reconcile_again(&moved, &after, &first.next);
	assert_true(moved.write);
	assert_int_equal(moved.next.instance_id, OTHER);
	assert_int_equal(moved.next.rules_version, 4);
	assert_int_equal(moved.next.assign_state, ASSIGN_PENDING);
	expect_events(&moved, 2, (const enum event_type[]){ EVENT_DEVICE_REMOVED, EVENT_DEVICE_ADDED });
	assert_int_equal(moved.events[0].instance_id, MAIN);
	assert_int_equal(moved.events[1].instance_id, OTHER);
	reconcile_again(&moved, &before, &first.next);
	assert_false(moved.write);
}

// The instance forgot it when it was removed.
static void a_device_that_comes_back_before_it_had_another_profile_is_announced_as_assigned_again(void **state)
{
	const struct reconcile_settings here = settings_with(MAIN, UUID_A), there = settings_with(OTHER, UUID_B);
	const struct device_record assigned = record_with(TEXT("assigned"), UUID_A);
	const struct reconcile_outcome first = tell(&here, NULL, &assigned, false);
	struct reconcile_outcome away, back;

	(void)state;
	reconcile_again(&away, &there, &first.next);
	expect_events(&away, 2, (const enum event_type[]){ EVENT_DEVICE_REMOVED, EVENT_DEVICE_ADDED });
	reconcile_again(&back, &here, &away.next);
	expect_events(&back, 3, (const enum event_type[]){ EVENT_DEVICE_REMOVED, EVENT_DEVICE_ADDED, EVENT_DEVICE_ASSIGNED });
	assert_int_equal(back.events[2].instance_id, MAIN);
	assert_int_equal(back.next.assign_state, ASSIGN_SETTLED);
}

// As above, when Apple's word that it has the profile is younger than what it shows.
static void a_device_that_comes_back_unconfirmed_is_assigned_again(void **state)
{
	const struct reconcile_settings here = settings_with(MAIN, UUID_A), there = settings_with(OTHER, UUID_B);
	const struct device_record empty = record_with(TEXT("empty"), TEXT_NONE);
	const struct reconcile_outcome first = tell(&here, NULL, &empty, false);
	struct reconcile_outcome accepted, away, back;

	(void)state;
	reconcile_assigned(&accepted, &here, &first.next, UUID_A, ASSIGN_RESULT_SUCCESS, -1, 0);
	reconcile_again(&away, &there, &accepted.next);
	reconcile_again(&back, &here, &away.next);
	expect_events(&back, 2, (const enum event_type[]){ EVENT_DEVICE_REMOVED, EVENT_DEVICE_ADDED });
	reconcile_assigned(&accepted, &here, &back.next, UUID_A, ASSIGN_RESULT_SUCCESS, -1, 0);
	expect_events(&accepted, 1, (const enum event_type[]){ EVENT_DEVICE_ASSIGNED });
}

static void a_deletion_keeps_what_was_known_and_ends_assigning(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record empty = record_with(TEXT("empty"), TEXT_NONE);
	struct device_record deleted = { .serial_number = TEXT("C02TEST0001"), .op_date_us = NOW, .device_assigned_date_us = INSTANT_NONE };
	const struct reconcile_outcome first = tell(&settings, NULL, &empty, false);
	struct reconcile_outcome outcome;

	(void)state;
	device_fingerprint(&deleted);
	outcome = tell(&settings, &first.next, &deleted, true);
	assert_true(outcome.next.gone_at_us == NOW);
	assert_true(outcome.next.assign_at_us == INSTANT_NONE);
	assert_true(text_equal(outcome.next.apple.model, TEXT("MacBook Air")));
	expect_events(&outcome, 1, (const enum event_type[]){ EVENT_DEVICE_REMOVED });
	assert_int_equal(outcome.events[0].instance_id, MAIN);
	assert_false(tell(&settings, &outcome.next, &deleted, true).write); // Apple repeats deletions
}

static void what_apple_said_yes_to_is_not_assigned_again_by_looking_at_it_again(void **state)
{
	const struct reconcile_settings settings = settings_with(MAIN, UUID_A);
	const struct device_record empty = record_with(TEXT("empty"), TEXT_NONE);
	const struct reconcile_outcome first = tell(&settings, NULL, &empty, false);
	struct reconcile_outcome accepted;
	struct reconcile_outcome again;

	(void)state;
	reconcile_assigned(&accepted, &settings, &first.next, UUID_A, ASSIGN_RESULT_SUCCESS, -1, 0);
	reconcile_again(&again, &settings, &accepted.next);
	assert_false(again.write);
	assert_int_equal(again.next.assign_state, ASSIGN_CONFIRMING);
}

// --- random lives ---

struct life {
	struct device_row row;
	bool known;
	struct reconcile_settings settings;
	bool is_told_assigned; // there, since it was added
	int64_t told_instance; // where the last added or removed event says that it is
	char extra[16];
};

static struct text random_uuid(void)
{
	const struct text uuids[] = { TEXT_NONE, UUID_A, UUID_B };

	return uuids[random_below(3)];
}

static void take(struct life *life, const struct reconcile_outcome *outcome)
{
	if (!outcome->write) {
		LAW(outcome->event_count == 0);
		return;
	}
	for (size_t i = 0; i < outcome->event_count; i++) {
		const struct route_event *event = &outcome->events[i];

		if (event->type == EVENT_DEVICE_ADDED || event->type == EVENT_DEVICE_HELD) {
			LAW(life->told_instance == INSTANCE_NONE);
			life->told_instance = event->instance_id;
			life->is_told_assigned = false;
		} else if (event->type == EVENT_DEVICE_REMOVED) {
			LAW(life->told_instance == event->instance_id);
			life->told_instance = INSTANCE_NONE;
		} else {
			LAW(event->instance_id == life->told_instance);
			life->is_told_assigned = life->is_told_assigned || event->type == EVENT_DEVICE_ASSIGNED;
		}
	}
	life->row = outcome->next;
	life->known = true;
}

static void check_row(const struct life *life)
{
	const struct device_row *row = &life->row;
	const bool gone = row->gone_at_us != INSTANT_NONE;
	const struct assign_view view = reconcile_assign_view(&life->settings, row);

	LAW(!gone || row->instance_id == INSTANCE_NONE);
	LAW(life->told_instance == row->instance_id);
	LAW(row->instance_id == INSTANCE_NONE || row->assigned_profile_uuid.length == 0 || life->is_told_assigned ||
		!text_equal(row->assigned_profile_uuid, life->settings.wanted_profile_uuid));
	if (gone || row->instance_id == INSTANCE_NONE) { // law 4
		LAW(assign_need(&view, life->settings.now_us) == ASSIGN_NEED_NOTHING);
	}
}

static void random_news(struct life *life, struct reconcile_outcome *outcome, struct device_record *record, bool *gone)
{
	const char *const statuses[] = { "empty", "assigned", "pushed", "removed" };

	*record = record_with(text_of(statuses[random_below(4)]), random_uuid());
	*gone = random_chance(15);
	if (random_chance(60)) {
		record->op_date_us = NOW + (int64_t)random_below(50) * SECOND_US;
	}
	device_fingerprint(record);
	reconcile_record(outcome, &life->settings, life->known ? &life->row : NULL, record, *gone);
}

static void live(struct life *life)
{
	struct reconcile_outcome outcome;
	struct reconcile_outcome again;
	struct device_record record;
	bool gone;

	life->settings.now_us += (int64_t)random_below(2000) * SECOND_US;
	switch (life->known ? random_below(5) : 0) {
	case 0:
	case 1:
		random_news(life, &outcome, &record, &gone);
		take(life, &outcome);
		if (life->known) {
			reconcile_record(&again, &life->settings, &life->row, &record, gone); // law 2
			LAW(!again.write && again.event_count == 0);
		}
		break;
	case 2:
		reconcile_unseen(&outcome, &life->settings, &life->row, REMOVAL_UNLISTED);
		take(life, &outcome);
		reconcile_unseen(&again, &life->settings, &life->row, REMOVAL_UNLISTED);
		LAW(!again.write);
		break;
	case 3:
		life->settings.wish.instance_id = (int64_t[]){ INSTANCE_NONE, MAIN, OTHER }[random_below(3)];
		life->settings.wanted_profile_uuid = life->settings.wish.instance_id == MAIN ? UUID_A : UUID_B;
		reconcile_again(&outcome, &life->settings, &life->row);
		take(life, &outcome);
		reconcile_again(&again, &life->settings, &life->row);
		LAW(!again.write);
		break;
	default: {
		const struct assign_view view = reconcile_assign_view(&life->settings, &life->row);

		if (assign_need(&view, life->settings.now_us) != ASSIGN_NEED_CALL) {
			break;
		}
		reconcile_assigned(&outcome, &life->settings, &life->row, life->settings.wanted_profile_uuid,
			(enum assign_result)random_below(ASSIGN_RESULT_MISSING + 1), random_chance(50) ? 30 : -1, random_next());
		LAW(outcome.event_count <= 1);
		take(life, &outcome);
		break;
	}
	}
	check_row(life);
}

static void what_is_held_gets_the_parking_profile_and_no_other(void **state)
{
	struct reconcile_settings settings = settings_with(INSTANCE_NONE, UUID_A);
	const struct device_row row = { .apple = { .serial_number = TEXT("S") }, .gone_at_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE };
	const struct device_row there = { .apple = { .serial_number = TEXT("S") }, .gone_at_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE, .instance_id = MAIN };
	const struct device_row gone = { .apple = { .serial_number = TEXT("S") }, .gone_at_us = SECOND_US, .assign_at_us = INSTANT_NONE };

	(void)state;
	assert_int_equal(reconcile_assign_view(&settings, &row).wanted_profile_uuid.length, 0);
	settings.parking_profile_uuid = UUID_B;
	assert_true(text_equal(reconcile_assign_view(&settings, &row).wanted_profile_uuid, UUID_B));
	assert_int_equal(reconcile_assign_view(&settings, &there).wanted_profile_uuid.length, 0); // it is to be held, and is not yet
	assert_int_equal(reconcile_assign_view(&settings, &gone).wanted_profile_uuid.length, 0);
	settings.wish.instance_id = MAIN;
	assert_true(text_equal(reconcile_assign_view(&settings, &there).wanted_profile_uuid, UUID_A));
}

static void random_lives_keep_the_laws(void **state)
{
	(void)state;
	for (size_t number = 0; number < 20000; number++) {
		struct life life = { .settings = settings_with(MAIN, UUID_A) };

		random_case("test_reconcile", number);
		for (int i = 0; i < 30; i++) {
			live(&life);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_device_is_routed_and_due_to_be_assigned),
		cmocka_unit_test(without_a_rule_a_device_is_held_and_never_assigned),
		cmocka_unit_test(a_device_that_already_has_the_profile_is_announced_as_assigned_at_once),
		cmocka_unit_test(success_is_told_once_whoever_tells_it_first),
		cmocka_unit_test(a_profile_that_apple_took_away_is_assigned_and_announced_again),
		cmocka_unit_test(what_apple_accepted_last_counts_when_rules_go_back),
		cmocka_unit_test(other_rules_move_a_device_and_make_it_due),
		cmocka_unit_test(a_device_that_comes_back_before_it_had_another_profile_is_announced_as_assigned_again),
		cmocka_unit_test(a_device_that_comes_back_unconfirmed_is_assigned_again),
		cmocka_unit_test(a_deletion_keeps_what_was_known_and_ends_assigning),
		cmocka_unit_test(what_apple_said_yes_to_is_not_assigned_again_by_looking_at_it_again),
		cmocka_unit_test(what_is_held_gets_the_parking_profile_and_no_other),
		cmocka_unit_test(random_lives_keep_the_laws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
