// SPDX-License-Identifier: Apache-2.0
//
// retry.h - when a failed webhook delivery is tried again, and what an answer means.
//
// Schedule   attempts at 0, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, each wait +-20 %:
//            10 attempts, the last about 75 h 35 min after the first.
// Laws       1. pure: randomness and time are given
//            2. Retry-After can make a wait longer (up to 24 h), never shorter than the schedule's
#pragma once

#include "depbroker/clock.h"
#include "depbroker/retry_after.h"

enum { RETRY_ATTEMPTS = 10 };

#define RETRY_EXHAUSTED INT64_C(-1)

// Milliseconds to wait after `attempts` failed attempts (0: none yet, at once), RETRY_EXHAUSTED from RETRY_ATTEMPTS on.
// `random` is any number, all 64 bits random. `retry_after_s` is what the endpoint asked for, or RETRY_AFTER_NONE.
int64_t retry_delay_ms(int attempts, uint64_t random, int64_t retry_after_s);

enum retry_outcome {
	RETRY_DELIVERED, // 2xx
	RETRY_LATER,     // a failure: 1xx, 3xx (never followed), 4xx, 5xx, no answer
	RETRY_SLOW_DOWN, // a failure, and the whole endpoint waits: 429, 502, 504
	RETRY_DISABLE,   // 410: the endpoint is gone
};

enum retry_outcome retry_outcome(int status); // 0: no answer at all
