// SPDX-License-Identifier: Apache-2.0
#include "tenants/endpoint_health.h"

bool endpoint_is_in_trouble(const struct endpoint_health *health)
{
	return health->failures >= ENDPOINT_PROBES_AFTER;
}

int64_t endpoint_not_before_us(const struct endpoint_health *health)
{
	return endpoint_is_in_trouble(health) && health->next_probe_us > health->not_before_us ? health->next_probe_us : health->not_before_us;
}

void endpoint_took(struct endpoint_health *health, int64_t now_us)
{
	health->failures = 0;
	health->succeeded_at_us = now_us;
}

void endpoint_failed(struct endpoint_health *health, int64_t now_us)
{
	health->failures++;
	health->next_probe_us = now_us + ENDPOINT_PROBE_EVERY_S * SECOND_US;
}

enum endpoint_verdict endpoint_judge(const struct endpoint_health *health, enum retry_outcome outcome, int attempts, int64_t first_failed_us,
	int64_t now_us)
{
	const bool took_others = health->succeeded_at_us > first_failed_us; // INSTANT_NONE is before all

	if (outcome == RETRY_DISABLE) {
		return ENDPOINT_GIVE_UP;
	}
	if (took_others) {
		return attempts >= RETRY_ATTEMPTS ? ENDPOINT_PARK : ENDPOINT_TRY_AGAIN;
	}
	return now_us - first_failed_us >= ENDPOINT_DEAD_AFTER_S * SECOND_US ? ENDPOINT_GIVE_UP : ENDPOINT_TRY_AGAIN;
}
