// SPDX-License-Identifier: Apache-2.0
//
// dep_own.h - which of the devices that a request names are the instance's, and the answer that has one result for each of these.
#pragma once

#include "api/dep/dep.h"

struct dep_own {
	struct dep_serials serials; // as they were named
	struct text *ours;          // of them, sorted as bytes, in the request's arena
	size_t count;
};

// The statement of the call's transaction. Then, when that is done, what it found.
void dep_own_ask(struct call *call, const struct dep_own *own);
void dep_own_take(struct call *call, struct dep_own *own);
// `result` of ours, NOT_ACCESSIBLE of all others.
void dep_own_answer(struct call *call, const struct dep_own *own, const char *result);
