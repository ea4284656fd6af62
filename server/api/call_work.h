// SPDX-License-Identifier: Apache-2.0
//
// call_work.h - a call reads what is long on a pool thread: a list of 100,000 rows would keep the loop from everybody else for half a second.
//
//   AWAIT(call, READING, call_work(call, read_list));
//   if (!call_worked(call)) {
//           return;
//   }
//
// Ownership  what `work` reads it keeps in call->own, which call_own and call_on_finish have made before.
// Laws       1. `work` sees the request, call->own and call->body; nothing of the loop, the service or the database
//            2. what it refuses by call_problem is answered when it is back; it returns false then, and only then
#pragma once

#include "api/call.h"

void call_work(struct call *call, bool (*work)(struct call *call)); // the endpoint's step is called when it is over
// After call_work. False: it was refused, and that has been answered.
MUST_USE bool call_worked(struct call *call);

bool call_is_away(const struct call *call); // on its thread: for asserts of what must not run on the loop

// --- for call.c ---

struct call_refusal {
	enum api_problem which;
	char detail[CALL_DETAIL_SIZE];
};
// Where a refusal is written to while the call is away. NULL: it is not, and the refusal is answered at once.
struct call_refusal *call_refusal_kept(struct call *call);
