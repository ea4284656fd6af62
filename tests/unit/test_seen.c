// SPDX-License-Identifier: Apache-2.0
//
// The set of serial numbers of a generation: the hash's published vectors, the two laws, and a naive set beside it.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/seen.h"

#include <stdio.h>

static const unsigned char counting_key[SEEN_KEY_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void the_hash_is_siphash_2_4(void **state)
{
	static const struct { // of the reference implementation: key and input count up from 0
		size_t length;
		uint64_t hash;
	} vectors[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },
		{ 1, UINT64_C(0x74f839c593dc67fd) },
		{ 2, UINT64_C(0x0d6c8009d9a94f5a) },
		{ 7, UINT64_C(0xab0200f58b01d137) },
		{ 8, UINT64_C(0x93f5f5799a932462) },
		{ 15, UINT64_C(0xa129ca6149be45e5) }, // the example of the paper
		{ 63, UINT64_C(0x958a324ceb064572) },
	};
	struct seen seen CLEANUP(seen_fini);
	char input[64];

	(void)state;
	for (size_t i = 0; i < sizeof input; i++) {
		input[i] = (char)i;
	}
	seen_init(&seen, counting_key, 0);
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		assert_true(keyed_hash(seen.key, (struct text){ input, vectors[i].length }) == vectors[i].hash);
	}
}

static struct text serial_of(char out[24], uint64_t number)
{
	return (struct text){ out, (size_t)snprintf(out, 24, "SN%llu", (unsigned long long)number) };
}

static void a_hundred_thousand_serials_are_all_seen_and_no_other(void **state)
{
	struct seen seen CLEANUP(seen_fini);
	char spelling[24];

	(void)state;
	seen_init(&seen, counting_key, 64 * 1024 * 1024);
	assert_false(seen_has(&seen, TEXT("SN0")));
	for (uint64_t i = 0; i < 100000; i++) {
		assert_int_equal(seen_add(&seen, serial_of(spelling, i)), OK);
	}
	for (uint64_t i = 0; i < 200000; i++) {
		assert_int_equal(seen_has(&seen, serial_of(spelling, i)), i < 100000);
	}
	assert_int_equal(seen.count, 100000);
	assert_true(seen.capacity * sizeof *seen.slots >= 16 * seen.count);
	assert_true(seen.capacity * sizeof *seen.slots <= 32 * seen.count);
}

static void a_serial_that_is_added_again_takes_no_room(void **state)
{
	struct seen seen CLEANUP(seen_fini);

	(void)state;
	seen_init(&seen, counting_key, 64 * sizeof(uint64_t));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(seen_add(&seen, TEXT("C02XK1ABCD")), OK);
	}
	assert_int_equal(seen.count, 1);
}

static void beyond_the_budget_nothing_is_added_and_nothing_is_forgotten(void **state)
{
	char spelling[24];

	(void)state;
	for (size_t budget = 0; budget < 5000; budget += 511) {
		struct seen seen CLEANUP(seen_fini);
		uint64_t added = 0;

		seen_init(&seen, counting_key, budget);
		while (seen_add(&seen, serial_of(spelling, added)) == OK) {
			added++;
			assert_true(seen.capacity * sizeof *seen.slots <= budget);
		}
		assert_int_equal(seen_add(&seen, TEXT("one more")), ERR_BUDGET);
		assert_false(seen_has(&seen, TEXT("one more")));
		assert_true(added == 0 || added * 32 >= budget / 2);
		for (uint64_t i = 0; i < added; i++) {
			assert_true(seen_has(&seen, serial_of(spelling, i)));
			assert_int_equal(seen_add(&seen, serial_of(spelling, i)), OK);
		}
	}
}

static void the_next_generation_is_empty_and_has_another_key(void **state)
{
	struct seen seen CLEANUP(seen_fini);
	const uint64_t *slots;

	(void)state;
	seen_init(&seen, counting_key, 4096);
	const uint64_t before = keyed_hash(seen.key, TEXT("C02XK1ABCD"));

	assert_int_equal(seen_add(&seen, TEXT("C02XK1ABCD")), OK);
	slots = seen.slots;
	seen_clear(&seen);
	assert_int_equal(seen.count, 0);
	assert_false(seen_has(&seen, TEXT("C02XK1ABCD")));
	assert_true(keyed_hash(seen.key, TEXT("C02XK1ABCD")) != before);
	assert_ptr_equal(seen.slots, slots);
	assert_int_equal(seen_add(&seen, TEXT("C02XK1ABCD")), OK);
	assert_true(seen_has(&seen, TEXT("C02XK1ABCD")));
}

static void a_set_without_a_table_can_be_cleared_and_ended(void **state)
{
	struct seen seen;

	(void)state;
	seen_init(&seen, counting_key, 4096);
	seen_clear(&seen);
	assert_false(seen_has(&seen, TEXT("")));
	assert_int_equal(seen_add(&seen, TEXT("")), OK);
	assert_true(seen_has(&seen, TEXT("")));
	seen_fini(&seen);
	seen_fini(&seen);
}

enum { UNIVERSE = 300 };

static void walk(struct seen *seen, bool naive[UNIVERSE])
{
	char spelling[24];

	for (int step = 0; step < 400; step++) {
		const uint64_t number = random_below(UNIVERSE);
		const struct text serial = serial_of(spelling, number);

		if (random_chance(1)) {
			seen_clear(seen);
			for (size_t i = 0; i < UNIVERSE; i++) {
				naive[i] = false;
			}
		} else if (random_chance(60)) {
			const enum err rc = seen_add(seen, serial);

			LAW(rc == OK || rc == ERR_BUDGET);
			LAW(rc == OK || !naive[number]);
			naive[number] = naive[number] || rc == OK;
		}
		LAW(seen_has(seen, serial) == naive[number]);
		LAW(seen->capacity * sizeof *seen->slots <= seen->budget_bytes);
	}
}

static void sets_agree_with_a_naive_set(void **state)
{
	(void)state;
	for (size_t number = 0; number < 300; number++) {
		struct seen seen CLEANUP(seen_fini);
		unsigned char key[SEEN_KEY_SIZE];
		bool naive[UNIVERSE] = { false };

		random_case("test_seen", number);
		for (size_t i = 0; i < sizeof key; i++) {
			key[i] = (unsigned char)random_next();
		}
		seen_init(&seen, key, random_below(8192));
		walk(&seen, naive);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash_2_4),
		cmocka_unit_test(a_hundred_thousand_serials_are_all_seen_and_no_other),
		cmocka_unit_test(a_serial_that_is_added_again_takes_no_room),
		cmocka_unit_test(beyond_the_budget_nothing_is_added_and_nothing_is_forgotten),
		cmocka_unit_test(the_next_generation_is_empty_and_has_another_key),
		cmocka_unit_test(a_set_without_a_table_can_be_cleared_and_ended),
		cmocka_unit_test(sets_agree_with_a_naive_set),
	};

	return cmocka_run_group_tests_name("seen", tests, NULL, NULL);
}
