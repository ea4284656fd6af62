// SPDX-License-Identifier: Apache-2.0
//
// What is known of a client's devices, beside a naive table.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/known.h"

#include <stdio.h>
#include <string.h>

enum { SERIALS = 300, FINGERPRINTS = 3 };

static const unsigned char key[KNOWN_KEY_SIZE] = { 7, 1, 2, 3 };

static struct text serial_of(char out[24], uint64_t number)
{
	return (struct text){ out, (size_t)snprintf(out, 24, "SN%llu", (unsigned long long)number) };
}

static void fingerprint_of(unsigned char out[DEVICE_FINGERPRINT_SIZE], uint64_t number)
{
	memset(out, (int)(number + 1), DEVICE_FINGERPRINT_SIZE);
}

static size_t count_present(const int stored[SERIALS])
{
	size_t count = 0;

	for (size_t i = 0; i < SERIALS; i++) {
		count += stored[i] >= 0 ? 1 : 0;
	}
	return count;
}

static void it_agrees_with_a_naive_table(void **state)
{
	(void)state;
	for (size_t number = 0; number < 300; number++) {
		struct known known CLEANUP(known_fini);
		int stored[SERIALS]; // -2: never, -1: gone, else the fingerprint

		random_case("test_known", number);
		known_init(&known, key, 1 << 20);
		memset(stored, 0, sizeof stored);
		for (size_t i = 0; i < SERIALS; i++) {
			stored[i] = -2;
		}
		for (int i = 0; i < 1000; i++) {
			unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];
			char spelling[24];
			const uint64_t serial = random_below(SERIALS);
			const uint64_t which = random_below(FINGERPRINTS);

			fingerprint_of(fingerprint, which);
			if (random_chance(50)) {
				const bool gone = random_chance(20);

				known_put(&known, serial_of(spelling, serial), fingerprint, gone);
				stored[serial] = gone ? -1 : (int)which;
				LAW(known.present == count_present(stored));
			} else {
				const enum known_answer answer = known_ask(&known, serial_of(spelling, serial), fingerprint);

				LAW(known_is_present(&known, serial_of(spelling, serial)) == (stored[serial] >= 0));
				LAW(answer == (stored[serial] == -2 ? KNOWN_NEW : stored[serial] == (int)which ? KNOWN_SAME : KNOWN_PERHAPS));
			}
		}
	}
}

static void beyond_its_budget_it_knows_nothing_for_sure(void **state)
{
	struct known known CLEANUP(known_fini);
	unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];
	char spelling[24];

	(void)state;
	fingerprint_of(fingerprint, 0);
	known_init(&known, key, 128 * sizeof(struct known_slot));
	for (uint64_t i = 0; i < 65; i++) {
		assert_int_equal(known_ask(&known, serial_of(spelling, i), fingerprint), KNOWN_NEW);
		known_put(&known, serial_of(spelling, i), fingerprint, false);
	}
	assert_true(known.capacity <= 128);
	for (uint64_t i = 0; i < 200; i++) {
		assert_int_equal(known_ask(&known, serial_of(spelling, i), fingerprint), KNOWN_PERHAPS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_naive_table),
		cmocka_unit_test(beyond_its_budget_it_knows_nothing_for_sure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
