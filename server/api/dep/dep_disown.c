// SPDX-License-Identifier: Apache-2.0
//
// POST /devices/disown. Nothing takes it back, and it is the organisation's to do, not one MDM server's of several: with
// DEPBROKER_ALLOW_RELEASE it becomes a job that waits for a person (jobs.h), and until the device is gone the result is FAILED.
//
// Law  a device is released only if it is still the instance's when Apple is asked
#include "api/dep/dep_device_json.h"
#include "api/dep/dep_own.h"
#include "api/job_runner.h"
#include "store/jobs.h"
#include "store/tokens.h"

#include <assert.h>

struct disowning {
	struct dep_own own;
	struct job_wish *rows; // of ours, that no job is about yet
	size_t row_count;
	int64_t job_id;
	bool may_ask;
};

enum { NUMBER, UNFINISHED, RELEASING }; // the statements

static void ask_jobs(struct call *call)
{
	const struct disowning *disowning = dep_of(call)->state;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_object_next_id(transaction);
	(void)store_job_unfinished(transaction, tenant_id);
	(void)store_job_releasing(transaction, tenant_id, disowning->own.ours, disowning->own.count);
	call_start(call);
}

static bool is_asked_for(struct call *call, struct text serial)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, RELEASING); i++) {
		if (text_equal(pg_text(&call->transaction, RELEASING, i, 0), serial)) {
			return true;
		}
	}
	return false;
}

static void take_jobs(struct call *call)
{
	struct disowning *disowning = dep_of(call)->state;
	const struct dep_own *own = &disowning->own;

	disowning->job_id = store_object_next_id_read(&call->transaction, NUMBER);
	disowning->may_ask = store_job_unfinished_read(&call->transaction, UNFINISHED) < JOBS_UNFINISHED_MAX;
	disowning->rows = arena_take(&call->request->arena, (own->count + 1) * sizeof *disowning->rows);
	for (size_t i = 0; i < own->count && disowning->rows != NULL; i++) {
		if (!is_asked_for(call, own->ours[i])) {
			disowning->rows[disowning->row_count++] = (struct job_wish){
				.serial_number = own->ours[i], .instance_id = dep_of(call)->place.instance_id,
			};
		}
	}
}

static void insert(struct call *call)
{
	const struct disowning *disowning = dep_of(call)->state;
	const struct dep_call *dep = dep_of(call);
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));
	const char *actor = arena_format(&call->request->arena, "dep:%.*s", TEXT_ARGS(dep->server.instance));

	assert(actor != NULL);
	const struct job_row job = {
		.job_id = disowning->job_id, .kind = JOB_RELEASE, .reason = TEXT("asked for by the MDM server"), .start_at_us = INSTANT_NONE,
		.row_count = (int64_t)disowning->row_count, .created_by = text_of(actor),
	};

	store_job_insert(transaction, tenant_id, &job);
	store_job_rows_insert(transaction, tenant_id, job.job_id, disowning->rows, disowning->row_count);
	dep_audit(call, transaction, call->tenant.slug);
	call_start(call);
}

static struct disowning *begin(struct call *call)
{
	struct disowning *disowning = dep_state(dep_of(call), sizeof *disowning, NULL);

	return dep_take_serials(call, &disowning->own.serials) ? disowning : NULL;
}

void dep_disown(struct call *call)
{
	enum { NEW, READING, ASKING, INSERTING };
	struct disowning *disowning = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		disowning = begin(call);
		if (disowning == NULL) {
			return;
		}
		AWAIT(call, READING, dep_own_ask(call, &disowning->own));
		if (call_failed(call)) {
			return;
		}
		dep_own_take(call, &disowning->own);
		if (call->service->config->allow_release != 0 && disowning->own.count > 0) {
			AWAIT(call, ASKING, ask_jobs(call));
			if (call_failed(call)) {
				return;
			}
			take_jobs(call);
			if (disowning->may_ask && disowning->row_count > 0) {
				AWAIT(call, INSERTING, insert(call));
				if (call_failed(call)) {
					return;
				}
				job_runner_wake(call->service->job_runner);
			}
		}
		dep_own_answer(call, &disowning->own, "FAILED");
	}
}
