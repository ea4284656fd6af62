// SPDX-License-Identifier: Apache-2.0
//
// dep_assigning.h - devices get a profile: the wish is stored, the client's worker is woken and acts on it, and what it has come to is the
// answer. The worker alone assigns.
//
// Ownership  embedded in an endpoint's state, zeroed; dep_assigning_fini when the call is over.
// Laws       1. a device that is not the instance's is NOT_ACCESSIBLE, and nothing is stored about it
//            2. what is not decided when our patience ends is SUCCESS: the wish is stored, and the worker goes on
//            3. a cool-down of Apple's is told as Apple tells it, and the worker waits for its end
#pragma once

#include "api/alarm.h"
#include "api/dep/dep.h"

struct dep_assigning {
	struct call *call;
	struct dep_serials serials;
	json_t *kept; // that the serial numbers are texts of; NULL: the body is kept
	struct text profile_uuid;
	struct text *accepted; // of `serials`: the instance's, at most APPLE_SERIALS_MAX
	size_t accepted_count;
	struct alarm *alarm;
	int64_t until_ms;
	int64_t retry_after_s;
	int state;
};

// The serial numbers are taken already. Each completion calls the endpoint's step, which calls dep_assigning_step, until that answers.
void dep_assigning_start(struct dep_assigning *assigning, struct call *call, struct text profile_uuid);
void dep_assigning_step(struct dep_assigning *assigning);
void dep_assigning_fini(struct dep_assigning *assigning);
