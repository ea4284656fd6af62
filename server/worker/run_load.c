// SPDX-License-Identifier: Apache-2.0
//
// How a run comes to its client, and lets go of it.
#include "worker/run_inner.h"

#include "depbroker/log.h"

void run_begin_transaction(struct run *run)
{
	if (run->transaction_is_open) {
		pg_transaction_fini(&run->transaction);
	}
	run->transaction_is_open = true;
	pg_transaction_init(&run->transaction, store_worker(run->tenant.due.tenant_id), run_on_transaction);
}

void run_start_transaction(struct run *run)
{
	pg_start(&run->transaction, run->process->pool, STORE_TIMEOUT_MS);
}

static void start_loading(struct run *run)
{
	if (run->tenant.is_hinted) {
		run->due_at = store_due_select(&run->transaction, run->tenant.due.tenant_id);
	}
	store_commit_lazily(&run->transaction); // lost, it is as if it had not been taken: the next write says so
	run_start_transaction(run);
}

void run_load_whole(struct run *run)
{
	run->goes_by_kept = false;
	run_begin_transaction(run);
	tenant_load_add(&run->tenant, &run->transaction);
	start_loading(run);
}

void run_load(struct run *run)
{
	run->loads++;
	run_begin_transaction(run);
	run->goes_by_kept = tenant_load_add_kept(&run->tenant, &run->transaction);
	if (run->goes_by_kept) {
		start_loading(run);
	} else {
		run_load_whole(run);
	}
}

// What was kept does not hold any more.
bool run_must_load_whole(const struct run *run)
{
	return run->goes_by_kept && run->transaction.op.rc == OK && tenant_load_is_outdated(&run->tenant, &run->transaction);
}

void run_hand_over(struct run *run)
{
	run_begin_transaction(run);
	store_due_hand_over(&run->transaction, run->tenant.due.tenant_id, text_of(run->process->node_id));
	run_start_transaction(run);
}

static void open_flow(struct run *run, struct flow *flow)
{
	flow->owner = run;
	flow->progress = run_on_progress;
}

static void open_flows(struct run *run)
{
	pending_flow_init(&run->pending, &run->tenant);
	identity_flow_init(&run->identity, &run->tenant);
	sync_flow_init(&run->sync, &run->tenant);
	plan_flow_init(&run->plan, &run->tenant);
	assign_flow_init(&run->assign, &run->tenant);
	replacement_flow_init(&run->replacement, &run->tenant);
	job_flow_init(&run->job, &run->tenant);
	drift_flow_init(&run->drift, &run->tenant);
	enrolment_flow_init(&run->enrolment, &run->tenant);
	open_flow(run, &run->identity.flow);
	open_flow(run, &run->pending.flow);
	open_flow(run, &run->sync.flow);
	open_flow(run, &run->plan.flow);
	open_flow(run, &run->assign.flow);
	open_flow(run, &run->replacement.flow);
	open_flow(run, &run->job.flow);
	open_flow(run, &run->drift.flow);
	open_flow(run, &run->enrolment.flow);
	delivery_init(&run->delivery, &run->tenant, run_on_idle, run);
	run->flows_are_open = true;
	run->failure = OK;
	run->stopped = false;
	run->asked_for = false;
	run->retry_at_us = INSTANT_NONE;
	run->rounds = 0;
}

void run_close_flows(struct run *run)
{
	if (run->flows_are_open) {
		run->flows_are_open = false;
		delivery_fini(&run->delivery);
		drift_flow_fini(&run->drift);
		job_flow_fini(&run->job);
		enrolment_flow_fini(&run->enrolment);
		replacement_flow_fini(&run->replacement);
		assign_flow_fini(&run->assign);
		plan_flow_fini(&run->plan);
		sync_flow_fini(&run->sync);
		pending_flow_fini(&run->pending);
		identity_flow_fini(&run->identity);
	}
	if (run->transaction_is_open) {
		run->transaction_is_open = false;
		pg_transaction_fini(&run->transaction);
	}
	tenant_clear(&run->tenant);
}

// False: there is nothing to do, or somebody else does it.
bool run_take_hinted(struct run *run)
{
	struct due_row due;

	if (run->transaction.op.rc != OK || pg_row_count(&run->transaction, 0) != 1 || pg_row_count(&run->transaction, run->due_at) != 1) {
		run->process->hint_missed_at_ms = clock_monotonic_ms();
		return false;
	}
	store_due_read(&run->transaction, run->due_at, 0, &due);
	tenant_set_due(&run->tenant, &due);
	run->tenant.is_hinted = false;
	log_event(LOG_DEBUG, "run.hinted", LOG_STRING("tenant", run->tenant.slug));
	return true;
}

static enum err begin_loaded(struct run *run, enum err rc, const struct fault *fault)
{
	if (rc == OK) {
		open_flows(run);
		run->assign.asks_at_once = run_is_requested(run);
		return OK;
	}
	log_event(rc == ERR_FENCED ? LOG_INFO : LOG_ERROR, "run.not_loaded", LOG_STRING("tenant", run->tenant.slug),
		LOG_STRING("error", err_name(rc)), LOG_STRING("reason", fault->text));
	return rc;
}

// Otherwise somebody else has the client (ERR_FENCED), or it cannot be loaded, which the log says.
enum err run_take_loaded(struct run *run)
{
	struct fault fault = run->transaction.op.fault;
	enum err rc = run->transaction.op.rc;

	if (rc == OK) {
		rc = (run->goes_by_kept ? tenant_load_read_kept : tenant_load_read)(&run->tenant, &run->transaction, &fault);
	}
	return begin_loaded(run, rc, &fault);
}

// Taken with its claim, and nothing has changed since it was read: there is nothing to be asked for.
bool run_is_loaded_already(struct run *run)
{
	const struct stream_row *taken = run->taken;
	struct fault fault;

	run->taken = NULL;
	if (taken == NULL || !tenant_load_kept_holds(&run->tenant, taken)) {
		return false;
	}
	run->loads++;
	run->goes_by_kept = true;
	run->failure = begin_loaded(run, tenant_load_read_taken(&run->tenant, taken, &fault), &fault);
	return true;
}
