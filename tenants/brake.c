// SPDX-License-Identifier: Apache-2.0
#include "tenants/brake.h"

#include <assert.h>

static bool are_too_many(const struct brake_limits *limits, const struct brake_case *given)
{
	const int64_t percent = limits->percent > 0 ? limits->percent : BRAKE_PERCENT;
	const int64_t devices = limits->devices > 0 ? limits->devices : BRAKE_DEVICES;

	return given->removals > devices && given->removals * 100 > given->present * percent;
}

bool brake_holds(const struct brake_limits *limits, const struct brake_case *given)
{
	assert(given->removals >= 0 && given->removals <= given->present && given->present <= INT64_MAX / 100);
	return given->removals > given->allowed && (given->doubtful || are_too_many(limits, given));
}
