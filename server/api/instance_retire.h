// SPDX-License-Identifier: Apache-2.0
//
// instance_retire.h - an instance that is in use is retired with another one in its place: by a job, which is costed and may wait for a
// second key.
//
//   instance_retire_ask, in the transaction that reads -> instance_retire_take -> AWAIT instance_retire_insert -> instance_retire_answer
#pragma once

#include "api/call.h"
#include "store/instances.h"

#define INSTANCE_RETIRE_NO_PARKING "no device is sent to an instance for parking: take it out of the tenant's profile, and retire it without a target"

struct instance_retire {
	struct text target; // its name; bytes NULL: none is named
	int64_t target_id, job_id;
	bool dry_run;
	unsigned number_at, unfinished_at, read_back;
};

void instance_retire_ask(struct instance_retire *retire, struct pg_transaction *t, int64_t tenant_id);
// The instances are the rows of a statement. False: it has been refused, and that has been answered.
MUST_USE bool instance_retire_take(struct call *call, struct instance_retire *retire, unsigned instances, const struct instance_row *row);
void instance_retire_insert(struct call *call, struct instance_retire *retire, int64_t instance_id); // starts
void instance_retire_answer(struct call *call, const struct instance_retire *retire);
