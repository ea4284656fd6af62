// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/blast.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_larger_of_the_two_limits_counts),
		cmocka_unit_test(limits_of_nothing_ask_for_every_change),
		cmocka_unit_test(an_approval_allows_its_number_and_nothing_beyond),
	};

	return cmocka_run_group_tests_name("blast", tests, NULL, NULL);
}
