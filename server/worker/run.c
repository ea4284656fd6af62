// SPDX-License-Identifier: Apache-2.0
#include "worker/run_inner.h"

#include "depbroker/log.h"
#include "worker/routing.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS_MAX = 5, ROUNDS_MAX = 3, LOOK_AGAIN_MS = 1000, SUSPECT_ALONE_MS = 60000 };

static void begin(struct run *run);

// --- completions ---

void run_on_transaction(struct op *op)
{
	run_step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct run, transaction));
}

static void on_flow(struct op *op)
{
	run_step(CONTAINER_OF(op, struct flow, op)->owner);
}

void run_on_written(struct op *op)
{
	run_step(CONTAINER_OF(op, struct fenced_write, op)->owner);
}

void run_on_progress(struct flow *flow)
{
	struct run *run = flow->owner;

	delivery_poke(&run->delivery, flow->changes.events, flow->changes.event_count);
}

static bool waits(const struct run *run)
{
	return run->state == RUN_WAITING || run->state == RUN_DRAINING;
}

void run_on_idle(struct delivery *delivery)
{
	struct run *run = delivery->owner;

	if (waits(run)) {
		delay_stop(&run->tick);
		run_step(run);
	}
}

static void on_tick(struct delay *tick)
{
	struct run *run = CONTAINER_OF(tick, struct run, tick);

	if (waits(run)) {
		run_step(run);
	}
}

// --- what is due ---

bool run_is_requested(const struct run *run)
{
	return run->tenant.due.sync_requests > run->tenant.stream.sync_requests_done ||
		run->tenant.due.full_requests > run->tenant.stream.full_requests_done;
}

static bool is_sync_time(const struct run *run)
{
	return tenant_now_us(&run->tenant) >= run->tenant.stream.sync_next_at_us;
}

// After a refusal Apple is left alone until the time that was decided then.
bool run_may_ask_apple(const struct run *run)
{
	switch (run->tenant.reason) {
	case SYNC_REASON_NONE:
	case SYNC_REASON_UP_TO_DATE:
	case SYNC_REASON_STUCK_CURSOR:
	case SYNC_REASON_EXHAUSTED_CURSOR:
	case SYNC_REASON_PAGE_LIMIT:
	case SYNC_REASON_INTERRUPTED: return run->tenant.has_token;
	case SYNC_REASON_CURSOR_LOST_TWICE:
	case SYNC_REASON_TERMS:
	case SYNC_REASON_TOKEN_DEAD:
	case SYNC_REASON_IDENTITY:
	case SYNC_REASON_THROTTLED:
	case SYNC_REASON_BACKOFF:
	case SYNC_REASON_HELD_BACK: break;
	}
	return run->tenant.has_token && (run_is_requested(run) || is_sync_time(run));
}

// A device of the former server that this one does not have would be removed one by one, and no brake would see it.
bool run_may_assign(const struct run *run)
{
	return run_may_ask_apple(run) && !run->tenant.stream.is_other_server;
}

static bool is_proven(const struct run *run)
{
	return identity_is_proven(&run->tenant);
}

static bool must_sync(const struct run *run)
{
	return run->tenant.has_token && (run_is_requested(run) || is_sync_time(run));
}

static bool must_verify(const struct run *run)
{
	return !run->process->stopping && pending_is_due(&run->tenant);
}

static bool goes_on(const struct run *run)
{
	return run->failure == OK && !run->process->stopping && !run->stopped && run->tenant.is_active && !run->asked_for;
}

// --- the steps ---

static void start_flow(struct flow *flow)
{
	flow_start(flow, on_flow);
}

static bool is_trouble_of_service(enum err rc)
{
	return rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_BAD_ANSWER || rc == ERR_BUDGET ||
		rc == ERR_HELD_BACK;
}

// Not what Apple says against one request; and a definition that fails says nothing about the list of devices, which has its own
// word about when Apple is asked again.
static bool concerns_the_client(const struct run *run, const struct flow *flow)
{
	return flow->failure != OK && flow->failure != ERR_REFUSED && flow->failure != ERR_PROFILE_GONE &&
		!((flow == &run->replacement.flow || flow == &run->drift.flow) && is_trouble_of_service(flow->failure));
}

// A call of another flow than the sync failed: the client waits as after a failed sync.
static void take_flow_result(struct run *run, const struct flow *flow)
{
	struct tenant *tenant = &run->tenant;
	struct sync_run machine = { .state = tenant->stream.sync, .settings = tenant->settings };
	struct sync_decision decision;

	if (flow->op.rc != OK) {
		run->failure = flow->op.rc;
		log_event(LOG_WARNING, "run.interrupted", LOG_STRING("tenant", tenant->slug), LOG_STRING("error", err_name(flow->op.rc)),
			LOG_STRING("reason", flow->op.fault.text));
		return;
	}
	if (flow == &run->sync.flow || !concerns_the_client(run, flow)) {
		return;
	}
	decision = sync_failed(&machine, flow->failure, flow->retry_after_s, tenant_occasion(tenant));
	if (decision.action == SYNC_WAIT) {
		tenant->stream.sync = machine.state;
		tenant->stream.sync_next_at_us = decision.wait_until_us;
		tenant->reason = decision.reason;
		run->retry_at_us = decision.wait_until_us; // also when a sync of this run works and waits for longer
	}
}

// A token that was taken has changed what was loaded.
static void take_verification(struct run *run)
{
	if (run->pending.taken) {
		run->failure = ERR_FENCED;
	} else {
		take_flow_result(run, &run->pending.flow);
	}
}

static void wait_for_deliveries(struct run *run)
{
	run->tenant.process->telling_count++;
	delay_start(&run->tick, LOOK_AGAIN_MS);
}

static void look_for_requests(struct run *run)
{
	run_begin_transaction(run);
	(void)store_due_select(&run->transaction, run->tenant.due.tenant_id);
	run_start_transaction(run);
}

static void take_requests(struct run *run)
{
	struct due_row due;

	if (run->transaction.op.rc == OK && pg_row_count(&run->transaction, 0) == 1) {
		store_due_read(&run->transaction, 0, 0, &due);
		run->asked_for = due.wake != run->tenant.due.wake || due.sync_requests != run->tenant.due.sync_requests ||
			due.full_requests != run->tenant.due.full_requests;
	}
}

// A profile that Apple lost, or has otherwise than it was meant, is defined anew, and assigned; a session that Apple forgot is replaced;
// devices about which something came out are decided about. A few times in a run.
static bool must_go_round(struct run *run)
{
	const bool lost = run->assign.profile_lost || !routing_is_current(&run->tenant) || run->plan.flow.session_lost || run->assign.flow.session_lost ||
		run->replacement.flow.session_lost || run->drift.flow.session_lost || run->job.flow.session_lost;

	run->assign.profile_lost = false;
	run->plan.flow.session_lost = false;
	run->assign.flow.session_lost = false;
	run->replacement.flow.session_lost = false;
	run->drift.flow.session_lost = false;
	run->job.flow.session_lost = false;
	return goes_on(run) && lost && ++run->rounds < ROUNDS_MAX;
}

// --- what people are told ---

static bool must_tell(struct run *run)
{
	return tell_prepare(&run->tell, &run->tenant);
}

static void build_told(struct fenced_write *write, struct pg_transaction *t)
{
	struct run *run = write->owner;

	tell_build(&run->tell, &run->tenant, t);
}

static void tell(struct run *run)
{
	fenced_write_prepare(&run->write, run);
	run->write.build = build_told;
	run->write.events = (int64_t)run->tell.event_count;
	fenced_write_start(&run->write, run_on_written);
}

static enum err was_told(struct run *run)
{
	if (run->write.op.rc == OK) {
		tell_done(&run->tell, &run->tenant);
	}
	return run->write.op.rc;
}

// --- the end ---

static void on_all_closed(struct run *run)
{
	struct worker_process *process = run->process;
	const bool is_due_again = run->was_hinted_at || run->asked_for;
	struct run *next = run->next;

	list_remove(&run->link);
	process->run_count--;
	free(run);
	if (next != NULL) {
		begin(next);
	}
	process->run_ended(process, is_due_again);
}

static void on_write_closed(struct fenced_write *write)
{
	struct run *run = CONTAINER_OF(write, struct run, write);

	if (--run->closing == 0) {
		on_all_closed(run);
	}
}

static void on_tick_closed(struct delay *tick)
{
	struct run *run = CONTAINER_OF(tick, struct run, tick);

	if (--run->closing == 0) {
		on_all_closed(run);
	}
}

static void end(struct run *run)
{
	run_close_flows(run);
	run->state = RUN_IDLE;
	run->closing = 2;
	fenced_write_close(&run->write, on_write_closed);
	delay_close(&run->tick, on_tick_closed);
}

// --- the run ---

void run_step(struct run *run)
{
	switch (run->state) {
	case RUN_IDLE:
		do {
			if (!run_is_loaded_already(run)) {
				AWAIT(run, RUN_LOADING, run_load(run));
				if (run->tenant.is_hinted && !run_take_hinted(run)) {
					break;
				}
				if (run_must_load_whole(run)) {
					AWAIT(run, RUN_LOADING_WHOLE, run_load_whole(run));
				}
				run->failure = run_take_loaded(run);
				if (run->failure == ERR_FENCED) {
					AWAIT(run, RUN_HANDING_OVER, run_hand_over(run));
					break;
				}
			}
			if (run->failure != OK) {
				break;
			}
			if (must_verify(run)) {
				AWAIT(run, RUN_VERIFYING, start_flow(&run->pending.flow));
				take_verification(run);
			}
			if (goes_on(run)) {
				delivery_begin(&run->delivery);
			}
			if (goes_on(run) && run->tenant.enrolments.heard) {
				AWAIT(run, RUN_HEARING, start_flow(&run->enrolment.flow));
				take_flow_result(run, &run->enrolment.flow);
			}
			do {
				do {
					if (goes_on(run) && plan_must_run(&run->tenant)) {
						AWAIT(run, RUN_PLANNING, start_flow(&run->plan.flow));
						take_flow_result(run, &run->plan.flow);
					}
					if (goes_on(run) && must_sync(run)) {
						AWAIT(run, RUN_SYNCING, start_flow(&run->sync.flow));
						take_flow_result(run, &run->sync.flow);
					}
					if (goes_on(run) && run_may_ask_apple(run) && !is_proven(run)) {
						AWAIT(run, RUN_PROVING_TO_ASSIGN, start_flow(&run->identity.flow));
						take_flow_result(run, &run->identity.flow);
					}
					if (goes_on(run) && run_may_assign(run) && is_proven(run)) {
						AWAIT(run, RUN_ASSIGNING, start_flow(&run->assign.flow));
						take_flow_result(run, &run->assign.flow);
					}
					if (goes_on(run) && run_may_ask_apple(run) && is_proven(run) && run->tenant.has_asked_jobs && routing_is_current(&run->tenant)) {
						AWAIT(run, RUN_DOING_JOBS, start_flow(&run->job.flow));
						take_flow_result(run, &run->job.flow);
					}
					if (goes_on(run) && run_may_ask_apple(run) && is_proven(run) && replacement_must_ask(&run->tenant)) {
						AWAIT(run, RUN_RESOLVING, start_flow(&run->replacement.flow));
						take_flow_result(run, &run->replacement.flow);
					}
					if (goes_on(run) && run_may_ask_apple(run) && is_proven(run) && drift_must_compare(&run->tenant)) {
						AWAIT(run, RUN_COMPARING, start_flow(&run->drift.flow));
						take_flow_result(run, &run->drift.flow);
					}
				} while (must_go_round(run));
				if (goes_on(run) && run->tenant.enrolments.unsettled) {
					run->tenant.enrolments.unsettled = false;
					AWAIT(run, RUN_SETTLING, start_flow(&run->enrolment.flow));
					take_flow_result(run, &run->enrolment.flow);
				}
				if (goes_on(run) && delivery_is_busy(&run->delivery)) {
					AWAIT(run, RUN_WAITING, wait_for_deliveries(run));
					run->tenant.process->telling_count--;
				}
				if (goes_on(run) && delivery_is_busy(&run->delivery)) {
					AWAIT(run, RUN_LOOKING, look_for_requests(run));
					take_requests(run);
					delivery_begin(&run->delivery);
				}
			} while (goes_on(run) && delivery_is_busy(&run->delivery));
			delivery_stop(&run->delivery);
			while (delivery_is_busy(&run->delivery)) {
				AWAIT(run, RUN_DRAINING, wait_for_deliveries(run));
				run->tenant.process->telling_count--;
			}
			if (run->failure == OK && must_tell(run)) {
				AWAIT(run, RUN_TELLING, tell(run));
				run->failure = was_told(run);
			}
			if (run->failure == OK && run_must_read_end(run)) {
				AWAIT(run, RUN_READING_END, run_read_end(run));
				run_take_end(run);
			}
			if (run->failure == OK) {
				AWAIT(run, RUN_FINISHING, run_finish(run));
				run->failure = run->write.op.rc;
			}
			if (run->failure == OK) {
				run_log_end(run);
				break;
			}
			run_close_flows(run);
		} while (run->loads < LOADS_MAX && !run->process->stopping);
		end(run);
		return;
	}
}

static struct run *find_run(const struct worker_process *process, int64_t tenant_id)
{
	LIST_EACH(at, after, &process->runs) {
		struct run *run = CONTAINER_OF(at, struct run, link);

		if (run->tenant.due.tenant_id == tenant_id) {
			return run;
		}
	}
	return NULL;
}

// One that does anything else compares `wake` when it ends.
bool run_look(struct worker_process *process, int64_t tenant_id)
{
	struct run *run = find_run(process, tenant_id);

	if (run != NULL && run->state == RUN_WAITING) {
		delay_start(&run->tick, 0);
	}
	if (run != NULL && run->state == RUN_FINISHING) {
		quiet_ends_hurry(&process->ends);
	}
	if (run != NULL) {
		run->was_hinted_at = true;
	}
	return run != NULL;
}

bool run_has_suspect(const struct worker_process *process)
{
	LIST_EACH(at, after, &process->runs) {
		const struct run *run = CONTAINER_OF(at, struct run, link);

		if (run->tenant.due.is_suspect && clock_monotonic_ms() - run->started_at_ms < SUSPECT_ALONE_MS) {
			return true;
		}
	}
	return false;
}

static struct run *make(struct worker_process *process, const struct due_row *due)
{
	struct run *run = reallocate(NULL, sizeof *run);

	memset(run, 0, offsetof(struct run, pending));
	run->process = process;
	tenant_init(&run->tenant, process, &run->write, due);
	return run;
}

static void begin(struct run *run)
{
	struct worker_process *process = run->process;

	run->started_at_ms = clock_monotonic_ms();
	process->run_count++;
	list_add_last(&process->runs, &run->link);
	fenced_write_init(&run->write, &run->tenant);
	delay_init(&run->tick, &process->loop, on_tick);
	run_step(run);
}

// A run that has yet to see whether it may take the client, or that has given it back as far as it knows: the claim is another run's. To any
// other one it says nothing: a client in a long run is due, and claimed, again and again.
static bool is_another_ones(const struct run *run)
{
	return run->tenant.is_hinted || run->state == RUN_FINISHING || run->state == RUN_IDLE;
}

void run_start(struct worker_process *process, const struct due_row *due, const struct stream_row *taken)
{
	struct run *run = find_run(process, due->tenant_id);

	if (run == NULL) {
		run = make(process, due);
		run->taken = taken;
		begin(run);
	} else if (run->next == NULL && is_another_ones(run)) {
		run->next = make(process, due);
	}
}

void run_start_hinted(struct worker_process *process, int64_t tenant_id)
{
	if (find_run(process, tenant_id) == NULL) {
		struct run *run = make(process, &(struct due_row){ .tenant_id = tenant_id });

		run->tenant.is_hinted = true;
		begin(run);
	}
}

void run_stop_all(struct worker_process *process)
{
	process->stopping = true;
	quiet_ends_hurry(&process->ends);
	LIST_EACH(at, after, &process->runs) {
		struct run *run = CONTAINER_OF(at, struct run, link);

		if (run->flows_are_open) {
			run->stopped = true;
			apple_call_cancel(&run->pending.flow.call);
			apple_call_cancel(&run->identity.flow.call);
			apple_call_cancel(&run->sync.flow.call);
			apple_call_cancel(&run->plan.flow.call);
			apple_call_cancel(&run->assign.flow.call);
			apple_call_cancel(&run->replacement.flow.call);
			apple_call_cancel(&run->drift.flow.call);
			delivery_stop(&run->delivery);
		}
		if (waits(run)) {
			delay_start(&run->tick, 0);
		}
	}
}
