// SPDX-License-Identifier: Apache-2.0
#include "api/rate_limit.h"

#include "depbroker/clock.h"
#include "tenants/seen.h"

#include <stdlib.h>

enum { PLACES = 4096, MINUTE_MS = 60000 };

struct rate_limit {
	uint64_t key[2];
	unsigned most;
	struct place {
		int64_t since_ms; // 0: nobody was here
		unsigned count;
	} places[PLACES];
};

struct rate_limit *rate_limit_open(unsigned most)
{
	struct rate_limit *limit = allocate(sizeof *limit);

	random_bytes(limit->key, sizeof limit->key);
	limit->most = most;
	return limit;
}

void rate_limit_close(struct rate_limit *limit)
{
	free(limit);
}

bool rate_limit_take(struct rate_limit *limit, const void *who, size_t length, int64_t now_ms)
{
	struct place *place = &limit->places[keyed_hash(limit->key, (struct text){ who, length }) % PLACES];

	if (place->since_ms == 0 || now_ms - place->since_ms >= MINUTE_MS) {
		*place = (struct place){ .since_ms = now_ms };
	}
	place->count += place->count <= limit->most ? 1 : 0;
	return place->count <= limit->most;
}
