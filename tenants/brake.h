// SPDX-License-Identifier: Apache-2.0
//
// brake.h - whether a complete list may remove the devices that it does not have, or a person is asked first.
//
// Laws  1. pure
//       2. held is who would lose more than a share and more than a number of its devices: few devices, or few of many, go as Apple says
//       3. held is anything that a doubtful list would remove: one with an empty page or an unreadable record, or that ended with an error
//       4. a person's word allows up to the number that was named, and nothing beyond it
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { BRAKE_PERCENT = 20, BRAKE_DEVICES = 50 };

struct brake_limits { // 0: BRAKE_PERCENT, BRAKE_DEVICES
	int64_t percent, devices;
};

struct brake_case {
	int64_t present; // devices before it
	int64_t removals;
	bool doubtful;
	int64_t allowed;
};

bool brake_holds(const struct brake_limits *limits, const struct brake_case *given);
