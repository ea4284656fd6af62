// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/blast.h"

#include <stdlib.h>

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

static const struct blast_limits by_default = { -1, -1 };

static void the_larger_of_the_two_limits_counts(void **state)
{
	static const struct {
		int64_t present, changes;
		enum blast_decision decision;
	} cases[] = {
		{ 0, 0, BLAST_ALLOWED },
		{ 25, 25, BLAST_ALLOWED },
		{ 100, 25, BLAST_ALLOWED },
		{ 100, 26, BLAST_NEEDS_APPROVAL },
		{ 1000, 100, BLAST_ALLOWED },
		{ 1000, 101, BLAST_NEEDS_APPROVAL },
		{ 259, 26, BLAST_NEEDS_APPROVAL }, // 25.9 of them are 25
		{ 260, 26, BLAST_ALLOWED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct blast_cost cost = { .present = cases[i].present, .changes = cases[i].changes };

		assert_int_equal(blast_decide(&by_default, &cost), cases[i].decision);
	}
}

static void limits_of_nothing_ask_for_every_change(void **state)
{
	static const struct blast_limits none = { 0, 0 };

	(void)state;
	assert_int_equal(blast_decide(&none, &(struct blast_cost){ .present = 10, .changes = 1 }), BLAST_NEEDS_APPROVAL);
	assert_int_equal(blast_decide(&none, &(struct blast_cost){ .present = 10, .changes = 0 }), BLAST_ALLOWED);
}

static void an_approval_allows_its_number_and_nothing_beyond(void **state)
{
	(void)state;
	assert_int_equal(blast_decide(&by_default, &(struct blast_cost){ .present = 500, .changes = 200, .approved = 200 }), BLAST_ALLOWED);
	assert_int_equal(blast_decide(&by_default, &(struct blast_cost){ .present = 500, .changes = 201, .approved = 200 }), BLAST_NEEDS_APPROVAL);
}

// They are counted while devices come and go: to ask is right, and to stop would be the end of the process.
static void more_changes_than_devices_ask(void **state)
{
	(void)state;
	assert_int_equal(blast_decide(&by_default, &(struct blast_cost){ .present = 10, .changes = 26 }), BLAST_NEEDS_APPROVAL);
	assert_int_equal(blast_decide(&by_default, &(struct blast_cost){ .present = 0, .changes = 26 }), BLAST_NEEDS_APPROVAL);
	assert_int_equal(blast_decide(&by_default, &(struct blast_cost){ .present = 10, .changes = 25 }), BLAST_ALLOWED);
}

// Any sequence of changes, times and limits that shrink and grow back: what is allowed alone never exceeds the limit within a window.
static void no_sequence_of_changes_moves_more_than_the_limit_within_a_window(void **state)
{
	enum { ROUNDS = 2000, CHANGES = 60, PRESENT = 400 };
	const char *const given = getenv("DEPBROKER_TEST_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < ROUNDS; round++) {
		const struct blast_limits limits = { (int64_t)(next_random(&seed) % 40), (int64_t)(next_random(&seed) % 30) };
		const int64_t most = blast_limit(&limits, PRESENT);
		int64_t at_s[CHANGES], moved[CHANGES], now_s = 0;

		for (int i = 0; i < CHANGES; i++) {
			struct blast_cost cost = { .present = PRESENT, .changes = (int64_t)(next_random(&seed) % 60) };

			now_s += (int64_t)(next_random(&seed) % (BLAST_WINDOW_S / 6));
			for (int j = 0; j < i; j++) {
				cost.spent += at_s[j] > now_s - BLAST_WINDOW_S ? moved[j] : 0;
			}
			at_s[i] = now_s;
			moved[i] = blast_decide(&limits, &cost) == BLAST_ALLOWED ? cost.changes : 0;
			assert_true(cost.spent + moved[i] <= most);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_larger_of_the_two_limits_counts),
		cmocka_unit_test(limits_of_nothing_ask_for_every_change),
		cmocka_unit_test(an_approval_allows_its_number_and_nothing_beyond),
		cmocka_unit_test(more_changes_than_devices_ask),
		cmocka_unit_test(no_sequence_of_changes_moves_more_than_the_limit_within_a_window),
	};

	return cmocka_run_group_tests_name("blast", tests, NULL, NULL);
}
