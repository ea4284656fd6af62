// SPDX-License-Identifier: Apache-2.0
#include "api/job_runner.h"

#include "api/alarm.h"
#include "api/call.h"
#include "api/json_out.h"
#include "api/rules_redirect.h"
#include "depbroker/log.h"
#include "store/account.h"
#include "store/audit.h"
#include "store/instances.h"
#include "store/jobs.h"
#include "store/tenants.h"
#include "store/tokens.h"
#include "tenants/job_step.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { EVERY_MS = 1000, AFTER_TROUBLE_MS = 2000, JOBS_AT_ONCE = 20, PROBLEM_MAX = 400 };

struct due_job {
	int64_t tenant_id, job_id;
	int64_t after; // the row that its slice begins behind
	bool is_last;  // slice
	int64_t retires_id;
};

struct job_runner {
	struct service *service;
	struct alarm *alarm; // NULL: a transaction is under way
	bool is_closed;
	bool is_wanted; // somebody has woken it meanwhile
	bool has_trouble, has_progress; // in this round
	struct pg_transaction transaction, reading; // `reading` holds what a slice was read as, while it is written
	bool reading_is_open;
	unsigned present_at, use_at, unlisted_at; // statements of `reading`, where they are
	struct due_job due[JOBS_AT_ONCE];
	size_t count, at;

	// The slice under way; texts are those of `reading`
	struct job_row job;
	struct job_outcome outcomes[JOB_SLICE_MAX];
	int64_t row_numbers[JOB_SLICE_MAX];
	size_t outcome_count;
	size_t strays; // outcomes that are not as they were costed,
	struct text stray; // and one of the devices
	struct account_row account;
	int64_t slice_end; // the number of its last row
	struct ruleset *rules, *rules_after; // in force, NULL: none; of retire: with the other instance
};

static void on_looked(struct op *op);
static void on_read(struct op *op);
static void on_written(struct op *op);

// --- rounds ---

static void on_alarm(void *argument)
{
	struct job_runner *runner = argument;

	alarm_stop(runner->alarm);
	runner->alarm = NULL;
	runner->is_wanted = false;
	runner->has_trouble = runner->has_progress = false;
	pg_transaction_init(&runner->transaction, store_directory(), on_looked);
	(void)store_job_due(&runner->transaction, JOBS_AT_ONCE);
	pg_start(&runner->transaction, runner->service->pool, STORE_TIMEOUT_MS);
}

static int64_t pause_ms(const struct job_runner *runner)
{
	if (runner->has_trouble) {
		return AFTER_TROUBLE_MS;
	}
	return runner->has_progress || runner->is_wanted ? 0 : EVERY_MS;
}

static void close_reading(struct job_runner *runner)
{
	ruleset_free(runner->rules);
	ruleset_free(runner->rules_after);
	runner->rules = runner->rules_after = NULL;
	if (runner->reading_is_open) {
		runner->reading_is_open = false;
		pg_transaction_fini(&runner->reading);
	}
}

// The rows that a slice is decided with.
enum { READ_TENANT, READ_JOB, READ_RULES, READ_INSTANCES, READ_NUMBER, READ_SLICE, READ_ACCOUNT }; // the tenant first (store/account.h, law 3)

static void read_slice(struct job_runner *runner, const struct due_job *due)
{
	struct pg_transaction *t = &runner->reading;

	pg_transaction_init(t, store_api(due->tenant_id), on_read);
	runner->reading_is_open = true;
	(void)store_tenant_by_id(t, due->tenant_id);
	(void)store_job_by_id(t, due->tenant_id, due->job_id);
	(void)store_rules_current(t, due->tenant_id);
	(void)store_instance_list(t, due->tenant_id);
	(void)store_object_next_id(t);
	(void)store_job_slice(t, due->tenant_id, due->job_id, due->after);
	(void)store_account_select(t, due->tenant_id);
	if (due->is_last) {
		runner->present_at = store_job_present(t, due->tenant_id);
	}
	if (due->retires_id > 0) {
		runner->use_at = store_instance_use(t, due->tenant_id, due->retires_id);
		runner->unlisted_at = store_job_unlisted(t, due->tenant_id, due->job_id, due->retires_id);
	}
	pg_start(t, runner->service->pool, STORE_TIMEOUT_MS);
}

static void go_on(struct job_runner *runner)
{
	close_reading(runner);
	if (runner->is_closed) {
		free(runner);
		return;
	}
	if (runner->at == runner->count) {
		runner->alarm = alarm_start(&runner->service->loop, pause_ms(runner), on_alarm, runner);
		return;
	}
	read_slice(runner, &runner->due[runner->at]);
}

// ERR_FENCED: another process has done it, or the job is not what it was; the next round looks again.
static void note_trouble(struct job_runner *runner, const struct op *op)
{
	if (op->rc == ERR_FENCED || op->rc == ERR_CANCELLED) {
		return;
	}
	runner->has_trouble = true;
	log_event(LOG_WARNING, "job.failed", LOG_INT("job", runner->at < runner->count ? runner->due[runner->at].job_id : 0),
		LOG_STRING("reason", op->fault.text[0] != '\0' ? op->fault.text : err_text(op->rc)));
}

static void next(struct job_runner *runner)
{
	runner->at++;
	go_on(runner);
}

// But for what its slice is decided with.
static struct job_case case_of(const struct job_row *job)
{
	return (struct job_case){
		.kind = job->kind, .state = job_state_of(job->state), .is_approved = job->approval_id > 0,
		.row_count = job->row_count, .costed = job->costed, .checked = job->checked, .position = job->position,
		.checked_against = job->checked_against, .moved = job->moved, .allowed = job->allowed,
	};
}

static int64_t done_of(const struct job_row *job)
{
	const struct job_case of = case_of(job);

	return job_rows_done(&of);
}

static void on_looked(struct op *op)
{
	struct job_runner *runner = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct job_runner, transaction);

	runner->count = runner->at = 0;
	if (op->rc != OK) {
		note_trouble(runner, op);
	} else {
		for (size_t i = 0; i < pg_row_count(&runner->transaction, 0); i++) {
			struct job_row job;

			store_job_read(&runner->transaction, 0, i, &job);
			runner->due[runner->count++] = (struct due_job){
				job.tenant_id, job.job_id, done_of(&job), job.row_count - done_of(&job) <= JOB_SLICE_MAX, job.retires_id,
			};
		}
	}
	pg_transaction_fini(&runner->transaction);
	go_on(runner);
}

// --- deciding ---

static struct text name_of(const struct pg_transaction *t, int64_t instance_id)
{
	struct instance_row row = { .name = TEXT_NONE };

	for (size_t i = 0; i < pg_row_count(t, READ_INSTANCES) && row.instance_id != instance_id; i++) {
		store_instance_read(t, READ_INSTANCES, i, &row);
	}
	return row.name;
}

// False: the stored rules cannot be read.
static bool read_rules(struct job_runner *runner)
{
	const struct pg_transaction *t = &runner->reading;
	const size_t count = pg_row_count(t, READ_INSTANCES);
	struct ruleset_instance *instances = allocate_array(count + 1, sizeof *instances);
	struct rules_row row;
	struct buffer redirected CLEANUP(buffer_fini) = BUFFER(RULESET_DOCUMENT_MAX);
	bool is_good = true;

	for (size_t i = 0; i < count; i++) {
		struct instance_row instance;

		store_instance_read(t, READ_INSTANCES, i, &instance);
		instances[i] = (struct ruleset_instance){ instance.instance_id, instance.name, store_instance_state(&instance) };
	}
	if (pg_row_count(t, READ_RULES) == 1) {
		store_rules_read(t, READ_RULES, 0, &row);
		runner->rules = ruleset_read(row.document, instances, count, RULESET_IN_FORCE);
		is_good = ruleset_is_valid(runner->rules);
	}
	if (is_good && runner->rules != NULL && runner->job.kind == JOB_RETIRE) {
		rules_redirect(&redirected, runner->rules, name_of(t, runner->job.retires_id), name_of(t, runner->job.target_id));
		runner->rules_after = ruleset_read(buffer_text(&redirected), instances, count, RULESET_IN_FORCE);
		is_good = !redirected.overflow && ruleset_is_valid(runner->rules_after);
	}
	free(instances);
	return is_good;
}

static void decide_row(struct job_runner *runner, const struct job_slice_row *row, const struct ruleset_label *labels, size_t label_count)
{
	struct ruleset_label now[FACT_LABELS_MAX], then[FACT_LABELS_MAX];
	struct ruleset_device labelled = { .apple = NULL };
	struct job_view view = {
		.kind = runner->job.kind, .wanted_instance_id = runner->job.kind == JOB_RETIRE ? RULESET_INSTANCE_NONE : row->wanted_instance_id,
		.rules = runner->rules, .rules_after = runner->rules_after,
		.retired_instance_id = runner->job.retires_id, .target_instance_id = runner->job.target_id,
		.device = store_fact_device(&row->routed.apple, &row->routed.fact), .stored_instance_id = row->stored_instance_id,
		.has_profile = row->has_profile,
	};

	store_fact_label(&view.device, now, row->routed.fact.labels, labels, label_count);
	store_fact_label(&labelled, then, row->labels, labels, label_count);
	view.labels = labelled.labels;
	view.label_count = labelled.label_count;
	view.device.guard_reason = row->routed.guard_reason;
	view.gives_labels = row->has_labels;
	view.is_labelled = text_equal(row->routed.fact.labels, row->labels);
	if (!row->is_present) {
		view.device.apple = NULL;
	}
	runner->row_numbers[runner->outcome_count] = row->row_number;
	const struct job_outcome outcome = runner->outcomes[runner->outcome_count++] = job_decide(&view);

	if (!job_is_as_costed(&outcome, row->was_to_move, row->was_to_go_to)) {
		runner->strays++;
		runner->stray = row->routed.apple.serial_number;
	}
}

// False: the stored rules cannot be read.
static bool decide_slice(struct job_runner *runner, const struct tenant_row *tenant)
{
	struct ruleset_label labels[RULESET_LABELS_MAX];
	const size_t label_count = ruleset_labels_read(labels, tenant->labels);
	const bool is_good = read_rules(runner);

	runner->outcome_count = runner->strays = 0;
	runner->slice_end = done_of(&runner->job);
	for (size_t i = 0; is_good && i < pg_row_count(&runner->reading, READ_SLICE); i++) {
		struct job_slice_row row;

		store_job_slice_read(&runner->reading, READ_SLICE, i, &row);
		runner->slice_end = row.row_number;
		if (row.result == JOB_WAITING) {
			decide_row(runner, &row, labels, label_count);
		}
	}
	return is_good;
}

static int64_t moves_of(const struct job_runner *runner)
{
	int64_t moves = 0;

	for (size_t i = 0; i < runner->outcome_count; i++) {
		moves += runner->outcomes[i].moves ? 1 : 0;
	}
	return moves;
}

// --- writing ---

static void end_costing(const struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant)
{
	const struct job_row *job = &runner->job;
	const struct blast_limits limits = store_account_limits(tenant, &runner->account);
	const struct blast_cost cost = {
		.spent = runner->account.spent,
		.present = store_job_present_read(&runner->reading, runner->present_at), .changes = job->changes + moves_of(runner), .approved = job->allowed,
	};
	static const struct text states[] = {
		[JOB_COSTED_PREVIEWED] = TEXT("previewed"), [JOB_COSTED_SCHEDULED] = TEXT("scheduled"), [JOB_COSTED_WAITING] = TEXT("waiting"),
	};
	int64_t allowed;
	const enum job_costed next = job_costed_next(job->kind, job->dry_run, &limits, &cost, &allowed);
	struct rules_row rules = { 0 };

	store_job_costed(t, job, states[next], cost.present, allowed);
	if (next == JOB_COSTED_WAITING) {
		if (pg_row_count(&runner->reading, READ_RULES) == 1) {
			store_rules_read(&runner->reading, READ_RULES, 0, &rules);
		}
		store_job_ask(t, job, store_object_next_id_read(&runner->reading, READ_NUMBER), rules.version, cost.present);
	}
}

static void write_costed(struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant)
{
	store_job_cost(t, &(struct job_progress){ &runner->job, runner->slice_end, runner->outcomes, runner->row_numbers, runner->outcome_count });
	if (runner->slice_end == runner->job.row_count) {
		end_costing(runner, t, tenant);
	}
}

// What a job moves that nobody else was asked about is on the client's account (store/account.h).
static int64_t limit_of(const struct job_runner *runner, const struct tenant_row *tenant)
{
	const struct blast_limits limits = store_account_limits(tenant, &runner->account);

	return blast_limit(&limits, runner->job.present);
}

static void spend(const struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant, int64_t moves)
{
	const struct job_row *job = &runner->job;

	if (job->approval_id == 0 && moves > 0) {
		store_account_spend(t, &(struct account_spending){ job->tenant_id, moves, limit_of(runner, tenant) }, 1, TEXT("job"), job->created_by);
	}
}

static void write_void(const struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant, int64_t strays, struct text one)
{
	const struct job_row *job = &runner->job;
	struct buffer problem CLEANUP(buffer_fini) = BUFFER(PROBLEM_MAX);
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(2 * PROBLEM_MAX);
	struct json_out json = { .out = &detail };

	buffer_add_format(&problem, "%" PRId64 " devices would go elsewhere than was approved, %.*s among them", strays, TEXT_ARGS(one));
	put_object(&json, NULL);
	put_id(&json, "id", job->approval_id);
	put_string(&json, "kind", "job");
	put_text(&json, "problem", buffer_text(&problem));
	put_object_end(&json);
	store_job_void(t, job, buffer_text(&problem));
	(void)store_audit(t, job->created_by, TEXT("approval.void"), tenant->slug, buffer_text(&detail));
}

// At once, however many devices there are: rules and pins are what moves them.
static void write_retired(struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant)
{
	const struct job_row *job = &runner->job;
	struct rules_row rules = { 0 };
	struct instance_use use;

	store_instance_use_read(&runner->reading, runner->use_at, &use);
	if (runner->rules != NULL) {
		store_rules_read(&runner->reading, READ_RULES, 0, &rules);
	}
	store_account_begin(t, job->tenant_id, tenant->change_count);
	store_job_retire(t, job, rules.version, use.is_named && runner->rules_after != NULL ? ruleset_document(runner->rules_after) : TEXT_NONE);
	spend(runner, t, tenant, use.devices);
}

static void write_carried_out(const struct job_runner *runner, struct pg_transaction *t, const struct tenant_row *tenant)
{
	const struct job_row *job = &runner->job;

	store_account_begin(t, job->tenant_id, tenant->change_count);
	store_job_carry_out(t, &(struct job_progress){ job, runner->slice_end, runner->outcomes, runner->row_numbers, runner->outcome_count });
	spend(runner, t, tenant, moves_of(runner));
}

static struct job_case case_of_slice(const struct job_runner *runner, const struct tenant_row *tenant, struct text *unlisted_one)
{
	struct job_case of = case_of(&runner->job);

	of.change_count = tenant->change_count;
	of.spent = runner->account.spent;
	of.limit = limit_of(runner, tenant);
	of.moves = moves_of(runner);
	of.strays = (int64_t)runner->strays;
	if (of.kind == JOB_RETIRE) {
		struct instance_use use;

		store_instance_use_read(&runner->reading, runner->use_at, &use);
		of.in_use = use.devices;
		of.unlisted = store_job_unlisted_read(&runner->reading, runner->unlisted_at, unlisted_one);
	}
	return of;
}

static void write_slice(struct job_runner *runner, const struct tenant_row *tenant)
{
	const struct job_row *job = &runner->job;
	struct pg_transaction *t = &runner->transaction;
	struct text unlisted_one = TEXT_NONE;
	const struct job_case of = case_of_slice(runner, tenant, &unlisted_one);

	pg_transaction_init(t, store_api(job->tenant_id), on_written);
	switch (job_step_next(&of)) {
	case JOB_STEP_COST: write_costed(runner, t, tenant); break;
	case JOB_STEP_BEGIN: store_job_begin(t, job); break;
	case JOB_STEP_CHECK: store_job_checked(t, job, runner->slice_end, tenant->change_count); break;
	case JOB_STEP_CHECK_ANEW: store_job_check_anew(t, job); break;
	case JOB_STEP_VOID:
		write_void(runner, t, tenant, of.strays > 0 ? of.strays : of.unlisted, of.strays > 0 ? runner->stray : unlisted_one);
		break;
	case JOB_STEP_CARRY_OUT: write_carried_out(runner, t, tenant); break;
	case JOB_STEP_RETIRE: write_retired(runner, t, tenant); break;
	case JOB_STEP_COST_AGAIN: store_job_cost_again(t, job); break;
	case JOB_STEP_RETIRE_AGAIN: store_job_retire_again(t, job); break;
	}
	pg_start(t, runner->service->pool, STORE_TIMEOUT_MS);
}

static bool is_still_due(const struct job_runner *runner)
{
	const struct job_row *job = &runner->job;

	return done_of(job) == runner->due[runner->at].after && job_state_of(job->state) != JOB_RESTS;
}

static void on_read(struct op *op)
{
	struct job_runner *runner = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct job_runner, reading);
	struct tenant_row tenant;

	if (op->rc != OK || pg_row_count(&runner->reading, READ_JOB) != 1 || pg_row_count(&runner->reading, READ_TENANT) != 1) {
		note_trouble(runner, op);
		next(runner);
		return;
	}
	store_job_read(&runner->reading, READ_JOB, 0, &runner->job);
	store_tenant_read(&runner->reading, READ_TENANT, 0, &tenant);
	store_account_read(&runner->reading, READ_ACCOUNT, &runner->account);
	if (!is_still_due(runner)) {
		next(runner);
		return;
	}
	if (!decide_slice(runner, &tenant)) {
		runner->has_trouble = true;
		log_event(LOG_ERROR, "job.failed", LOG_INT("job", runner->job.job_id), LOG_STRING("reason", "the stored rules cannot be read"));
		next(runner);
		return;
	}
	write_slice(runner, &tenant);
}

static void on_written(struct op *op)
{
	struct job_runner *runner = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct job_runner, transaction);

	if (op->rc != OK) {
		note_trouble(runner, op);
	} else {
		log_event(LOG_INFO, "job.step", LOG_TEXT("state", runner->job.state), LOG_INT("job", runner->job.job_id),
			LOG_INT("row", runner->slice_end), LOG_INT("of", runner->job.row_count));
		runner->has_progress = true;
		call_hint_workers(runner->service, runner->job.tenant_id);
	}
	pg_transaction_fini(&runner->transaction);
	next(runner);
}

// --- up and down ---

struct job_runner *job_runner_open(struct service *service)
{
	struct job_runner *runner = allocate(sizeof *runner);

	runner->service = service;
	runner->alarm = alarm_start(&service->loop, 0, on_alarm, runner);
	return runner;
}

void job_runner_wake(struct job_runner *runner)
{
	if (runner == NULL) {
		return;
	}
	runner->is_wanted = true;
	if (runner->alarm != NULL) {
		alarm_stop(runner->alarm);
		runner->alarm = alarm_start(&runner->service->loop, 0, on_alarm, runner);
	}
}

void job_runner_close(struct job_runner *runner)
{
	runner->is_closed = true;
	if (runner->alarm != NULL) {
		alarm_stop(runner->alarm);
		free(runner);
	}
}
