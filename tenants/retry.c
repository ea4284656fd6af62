// SPDX-License-Identifier: Apache-2.0
#include "tenants/retry.h"

#include <assert.h>

static const int32_t waits_s[RETRY_ATTEMPTS] = {
	0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600,
};

int64_t retry_delay_ms(int attempts, uint64_t random, int64_t retry_after_s)
{
	assert(attempts >= 0);
	if (attempts >= RETRY_ATTEMPTS) {
		return RETRY_EXHAUSTED;
	}
	const int64_t base_ms = waits_s[attempts] * INT64_C(1000);
	const int64_t span_ms = base_ms * 2 / 5; // from -20 % to +20 %
	const int64_t wait_ms = base_ms - span_ms / 2 + (int64_t)(random % (uint64_t)(span_ms + 1));
	const int64_t asked_s = retry_after_s < 0 ? 0 : retry_after_s < DAY_S ? retry_after_s : DAY_S;

	return attempts > 0 && asked_s * 1000 > wait_ms ? asked_s * 1000 : wait_ms;
}

enum retry_outcome retry_outcome(int status)
{
	if (status >= 200 && status <= 299) {
		return RETRY_DELIVERED;
	}
	switch (status) {
	case 410: return RETRY_DISABLE;
	case 429:
	case 502:
	case 504: return RETRY_SLOW_DOWN;
	default: return RETRY_LATER;
	}
}
