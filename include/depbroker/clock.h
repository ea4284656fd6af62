// SPDX-License-Identifier: Apache-2.0
//
// clock.h - the ports to time and chance. The linker picks the world: server/words/clock.c has the real world,
// a simulation defines the same functions and so takes its place. tenants/ never asks: it is told `now`.
//
// Units      instant_us: microseconds since 1970-01-01T00:00:00Z, UTC, no leap seconds; INSTANT_NONE when there is none.
//            monotonic_ms: milliseconds of a clock that never goes back, for deadlines.
#pragma once

#include "depbroker/text.h"

#include <stdint.h>

#define INSTANT_NONE INT64_MIN
#define SECOND_US    INT64_C(1000000)
#define DAY_S        INT64_C(86400)

int64_t clock_wall_us(void);
int64_t clock_monotonic_ms(void);
void random_bytes(void *out, size_t length); // from the operating system; aborts when there is none (SEC-11)

// RFC 3339 date-times, with fractions and offsets. INSTANT_NONE for anything else, for years before 1970 and after 9999.
int64_t instant_parse(struct text t);

#define INSTANT_TEXT_SIZE 32
// "2026-11-24T13:00:00Z", with ".123456" when there is a fraction and `fraction` asks for it. Returns `out`.
const char *instant_format(char out[INSTANT_TEXT_SIZE], int64_t instant_us, bool fraction);
