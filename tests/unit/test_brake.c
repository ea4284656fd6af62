// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/brake.h"

static const struct brake_limits usual = { 0 };

static bool holds(const struct brake_limits *limits, int64_t present, int64_t removals, int64_t allowed)
{
	return brake_holds(limits, &(struct brake_case){ .present = present, .removals = removals, .allowed = allowed });
}

static void more_than_a_fifth_and_more_than_fifty_are_held(void **state)
{
	static const struct {
		int64_t present, removals;
		bool held;
	} cases[] = {
		{ 0, 0, false }, { 1, 1, false }, { 50, 50, false }, { 51, 51, true }, { 100, 50, false }, { 100, 51, true },
		{ 255, 51, false }, { 254, 51, true }, { 1000, 200, false }, { 1000, 201, true }, { 1000000, 200000, false },
		{ 1000000, 200001, true }, { 1000000, 1000000, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(holds(&usual, cases[i].present, cases[i].removals, 0), cases[i].held);
	}
}

static void a_person_allows_what_was_named_and_no_more(void **state)
{
	(void)state;
	assert_true(holds(&usual, 1000, 300, 299));
	assert_false(holds(&usual, 1000, 300, 300));
	assert_true(holds(&usual, 1000, 301, 300));
}

static void a_doubtful_list_removes_nothing_unless_a_person_says_so(void **state)
{
	(void)state;
	assert_true(brake_holds(&usual, &(struct brake_case){ .present = 1000, .removals = 1, .doubtful = true }));
	assert_false(brake_holds(&usual, &(struct brake_case){ .present = 1000, .removals = 1, .doubtful = true, .allowed = 1 }));
	assert_false(brake_holds(&usual, &(struct brake_case){ .present = 1000, .doubtful = true }));
}

static void limits_may_be_a_clients_own(void **state)
{
	const struct brake_limits narrow = { .percent = 1, .devices = 2 };

	(void)state;
	assert_false(holds(&narrow, 100, 2, 0));
	assert_true(holds(&narrow, 100, 3, 0));
	assert_false(holds(&narrow, 1000, 10, 0));
}

static void whoever_may_lose_so_many_may_lose_fewer(void **state)
{
	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		random_case("test_brake", i);
		const int64_t present = 1 + (int64_t)random_below(100000);
		const int64_t removals = (int64_t)random_below((uint64_t)present + 1);
		const int64_t fewer = (int64_t)random_below((uint64_t)removals + 1);
		const struct brake_limits limits = { (int64_t)random_below(100), (int64_t)random_below(1000) };

		LAW(holds(&limits, present, removals, 0) || !holds(&limits, present, fewer, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_a_fifth_and_more_than_fifty_are_held),
		cmocka_unit_test(a_person_allows_what_was_named_and_no_more),
		cmocka_unit_test(a_doubtful_list_removes_nothing_unless_a_person_says_so),
		cmocka_unit_test(limits_may_be_a_clients_own),
		cmocka_unit_test(whoever_may_lose_so_many_may_lose_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
