// SPDX-License-Identifier: Apache-2.0
//
// seeds.h - many seeded cases at once, in as many processes as there are cores.
#pragma once

#include <stdbool.h>
#include <stdint.h>

uint64_t seeds_number(const char *variable, uint64_t otherwise); // of the environment

// run(first) to run(first + count - 1), and then how long they took: "20000 worlds in 61.0 s, ...". False: one has ended its process,
// having said why.
bool seeds_run(const char *what, uint64_t first, uint64_t count, void (*run)(uint64_t seed));
