// SPDX-License-Identifier: Apache-2.0
//
// The delivery schedule.
#include "support/cmocka_all.h"
#include "tenants/retry.h"

static const int64_t schedule_s[RETRY_ATTEMPTS] = { 0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 };

static void every_wait_is_within_a_fifth_of_the_schedule(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int attempts = 0; attempts < RETRY_ATTEMPTS; attempts++) {
		const int64_t base_ms = schedule_s[attempts] * 1000;
		int64_t least = INT64_MAX;
		int64_t most = INT64_MIN;

		for (int i = 0; i < 100000; i++) {
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			const int64_t wait_ms = retry_delay_ms(attempts, random ^ random >> 29, RETRY_AFTER_NONE);

			assert_true(wait_ms >= base_ms * 4 / 5 && wait_ms <= base_ms * 6 / 5);
			least = wait_ms < least ? wait_ms : least;
			most = wait_ms > most ? wait_ms : most;
		}
		assert_true(least <= base_ms * 81 / 100 && most >= base_ms * 119 / 100); // and the whole width is used
	}
}

static void the_schedule_ends_after_ten_attempts_and_75_hours(void **state)
{
	int64_t least_ms = 0;
	int64_t most_ms = 0;

	(void)state;
	for (int attempts = 0; attempts < RETRY_ATTEMPTS; attempts++) {
		const int64_t span_ms = schedule_s[attempts] * 400;

		assert_int_equal(retry_delay_ms(attempts, 0, RETRY_AFTER_NONE), schedule_s[attempts] * 800);
		least_ms += retry_delay_ms(attempts, 0, RETRY_AFTER_NONE);
		most_ms += retry_delay_ms(attempts, (uint64_t)span_ms, RETRY_AFTER_NONE);
	}
	assert_int_equal((least_ms + most_ms) / 2, ((75 * 60 + 35) * 60 + 5) * INT64_C(1000));
	assert_int_equal(retry_delay_ms(RETRY_ATTEMPTS, 7, RETRY_AFTER_NONE), RETRY_EXHAUSTED);
	assert_int_equal(retry_delay_ms(1000000, 7, 60), RETRY_EXHAUSTED);
}

static void retry_after_makes_a_wait_longer_up_to_a_day_and_never_shorter(void **state)
{
	(void)state;
	assert_int_equal(retry_delay_ms(1, 0, 0), 4000);
	assert_int_equal(retry_delay_ms(1, 0, 3), 4000);
	assert_int_equal(retry_delay_ms(1, 0, 60), 60000);
	assert_int_equal(retry_delay_ms(1, 0, 86400), 86400000);
	assert_int_equal(retry_delay_ms(1, 0, 86401), 86400000);
	assert_int_equal(retry_delay_ms(1, 0, INT64_MAX), 86400000);
	assert_int_equal(retry_delay_ms(1, 0, INT64_MIN), 4000);
	assert_int_equal(retry_delay_ms(0, 0, 60), 0);
	assert_int_equal(retry_delay_ms(9, 0, 60), 86400 * 800);
}

static void every_status_has_its_outcome(void **state)
{
	(void)state;
	for (int status = -1; status <= 1000; status++) {
		enum retry_outcome expected = status >= 200 && status < 300 ? RETRY_DELIVERED : RETRY_LATER;

		expected = status == 410 ? RETRY_DISABLE : expected;
		expected = status == 429 || status == 502 || status == 504 ? RETRY_SLOW_DOWN : expected;
		assert_int_equal(retry_outcome(status), expected);
	}
}

static void retry_after_is_read_as_seconds_or_as_a_date(void **state)
{
	static const struct {
		const char *value;
		int64_t seconds;
	} cases[] = {
		{ "0", 0 },
		{ "120", 120 },
		{ " 120 ", 120 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 37 },
		{ "Sun, 06 Nov 1994 08:48:00 GMT", 0 },
		{ "Sun, 06 Nov 1994 09:49:00 GMT", 3600 },
		{ "", RETRY_AFTER_NONE },
		{ "-1", RETRY_AFTER_NONE },
		{ "1.5", RETRY_AFTER_NONE },
		{ "soon", RETRY_AFTER_NONE },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", RETRY_AFTER_NONE },
		{ "Sun, 06 Nox 1994 08:49:37 GMT", RETRY_AFTER_NONE },
		{ "Sun, 31 Feb 1994 08:49:37 GMT", RETRY_AFTER_NONE },
		{ "Sun, 06 Nov 1994 08:49:37 CET", RETRY_AFTER_NONE },
	};
	const int64_t now_us = instant_parse(TEXT("1994-11-06T08:49:00Z"));

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(retry_after_parse(text_of(cases[i].value), now_us), cases[i].seconds);
	}
	assert_int_equal(retry_after_parse(TEXT("Sun, 06 Nov 1994 08:49:01 GMT"), now_us + 1), 1); // rounded up
	assert_true(retry_after_parse(TEXT("99999999999999999999999999"), now_us) > DAY_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_wait_is_within_a_fifth_of_the_schedule),
		cmocka_unit_test(the_schedule_ends_after_ten_attempts_and_75_hours),
		cmocka_unit_test(retry_after_makes_a_wait_longer_up_to_a_day_and_never_shorter),
		cmocka_unit_test(every_status_has_its_outcome),
		cmocka_unit_test(retry_after_is_read_as_seconds_or_as_a_date),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
