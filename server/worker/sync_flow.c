// SPDX-License-Identifier: Apache-2.0
#include "worker/sync_flow.h"

#include "depbroker/log.h"
#include "tenants/device.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN_BUDGET_BYTES = 64 << 20 };

static bool asks_apple(const struct sync_flow *sync)
{
	return sync->decision.action == SYNC_FETCH_PAGE || sync->decision.action == SYNC_SYNC_PAGE;
}

static void failed(struct sync_flow *sync, enum err rc)
{
	struct flow *flow = &sync->flow;

	flow_note_failure(flow, rc, "sync.failed");
	sync->decision = sync_failed(&sync->machine, rc, flow->call.retry_after_s, tenant_occasion(flow->tenant));
}

// --- sessions and identity ---

// Whose device list is it? Asked whenever Apple has opened a new session, before anything that was read with it is believed.
static bool must_check_identity(const struct sync_flow *sync)
{
	return sync->flow.tenant->session.signed_in_anew;
}

static void ask_account(struct sync_flow *sync)
{
	apple_account_fini(&sync->account);
	apple_account(&sync->flow.call, &sync->flow.tenant->session, &sync->account);
}

// Who made the token may change at Apple; the server and the organisation may not.
static void note_administrator(struct sync_flow *sync)
{
	struct tenant *tenant = sync->flow.tenant;

	if (sync->account.admin_id.length > 0 && !text_equal(sync->account.admin_id, tenant->admin_id)) {
		tenant->admin_id = tenant_keep(tenant, sync->account.admin_id);
		tenant->admin_is_news = true;
	}
}

static bool is_pinned_identity(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct identity given = { sync->account.server_uuid, sync->account.org_id, sync->account.org_id_hash, sync->account.org_type };
	struct identity_difference differences[IDENTITY_FIELDS];

	if (identity_compare(differences, &flow->tenant->pinned, &given) == 0) {
		note_administrator(sync);
		return true;
	}
	(void)fault_set(&flow->call.op.fault, ERR_IDENTITY, "Apple says that this token is for %s \"%.*s\" now, pinned is \"%.*s\"",
		differences[0].field, (int)(differences[0].given.length < 80 ? differences[0].given.length : 80),
		differences[0].given.length > 0 ? differences[0].given.bytes : "",
		(int)(differences[0].pinned.length < 80 ? differences[0].pinned.length : 80), differences[0].pinned.bytes);
	return false;
}

// The session goes too: whoever releases the client does not go on with one that is known to be another's.
static void build_quarantine(struct fenced_write *write, struct pg_transaction *t)
{
	const struct flow *flow = write->owner;

	(void)store_tenant_quarantine(t, write->tenant->due.tenant_id, text_of(flow->call.op.fault.text));
	(void)store_secret_delete(t, write->tenant->due.tenant_id, SECRET_APPLE_SESSION, write->tenant->token_id);
}

static void is_quarantined(struct sync_flow *sync)
{
	struct tenant *tenant = sync->flow.tenant;

	wipe(tenant->session.token, sizeof tenant->session.token);
	tenant->is_active = false;
	tenant->token_facts.quarantined_at_us = tenant_now_us(tenant);
	failed(sync, ERR_IDENTITY);
}

// --- a page ---

// A new generation: the cursor and the set of what was seen belong to the one before.
static void begin_generation(struct sync_flow *sync)
{
	struct tenant *tenant = sync->flow.tenant;
	unsigned char key[SEEN_KEY_SIZE];

	random_bytes(key, sizeof key);
	if (sync->seen_is_open) {
		seen_fini(&sync->seen);
	}
	seen_init(&sync->seen, key, SEEN_BUDGET_BYTES);
	sync->seen_is_open = true;
	sync->decision.drop_cursor = false;
	tenant->stream.cursor = TEXT_NONE;
	tenant->stream.full_requests_done = tenant->due.full_requests;
	log_event(LOG_INFO, "sync.full", LOG_STRING("tenant", tenant->slug),
		LOG_STRING("cause", sync_full_cause_name(sync->decision.cause)), LOG_INT("generation", sync->machine.state.generation));
}

static void ask_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct apple_session *session = &flow->tenant->session;
	const struct text cursor = flow->tenant->stream.cursor;

	if (sync->decision.drop_cursor) {
		begin_generation(sync);
	}
	apple_page_fini(&flow->page);
	page_plan_fini(&sync->plan);
	if (sync->decision.action == SYNC_FETCH_PAGE) {
		apple_fetch_devices(&flow->call, session, flow->tenant->stream.cursor, APPLE_PAGE_LIMIT_MAX, &flow->page);
	} else {
		apple_sync_devices(&flow->call, session, cursor, APPLE_PAGE_LIMIT_MAX, &flow->page);
	}
}

static void read_rows_of_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct text *serials;

	page_plan_make(&sync->plan, flow->page.devices, flow->page.count);
	flow_begin_read(flow);
	serials = tenant_scratch(flow->tenant, (sync->plan.count + 1) * sizeof *serials);
	for (size_t i = 0; i < sync->plan.count; i++) {
		serials[i] = flow->page.devices[sync->plan.items[i].record].serial_number;
	}
	(void)store_device_by_serials(&flow->read, flow->tenant->due.tenant_id, serials, sync->plan.count);
	flow_start_read(flow);
}

static int compare_rows(const void *a, const void *b)
{
	const struct text x = ((const struct device_row *)a)->apple.serial_number;
	const struct text y = ((const struct device_row *)b)->apple.serial_number;
	const int order = memcmp(x.bytes, y.bytes, x.length < y.length ? x.length : y.length);

	return order != 0 ? order : (x.length > y.length) - (x.length < y.length);
}

static void reconcile_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	struct reconcile_outcome outcome;

	flow_take_rows(flow);
	qsort(flow->rows, flow->row_count, sizeof *flow->rows, compare_rows);
	for (size_t i = 0; i < sync->plan.count; i++) {
		const struct page_item *item = &sync->plan.items[i];
		struct device_record *record = &flow->page.devices[item->record];
		const struct device_row wanted = { .apple = { .serial_number = record->serial_number } };
		const struct device_row *stored = bsearch(&wanted, flow->rows, flow->row_count, sizeof *flow->rows, compare_rows);

		device_fingerprint(record);
		reconcile_record(&outcome, &settings, stored, record, item->gone);
		changes_add(&flow->changes, &outcome, settings.now_us);
	}
}

// What follows from the page is decided first, so that it is stored with it.
static void write_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct tenant *tenant = flow->tenant;
	const struct sync_page page = {
		.cursor_changed = !text_equal(flow->page.cursor, tenant->stream.cursor),
		.more_to_follow = flow->page.more_to_follow,
	};
	const struct ledger_entry entry = {
		.kind = sync->decision.action == SYNC_FETCH_PAGE ? "fetch" : "changes",
		.generation = sync->machine.state.generation,
		.records = (int)flow->page.count,
		.page_digest = flow->page.digest,
	};

	reconcile_page(sync);
	sync->attempted = sync->machine;
	sync->decided = sync_page_applied(&sync->attempted, page, tenant_occasion(tenant));
	flow->next = tenant->stream;
	flow->next.cursor = flow->page.cursor;
	flow->next.sync = sync->attempted.state;
	flow->next.run_pages++;
	flow->next.run_devices += (int64_t)sync->plan.count;
	flow_write_changes(flow, entry, &flow->next);
}

// False: too many to remember, so nothing may be removed by this generation.
static bool remember_seen(struct sync_flow *sync)
{
	for (size_t i = 0; i < sync->plan.count; i++) {
		const struct page_item *item = &sync->plan.items[i];

		if (!item->gone && seen_add(&sync->seen, sync->flow.page.devices[item->record].serial_number) != OK) {
			return false;
		}
	}
	return true;
}

static void page_is_written(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const bool fetched = sync->decision.action == SYNC_FETCH_PAGE;

	sync->machine = sync->attempted;
	sync->decision = sync->decided;
	if (fetched && sync->machine.from_first_page && (!sync->seen_is_open || !remember_seen(sync))) {
		sync->machine.from_first_page = false;
	}
	log_event(LOG_INFO, "sync.page", LOG_STRING("tenant", flow->tenant->slug), LOG_STRING("kind", flow->entry.kind),
		LOG_INT("devices", (int64_t)flow->page.count), LOG_INT("changed", (int64_t)flow->changes.row_count),
		LOG_INT("events", (int64_t)flow->changes.event_count), LOG_INT("rejected", flow->page.rejected),
		LOG_BOOL("more", flow->page.more_to_follow), LOG_INT("write_seq", flow->tenant->stream.write_seq),
		LOG_INT("took_ms", flow->call.took_ms));
	for (size_t i = 0; i < flow->page.rejects_kept; i++) {
		log_event(LOG_WARNING, "sync.record_rejected", LOG_STRING("tenant", flow->tenant->slug),
			LOG_TEXT("serial_number", flow->page.rejects[i].serial), LOG_STRING("reason", flow->page.rejects[i].why));
	}
	if (sync->decision.action == SYNC_COMPLETE_GENERATION && !sync->machine.from_first_page) {
		sync->decision = sync_failed(&sync->machine, ERR_BUDGET, -1, tenant_occasion(flow->tenant));
	}
	if (flow->progress != NULL) {
		flow->progress(flow);
	}
}

// --- the end of a generation ---

static void reconcile_present(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	struct reconcile_outcome outcome;

	flow_take_rows(flow);
	for (size_t i = 0; i < flow->row_count; i++) {
		if (!seen_has(&sync->seen, flow->rows[i].apple.serial_number)) {
			reconcile_unseen(&outcome, &settings, &flow->rows[i]);
			changes_add(&flow->changes, &outcome, settings.now_us);
		}
	}
}

static void write_removal(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct ledger_entry entry = {
		.kind = "removal", .generation = sync->machine.state.generation, .records = (int)flow->changes.row_count,
	};

	log_event(LOG_INFO, "sync.removed", LOG_STRING("tenant", flow->tenant->slug), LOG_INT("devices", entry.records));
	flow_write_changes(flow, entry, NULL);
}

// --- the flow ---

static void begin(struct sync_flow *sync)
{
	const struct tenant *tenant = sync->flow.tenant;

	sync->decision = sync_begin(&sync->machine, &tenant->stream.sync, &tenant->settings,
		tenant->due.full_requests > tenant->stream.full_requests_done, tenant_occasion(tenant));
}

static void end(struct sync_flow *sync, enum err rc)
{
	struct tenant *tenant = sync->flow.tenant;

	sync->state = SYNC_IDLE;
	if (rc == OK) {
		tenant->stream.sync = sync->machine.state;
		tenant->stream.sync_next_at_us = sync->decision.wait_until_us;
		tenant->stream.sync_requests_done = tenant->due.sync_requests;
		tenant->reason = sync->decision.reason;
		if (sync->decision.reason == SYNC_REASON_UP_TO_DATE) {
			tenant->stream.synced_at_us = tenant_now_us(tenant);
			tenant_forget_error(tenant);
		}
	}
	flow_end(&sync->flow, rc);
}

static void step(struct flow *flow)
{
	struct sync_flow *sync = CONTAINER_OF(flow, struct sync_flow, flow);

	switch (sync->state) {
	case SYNC_IDLE:
		begin(sync);
		if (asks_apple(sync) && flow->tenant->session.token[0] == '\0') {
			AWAIT(sync, SYNC_SIGNING_IN, apple_sign_in(&flow->call, &flow->tenant->session));
			if (flow->call.op.rc != OK) {
				failed(sync, flow->call.op.rc);
			}
		}
		while (sync->decision.action != SYNC_WAIT) {
			if (flow_must_stop(flow)) {
				sync->decision = sync_failed(&sync->machine, ERR_CANCELLED, -1, tenant_occasion(flow->tenant));
				continue;
			}
			if (must_check_identity(sync)) {
				AWAIT(sync, SYNC_READING_ACCOUNT, ask_account(sync));
				if (flow->call.op.rc != OK) {
					failed(sync, flow->call.op.rc);
					continue;
				}
				if (!is_pinned_identity(sync)) {
					AWAIT(sync, SYNC_QUARANTINING, flow_write(flow, build_quarantine, NULL));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					is_quarantined(sync);
					continue;
				}
				flow->tenant->session.signed_in_anew = false;
			}
			if (asks_apple(sync)) {
				AWAIT(sync, SYNC_ASKING, ask_page(sync));
				if (flow->call.op.rc != OK) {
					failed(sync, flow->call.op.rc);
					continue;
				}
				if (must_check_identity(sync)) {
					continue; // the page is asked for again
				}
				AWAIT(sync, SYNC_READING_ROWS, read_rows_of_page(sync));
				if (flow->read.op.rc != OK) {
					goto read_failed;
				}
				AWAIT(sync, SYNC_WRITING_PAGE, write_page(sync));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
				page_is_written(sync);
				continue;
			}
			flow->after[0] = '\0';
			do {
				AWAIT(sync, SYNC_READING_PRESENT, flow_read_present(flow));
				if (flow->read.op.rc != OK) {
					goto read_failed;
				}
				reconcile_present(sync);
				if (flow->changes.row_count > 0) {
					AWAIT(sync, SYNC_WRITING_REMOVAL, write_removal(sync));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
				}
			} while (!flow_read_all(flow));
			sync->decision = sync_generation_completed(&sync->machine, tenant_occasion(flow->tenant));
		}
		end(sync, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(sync, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(sync, flow_written(flow));
}

void sync_flow_init(struct sync_flow *sync, struct tenant *tenant)
{
	*sync = (struct sync_flow){ .state = SYNC_IDLE };
	flow_init(&sync->flow, tenant, step);
}

void sync_flow_fini(struct sync_flow *sync)
{
	apple_account_fini(&sync->account);
	page_plan_fini(&sync->plan);
	if (sync->seen_is_open) {
		seen_fini(&sync->seen);
	}
	flow_fini(&sync->flow);
}
