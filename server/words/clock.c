// SPDX-License-Identifier: Apache-2.0
//
// clock.c - time and randomness of the real world, behind the ports of depbroker/clock.h.
#include "depbroker/clock.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_wall_us(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
		abort();
	}
	return now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_monotonic_ms(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
		abort();
	}
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void random_bytes(void *out, size_t length)
{
	char *at = out;

	while (length > 0) {
		const ssize_t got = getrandom(at, length, 0);

		if (got < 0) {
			abort(); // no key, nonce or id is ever made of anything else
		}
		at += got;
		length -= (size_t)got;
	}
}
