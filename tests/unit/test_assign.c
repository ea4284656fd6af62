// SPDX-License-Identifier: Apache-2.0
//
// Assignment: the table of dep-api.md, section 8, and random walks against an Apple that throttles, fails, hides and forgets.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/assign.h"

#define NOW    (INT64_C(1764000000) * SECOND_US)
#define DAY_US (DAY_S * SECOND_US)

#define WANTED TEXT("0123456789ABCDEF0123456789ABCDEF")
#define OTHER  TEXT("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF")

static struct assign_view view_of(enum assign_state state, int64_t next_attempt_at_us)
{
	return (struct assign_view){
		.wanted_profile_uuid = WANTED,
		.observed_status = TEXT("empty"),
		.state = state,
		.next_attempt_at_us = next_attempt_at_us,
	};
}

static void nothing_is_needed_when_apple_shows_what_is_wanted(void **state)
{
	static const struct {
		struct text observed;
		struct text status;
		enum assign_need need;
	} cases[] = {
		{ WANTED, TEXT("assigned"), ASSIGN_NEED_NOTHING },
		{ WANTED, TEXT("pushed"), ASSIGN_NEED_NOTHING },
		{ TEXT("0123456789abcdef0123456789abcdef"), TEXT("assigned"), ASSIGN_NEED_NOTHING },
		{ WANTED, TEXT("removed"), ASSIGN_NEED_CALL },
		{ WANTED, TEXT("empty"), ASSIGN_NEED_CALL },
		{ WANTED, TEXT(""), ASSIGN_NEED_CALL },
		{ OTHER, TEXT("assigned"), ASSIGN_NEED_CALL },
		{ TEXT(""), TEXT("empty"), ASSIGN_NEED_CALL }, // unassigned and assigned again: its profile is gone
		{ TEXT(""), TEXT("assigned"), ASSIGN_NEED_CALL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct assign_view view = view_of(ASSIGN_SETTLED, INSTANT_NONE);

		view.observed_profile_uuid = cases[i].observed;
		view.observed_status = cases[i].status;
		assert_int_equal(assign_need(&view, NOW), cases[i].need);
		assert_int_equal(assign_after_record(&view, NOW).state,
			cases[i].need == ASSIGN_NEED_NOTHING ? ASSIGN_SETTLED : ASSIGN_PENDING);
	}
}

static void nothing_is_needed_for_a_held_or_gone_device_in_any_state(void **state)
{
	(void)state;
	for (int at = ASSIGN_SETTLED; at <= ASSIGN_VERIFYING; at++) {
		struct assign_view held = view_of((enum assign_state)at, INSTANT_NONE);
		struct assign_view gone = held;

		held.wanted_profile_uuid = TEXT("");
		gone.gone = true;
		assert_int_equal(assign_need(&held, NOW), ASSIGN_NEED_NOTHING);
		assert_int_equal(assign_need(&gone, NOW), ASSIGN_NEED_NOTHING);
		assert_int_equal(assign_after_record(&held, NOW).state, ASSIGN_SETTLED);
		assert_int_equal(assign_after_record(&gone, NOW).state, ASSIGN_SETTLED);
	}
}

static void every_state_has_its_need_and_waits_for_its_time(void **state)
{
	static const enum assign_need needs[] = {
		[ASSIGN_SETTLED] = ASSIGN_NEED_CALL,
		[ASSIGN_PENDING] = ASSIGN_NEED_CALL,
		[ASSIGN_CONFIRMING] = ASSIGN_NEED_READ,
		[ASSIGN_THROTTLED] = ASSIGN_NEED_CALL,
		[ASSIGN_FAILED] = ASSIGN_NEED_CALL,
		[ASSIGN_VERIFYING] = ASSIGN_NEED_READ,
	};

	(void)state;
	for (int at = ASSIGN_SETTLED; at <= ASSIGN_VERIFYING; at++) {
		const struct assign_view at_once = view_of((enum assign_state)at, INSTANT_NONE);
		const struct assign_view due = view_of((enum assign_state)at, NOW);
		const struct assign_view early = view_of((enum assign_state)at, NOW + 1);

		assert_int_equal(assign_need(&at_once, NOW), needs[at]);
		assert_int_equal(assign_need(&due, NOW), needs[at]);
		assert_int_equal(assign_need(&early, NOW), ASSIGN_NEED_TIME);
	}
}

static void a_cool_down_outlasts_records_and_other_wishes(void **state)
{
	static const enum assign_state cool_downs[] = { ASSIGN_THROTTLED, ASSIGN_FAILED };

	(void)state;
	for (size_t i = 0; i < 2 * 4; i++) {
		struct assign_view view = view_of(cool_downs[i / 4], NOW + 1);

		view.gone = i % 4 == 1;
		view.observed_profile_uuid = i % 4 == 2 ? WANTED : OTHER;
		view.observed_status = TEXT("assigned");
		view.wanted_profile_uuid = i % 4 == 3 ? TEXT("") : WANTED;
		const struct assign_next next = assign_after_record(&view, NOW);

		assert_int_equal(next.state, cool_downs[i / 4]);
		assert_int_equal(next.next_attempt_at_us, NOW + 1);
		assert_int_not_equal(assign_need(&view, NOW), ASSIGN_NEED_CALL);
	}
	const struct assign_view over = view_of(ASSIGN_THROTTLED, NOW);

	assert_int_equal(assign_after_record(&over, NOW).state, ASSIGN_PENDING);
	assert_int_equal(assign_after_record(&over, NOW).next_attempt_at_us, INSTANT_NONE);
}

static void only_a_record_confirms(void **state)
{
	struct assign_view view = view_of(ASSIGN_CONFIRMING, NOW + 1);

	(void)state;
	// A page that was read before the call says nothing yet.
	assert_int_equal(assign_after_record(&view, NOW).state, ASSIGN_CONFIRMING);
	assert_int_equal(assign_after_record(&view, NOW).next_attempt_at_us, NOW + 1);
	// The read-back does, and there is no other call at once.
	assert_int_equal(assign_after_record(&view, NOW + 1).state, ASSIGN_PENDING);
	assert_true(assign_after_record(&view, NOW + 1).next_attempt_at_us >= NOW + 1800 * SECOND_US);
	view.observed_profile_uuid = WANTED;
	view.observed_status = TEXT("assigned");
	assert_int_equal(assign_after_record(&view, NOW).state, ASSIGN_SETTLED);
}

static void a_device_that_is_ours_after_all_is_assigned_again(void **state)
{
	const struct assign_view read = view_of(ASSIGN_VERIFYING, INSTANT_NONE);
	struct assign_view gone = read;
	const struct assign_view early = view_of(ASSIGN_VERIFYING, NOW + 1);

	(void)state;
	gone.gone = true;
	assert_int_equal(assign_after_record(&read, NOW).state, ASSIGN_PENDING);
	assert_int_equal(assign_after_record(&gone, NOW).state, ASSIGN_SETTLED);
	assert_int_equal(assign_after_record(&early, NOW).state, ASSIGN_VERIFYING); // a page does not shorten the wait
	assert_int_equal(assign_after_record(&early, NOW).next_attempt_at_us, NOW + 1);
}

static int64_t wait_us(enum assign_result result, int attempts, int64_t retry_after_s, uint64_t random)
{
	const struct assign_next next = assign_after_result(result, attempts, retry_after_s, NOW, random);

	return next.next_attempt_at_us == INSTANT_NONE ? 0 : next.next_attempt_at_us - NOW;
}

static void every_result_leads_to_its_state(void **state)
{
	static const enum assign_state states[] = {
		[ASSIGN_RESULT_SUCCESS] = ASSIGN_CONFIRMING,
		[ASSIGN_RESULT_NOT_ACCESSIBLE] = ASSIGN_VERIFYING,
		[ASSIGN_RESULT_FAILED] = ASSIGN_FAILED,
		[ASSIGN_RESULT_THROTTLED] = ASSIGN_THROTTLED,
		[ASSIGN_RESULT_MISSING] = ASSIGN_VERIFYING,
	};

	(void)state;
	for (int result = ASSIGN_RESULT_SUCCESS; result <= ASSIGN_RESULT_MISSING; result++) {
		assert_int_equal(assign_after_result((enum assign_result)result, 0, -1, NOW, 0).state, states[result]);
	}
}

static void waits_are_as_long_as_apple_demands(void **state)
{
	(void)state;
	for (int attempts = 0; attempts < 40; attempts++) {
		for (uint64_t random = 0; random < 40; random++) {
			const uint64_t spread = random * UINT64_C(0x0666666666666667);

			assert_in_range(wait_us(ASSIGN_RESULT_FAILED, attempts, -1, spread), DAY_US, DAY_US * 11 / 10);
			assert_in_range(wait_us(ASSIGN_RESULT_FAILED, attempts, 10, spread), DAY_US, DAY_US * 11 / 10);
			assert_in_range(wait_us(ASSIGN_RESULT_THROTTLED, attempts, -1, spread), DAY_US, DAY_US * 11 / 10);
			assert_in_range(wait_us(ASSIGN_RESULT_THROTTLED, attempts, 600, spread), 600 * SECOND_US, DAY_US * 11 / 10);
			assert_in_range(wait_us(ASSIGN_RESULT_THROTTLED, attempts, 200000, spread), 200000 * SECOND_US,
				220000 * SECOND_US);
			assert_true(wait_us(ASSIGN_RESULT_THROTTLED, attempts, 0, spread) >= 10 * SECOND_US);
		}
	}
	assert_in_range(wait_us(ASSIGN_RESULT_THROTTLED, 0, 600, UINT64_MAX), 600 * SECOND_US, 660 * SECOND_US);
	assert_true(wait_us(ASSIGN_RESULT_THROTTLED, 0, INT64_MAX, UINT64_MAX) <= 33 * DAY_US);
}

static void a_device_that_is_not_ours_is_read_at_once_and_then_ever_more_slowly(void **state)
{
	int64_t before = 0;

	(void)state;
	assert_int_equal(assign_after_result(ASSIGN_RESULT_NOT_ACCESSIBLE, 0, -1, NOW, 5).next_attempt_at_us, INSTANT_NONE);
	for (int attempts = 1; attempts < 9; attempts++) {
		const int64_t wait = wait_us(ASSIGN_RESULT_MISSING, attempts, -1, 0);

		assert_true(wait >= 2 * before);
		before = wait;
	}
	assert_int_equal(wait_us(ASSIGN_RESULT_MISSING, 1000000, -1, 0), DAY_US);
}

static void words_are_read_exactly_and_unknown_ones_are_failures(void **state)
{
	static const char *const unknown[] = { "", "MISSING", "success", "SUCCESS ", "SUCCES", "NEW_WORD" };

	(void)state;
	for (int result = ASSIGN_RESULT_SUCCESS; result < ASSIGN_RESULT_MISSING; result++) {
		assert_int_equal(assign_result_parse(text_of(assign_result_name((enum assign_result)result))), result);
	}
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		assert_int_equal(assign_result_parse(text_of(unknown[i])), ASSIGN_RESULT_FAILED);
	}
	assert_int_equal(assign_result_parse(TEXT_NONE), ASSIGN_RESULT_FAILED);
	assert_string_equal(assign_result_name(ASSIGN_RESULT_MISSING), "MISSING");
	assert_string_equal(assign_state_name(ASSIGN_SETTLED), "settled");
	assert_string_equal(assign_state_name(ASSIGN_VERIFYING), "verifying");
}

// A device at Apple, and its row here.
struct world {
	struct assign_view view;
	int attempts; // in a row without success
	int64_t now_us;
	bool behaves;
	struct text at_apple; // its profile
	bool ours;
	int64_t cool_down_until_us; // Apple's own: a call before prolongs it
	int calls;
};

static void apply(struct world *world, struct assign_next next)
{
	world->view.state = next.state;
	world->view.next_attempt_at_us = next.next_attempt_at_us;
}

static void apply_record(struct world *world)
{
	const bool current = world->behaves || random_chance(80); // or a page that is late

	world->view.gone = !world->ours && (world->behaves || random_chance(50));
	if (current) {
		world->view.observed_profile_uuid = world->at_apple;
		world->view.observed_status = world->at_apple.length == 0 ? TEXT("empty") : TEXT("assigned");
	}
	apply(world, assign_after_record(&world->view, world->now_us));
}

static enum assign_result apple_answers(struct world *world, int64_t *retry_after_s)
{
	*retry_after_s = -1;
	if (!world->ours) {
		return random_chance(50) ? ASSIGN_RESULT_NOT_ACCESSIBLE : ASSIGN_RESULT_MISSING;
	}
	if (world->now_us < world->cool_down_until_us) {
		world->cool_down_until_us = world->now_us + DAY_US;
		return ASSIGN_RESULT_FAILED;
	}
	if (!world->behaves && random_chance(50)) {
		const enum assign_result result = (enum assign_result)random_below(ASSIGN_RESULT_MISSING + 1);
		const bool cools = result == ASSIGN_RESULT_THROTTLED || result == ASSIGN_RESULT_FAILED;

		*retry_after_s = result == ASSIGN_RESULT_THROTTLED && random_chance(50) ? (int64_t)random_below(5000) : -1;
		world->cool_down_until_us = !cools ? 0
			: world->now_us + (*retry_after_s >= 0 ? *retry_after_s * SECOND_US : DAY_US);
		return result;
	}
	world->at_apple = world->view.wanted_profile_uuid;
	return ASSIGN_RESULT_SUCCESS;
}

static void call(struct world *world)
{
	int64_t retry_after_s;

	LAW(world->view.next_attempt_at_us == INSTANT_NONE || world->view.next_attempt_at_us <= world->now_us); // law 2
	LAW(!world->view.gone && world->view.wanted_profile_uuid.length > 0);
	LAW(!text_equal(world->view.observed_profile_uuid, world->view.wanted_profile_uuid) ||
		!text_equal(world->view.observed_status, TEXT("assigned")));
	LAW(world->now_us >= world->cool_down_until_us);
	const enum assign_result result = apple_answers(world, &retry_after_s);

	world->calls++;
	apply(world, assign_after_result(result, world->attempts, retry_after_s, world->now_us, random_next()));
	LAW(world->view.state != ASSIGN_SETTLED); // law 3
	world->attempts = result == ASSIGN_RESULT_SUCCESS ? 0 : world->attempts + 1;
}

static enum assign_need step(struct world *world)
{
	const enum assign_need need = assign_need(&world->view, world->now_us);

	switch (need) {
	case ASSIGN_NEED_CALL: call(world); break;
	case ASSIGN_NEED_READ: apply_record(world); break;
	case ASSIGN_NEED_TIME:
		LAW(world->view.next_attempt_at_us > world->now_us && world->view.next_attempt_at_us <= world->now_us + 40 * DAY_US);
		world->now_us = world->behaves || random_chance(70) ? world->view.next_attempt_at_us
															: world->now_us + SECOND_US;
		break;
	case ASSIGN_NEED_NOTHING: break;
	}
	return need;
}

// What people and Apple do besides.
static void disturb(struct world *world)
{
	static const struct text wishes[] = { { "", 0 }, { "A", 1 }, { "B", 1 } };

	switch (random_below(8)) {
	case 0: world->view.wanted_profile_uuid = wishes[random_below(3)]; break;
	case 1: world->at_apple = wishes[random_below(3)]; break;
	case 2: world->ours = random_chance(80); break;
	case 3: apply_record(world); break;
	default: world->now_us += (int64_t)random_below(3600 * SECOND_US); break;
	}
}

static void everything_comes_right(struct world *world)
{
	int steps = 0;

	world->behaves = true;
	world->calls = 0;
	apply_record(world);
	while (step(world) != ASSIGN_NEED_NOTHING) {
		LAW(++steps < 12);
	}
	apply_record(world);
	LAW(assign_need(&world->view, world->now_us) == ASSIGN_NEED_NOTHING);
	LAW(world->calls <= 2);
	LAW(!world->ours || world->view.wanted_profile_uuid.length == 0 ||
		text_equal(world->at_apple, world->view.wanted_profile_uuid));
}

static void no_walk_calls_early_or_without_need_and_all_converge(void **state)
{
	(void)state;
	for (size_t number = 0; number < 200000; number++) {
		random_case("test_assign", number);
		struct world world = {
			.view = { .observed_status = TEXT("empty"), .next_attempt_at_us = INSTANT_NONE },
			.now_us = NOW,
			.ours = true,
		};

		for (uint64_t left = random_below(60); left > 0; left--) {
			disturb(&world);
			(void)step(&world);
		}
		everything_comes_right(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_needed_when_apple_shows_what_is_wanted),
		cmocka_unit_test(nothing_is_needed_for_a_held_or_gone_device_in_any_state),
		cmocka_unit_test(every_state_has_its_need_and_waits_for_its_time),
		cmocka_unit_test(a_cool_down_outlasts_records_and_other_wishes),
		cmocka_unit_test(only_a_record_confirms),
		cmocka_unit_test(a_device_that_is_ours_after_all_is_assigned_again),
		cmocka_unit_test(every_result_leads_to_its_state),
		cmocka_unit_test(waits_are_as_long_as_apple_demands),
		cmocka_unit_test(a_device_that_is_not_ours_is_read_at_once_and_then_ever_more_slowly),
		cmocka_unit_test(words_are_read_exactly_and_unknown_ones_are_failures),
		cmocka_unit_test(no_walk_calls_early_or_without_need_and_all_converge),
	};

	return cmocka_run_group_tests_name("assign", tests, NULL, NULL);
}
