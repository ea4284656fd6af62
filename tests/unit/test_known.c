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

				known_put(&known, serial_of(spelling, serial), fingerprint, which + 1, gone);
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
	known_init(&known, key, 100 * (sizeof(struct known_slot) + 1));
	for (uint64_t i = 0; i < 89; i++) { // seven eighths and one
		assert_int_equal(known_ask(&known, serial_of(spelling, i), fingerprint), KNOWN_NEW);
		for (uint64_t j = 0; j < i; j++) {
			assert_int_equal(known_ask(&known, serial_of(spelling, j), fingerprint), KNOWN_SAME);
		}
		known_put(&known, serial_of(spelling, i), fingerprint, 1, false);
		assert_true(i != 5 || known_see(&known, serial_of(spelling, i)));
	}
	assert_int_equal(known.capacity, 100);
	for (uint64_t i = 0; i < 200; i++) {
		assert_int_equal(known_ask(&known, serial_of(spelling, i), fingerprint), KNOWN_PERHAPS);
		assert_false(known_add_listed(&known, serial_of(spelling, i), 1));
		assert_int_equal(known_has_seen(&known, serial_of(spelling, i)), i == 5); // that is no matter of being whole
	}
}

// What a list has shown, beside naive sets: of pages that are applied or dropped, and of devices that are read.
static void what_was_seen_agrees_with_naive_sets(void **state)
{
	(void)state;
	for (size_t number = 0; number < 300; number++) {
		struct known known CLEANUP(known_fini);
		bool seen[SERIALS] = { false }, in_page[SERIALS] = { false };
		uint64_t hashes[SERIALS] = { 0 };
		char spelling[24];

		random_case("test_known", number);
		known_init(&known, key, 1 << 20);
		for (int i = 0; i < 1000; i++) {
			const uint64_t serial = random_below(SERIALS), hash = 1 + random_below(3);
			const struct text text = serial_of(spelling, serial);
			unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];

			fingerprint_of(fingerprint, hash);
			if (random_chance(60)) {
				const bool listed = hashes[serial] == hash;

				LAW(known_has_list_hash(&known, text, hash) == listed);
				LAW(known_add_listed(&known, text, hash) == listed);
				in_page[serial] = in_page[serial] || listed;
				LAW(known_is_in_page(&known, text) == in_page[serial]);
				continue;
			}
			const bool applied = random_chance(50);

			for (size_t j = 0; j < SERIALS; j++) {
				seen[j] = seen[j] || (applied && in_page[j]);
			}
			memset(in_page, 0, sizeof in_page);
			if (applied) {
				known_see_page(&known);
			} else {
				known_drop_page(&known);
			}
			const bool gone = random_chance(10);

			known_put(&known, text, fingerprint, hash, gone);
			hashes[serial] = gone ? 0 : hash;
			if (random_chance(50)) {
				LAW(known_see(&known, text));
				seen[serial] = true;
			}
			LAW(known_has_seen(&known, text) == seen[serial]);
			if (random_chance(1)) {
				known_forget_seen(&known);
				memset(seen, 0, sizeof seen);
			}
		}
		size_t count = 0;

		for (size_t j = 0; j < SERIALS; j++) {
			count += seen[j] ? 1 : 0;
			LAW(known_has_seen(&known, serial_of(spelling, j)) == seen[j]);
		}
		LAW(known.seen == count);
		LAW(!known_see(&known, TEXT("never put")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_naive_table),
		cmocka_unit_test(what_was_seen_agrees_with_naive_sets),
		cmocka_unit_test(beyond_its_budget_it_knows_nothing_for_sure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
