// SPDX-License-Identifier: Apache-2.0
#include "tenants/blast.h"

#include <assert.h>

int64_t blast_limit(const struct blast_limits *limits, int64_t present)
{
	const int64_t devices = limits->devices >= 0 ? limits->devices : BLAST_DEVICES;
	const int64_t percent = limits->percent >= 0 ? limits->percent : BLAST_PERCENT;

	assert(present >= 0 && percent <= 100 && present <= INT64_MAX / 100);
	const int64_t share = present * percent / 100;

	return devices > share ? devices : share;
}

enum blast_decision blast_decide(const struct blast_limits *limits, const struct blast_cost *cost)
{
	assert(cost->changes >= 0 && cost->spent >= 0);
	if (cost->changes <= cost->approved) {
		return BLAST_ALLOWED;
	}
	return cost->spent + cost->changes > blast_limit(limits, cost->present) ? BLAST_NEEDS_APPROVAL : BLAST_ALLOWED;
}
