// SPDX-License-Identifier: Apache-2.0
//
// The last write of a run: when the client is due again, and what people are told of it.
#include "worker/run_inner.h"

#include "depbroker/log.h"
#include "store/alerts.h"
#include "store/expected.h"
#include "worker/wanted_profile.h"

void run_read_end(struct run *run)
{
	run_begin_transaction(run);
	(void)store_device_next_assign(&run->transaction, run->tenant.due.tenant_id);
	run_start_transaction(run);
}

// Only writes of this run change when devices are to be assigned, for as long as it owns the client.
bool run_must_read_end(const struct run *run)
{
	return run->tenant.stream.write_seq != run->tenant.next_assign_seq;
}

void run_take_end(struct run *run)
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
		if (assign_us != INSTANT_NONE && !run_may_assign(run) && assign_us < tenant->stream.sync_next_at_us) {
			assign_us = tenant->stream.sync_next_at_us;
		}
		earlier(&due_us, assign_us);
		if (replacement_must_ask_later(tenant) && run_may_ask_apple(run)) {
			earlier(&due_us, tenant->stream.replacement_due_us);
		}
		if (run_may_ask_apple(run)) {
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
	store_secret_put(t, &tenant->data_key, SECRET_APPLE_SESSION, tenant->due.tenant_id, tenant->token_id, tenant->session_version + 1,
		text_of(tenant->session.token));
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

void run_finish(struct run *run)
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
	fenced_write_start(&run->write, run_on_written);
}

void run_log_end(const struct run *run)
{
	const struct tenant *tenant = &run->tenant;

	log_event(LOG_INFO, "run.finished", LOG_STRING("tenant", tenant->slug), LOG_STRING("reason", sync_reason_name(tenant->reason)),
		LOG_INT("pages", tenant->stream.run_pages), LOG_INT("devices", tenant->stream.run_devices),
		LOG_INT("event_seq", tenant->stream.event_seq), LOG_INT("delivered", (int64_t)run->delivery.delivered),
		LOG_INT("due_in_ms", (run->write.due_at_us - tenant_now_us(tenant)) / 1000));
}
