// SPDX-License-Identifier: Apache-2.0
//
// random.h - seeded chance for property tests: many cases, each with a seed of its own, so that one number replays a failure.
//
//   for (size_t i = 0; i < 1000; i++) { random_case("test_sync", i); ... LAW(condition); }
//
// DEPBROKER_TEST_SEED is the seed of the first case; without it every run of the tests has another one.
#pragma once

#include "depbroker/text.h"

void random_case(const char *program, size_t number);
uint64_t random_next(void);
uint64_t random_below(uint64_t limit); // 0 to limit - 1
bool random_chance(unsigned percent);

// Fails the test with the condition and the command that replays this case.
#define LAW(condition) law_check((condition), #condition, __FILE__, __LINE__)
void law_check(bool kept, const char *condition, const char *file, int line);
