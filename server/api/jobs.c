// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/jobs, .../jobs/{id}: the same done to many devices.
#include "api/call_work.h"
#include "api/change.h"
#include "api/instance_retire.h"
#include "api/job_input.h"
#include "api/job_json.h"
#include "api/job_runner.h"
#include "api/labels.h"
#include "api/resources.h"
#include "store/instances.h"
#include "store/tokens.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- one, written down ---

static bool is_state(const struct job_row *row, const char *state)
{
	return text_equal_string(row->state, state);
}

// When it should be through, by what it has taken so far.
static int64_t ends_at(const struct job_row *row)
{
	if (!is_state(row, "running") || row->position == 0 || row->started_at_us == INSTANT_NONE) {
		return INSTANT_NONE;
	}
	const int64_t now_us = clock_wall_us();

	return now_us + (now_us - row->started_at_us) / row->position * (row->row_count - row->position);
}

static void counts_json(struct json_out *json, const struct job_row *row, const int64_t *counts)
{
	const bool is_off = is_state(row, "cancelled") || is_state(row, "rejected");

	put_object(json, "results");
	for (size_t i = 0; i < JOB_RESULTS; i++) {
		const bool is_open = i == JOB_WAITING || i == JOB_ASKED;

		put_int(json, job_result_name((enum job_result)i), is_open && is_off ? 0 : counts[i]);
	}
	put_int(json, "cancelled", is_off ? counts[JOB_WAITING] + counts[JOB_ASKED] : 0);
	put_object_end(json);
}

void job_json(struct json_out *json, const char *name, const struct job_row *row, const int64_t *counts)
{
	put_object(json, name);
	put_id(json, "id", row->job_id);
	put_text(json, "tenant", row->slug);
	put_string(json, "kind", job_kind_name(row->kind));
	put_text(json, "state", row->state);
	put_bool(json, "dry_run", row->dry_run);
	put_text(json, "reason", row->reason);
	put_int(json, "rows", row->row_count);
	put_int(json, "rows_costed", row->costed);
	put_int(json, "rows_done", row->position);
	put_int(json, "changes", row->changes);
	put_int(json, "moved", row->moved);
	put_int(json, "of", row->present);
	put_int(json, "allowed", row->allowed);
	if (row->approval_id > 0) {
		put_id(json, "approval", row->approval_id);
	} else {
		put_null(json, "approval");
	}
	put_text(json, "problem", row->problem.length > 0 ? row->problem : TEXT_NONE);
	labels_json(json, row->labels);
	put_instant(json, "start_at", row->start_at_us);
	put_instant(json, "created_at", row->created_at_us);
	put_text(json, "created_by", row->created_by);
	put_instant(json, "started_at", row->started_at_us);
	put_instant(json, "ends_at", ends_at(row));
	put_instant(json, "finished_at", row->finished_at_us);
	if (counts != NULL) {
		counts_json(json, row, counts);
	}
	put_object_end(json);
}

// --- POST ---

struct creating {
	struct job_input input;
	struct job_row job;
	int64_t instance_id, from_instance_id;
	unsigned read_back;
};

static void finish_creating(struct call *call)
{
	job_input_fini(&((struct creating *)call->own)->input);
}

static bool read_creation(struct call *call)
{
	struct creating *creating = call->own;

	return call_flag(call, "dry_run", &creating->job.dry_run) && job_input_read(call, &creating->input);
}

static void begin_creating(struct call *call)
{
	(void)call_own(call, sizeof(struct creating));
	call_on_finish(call, finish_creating);
	call_work(call, read_creation);
}

static bool is_allowed(struct call *call)
{
	const struct job_input *input = &((const struct creating *)call->own)->input;

	if (input->kind == JOB_RELEASE && call->service->config->allow_release == 0) {
		call_problem(call, PROBLEM_RELEASE_DISABLED, "%s", "");
		return false;
	}
	return true;
}

enum { INSTANCES, NUMBER, UNFINISHED };

static void ask_what_there_is(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	(void)store_object_next_id(transaction);
	(void)store_job_unfinished(transaction, tenant_id);
	call_start(call);
}

static struct job_instance *take_instances(const struct call *call, size_t *count)
{
	struct job_instance *instances;

	*count = pg_row_count(&call->transaction, INSTANCES);
	instances = allocate_array(*count + 1, sizeof *instances);
	for (size_t i = 0; i < *count; i++) {
		struct instance_row row;

		store_instance_read(&call->transaction, INSTANCES, i, &row);
		instances[i] = (struct job_instance){
			.instance_id = row.instance_id,
			.name = row.name,
			.is_retired = store_instance_state(&row) == RULESET_INSTANCE_RETIRED,
			.is_parking = store_instance_is_parking(&row),
		};
	}
	return instances;
}

// The instances that the job itself names. False: there is none of the name, and that has been answered.
static bool choose_instances(struct call *call, const struct job_instance *instances, size_t count)
{
	struct creating *creating = call->own;
	const struct job_input *input = &creating->input;
	const struct job_instance *wanted = job_instance_named(instances, count, input->instance);
	const struct job_instance *from = job_instance_named(instances, count, input->filter_instance);

	if ((input->instance.length > 0 && wanted == NULL) || (input->filter_instance.length > 0 && from == NULL)) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s",
			TEXT_ARGS(input->instance.length > 0 && wanted == NULL ? input->instance : input->filter_instance));
		return false;
	}
	if (wanted != NULL && wanted->is_retired) {
		call_problem(call, PROBLEM_INSTANCE_RETIRED, "%.*s", TEXT_ARGS(input->instance));
		return false;
	}
	if (input->kind == JOB_RETIRE && from != NULL && from->is_parking) {
		call_problem(call, PROBLEM_BAD_BODY, INSTANCE_RETIRE_NO_PARKING);
		return false;
	}
	creating->instance_id = wanted != NULL ? wanted->instance_id : 0;
	creating->from_instance_id = input->filter_held ? 0 : from != NULL ? from->instance_id : -1;
	return true;
}

// What cannot be taken back is asked for with the number of devices, typed.
static bool is_confirmed(struct call *call, const struct job_input *input)
{
	int64_t good = 0;

	for (size_t i = 0; i < input->count; i++) {
		good += input->rows[i].refused.length == 0 ? 1 : 0;
	}
	if (input->kind != JOB_RELEASE || input->confirm_devices == good) {
		return true;
	}
	call_problem(call, PROBLEM_RELEASE_UNCONFIRMED, "%s", input->confirm_devices < 0 ? "it is missing" : "it is another number");
	return false;
}

static bool take_what_there_is(struct call *call)
{
	struct creating *creating = call->own;
	struct job_input *input = &creating->input;
	size_t count;
	struct job_instance *instances = take_instances(call, &count);
	const bool is_good = choose_instances(call, instances, count);

	if (is_good) {
		job_input_resolve(input, instances, count);
	}
	free(instances);
	if (!is_good || !is_confirmed(call, input)) {
		return false;
	}
	if (store_job_unfinished_read(&call->transaction, UNFINISHED) >= JOBS_UNFINISHED_MAX) {
		call_problem(call, PROBLEM_TOO_MANY_JOBS, "%d", JOBS_UNFINISHED_MAX);
		return false;
	}
	creating->job.job_id = store_object_next_id_read(&call->transaction, NUMBER);
	creating->job.kind = input->kind;
	creating->job.reason = input->hold.bytes != NULL ? input->hold : input->reason;
	if (input->kind == JOB_RETIRE) {
		creating->job.retires_id = creating->from_instance_id;
		creating->job.target_id = creating->instance_id;
	}
	creating->job.has_labels = input->has_labels;
	creating->job.labels = input->labels;
	creating->job.start_at_us = input->start_at_us;
	creating->job.row_count = (int64_t)input->count;
	creating->job.created_by = call->key.key_id;
	return true;
}

static void insert(struct call *call)
{
	struct creating *creating = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	const int64_t job_id = creating->job.job_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_job_insert(transaction, tenant_id, &creating->job);
	if (creating->input.has_filter) {
		creating->input.filter.filter.instance_id = creating->from_instance_id;
		store_job_rows_of_devices(transaction, tenant_id, job_id, &creating->input.filter.filter, creating->instance_id);
	} else {
		store_job_rows_insert(transaction, tenant_id, job_id, creating->input.rows, creating->input.count);
	}
	creating->read_back = store_job_by_id(transaction, tenant_id, job_id);
	call_audit(call, transaction, "job.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void job_answer_created(struct call *call, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct job_row row;

	store_job_read(&call->transaction, statement, 0, &row);
	const char *location = arena_format(&call->request->arena, "/api/v1/tenants/%.*s/jobs/%" PRId64, TEXT_ARGS(call->tenant.slug), row.job_id);

	assert(location != NULL);
	http_answer_header(call->request, "Location", location);
	job_json(&json, NULL, &row, NULL);
	job_runner_wake(call->service->job_runner);
	call_answer(call, 202, &body);
}

void jobs_create(struct call *call)
{
	enum { NEW, READING, ASKING, INSERTING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, begin_creating(call));
		if (!call_worked(call) || !is_allowed(call)) {
			return;
		}
		AWAIT(call, ASKING, ask_what_there_is(call));
		if (call_failed(call) || !take_what_there_is(call)) {
			return;
		}
		AWAIT(call, INSERTING, insert(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_JOB_TOO_LARGE, "more than %d devices are meant", JOB_ROWS_MAX);
		} else if (!call_failed(call)) {
			job_answer_created(call, ((const struct creating *)call->own)->read_back);
		}
	}
}

// --- one: GET, DELETE ---

static bool read_id(struct call *call)
{
	int64_t *job_id = call_own(call, sizeof *job_id);

	if (call_parameter_id(call, 1, job_id)) {
		return true;
	}
	call_problem(call, PROBLEM_JOB_NOT_FOUND, "%s", "");
	return false;
}

static void ask_one(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	const int64_t job_id = *(const int64_t *)call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_job_by_id(transaction, tenant_id, job_id);
	(void)store_job_counts(transaction, tenant_id, job_id);
	call_start(call);
}

static bool was_found(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 1) {
		return true;
	}
	call_problem(call, PROBLEM_JOB_NOT_FOUND, "%s", "");
	return false;
}

static void answer_one(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	int64_t counts[JOB_RESULTS];
	struct job_row row;

	if (was_found(call)) {
		store_job_read(&call->transaction, 0, 0, &row);
		store_job_counts_read(&call->transaction, 1, counts);
		job_json(&json, NULL, &row, counts);
		call_answer(call, 200, &body);
	}
}

void job_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, READING, ask_one(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}

// A second key agrees: the job goes on by itself, and moves no more devices than the approval says.
static void let_go_on(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	const int64_t approval_id = call->granted->approval.approval_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_job_approved(transaction, tenant_id, approval_id);
	store_approval_grant(transaction, tenant_id, approval_id, call->key.key_id, TEXT("[]"));
	call_audit(call, transaction, "approval.approve", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void job_approve(struct call *call)
{
	enum { NEW, GRANTING };

	switch (call->state) {
	case NEW:
		AWAIT(call, GRANTING, let_go_on(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_APPROVAL_CLOSED, "the job does not wait for it");
		} else if (!call_failed(call)) {
			job_runner_wake(call->service->job_runner);
			call_answer_empty(call, 204);
		}
	}
}

static void cancel(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_job_cancel(transaction, tenant_id, *(const int64_t *)call->own, call->key.key_id);
	call_audit(call, transaction, "job.cancel", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void job_cancel(struct call *call)
{
	enum { NEW, READING, CANCELLING, READING_BACK };

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, READING, ask_one(call));
		if (call_failed(call) || !was_found(call)) {
			return;
		}
		AWAIT(call, CANCELLING, cancel(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_JOB_OVER, "%s", "");
			return;
		}
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, READING_BACK, ask_one(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}
