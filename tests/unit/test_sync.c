// SPDX-License-Identifier: Apache-2.0
//
// When Apple is asked for what: the state machine of dep-api.md, section 6, sentence by sentence.
// Random histories are in test_sync_histories.c.
#include "support/cmocka_all.h"
#include "tenants/sync.h"

#include <string.h>

enum { INTERVAL = 1000 };

static const struct sync_settings settings = { .tenant_id = 7, .interval_s = INTERVAL, .full_interval_s = DAY_S };

#define T0 (INT64_C(1764000000) * SECOND_US)

static const struct sync_occasion t0 = { T0, 0 };
static const struct sync_page more = { .cursor_changed = true, .more_to_follow = true };
static const struct sync_page last = { .cursor_changed = true };
static const struct sync_page stuck = { .more_to_follow = true };

// A tenant whose changes are followed, with everything in order.
static struct sync_state followed(void)
{
	return (struct sync_state){
		.phase = SYNC_PHASE_CHANGES,
		.generation = 3,
		.has_cursor = true,
		.cursor_at_us = T0 - SECOND_US,
		.fetch_started_at_us = T0 - 3 * SECOND_US,
		.fetch_completed_at_us = T0 - 2 * SECOND_US,
	};
}

static struct sync_state fetching(void)
{
	struct sync_state state = followed();

	state.phase = SYNC_PHASE_FETCH;
	state.full_due_at_us = state.fetch_started_at_us;
	return state;
}

static struct sync_decision begin(struct sync_run *run, struct sync_state state)
{
	return sync_begin(run, &state, &settings, false, t0);
}

static void assert_page(struct sync_decision decision, enum sync_action action)
{
	assert_int_equal(decision.action, action);
	assert_false(decision.drop_cursor);
	assert_int_equal(decision.cause, SYNC_FULL_NONE);
}

static void assert_new_generation(const struct sync_run *run, struct sync_decision decision, enum sync_full_cause cause,
	int64_t generation)
{
	assert_int_equal(decision.action, SYNC_FETCH_PAGE);
	assert_true(decision.drop_cursor);
	assert_string_equal(sync_full_cause_name(decision.cause), sync_full_cause_name(cause));
	assert_int_equal(run->state.generation, generation);
	assert_int_equal(run->state.phase, SYNC_PHASE_FETCH);
	assert_false(run->state.has_cursor);
	assert_true(run->state.full_due_at_us != 0);
}

static void assert_wait(struct sync_decision decision, enum sync_reason reason)
{
	assert_int_equal(decision.action, SYNC_WAIT);
	assert_string_equal(sync_reason_name(decision.reason), sync_reason_name(reason));
	assert_false(decision.drop_cursor);
}

static void assert_waits_an_interval(struct sync_decision decision, enum sync_reason reason)
{
	assert_wait(decision, reason);
	assert_true(decision.wait_until_us >= T0 + INTERVAL * 9 / 10 * SECOND_US);
	assert_true(decision.wait_until_us <= T0 + INTERVAL * 11 / 10 * SECOND_US);
}

static void a_new_tenant_is_fetched_completed_and_followed_in_one_run(void **state)
{
	struct sync_run run;

	(void)state;
	assert_new_generation(&run, begin(&run, (struct sync_state){ 0 }), SYNC_FULL_FIRST, 1);
	assert_page(sync_page_applied(&run, more, t0), SYNC_FETCH_PAGE);
	assert_true(run.state.has_cursor);
	assert_int_equal(run.state.cursor_at_us, T0);
	assert_page(sync_page_applied(&run, last, t0), SYNC_COMPLETE_GENERATION);
	assert_int_equal(run.state.phase, SYNC_PHASE_CHANGES); // stored with that page: its cursor is the first of the changes
	assert_true(run.state.full_due_at_us != 0);            // until the generation is complete
	assert_page(sync_generation_completed(&run, t0), SYNC_SYNC_PAGE);
	assert_int_equal(run.state.fetch_completed_at_us, T0);
	assert_int_equal(run.state.full_due_at_us, 0);
	assert_page(sync_page_applied(&run, more, t0), SYNC_SYNC_PAGE);
	assert_waits_an_interval(sync_page_applied(&run, last, t0), SYNC_REASON_UP_TO_DATE);
}

static void a_stored_cursor_goes_straight_to_the_changes(void **state)
{
	struct sync_run run;

	(void)state;
	assert_page(begin(&run, followed()), SYNC_SYNC_PAGE);
	assert_waits_an_interval(sync_page_applied(&run, last, t0), SYNC_REASON_UP_TO_DATE);
	assert_int_equal(run.state.generation, 3);
	assert_int_equal(run.state.cursor_at_us, T0); // an idle sync renews the cursor's life
}

static void an_interrupted_fetch_is_read_on_completes_nothing_and_is_repeated(void **state)
{
	struct sync_run run;
	struct sync_run next;

	(void)state;
	assert_page(begin(&run, fetching()), SYNC_FETCH_PAGE);
	assert_page(sync_page_applied(&run, more, t0), SYNC_FETCH_PAGE);
	assert_page(sync_page_applied(&run, last, t0), SYNC_SYNC_PAGE);
	assert_waits_an_interval(sync_page_applied(&run, last, t0), SYNC_REASON_UP_TO_DATE);
	assert_new_generation(&next, begin(&next, run.state), SYNC_FULL_INCOMPLETE, 4);
}

static void a_completion_that_was_not_stored_is_repeated(void **state)
{
	struct sync_run run;
	struct sync_run next;

	(void)state;
	(void)begin(&run, (struct sync_state){ 0 });
	assert_page(sync_page_applied(&run, last, t0), SYNC_COMPLETE_GENERATION);
	assert_new_generation(&next, begin(&next, run.state), SYNC_FULL_INCOMPLETE, 2); // the process died here
	assert_page(sync_page_applied(&next, last, t0), SYNC_COMPLETE_GENERATION);
	assert_wait(sync_failed(&next, ERR_DATABASE, -1, t0), SYNC_REASON_BACKOFF); // or the transaction failed
	assert_new_generation(&run, begin(&run, next.state), SYNC_FULL_INCOMPLETE, 3);
}

static void an_exhausted_fetch_cursor_is_the_end_of_the_list(void **state)
{
	struct sync_run run;

	(void)state;
	(void)begin(&run, (struct sync_state){ 0 });
	(void)sync_page_applied(&run, more, t0);
	assert_page(sync_failed(&run, ERR_CURSOR_END, -1, t0), SYNC_COMPLETE_GENERATION);
	assert_true(run.state.has_cursor); // the same cursor goes on
	assert_page(sync_generation_completed(&run, t0), SYNC_SYNC_PAGE);

	(void)begin(&run, fetching()); // the same, but not from the first page
	assert_page(sync_failed(&run, ERR_CURSOR_END, -1, t0), SYNC_SYNC_PAGE);
}

static void a_lost_cursor_starts_over_at_once_and_only_once(void **state)
{
	static struct sync_state (*const from[])(void) = { followed, fetching };

	(void)state;
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		struct sync_run run;

		(void)begin(&run, from[i]());
		assert_new_generation(&run, sync_failed(&run, ERR_CURSOR_LOST, -1, t0), SYNC_FULL_CURSOR_LOST, 4);
		assert_page(sync_page_applied(&run, more, t0), SYNC_FETCH_PAGE);
		assert_wait(sync_failed(&run, ERR_CURSOR_LOST, -1, t0), SYNC_REASON_CURSOR_LOST_TWICE);
		assert_int_equal(run.state.generation, 4);
	}
}

static void a_reset_in_the_middle_of_a_run_still_completes(void **state)
{
	struct sync_run run;

	(void)state;
	(void)begin(&run, followed());
	(void)sync_failed(&run, ERR_CURSOR_LOST, -1, t0);
	assert_page(sync_page_applied(&run, last, t0), SYNC_COMPLETE_GENERATION);
}

static void words_about_a_cursor_that_was_not_sent_are_failures(void **state)
{
	static const enum err words[] = { ERR_CURSOR_LOST, ERR_CURSOR_END };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct sync_run run;

		(void)begin(&run, (struct sync_state){ 0 });
		assert_wait(sync_failed(&run, words[i], -1, t0), SYNC_REASON_BACKOFF);
		assert_int_equal(run.resets, 0);
		assert_new_generation(&run, begin(&run, run.state), SYNC_FULL_INCOMPLETE, 2);
	}
}

static void a_cursor_that_does_not_move_stops_the_run_and_the_third_time_forces_a_fetch(void **state)
{
	static struct sync_state (*const from[])(void) = { followed, fetching };

	(void)state;
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		struct sync_run run = { .state = from[i]() };

		for (int runs = 1; runs <= SYNC_STUCK_RUNS_MAX; runs++) {
			assert_false(begin(&run, run.state).drop_cursor);
			assert_waits_an_interval(sync_page_applied(&run, stuck, t0), SYNC_REASON_STUCK_CURSOR);
			assert_int_equal(run.state.stuck_runs, runs);
		}
		assert_new_generation(&run, begin(&run, run.state), SYNC_FULL_STUCK, 4);
		assert_int_equal(run.state.stuck_runs, 0);
	}
}

static void a_run_that_ends_well_forgets_stuck_and_exhausted_ones(void **state)
{
	struct sync_state stored = followed();
	struct sync_run run;

	(void)state;
	stored.stuck_runs = SYNC_STUCK_RUNS_MAX - 1;
	stored.exhausted_runs = SYNC_EXHAUSTED_RUNS_MAX - 1;
	(void)begin(&run, stored);
	(void)sync_page_applied(&run, last, t0);
	assert_int_equal(run.state.stuck_runs, 0);
	assert_int_equal(run.state.exhausted_runs, 0);
}

static void exhausted_changes_wait_and_start_over_the_second_time(void **state)
{
	struct sync_run run;

	(void)state;
	(void)begin(&run, followed());
	assert_waits_an_interval(sync_failed(&run, ERR_CURSOR_END, -1, t0), SYNC_REASON_EXHAUSTED_CURSOR);
	assert_page(begin(&run, run.state), SYNC_SYNC_PAGE);
	assert_new_generation(&run, sync_failed(&run, ERR_CURSOR_END, -1, t0), SYNC_FULL_EXHAUSTED, 4);
	assert_int_equal(run.state.exhausted_runs, 0);
}

static void exhausted_changes_after_a_reset_wait_for_the_next_run(void **state)
{
	struct sync_state stored = followed();
	struct sync_run run;

	(void)state;
	stored.exhausted_runs = SYNC_EXHAUSTED_RUNS_MAX; // a run that had used up its reset
	assert_new_generation(&run, begin(&run, stored), SYNC_FULL_EXHAUSTED, 4);
	(void)begin(&run, followed());
	(void)sync_failed(&run, ERR_CURSOR_LOST, -1, t0);
	(void)sync_page_applied(&run, last, t0);
	(void)sync_generation_completed(&run, t0);
	run.state.exhausted_runs = SYNC_EXHAUSTED_RUNS_MAX;
	assert_waits_an_interval(sync_failed(&run, ERR_CURSOR_END, -1, t0), SYNC_REASON_EXHAUSTED_CURSOR);
}

static void a_cursor_of_six_days_is_not_tried(void **state)
{
	static struct sync_state (*const from[])(void) = { followed, fetching };

	(void)state;
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		struct sync_state stored = from[i]();
		struct sync_run run;

		stored.fetch_completed_at_us = T0 - SECOND_US;
		stored.cursor_at_us = T0 - 6 * DAY_S * SECOND_US + 1;
		assert_false(begin(&run, stored).drop_cursor);
		stored.cursor_at_us--;
		assert_new_generation(&run, begin(&run, stored), SYNC_FULL_CURSOR_AGED, 4);
	}
}

static void a_person_can_ask_for_a_full_fetch(void **state)
{
	const struct sync_state stored[] = { followed(), fetching() };

	(void)state;
	for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
		struct sync_run run;

		assert_new_generation(&run, sync_begin(&run, &stored[i], &settings, true, t0), SYNC_FULL_REQUESTED, 4);
	}
}

static void a_row_without_a_cursor_is_fetched(void **state)
{
	struct sync_state stored = followed();
	struct sync_run run;

	(void)state;
	stored.has_cursor = false; // as after a token of another server
	assert_new_generation(&run, begin(&run, stored), SYNC_FULL_CURSOR_LOST, 4);
	stored = fetching();
	stored.has_cursor = false; // no page of that generation was applied
	assert_new_generation(&run, begin(&run, stored), SYNC_FULL_INCOMPLETE, 4);
}

static void a_full_fetch_that_somebody_made_due_waits_for_its_time(void **state)
{
	struct sync_state stored = followed();
	struct sync_run run;

	(void)state;
	stored.full_due_at_us = T0 + 1;
	assert_page(begin(&run, stored), SYNC_SYNC_PAGE);
	stored.full_due_at_us = T0;
	assert_new_generation(&run, begin(&run, stored), SYNC_FULL_INCOMPLETE, 4);
}

static void the_schedule_wants_one_full_fetch_an_interval_at_the_tenants_own_time(void **state)
{
	int early = 0;

	(void)state;
	for (int64_t tenant = 1; tenant <= 1000; tenant++) {
		const struct sync_settings of = { .tenant_id = tenant };
		const int64_t next = sync_next_full_us(&of, T0);

		assert_true(next > T0 && next <= T0 + DAY_S * SECOND_US);
		assert_int_equal(sync_next_full_us(&of, next - 1), next);
		assert_int_equal(sync_next_full_us(&of, next), next + DAY_S * SECOND_US);
		assert_int_equal(sync_next_full_us(&of, 0), 0);
		assert_int_equal(sync_next_full_us(&of, INSTANT_NONE), 0);
		early += next < T0 + DAY_S * SECOND_US / 4 ? 1 : 0;
	}
	assert_in_range(early, 200, 300); // spread over the day
}

static void a_scheduled_full_fetch_starts_when_it_is_due(void **state)
{
	struct sync_state stored = followed();
	const int64_t due_us = sync_next_full_us(&settings, stored.fetch_completed_at_us);
	struct sync_run run;

	(void)state;
	stored.cursor_at_us = due_us - SECOND_US;
	assert_page(sync_begin(&run, &stored, &settings, false, (struct sync_occasion){ due_us - 1, 0 }), SYNC_SYNC_PAGE);
	assert_new_generation(&run, sync_begin(&run, &stored, &settings, false, (struct sync_occasion){ due_us, 0 }),
		SYNC_FULL_SCHEDULED, 4);
}

static void every_failure_has_its_wait_and_keeps_the_cursor(void **state)
{
	static const struct {
		enum err rc;
		enum sync_reason reason;
		int64_t least_s;
		int64_t most_s;
	} cases[] = {
		{ ERR_CANCELLED, SYNC_REASON_INTERRUPTED, 0, 0 },
		{ ERR_FENCED, SYNC_REASON_INTERRUPTED, 0, 0 },
		{ ERR_TERMS, SYNC_REASON_TERMS, 3600, 2 * 3600 },
		{ ERR_TOKEN_DEAD, SYNC_REASON_TOKEN_DEAD, 6 * 3600, 12 * 3600 },
		{ ERR_IDENTITY, SYNC_REASON_IDENTITY, 6 * 3600, 12 * 3600 },
		{ ERR_THROTTLED, SYNC_REASON_THROTTLED, 60, 90 },
		{ ERR_HELD_BACK, SYNC_REASON_HELD_BACK, INTERVAL / 2, INTERVAL * 3 / 2 },
		{ ERR_UNAVAILABLE, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_TIMEOUT, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_NETWORK, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_SESSION, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_REFUSED, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_BAD_ANSWER, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_BUDGET, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_DATABASE, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_UNKNOWN, SYNC_REASON_BACKOFF, 60, 90 },
		{ ERR_BUG, SYNC_REASON_BACKOFF, 60, 90 },
	};
	static const uint64_t randoms[] = { 0, 1, UINT64_C(0x123456789abcdef), UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < 4 * sizeof cases / sizeof *cases; i++) {
		const struct sync_occasion occasion = { T0, randoms[i % 4] };
		struct sync_state expected = followed();
		struct sync_run run;

		(void)begin(&run, expected);
		const struct sync_decision decision = sync_failed(&run, cases[i / 4].rc, -1, occasion);

		assert_wait(decision, cases[i / 4].reason);
		assert_true(decision.wait_until_us >= T0 + cases[i / 4].least_s * SECOND_US);
		assert_true(decision.wait_until_us <= T0 + cases[i / 4].most_s * SECOND_US);
		expected.failures = run.state.failures;
		assert_memory_equal(&run.state, &expected, sizeof expected);
	}
}

// Nobody was asked: what is stored stays as it is, however often.
static void who_is_held_back_has_not_failed(void **state)
{
	struct sync_run run = { .state = followed() };
	struct sync_decision decision;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		(void)begin(&run, run.state);
		decision = sync_failed(&run, ERR_HELD_BACK, 5, (struct sync_occasion){ T0, i * SECOND_US });
		assert_wait(decision, SYNC_REASON_HELD_BACK);
		assert_true(decision.wait_until_us >= T0 + 5 * SECOND_US && decision.wait_until_us <= T0 + 15 * SECOND_US);
	}
	assert_int_equal(run.state.failures, 0);
}

static void repeated_failures_wait_longer_up_to_an_hour_and_a_page_ends_them(void **state)
{
	static const int64_t waits_s[] = { 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600 };
	struct sync_run run = { .state = followed() };

	(void)state;
	for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++) {
		(void)begin(&run, run.state);
		assert_int_equal(sync_failed(&run, ERR_UNAVAILABLE, -1, t0).wait_until_us, T0 + waits_s[i] * SECOND_US);
	}
	(void)begin(&run, run.state);
	(void)sync_page_applied(&run, more, t0);
	assert_int_equal(sync_failed(&run, ERR_UNAVAILABLE, -1, t0).wait_until_us, T0 + 60 * SECOND_US);
	run.state.failures = INT32_MAX;
	assert_int_equal(sync_failed(&run, ERR_UNAVAILABLE, -1, t0).wait_until_us, T0 + 3600 * SECOND_US);
	assert_int_equal(run.state.failures, INT32_MAX);
}

static void retry_after_is_honoured_up_to_a_day_and_never_shortens(void **state)
{
	struct sync_run run;

	(void)state;
	(void)begin(&run, followed());
	assert_int_equal(sync_failed(&run, ERR_THROTTLED, 7200, t0).wait_until_us, T0 + 7200 * SECOND_US);
	(void)begin(&run, followed());
	assert_int_equal(sync_failed(&run, ERR_UNAVAILABLE, 5, t0).wait_until_us, T0 + 60 * SECOND_US);
	(void)begin(&run, followed());
	assert_int_equal(sync_failed(&run, ERR_THROTTLED, INT64_MAX, t0).wait_until_us, T0 + DAY_S * SECOND_US);
}

static void a_run_ends_after_its_last_page_even_if_the_cursor_always_moves(void **state)
{
	struct sync_run run;
	struct sync_decision decision = begin(&run, followed());
	int pages = 0;

	(void)state;
	for (; decision.action == SYNC_SYNC_PAGE; pages++) {
		decision = sync_page_applied(&run, more, t0);
	}
	assert_int_equal(pages, SYNC_RUN_PAGES_MAX);
	assert_waits_an_interval(decision, SYNC_REASON_PAGE_LIMIT);
	assert_page(begin(&run, run.state), SYNC_SYNC_PAGE); // and the next one reads on
}

static void the_page_limit_also_holds_after_a_completed_generation_and_a_reset(void **state)
{
	struct sync_run run;

	(void)state;
	(void)begin(&run, (struct sync_state){ 0 });
	run.pages = SYNC_RUN_PAGES_MAX - 1;
	assert_page(sync_page_applied(&run, last, t0), SYNC_COMPLETE_GENERATION);
	assert_waits_an_interval(sync_generation_completed(&run, t0), SYNC_REASON_PAGE_LIMIT);
	(void)begin(&run, followed());
	run.pages = SYNC_RUN_PAGES_MAX;
	assert_int_equal(sync_failed(&run, ERR_CURSOR_LOST, -1, t0).action, SYNC_WAIT);
}

static void intervals_have_defaults(void **state)
{
	static const struct sync_settings none = { .tenant_id = 1 };
	const struct sync_state stored = followed();
	struct sync_run run;

	(void)state;
	(void)sync_begin(&run, &stored, &none, false, t0);
	assert_int_equal(sync_page_applied(&run, last, t0).wait_until_us, T0 + 1620 * SECOND_US);
	(void)sync_begin(&run, &stored, &none, false, t0);
	assert_int_equal(sync_page_applied(&run, last, (struct sync_occasion){ T0, 360 * SECOND_US }).wait_until_us,
		T0 + 1980 * SECOND_US);
}

static void every_reason_and_cause_has_its_stored_word(void **state)
{
	static const char *const reasons[] = { "", "up_to_date", "stuck_cursor", "exhausted_cursor", "cursor_lost_twice",
		"page_limit", "terms", "token_dead", "identity", "throttled", "backoff", "held_back",
		"interrupted" };
	static const char *const causes[] = { "", "first", "requested", "scheduled", "cursor_aged", "cursor_lost", "exhausted",
		"stuck", "incomplete" };

	(void)state;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		assert_string_equal(sync_reason_name((enum sync_reason)i), reasons[i]);
	}
	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		assert_string_equal(sync_full_cause_name((enum sync_full_cause)i), causes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_tenant_is_fetched_completed_and_followed_in_one_run),
		cmocka_unit_test(a_stored_cursor_goes_straight_to_the_changes),
		cmocka_unit_test(an_interrupted_fetch_is_read_on_completes_nothing_and_is_repeated),
		cmocka_unit_test(a_completion_that_was_not_stored_is_repeated),
		cmocka_unit_test(an_exhausted_fetch_cursor_is_the_end_of_the_list),
		cmocka_unit_test(a_lost_cursor_starts_over_at_once_and_only_once),
		cmocka_unit_test(a_reset_in_the_middle_of_a_run_still_completes),
		cmocka_unit_test(words_about_a_cursor_that_was_not_sent_are_failures),
		cmocka_unit_test(a_cursor_that_does_not_move_stops_the_run_and_the_third_time_forces_a_fetch),
		cmocka_unit_test(a_run_that_ends_well_forgets_stuck_and_exhausted_ones),
		cmocka_unit_test(exhausted_changes_wait_and_start_over_the_second_time),
		cmocka_unit_test(exhausted_changes_after_a_reset_wait_for_the_next_run),
		cmocka_unit_test(a_cursor_of_six_days_is_not_tried),
		cmocka_unit_test(a_person_can_ask_for_a_full_fetch),
		cmocka_unit_test(a_row_without_a_cursor_is_fetched),
		cmocka_unit_test(a_full_fetch_that_somebody_made_due_waits_for_its_time),
		cmocka_unit_test(the_schedule_wants_one_full_fetch_an_interval_at_the_tenants_own_time),
		cmocka_unit_test(a_scheduled_full_fetch_starts_when_it_is_due),
		cmocka_unit_test(every_failure_has_its_wait_and_keeps_the_cursor),
		cmocka_unit_test(who_is_held_back_has_not_failed),
		cmocka_unit_test(repeated_failures_wait_longer_up_to_an_hour_and_a_page_ends_them),
		cmocka_unit_test(retry_after_is_honoured_up_to_a_day_and_never_shortens),
		cmocka_unit_test(a_run_ends_after_its_last_page_even_if_the_cursor_always_moves),
		cmocka_unit_test(the_page_limit_also_holds_after_a_completed_generation_and_a_reset),
		cmocka_unit_test(intervals_have_defaults),
		cmocka_unit_test(every_reason_and_cause_has_its_stored_word),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
