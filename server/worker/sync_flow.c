// SPDX-License-Identifier: Apache-2.0
#include "worker/sync_removals.h"

#include "depbroker/log.h"
#include "worker/identity.h"
#include "worker/routing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { UNSEEN_BYTES = 2 << 20 };
enum { RELISTED_MAX = 50 }; // rows of a page that are written for their hash alone: each costs more than reading its device some times

static bool asks_apple(const struct sync_flow *sync)
{
	return sync->decision.action == SYNC_FETCH_PAGE || sync->decision.action == SYNC_SYNC_PAGE;
}

// --- decisions ---

// A new generation: the cursor and the set of what was seen belong to the one before. So it is as soon as it is decided, whatever
// becomes of the first page: the cursor of changes must not go on with a list.
static void begin_generation(struct sync_flow *sync)
{
	struct tenant *tenant = sync->flow.tenant;
	unsigned char key[SEEN_KEY_SIZE];

	random_bytes(key, sizeof key);
	if (sync->seen_is_open) {
		seen_fini(&sync->seen);
	}
	seen_init(&sync->seen, key, tenant_budget(tenant) / 4);
	sync->seen_is_open = true;
	sync->seen_is_known = true;
	if (sync->known_is_open) {
		known_forget_seen(&sync->known);
	}
	sync->doubtful = false;
	// The changes were followed until now, and should have told of everything that this list has.
	sync->flow.changes.missed = sync->decision.cause == SYNC_FULL_SCHEDULED || sync->decision.cause == SYNC_FULL_REQUESTED;
	tenant->stream.cursor = TEXT_NONE;
	tenant->stream.full_requests_done = tenant->due.full_requests;
	log_event(LOG_INFO, "sync.full", LOG_STRING("tenant", tenant->slug),
		LOG_STRING("cause", sync_full_cause_name(sync->decision.cause)), LOG_INT("generation", sync->machine.state.generation));
}

static void decide(struct sync_flow *sync, struct sync_decision decision)
{
	sync->decision = decision;
	if (decision.drop_cursor) {
		begin_generation(sync);
	}
}

static void failed(struct sync_flow *sync, enum err rc)
{
	struct flow *flow = &sync->flow;

	flow_note_failure(flow, rc, "sync.failed");
	decide(sync, sync_failed(&sync->machine, rc, flow->call.retry_after_s, tenant_occasion(flow->tenant)));
	sync->doubtful = sync->doubtful || sync->decision.action == SYNC_COMPLETE_GENERATION; // a refusal for its end
}

// --- a page ---

static const char *page_kind(const struct sync_flow *sync)
{
	return sync->decision.action == SYNC_FETCH_PAGE ? "fetch" : "changes";
}

static size_t devices_of(const struct apple_page *page)
{
	return page->count + page->unchanged;
}

// What a page holds is let go of with its turn: whoever waits for another one would keep it from all who work.
static void end_turn(struct sync_flow *sync)
{
	page_turn_end(&sync->turn, devices_of(&sync->flow.page));
	if (sync->known_is_open) {
		known_drop_page(&sync->known);
	}
	page_plan_fini(&sync->plan);
	flow_let_go(&sync->flow);
}

static void on_turn(struct op *op)
{
	struct sync_flow *sync = CONTAINER_OF(CONTAINER_OF(op, struct page_turn, op), struct sync_flow, turn);

	sync->flow.step(&sync->flow);
}

static void ask_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct apple_session *session = &flow->tenant->session;
	const struct text cursor = flow->tenant->stream.cursor;

	if (sync->decision.action == SYNC_FETCH_PAGE) {
		apple_listing_init(&sync->listing, &sync->known, flow->tenant->due.tenant_id);
		apple_fetch_devices(&flow->call, session, cursor, APPLE_PAGE_LIMIT_MAX, &sync->listing, &flow->page);
	} else {
		apple_sync_devices(&flow->call, session, cursor, APPLE_PAGE_LIMIT_MAX, &flow->page);
	}
}

// --- what is stored ---

static bool must_read_known(const struct sync_flow *sync)
{
	return sync->decision.action == SYNC_FETCH_PAGE && !sync->known_is_read;
}

static void read_known(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	unsigned char key[KNOWN_KEY_SIZE];

	if (!sync->known_is_open) {
		random_bytes(key, sizeof key);
		known_init(&sync->known, key, tenant_budget(flow->tenant) / 2);
		sync->known_is_open = true;
		flow->after[0] = '\0';
	}
	flow_begin_read(flow);
	(void)store_device_fingerprints(&flow->read, flow->tenant->due.tenant_id, text_of(flow->after), SYNC_MARKS_BATCH);
	flow_start_read(flow);
}

static void take_known(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const size_t count = pg_row_count(&flow->read, 0);
	struct device_mark mark;

	for (size_t i = 0; i < count; i++) {
		store_device_mark_read(&flow->read, 0, i, &mark);
		known_put(&sync->known, mark.serial_number, mark.fingerprint, mark.list_hash, mark.gone);
	}
	if (count > 0) {
		text_put(flow->after, sizeof flow->after, mark.serial_number);
	}
	sync->known_is_read = count < SYNC_MARKS_BATCH || !sync->known.whole;
}

static enum known_answer ask_known(const struct sync_flow *sync, const struct page_item *item)
{
	const struct device_record *record = &sync->flow.page.devices[item->record];

	if (!sync->known_is_read || item->gone) {
		return KNOWN_PERHAPS;
	}
	return known_ask(&sync->known, record->serial_number, record->fingerprint);
}

// Others write rows between two syncs of a run, such as what was read back: what was known then must not be taken for what is stored.
static void forget_known(struct sync_flow *sync)
{
	if (sync->known_is_open) {
		known_fini(&sync->known);
	}
	sync->known_is_open = false;
	sync->known_is_read = false;
}

// What was written is known from now on.
static void remember_written(struct sync_flow *sync)
{
	const struct changes *changes = &sync->flow.changes;

	for (size_t i = 0; sync->known_is_read && i < changes->row_count; i++) {
		const struct device_row *row = &changes->rows[i];

		known_put(&sync->known, row->apple.serial_number, row->apple.fingerprint, row->apple.list_hash, row->gone_at_us != INSTANT_NONE);
	}
}

enum { PAGE_DEVICES, PAGE_GUARDS, PAGE_FACTS }; // the statements

// Before there were hashes, or written otherwise: it will be known by its bytes, without being news.
static void note_relisted(struct sync_flow *sync, const struct device_record *record)
{
	if (record->list_hash != 0 && sync->relisted_count < RELISTED_MAX &&
		!known_has_list_hash(&sync->known, record->serial_number, record->list_hash)) {
		sync->relisted[sync->relisted_count] = record->serial_number;
		sync->list_hashes[sync->relisted_count++] = (int64_t)record->list_hash;
	}
}

static void find_differing(struct sync_flow *sync)
{
	const struct page_plan *plan = &sync->plan;

	sync->differing = tenant_scratch(sync->flow.tenant, (plan->count + 1) * sizeof *sync->differing);
	sync->relisted = tenant_scratch(sync->flow.tenant, RELISTED_MAX * sizeof *sync->relisted);
	sync->list_hashes = tenant_scratch(sync->flow.tenant, RELISTED_MAX * sizeof *sync->list_hashes);
	sync->decided_about = 0;
	sync->relisted_count = 0;
	for (size_t i = 0; i < plan->count; i++) {
		const enum known_answer answer = ask_known(sync, &plan->items[i]);

		if (answer != KNOWN_SAME) {
			sync->differing[sync->decided_about] = plan->items[i];
			sync->differing[sync->decided_about++].is_new = answer == KNOWN_NEW;
		} else {
			note_relisted(sync, &sync->flow.page.devices[plan->items[i].record]);
		}
	}
	if (sync->decision.action == SYNC_FETCH_PAGE) { // the order of a list means nothing; changes are told in theirs
		page_items_sort(sync->differing, sync->decided_about, sync->flow.page.devices);
	}
}

static void plan_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const int64_t tenant_id = flow->tenant->due.tenant_id;
	struct text *serials, *decided;
	int64_t *assigned_us;

	page_plan_make(&sync->plan, flow->page.devices, flow->page.count);
	flow_begin_read(flow);
	find_differing(sync);
	serials = tenant_scratch(flow->tenant, (sync->decided_about + 1) * sizeof *serials);
	decided = tenant_scratch(flow->tenant, (sync->decided_about + 1) * sizeof *decided);
	assigned_us = tenant_scratch(flow->tenant, (sync->decided_about + 1) * sizeof *assigned_us);
	flow->changes.rows_expected = sync->decided_about;
	sync->asked_for = 0;
	for (size_t i = 0; i < sync->decided_about; i++) {
		const struct device_record *record = &flow->page.devices[sync->differing[i].record];

		if (!sync->differing[i].is_new) {
			serials[sync->asked_for++] = record->serial_number;
		}
		assigned_us[i] = record->device_assigned_date_us;
		decided[i] = record->serial_number;
	}
	(void)store_device_by_serials(&flow->read, tenant_id, serials, sync->asked_for);
	(void)store_guard_by_serials(&flow->read, tenant_id, decided, assigned_us, sync->decided_about);
	sync->asks_facts = flow->tenant->has_facts && sync->decided_about > 0;
	if (sync->asks_facts) {
		(void)store_fact_by_serials(&flow->read, tenant_id, decided, sync->decided_about);
	}
}

static int compare_rows(const void *a, const void *b)
{
	const struct text x = ((const struct device_row *)a)->apple.serial_number;
	const struct text y = ((const struct device_row *)b)->apple.serial_number;
	const int order = memcmp(x.bytes, y.bytes, x.length < y.length ? x.length : y.length);

	return order != 0 ? order : (x.length > y.length) - (x.length < y.length);
}

static const struct device_row *stored_row(const struct sync_flow *sync, struct text serial)
{
	const struct device_row wanted = { .apple = { .serial_number = serial } };
	const struct flow *flow = &sync->flow;

	return flow->row_count > 0 ? bsearch(&wanted, flow->rows, flow->row_count, sizeof *flow->rows, compare_rows) : NULL;
}

static void reconcile_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct reconcile_outcome outcome;

	if (sync->decided_about > 0) {
		routing_take_guards(flow->tenant, &flow->read, PAGE_GUARDS);
	}
	if (sync->asks_facts) {
		routing_take_facts(flow->tenant, &flow->read, PAGE_FACTS);
	}
	if (sync->asked_for > 0) {
		flow_take_rows(flow);
		qsort(flow->rows, flow->row_count, sizeof *flow->rows, compare_rows);
	}
	for (size_t i = 0; i < sync->decided_about; i++) {
		const struct page_item *item = &sync->differing[i];
		const struct device_record *record = &flow->page.devices[item->record];
		const struct device_row *stored = stored_row(sync, record->serial_number);
		const struct reconcile_settings settings =
			item->gone ? routing_of_gone(flow->tenant) : routing_decide(flow->tenant, record, stored);

		reconcile_record(&outcome, &settings, stored, record, item->gone);
		changes_add(&flow->changes, &outcome);
	}
}

static enum err over_budget(struct flow *flow)
{
	return fault_set(&flow->call.op.fault, ERR_BUDGET, "a page of %zu devices needs more memory than a tenant may have",
		devices_of(&flow->page));
}

// What follows from the page is decided first, so that it is stored with it.
static void decide_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	struct tenant *tenant = flow->tenant;
	const struct sync_page page = {
		.cursor_changed = !text_equal(flow->page.cursor, tenant->stream.cursor),
		.more_to_follow = flow->page.more_to_follow,
	};

	flow->changes.parked = &flow->page;
	sync->attempted = sync->machine;
	sync->decided = sync_page_applied(&sync->attempted, page, tenant_occasion(tenant));
	flow->next = tenant->stream;
	flow->next.cursor = flow->page.cursor;
	flow->next.sync = sync->attempted.state;
	flow->next.run_pages++;
	flow->next.run_devices += (int64_t)(sync->plan.count + flow->page.unchanged);
}

// A page that changes nothing and after which Apple is left alone needs no write of its own: its cursor goes with the one that ends the
// run. Should that not come about, the same page is asked for again, and changes nothing again.
static bool is_worth_a_write(const struct sync_flow *sync)
{
	const struct changes *changes = &sync->flow.changes;

	return changes->row_count > 0 || changes->event_count > 0 || sync->flow.page.rejected > 0 || sync->decided.action != SYNC_WAIT;
}

static void build_page(struct fenced_write *write, struct pg_transaction *t)
{
	const struct sync_flow *sync = CONTAINER_OF((struct flow *)write->owner, struct sync_flow, flow);

	changes_build(&sync->flow.changes, t, &sync->flow.entry);
	if (sync->relisted_count > 0) {
		store_device_list_hashes(t, write->tenant->due.tenant_id, sync->relisted, sync->list_hashes, sync->relisted_count);
	}
}

static void write_page(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct ledger_entry entry = {
		.kind = page_kind(sync),
		.generation = sync->machine.state.generation,
		.records = (int)devices_of(&flow->page),
		.page_digest = flow->page.digest,
	};

	flow_write_next_with(flow, build_page, entry, &flow->next);
}

// False: too many to remember, so nothing may be removed by this generation. What was written is known already.
static bool remember_seen(struct sync_flow *sync)
{
	for (size_t i = 0; i < sync->plan.count; i++) {
		const struct page_item *item = &sync->plan.items[i];
		const struct text serial = sync->flow.page.devices[item->record].serial_number;

		sync->seen_is_known = sync->seen_is_known && !item->gone && known_is_present(&sync->known, serial);
		if (!item->gone && !known_see(&sync->known, serial) && seen_add(&sync->seen, serial) != OK) {
			return false;
		}
	}
	return true;
}

static void page_is_taken(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const bool fetched = sync->decision.action == SYNC_FETCH_PAGE;
	const char *const kind = page_kind(sync);

	sync->machine = sync->attempted;
	sync->decision = sync->decided;
	if (fetched) {
		known_see_page(&sync->known);
	}
	remember_written(sync);
	if (fetched && sync->machine.from_first_page && (!sync->seen_is_open || !remember_seen(sync))) {
		sync->machine.from_first_page = false;
	}
	sync->doubtful = sync->doubtful || (fetched && (devices_of(&flow->page) == 0 || flow->page.rejected > 0));
	log_event(LOG_INFO, "sync.page", LOG_STRING("tenant", flow->tenant->slug), LOG_STRING("kind", kind),
		LOG_INT("devices", (int64_t)devices_of(&flow->page)), LOG_INT("changed", (int64_t)flow->changes.row_count),
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
}

// --- the flow ---

static void begin(struct sync_flow *sync)
{
	const struct tenant *tenant = sync->flow.tenant;

	forget_known(sync);
	decide(sync, sync_begin(&sync->machine, &tenant->stream.sync, &tenant->settings,
		tenant->due.full_requests > tenant->stream.full_requests_done, tenant_occasion(tenant)));
}

static void end(struct sync_flow *sync, enum err rc)
{
	struct tenant *tenant = sync->flow.tenant;

	sync->state = SYNC_IDLE;
	end_turn(sync);
	if (rc == OK) {
		tenant->stream.sync = sync->machine.state;
		tenant->stream.sync_next_at_us = sync->decision.wait_until_us;
		tenant->stream.sync_requests_done = tenant->due.sync_requests;
		tenant->reason = sync->decision.reason;
		if (sync->decision.reason == SYNC_REASON_UP_TO_DATE) {
			tenant->stream.synced_at_us = tenant_now_us(tenant);
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
			end_turn(sync);
			if (flow_must_stop(flow)) {
				sync->decision = sync_failed(&sync->machine, ERR_CANCELLED, -1, tenant_occasion(flow->tenant));
				continue;
			}
			if (identity_must_be_checked(flow->tenant)) {
				AWAIT(sync, SYNC_READING_ACCOUNT, identity_ask(flow, &sync->account));
				if (flow->call.op.rc != OK) {
					failed(sync, flow->call.op.rc);
					continue;
				}
				if (!identity_is_pinned(flow, &sync->account)) {
					AWAIT(sync, SYNC_QUARANTINING, identity_quarantine(flow));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					identity_is_quarantined(flow->tenant);
					failed(sync, ERR_IDENTITY);
					continue;
				}
				flow->tenant->session.signed_in_anew = false;
			}
			while (must_read_known(sync)) {
				AWAIT(sync, SYNC_READING_KNOWN, read_known(sync));
				if (flow->read.op.rc != OK) {
					goto read_failed;
				}
				take_known(sync);
			}
			if (asks_apple(sync)) {
				assert(flow->page.memory == NULL && flow->changes.rows == NULL);
				AWAIT(sync, SYNC_WAITING_FOR_TURN, page_turn_start(&sync->turn, on_turn));
				if (flow_must_stop(flow)) {
					continue;
				}
				AWAIT(sync, SYNC_ASKING, ask_page(sync));
				if (flow->call.op.rc != OK) {
					failed(sync, flow->call.op.rc);
					continue;
				}
				if (identity_must_be_checked(flow->tenant)) {
					continue; // the page is asked for again
				}
				plan_page(sync);
				if (sync->asked_for > 0 || sync->decided_about > 0) {
					AWAIT(sync, SYNC_READING_ROWS, flow_start_read(flow));
					if (flow->read.op.rc != OK) {
						goto read_failed;
					}
				}
				reconcile_page(sync);
				if (tenant_is_over_budget(flow->tenant)) {
					failed(sync, over_budget(flow));
					continue;
				}
				decide_page(sync);
				if (is_worth_a_write(sync)) {
					AWAIT(sync, SYNC_WRITING_PAGE, write_page(sync));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
				} else {
					tenant_take_stream(flow->tenant, &flow->next);
				}
				page_is_taken(sync);
				continue;
			}
			sync_removals_begin(sync);
			while (sync->marks_left) {
				AWAIT(sync, SYNC_COUNTING, sync_removals_read(sync));
				if (flow->read.op.rc != OK) {
					goto read_failed;
				}
				sync_removals_count(sync);
			}
			flow->after[0] = '\0';
			sync->marks_left = sync->removals > 0 && !sync_removals_are_held(sync);
			while (sync->marks_left) {
				AWAIT(sync, SYNC_READING_MARKS, sync_removals_read(sync));
				if (flow->read.op.rc != OK) {
					goto read_failed;
				}
				sync_removals_take(sync);
				while (sync->unseen_count > 0) {
					AWAIT(sync, SYNC_READING_UNSEEN, sync_removals_read_rows(sync));
					if (flow->read.op.rc != OK) {
						goto read_failed;
					}
					sync_removals_reconcile(sync);
					AWAIT(sync, SYNC_WRITING_REMOVAL, sync_removals_write(sync));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					remember_written(sync);
				}
			}
			if (sync_removals_must_write_brake(sync)) {
				AWAIT(sync, SYNC_WRITING_BRAKE, flow_write(flow, sync_removals_build_brake, NULL));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
				sync_removals_brake_is_written(sync);
			}
			flow->changes.missed = false;
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

static bool is_asked_for(const struct tenant *tenant)
{
	return tenant->due.sync_requests > tenant->stream.sync_requests_done || tenant->due.full_requests > tenant->stream.full_requests_done;
}

void sync_flow_init(struct sync_flow *sync, struct tenant *tenant)
{
	*sync = (struct sync_flow){ .state = SYNC_IDLE, .unseen_texts = ARENA(UNSEEN_BYTES) };
	flow_init(&sync->flow, tenant, step);
	page_turn_init(&sync->turn, tenant->process, is_asked_for(tenant) ? FAIR_WEIGHT_ASKED_FOR : FAIR_WEIGHT);
}

void sync_flow_fini(struct sync_flow *sync)
{
	page_turn_fini(&sync->turn);
	apple_account_fini(&sync->account);
	page_plan_fini(&sync->plan);
	arena_fini(&sync->unseen_texts);
	if (sync->seen_is_open) {
		seen_fini(&sync->seen);
	}
	forget_known(sync);
	flow_fini(&sync->flow);
}
