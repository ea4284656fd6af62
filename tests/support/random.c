// SPDX-License-Identifier: Apache-2.0
#include "support/random.h"
#include "depbroker/clock.h"
#include "support/cmocka_all.h"

#include <stdlib.h>

static const char *program_name;
static uint64_t first_seed;
static uint64_t seed;
static uint64_t at;

static uint64_t choose_first_seed(void)
{
	const char *given = getenv("DEPBROKER_TEST_SEED");
	uint32_t chosen;

	if (given != NULL) {
		return strtoull(given, NULL, 10);
	}
	random_bytes(&chosen, sizeof chosen);
	return chosen;
}

void random_case(const char *program, size_t number)
{
	if (program_name == NULL) {
		first_seed = choose_first_seed();
		print_message("DEPBROKER_TEST_SEED=%llu\n", (unsigned long long)first_seed);
	}
	program_name = program;
	seed = first_seed + number;
	at = seed;
}

uint64_t random_next(void) // splitmix64
{
	uint64_t x = at += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

bool random_chance(unsigned percent)
{
	return random_below(100) < percent;
}

void law_check(bool kept, const char *condition, const char *file, int line)
{
	if (!kept) {
		print_error("broken: %s\nreplay: DEPBROKER_TEST_SEED=%llu build/dev/%s\n", condition, (unsigned long long)seed,
			program_name);
		_fail(file, line);
	}
}
