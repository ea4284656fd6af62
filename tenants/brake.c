// SPDX-License-Identifier: Apache-2.0
#include "tenants/brake.h"

#include <assert.h>

bool brake_holds(const struct brake_limits *limits, int64_t present, int64_t removals, int64_t allowed)
{
	const int64_t percent = limits->percent > 0 ? limits->percent : BRAKE_PERCENT;
	const int64_t devices = limits->devices > 0 ? limits->devices : BRAKE_DEVICES;

	assert(removals >= 0 && removals <= present && present <= INT64_MAX / 100);
	return removals > devices && removals * 100 > present * percent && removals > allowed;
}
