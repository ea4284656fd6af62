// SPDX-License-Identifier: Apache-2.0
#include "worker/run.h"

#include "depbroker/log.h"
#include "store/alerts.h"
#include "worker/assign_flow.h"
#include "store/expected.h"
#include "worker/delivery.h"
#include "worker/drift_flow.h"
#include "worker/enrolment_flow.h"
#include "worker/identity.h"
#include "worker/job_flow.h"
#include "worker/pending_flow.h"
#include "worker/plan_flow.h"
#include "worker/replacement_flow.h"
#include "worker/sync_flow.h"
#include "worker/routing.h"
#include "worker/tell.h"
#include "worker/wanted_profile.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS_MAX = 5, ROUNDS_MAX = 3, LOOK_AGAIN_MS = 1000, SUSPECT_ALONE_MS = 60000 };

struct run {
	struct list link;
	struct worker_process *process;
	struct tenant tenant;
	struct fenced_write write;
	struct delay tick; // while deliveries are waited for
	struct pg_transaction transaction;
	bool transaction_is_open;
	const struct stream_row *taken; // with the claim, of which this is the answer; NULL from the first step on
	bool goes_by_kept; // `transaction` does not read the client: what is kept may do
	unsigned due_at; // in `transaction`, of a hinted client: its due row

	struct tenant_status_row status; // as the end of the run writes it
	bool flows_are_open;

	enum run_state {
		RUN_IDLE, RUN_LOADING, RUN_LOADING_WHOLE, RUN_HANDING_OVER, RUN_VERIFYING, RUN_HEARING, RUN_PLANNING, RUN_SYNCING, RUN_PROVING_TO_ASSIGN,
		RUN_ASSIGNING, RUN_DOING_JOBS, RUN_RESOLVING, RUN_COMPARING, RUN_SETTLING, RUN_WAITING, RUN_LOOKING, RUN_DRAINING, RUN_TELLING, RUN_READING_END, RUN_FINISHING,
	} state;
	int64_t started_at_ms;
	int loads;
	int rounds;       // of plan, sync and assign with what was loaded
	int64_t retry_at_us; // of what planning or assigning could not do
	bool stopped;     // its calls and deliveries: the process lost touch with the database, which it may have found again since
	bool was_hinted_at; // since it began
	struct run *next; // the client's next one, which begins when this one has ended: it was claimed meanwhile
	bool asked_for;   // something else came up meanwhile: end, to begin anew
	enum err failure; // of the database: what was loaded is not to be relied on any more
	unsigned closing;

	// Set up by open_flows and by whoever tells, and not before: this is most of it
	struct pending_flow pending;
	struct identity_flow identity;
	struct sync_flow sync;
	struct plan_flow plan;
	struct assign_flow assign;
	struct replacement_flow replacement;
	struct job_flow job;
	struct drift_flow drift;
	struct enrolment_flow enrolment;
	struct delivery delivery;
	struct tell tell;
};

static void step(struct run *run);
static void begin(struct run *run);

// --- completions ---

static void on_transaction(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct run, transaction));
}

static void on_flow(struct op *op)
{
	step(CONTAINER_OF(op, struct flow, op)->owner);
}

static void on_written(struct op *op)
{
	step(CONTAINER_OF(op, struct fenced_write, op)->owner);
}

static void on_progress(struct flow *flow)
{
	struct run *run = flow->owner;

	delivery_poke(&run->delivery, flow->changes.events, flow->changes.event_count);
}

static bool waits(const struct run *run)
{
	return run->state == RUN_WAITING || run->state == RUN_DRAINING;
}

static void on_idle(struct delivery *delivery)
{
	struct run *run = delivery->owner;

	if (waits(run)) {
		delay_stop(&run->tick);
		step(run);
	}
}

static void on_tick(struct delay *tick)
{
	struct run *run = CONTAINER_OF(tick, struct run, tick);

	if (waits(run)) {
		step(run);
	}
}

// --- loading ---

static void begin_transaction(struct run *run)
{
	if (run->transaction_is_open) {
		pg_transaction_fini(&run->transaction);
	}
	run->transaction_is_open = true;
	pg_transaction_init(&run->transaction, store_worker(run->tenant.due.tenant_id), on_transaction);
}

static void start_transaction(struct run *run)
{
	pg_start(&run->transaction, run->process->pool, STORE_TIMEOUT_MS);
}

static void start_loading(struct run *run)
{
	if (run->tenant.is_hinted) {
		run->due_at = store_due_select(&run->transaction, run->tenant.due.tenant_id);
	}
	store_commit_lazily(&run->transaction); // lost, it is as if it had not been taken: the next write says so
	start_transaction(run);
}

static void load_whole(struct run *run)
{
	run->goes_by_kept = false;
	begin_transaction(run);
	tenant_load_add(&run->tenant, &run->transaction);
	start_loading(run);
}

static void load(struct run *run)
{
	run->loads++;
	begin_transaction(run);
	run->goes_by_kept = tenant_load_add_kept(&run->tenant, &run->transaction);
	if (run->goes_by_kept) {
		start_loading(run);
	} else {
		load_whole(run);
	}
}

// What was kept does not hold any more.
static bool must_load_whole(const struct run *run)
{
	return run->goes_by_kept && run->transaction.op.rc == OK && tenant_load_is_outdated(&run->tenant, &run->transaction);
}

static void hand_over(struct run *run)
{
	begin_transaction(run);
	store_due_hand_over(&run->transaction, run->tenant.due.tenant_id, text_of(run->process->node_id));
	start_transaction(run);
}

static void open_flow(struct run *run, struct flow *flow)
{
	flow->owner = run;
	flow->progress = on_progress;
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
	delivery_init(&run->delivery, &run->tenant, on_idle, run);
	run->flows_are_open = true;
	run->failure = OK;
	run->stopped = false;
	run->asked_for = false;
	run->retry_at_us = INSTANT_NONE;
	run->rounds = 0;
}

static void close_flows(struct run *run)
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
static bool take_hinted(struct run *run)
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

static bool is_requested(const struct run *run)
{
	return run->tenant.due.sync_requests > run->tenant.stream.sync_requests_done ||
		run->tenant.due.full_requests > run->tenant.stream.full_requests_done;
}

static enum err begin_loaded(struct run *run, enum err rc, const struct fault *fault)
{
	if (rc == OK) {
		open_flows(run);
		run->assign.asks_at_once = is_requested(run);
		return OK;
	}
	log_event(rc == ERR_FENCED ? LOG_INFO : LOG_ERROR, "run.not_loaded", LOG_STRING("tenant", run->tenant.slug),
		LOG_STRING("error", err_name(rc)), LOG_STRING("reason", fault->text));
	return rc;
}

// Otherwise somebody else has the client (ERR_FENCED), or it cannot be loaded, which the log says.
static enum err take_loaded(struct run *run)
{
	struct fault fault = run->transaction.op.fault;
	enum err rc = run->transaction.op.rc;

	if (rc == OK) {
		rc = (run->goes_by_kept ? tenant_load_read_kept : tenant_load_read)(&run->tenant, &run->transaction, &fault);
	}
	return begin_loaded(run, rc, &fault);
}

// Taken with its claim, and nothing has changed since it was read: there is nothing to be asked for.
static bool is_loaded_already(struct run *run)
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

// --- what is due ---

static bool is_sync_time(const struct run *run)
{
	return tenant_now_us(&run->tenant) >= run->tenant.stream.sync_next_at_us;
}

// After a refusal Apple is left alone until the time that was decided then.
static bool may_ask_apple(const struct run *run)
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
	return run->tenant.has_token && (is_requested(run) || is_sync_time(run));
}

// A device of the former server that this one does not have would be removed one by one, and no brake would see it.
static bool may_assign(const struct run *run)
{
	return may_ask_apple(run) && !run->tenant.stream.is_other_server;
}

static bool is_proven(const struct run *run)
{
	return identity_is_proven(&run->tenant);
}

static bool must_sync(const struct run *run)
{
	return run->tenant.has_token && (is_requested(run) || is_sync_time(run));
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
	begin_transaction(run);
	(void)store_due_select(&run->transaction, run->tenant.due.tenant_id);
	start_transaction(run);
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
	fenced_write_start(&run->write, on_written);
}

static enum err was_told(struct run *run)
{
	if (run->write.op.rc == OK) {
		tell_done(&run->tell, &run->tenant);
	}
	return run->write.op.rc;
}

// --- the end ---

static void read_end(struct run *run)
{
	begin_transaction(run);
	(void)store_device_next_assign(&run->transaction, run->tenant.due.tenant_id);
	start_transaction(run);
}

// Only writes of this run change when devices are to be assigned, for as long as it owns the client.
static bool must_read_end(const struct run *run)
{
	return run->tenant.stream.write_seq != run->tenant.next_assign_seq;
}

static void take_end(struct run *run)
{
	run->failure = run->transaction.op.rc;
	if (run->failure == OK) {
		run->tenant.next_assign_us = store_device_next_assign_read(&run->transaction, 0);
		run->tenant.next_assign_seq = run->tenant.stream.write_seq;
	}
}

static void earlier(int64_t *due_us, int64_t at_us)
{
	if (at_us != INSTANT_NONE && at_us < *due_us) {
		*due_us = at_us;
	}
}

static int64_t due_at(const struct run *run)
{
	const struct tenant *tenant = &run->tenant;
	const int64_t now_us = tenant_now_us(tenant);
	int64_t due_us = now_us + DAY_S * SECOND_US;
	int64_t assign_us = tenant->next_assign_us;

	if (run->process->stopping || run->stopped) {
		return now_us; // another process goes on at once
	}
	if (tenant->has_pending) {
		earlier(&due_us, tenant->pending.next_try_at_us);
	}
	earlier(&due_us, tenant->enrolments.next_due_us);
	earlier(&due_us, token_next_threshold_us(&tenant->token_facts, now_us));
	if (!tenant->is_active) {
		return due_us > now_us + SECOND_US ? due_us : now_us + SECOND_US;
	}
	if (tenant->has_token) {
		earlier(&due_us, tenant->stream.sync_next_at_us);
		if (assign_us != INSTANT_NONE && !may_assign(run) && assign_us < tenant->stream.sync_next_at_us) {
			assign_us = tenant->stream.sync_next_at_us;
		}
		earlier(&due_us, assign_us);
		if (replacement_must_ask_later(tenant) && may_ask_apple(run)) {
			earlier(&due_us, tenant->stream.replacement_due_us);
		}
		if (may_ask_apple(run)) {
			earlier(&due_us, drift_compare_at_us(tenant));
		}
	}
	if (tenant->has_reroutes) {
		due_us = now_us;
	}
	earlier(&due_us, run->retry_at_us);
	earlier(&due_us, delivery_next_try_us(&run->delivery));
	return due_us > now_us + SECOND_US ? due_us : now_us + SECOND_US;
}

static bool session_is_new(const struct tenant *tenant)
{
	return identity_is_proven(tenant) && tenant->session.generation != tenant->session_generation;
}

static void put_session(const struct tenant *tenant, struct pg_transaction *t)
{
	const struct seal_binding binding = {
		.kind = SECRET_APPLE_SESSION,
		.tenant_id = tenant->due.tenant_id,
		.data_key_version = tenant->data_key.version,
		.object_id = tenant->token_id,
		.secret_version = tenant->session_version + 1,
	};
	struct sealed sealed;

	seal(&sealed, &tenant->data_key, &binding, text_of(tenant->session.token));
	store_secret_put(t, &binding, &sealed);
	sealed_fini(&sealed);
}

static struct tenant_status_row status_of(const struct tenant *tenant)
{
	return (struct tenant_status_row){
		.token_state = tenant->has_token ? tell_token_state(tenant) : TEXT_NONE,
		.token_word = text_of(tenant->apple_error),
		.sync_phase = tenant->stream.sync.phase == SYNC_PHASE_FETCH ? TEXT("fetch") : TEXT("changes"),
		.sync_reason = text_of(sync_reason_name(tenant->reason)),
		.sync_error = text_of(tenant->error_text),
		.synced_at_us = tenant->stream.synced_at_us,
		.sync_next_at_us = tenant->has_token ? tenant->stream.sync_next_at_us : INSTANT_NONE,
		.event_seq = tenant->stream.event_seq,
		.profile_unusable = wanted_profile_unusable(tenant) != NULL,
	};
}

static bool was_quiet(const struct tenant *tenant)
{
	return !tenant->counts_changed && !tenant->events_wait && tenant->stream.write_seq == tenant->loaded_write_seq;
}

static bool must_review_expected(const struct tenant *tenant)
{
	const struct enrolment_work *enrolments = &tenant->enrolments;

	return enrolments->expects && (enrolments->list_is_new || enrolments->reviewed_seq != tenant->stream.event_seq);
}

// By its end, what the next one reads when it begins.
static bool end_changes_load(const struct run *run)
{
	const struct tenant *tenant = &run->tenant;

	return must_review_expected(tenant) || session_is_new(tenant) ||
		(run->status.token_state.length > 0 && !text_equal(run->status.token_state, tenant->token_state));
}

static void build_end(struct fenced_write *write, struct pg_transaction *t)
{
	const struct run *run = write->owner;
	const struct tenant *tenant = &run->tenant;

	if (write->status == NULL) {
		(void)store_tenant_status_run(t, tenant->due.tenant_id, &run->status, tenant->must_count);
	}
	if (tenant->alerts_are_open && !run->goes_by_kept) { // once in a while is enough: they stay open
		(void)store_alerts_seen(t, tenant->due.tenant_id);
	}
	if (must_review_expected(tenant)) {
		store_expected_review(t, tenant->due.tenant_id, tenant->stream.event_seq);
	}
	if (session_is_new(tenant)) {
		put_session(tenant, t);
	}
}

static bool has_failed(const struct run *run)
{
	return run->identity.flow.failure != OK || run->plan.flow.failure != OK || run->sync.flow.failure != OK ||
		run->assign.flow.failure != OK || run->assign.definition_failed;
}

// A run that only delivered, or waits for a profile that could not be defined, does not know whether the last error is over.
static bool has_asked_apple(const struct run *run)
{
	return run->tenant.stream.run_pages > 0 || run->tenant.counts_changed;
}

static bool is_same_but_for_its_times(const struct stream_row *next, const struct stream_row *loaded)
{
	const struct sync_state *sync = &next->sync, *before = &loaded->sync;

	return sync->has_cursor && sync->phase == before->phase && sync->generation == before->generation &&
		sync->fetch_started_at_us == before->fetch_started_at_us && sync->fetch_completed_at_us == before->fetch_completed_at_us &&
		sync->full_due_at_us == before->full_due_at_us && sync->stuck_runs == before->stuck_runs &&
		sync->exhausted_runs == before->exhausted_runs && sync->failures == before->failures &&
		next->sync_requests_done == loaded->sync_requests_done && next->full_requests_done == loaded->full_requests_done &&
		next->profile_needed == loaded->profile_needed && next->replacement_due_us == loaded->replacement_due_us &&
		next->run_started_at_us == loaded->run_started_at_us;
}

// Nothing but what store_streams_end_quietly tells is to be written, and nobody waits for it.
static bool may_gather(const struct run *run)
{
	const struct tenant *tenant = &run->tenant;

	return run->goes_by_kept && run->write.status != NULL && !run->write.load_changes && !run->was_hinted_at && !run->process->stopping &&
		tenant->reason == tenant->loaded_reason && !tenant->loaded_error && tenant->error_text[0] == '\0' && tenant->apple_error[0] == '\0' &&
		is_same_but_for_its_times(run->write.next, &tenant->loaded);
}

static void finish(struct run *run)
{
	struct tenant *tenant = &run->tenant;
	struct stream_row *next = &run->sync.flow.next;

	*next = tenant->stream;
	if (tenant->reason == SYNC_REASON_UP_TO_DATE && !has_failed(run) && has_asked_apple(run)) {
		tenant_forget_error(tenant);
	}
	next->reason = text_of(sync_reason_name(tenant->reason));
	next->error_text = text_of(tenant->error_text);
	next->apple_error = text_of(tenant->apple_error);
	tenant->counts_changed = tenant->counts_changed || run->delivery.delivered > 0;
	fenced_write_prepare(&run->write, run);
	run->write.build = build_end;
	run->write.next = next;
	run->write.finish = true;
	run->write.due_at_us = due_at(run);
	run->status = status_of(tenant);
	run->write.status = was_quiet(tenant) ? &run->status : NULL;
	run->write.load_changes = end_changes_load(run);
	run->write.gathers = may_gather(run);
	fenced_write_start(&run->write, on_written);
}

static void log_end(const struct run *run)
{
	const struct tenant *tenant = &run->tenant;

	log_event(LOG_INFO, "run.finished", LOG_STRING("tenant", tenant->slug), LOG_STRING("reason", sync_reason_name(tenant->reason)),
		LOG_INT("pages", tenant->stream.run_pages), LOG_INT("devices", tenant->stream.run_devices),
		LOG_INT("event_seq", tenant->stream.event_seq), LOG_INT("delivered", (int64_t)run->delivery.delivered),
		LOG_INT("due_in_ms", (run->write.due_at_us - tenant_now_us(tenant)) / 1000));
}

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
	close_flows(run);
	run->state = RUN_IDLE;
	run->closing = 2;
	fenced_write_close(&run->write, on_write_closed);
	delay_close(&run->tick, on_tick_closed);
}

// --- the run ---

static void step(struct run *run)
{
	switch (run->state) {
	case RUN_IDLE:
		do {
			if (!is_loaded_already(run)) {
				AWAIT(run, RUN_LOADING, load(run));
				if (run->tenant.is_hinted && !take_hinted(run)) {
					break;
				}
				if (must_load_whole(run)) {
					AWAIT(run, RUN_LOADING_WHOLE, load_whole(run));
				}
				run->failure = take_loaded(run);
				if (run->failure == ERR_FENCED) {
					AWAIT(run, RUN_HANDING_OVER, hand_over(run));
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
					if (goes_on(run) && may_ask_apple(run) && !is_proven(run)) {
						AWAIT(run, RUN_PROVING_TO_ASSIGN, start_flow(&run->identity.flow));
						take_flow_result(run, &run->identity.flow);
					}
					if (goes_on(run) && may_assign(run) && is_proven(run)) {
						AWAIT(run, RUN_ASSIGNING, start_flow(&run->assign.flow));
						take_flow_result(run, &run->assign.flow);
					}
					if (goes_on(run) && may_ask_apple(run) && is_proven(run) && run->tenant.has_asked_jobs && routing_is_current(&run->tenant)) {
						AWAIT(run, RUN_DOING_JOBS, start_flow(&run->job.flow));
						take_flow_result(run, &run->job.flow);
					}
					if (goes_on(run) && may_ask_apple(run) && is_proven(run) && replacement_must_ask(&run->tenant)) {
						AWAIT(run, RUN_RESOLVING, start_flow(&run->replacement.flow));
						take_flow_result(run, &run->replacement.flow);
					}
					if (goes_on(run) && may_ask_apple(run) && is_proven(run) && drift_must_compare(&run->tenant)) {
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
			if (run->failure == OK && must_read_end(run)) {
				AWAIT(run, RUN_READING_END, read_end(run));
				take_end(run);
			}
			if (run->failure == OK) {
				AWAIT(run, RUN_FINISHING, finish(run));
				run->failure = run->write.op.rc;
			}
			if (run->failure == OK) {
				log_end(run);
				break;
			}
			close_flows(run);
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
	step(run);
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
