// SPDX-License-Identifier: Apache-2.0
#include "api/instance_retire.h"

#include "api/job_json.h"
#include "store/tokens.h"

void instance_retire_ask(struct instance_retire *retire, struct pg_transaction *t, int64_t tenant_id)
{
	retire->number_at = store_object_next_id(t);
	retire->unfinished_at = store_job_unfinished(t, tenant_id);
}

bool instance_retire_take(struct call *call, struct instance_retire *retire, unsigned instances, const struct instance_row *row)
{
	struct instance_row target = { .instance_id = 0 };
	bool is_found = false;

	for (size_t i = 0; i < pg_row_count(&call->transaction, instances) && !is_found; i++) {
		store_instance_read(&call->transaction, instances, i, &target);
		is_found = text_equal(target.name, retire->target);
	}
	if (!is_found) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(retire->target));
	} else if (store_instance_is_parking(row)) {
		call_problem(call, PROBLEM_BAD_BODY, INSTANCE_RETIRE_NO_PARKING);
	} else if (store_instance_state(&target) == RULESET_INSTANCE_RETIRED) { // or for parking
		call_problem(call, PROBLEM_INSTANCE_RETIRED, "%.*s", TEXT_ARGS(retire->target));
	} else if (target.instance_id == row->instance_id) {
		call_problem(call, PROBLEM_BAD_BODY, "target is another instance");
	} else if (store_job_unfinished_read(&call->transaction, retire->unfinished_at) >= JOBS_UNFINISHED_MAX) {
		call_problem(call, PROBLEM_TOO_MANY_JOBS, "%d", JOBS_UNFINISHED_MAX);
	} else {
		retire->target_id = target.instance_id;
		retire->job_id = store_object_next_id_read(&call->transaction, retire->number_at);
		return true;
	}
	return false;
}

void instance_retire_insert(struct call *call, struct instance_retire *retire, int64_t instance_id)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct device_filter there = DEVICE_FILTER_ANY;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	there.instance_id = instance_id;
	store_job_insert(t, tenant_id, &(struct job_row){
		.job_id = retire->job_id,
		.kind = JOB_RETIRE,
		.dry_run = retire->dry_run,
		.retires_id = instance_id,
		.target_id = retire->target_id,
		.start_at_us = INSTANT_NONE,
		.created_by = call->key.key_id,
	});
	store_job_rows_of_devices(t, tenant_id, retire->job_id, &there, retire->target_id);
	retire->read_back = store_job_by_id(t, tenant_id, retire->job_id);
	call_audit(call, t, "job.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void instance_retire_answer(struct call *call, const struct instance_retire *retire)
{
	if (call->transaction.op.rc == ERR_FENCED) {
		call_problem(call, PROBLEM_JOB_TOO_LARGE, "more than %d devices are sent to it", JOB_ROWS_MAX);
	} else if (!call_failed(call)) {
		job_answer_created(call, retire->read_back);
	}
}
