// SPDX-License-Identifier: Apache-2.0
//
// sim_rows.c - a model of the rows: what the SQL of server/store does, in C, with the laws that every write must keep.
#include "sim/sim_transaction.h"
#include "store/run_row.h"
#include "tenants/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FORGOTTEN_AFTER_S = 15, STRUCK_WAITS_S = 2, NODE_ROWS = 4096 };

static struct node_row {
	struct text id;
	int64_t alive_until_us;
} *node_rows;
static size_t node_count;

// --- nodes ---

static struct node_row *node_row_of(struct text id)
{
	for (size_t i = node_count; i > 0; i--) {
		if (text_equal(node_rows[i - 1].id, id)) {
			return &node_rows[i - 1];
		}
	}
	return NULL;
}

static bool is_alive(struct text id)
{
	const struct node_row *row = id.length > 0 ? node_row_of(id) : NULL;

	return row != NULL && row->alive_until_us > sim.now_us;
}

static void beat(struct text id)
{
	struct node_row *row = node_row_of(id);

	if (row == NULL) {
		assert(node_count < NODE_ROWS);
		row = &node_rows[node_count++];
		row->id = id;
	}
	row->alive_until_us = sim.now_us + NODE_ALIVE_S * SECOND_US;
	sim_due_changed();
}

// Heart-beats that were left out since nothing could come between them.
void sim_keep_alive(struct text node_id, int64_t until_us)
{
	struct node_row *row = node_row_of(node_id);

	if (row != NULL && row->alive_until_us < until_us) {
		row->alive_until_us = until_us;
		sim_due_changed();
	}
}

static void forget_node(struct text id)
{
	struct node_row *row = node_row_of(id);

	sim_due_changed();
	if (row != NULL) {
		*row = node_rows[--node_count];
	}
}

static void release_node(struct text id)
{
	forget_node(id);
	for (int i = 0; i < sim.shape->tenants; i++) {
		if (text_equal(sim.tenants[i].claimed_by, id) && id.length > 0) {
			sim.tenants[i].claimed_by = TEXT_NONE;
			sim.tenants[i].due_at_us = sim.now_us;
		}
	}
}

// --- due clients ---

int64_t sim_earliest_due_us(struct text node_id, int64_t before_us)
{
	int64_t earliest_us = before_us;

	for (int i = 0; i < sim.shape->tenants; i++) {
		const struct sim_tenant *tenant = &sim.tenants[i];

		if (tenant->due_at_us < earliest_us && tenant->crash_count < CRASHES_MAX) {
			const struct node_row *other = tenant->claimed_by.length == 0 || text_equal(tenant->claimed_by, node_id) ? NULL :
				node_row_of(tenant->claimed_by);
			const int64_t free_us = other != NULL ? other->alive_until_us : INSTANT_NONE;
			const int64_t at_us = tenant->due_at_us > free_us ? tenant->due_at_us : free_us;

			earliest_us = at_us < earliest_us ? at_us : earliest_us;
		}
	}
	return earliest_us;
}

static bool is_suspect(const struct sim_tenant *tenant)
{
	return tenant->crash_count > 0 && tenant->crashes_us[0] > sim.now_us - HOUR_US;
}

static struct due_row due_row_of(const struct sim_tenant *tenant)
{
	return (struct due_row){
		.tenant_id = tenant->id,
		.slug = text_of(tenant->slug),
		.wake = tenant->wake,
		.sync_requests = tenant->sync_requests,
		.full_requests = tenant->full_requests,
		.is_suspect = is_suspect(tenant),
		.removals_allowed = tenant->removals_allowed,
		.removals_allowed_for = tenant->removals_allowed_for,
	};
}

void *sim_answer_rows(struct sim_op *op, size_t count, size_t size)
{
	op->out = reallocate(NULL, (count > 0 ? count : 1) * size); // whoever asked fills what it says that there is
	op->out_size = size;
	op->out_count = count;
	return op->out;
}

static struct sim_tenant *first_claimable(struct text node_id, bool suspect, const bool claimed[])
{
	struct sim_tenant *first = NULL;

	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (!claimed[i] && tenant->due_at_us <= sim.now_us && (first == NULL || tenant->due_at_us < first->due_at_us) &&
			(text_equal(tenant->claimed_by, node_id) || !is_alive(tenant->claimed_by)) && is_suspect(tenant) == suspect &&
			tenant->crash_count < CRASHES_MAX) {
			first = tenant;
		}
	}
	return first;
}

static bool is_among(int64_t number, const int64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == number) {
			return true;
		}
	}
	return false;
}

static void claim(struct sim_life *life, struct sim_op *op)
{
	struct due_row *rows = sim_answer_rows(op, (size_t)sim.shape->tenants, sizeof *rows);
	bool claimed[SIM_TENANTS_MAX] = { false }, wants_suspect = op->other != 0;

	for (int i = 0; i < sim.shape->tenants; i++) {
		claimed[i] = op->in_count > 0 && !is_among(i + 1, op->in, op->in_count); // of no interest
	}
	op->out_count = 0;
	sim_due_changed();
	while ((int64_t)op->out_count < op->number) {
		struct sim_tenant *first = first_claimable(op->text, wants_suspect, claimed);

		if (first != NULL) {
			claimed[first - sim.tenants] = true;
			life->loaded[first - sim.tenants].claimed_at_us = sim.now_us;
			first->claimed_by = op->text;
			first->due_at_us = sim.now_us + FORGOTTEN_AFTER_S * SECOND_US;
			rows[op->out_count++] = due_row_of(first);
		} else if (!wants_suspect) {
			break;
		}
		wants_suspect = false;
	}
}

// --- the API's side ---

struct sim_tenant *sim_tenant_of(int64_t tenant_id)
{
	assert(tenant_id >= 1 && tenant_id <= sim.shape->tenants);
	return &sim.tenants[tenant_id - 1];
}

// Everybody who changes what a run reads when it begins, workers apart, wakes the client.
void sim_wake(struct sim_tenant *tenant)
{
	tenant->has_news = true;
	tenant->wake++;
	sim_due_changed();
	tenant->due_at_us = tenant->due_at_us < sim.now_us ? tenant->due_at_us : sim.now_us;
}

void sim_start_over(struct sim_tenant *tenant, bool routes)
{
	tenant->stream.config_version++;
	tenant->stream.profile_needed = tenant->stream.profile_needed || routes;
	sim_wake(tenant);
}

static void put_rules(struct sim_tenant *tenant)
{
	const int choice = (int)sim_between(0, SIM_RULES - 1);

	tenant->route.rules = sim.quiet && choice == 0 ? 1 : choice;
	tenant->stream.rules_version++;
	sim_start_over(tenant, true);
}

static void change_instance(struct sim_tenant *tenant)
{
	struct sim_instance *instance = &tenant->instances[sim_between(0, SIM_INSTANCES - 1)];

	(void)snprintf(instance->members, sizeof instance->members, "{\"department\":\"%d\"}", ++instance->version);
	sim_start_over(tenant, true);
}

static void take_token(struct sim_tenant *tenant)
{
	tenant->token_id++;
	tenant->token_state = TEXT("active");
	tenant->session = TEXT_NONE;
	tenant->session_version = 0;
	sim_start_over(tenant, true);
	sim_wake(tenant);
	tenant->sync_requests++;
}

static void set_active(struct sim_tenant *tenant, bool active)
{
	tenant->crash_count = tenant->quarantined ? 0 : tenant->crash_count;
	tenant->active = active;
	sim_due_changed();
	sim_start_over(tenant, false);
	if (active) {
		tenant->quarantined = false;
		tenant->sync_requests++;
		sim_wake(tenant);
	}
}

static void activate(void *argument)
{
	struct sim_tenant *tenant = argument;

	if (!tenant->active && !tenant->quarantined) {
		set_active(tenant, true);
	}
}

static void enable_hooks(struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		tenant->instances[i].disabled = false;
		tenant->instances[i].not_before_us = INSTANT_NONE;
	}
	for (size_t i = 0; i < SIM_LANES; i++) {
		tenant->positions[i].attempts = 0;
		tenant->positions[i].next_try_at_us = INSTANT_NONE;
		tenant->positions[i].first_failed_at_us = INSTANT_NONE;
	}
	sim_wake(tenant);
}

static void recover(struct sim_tenant *tenant)
{
	enable_hooks(tenant);
	if (!tenant->active) {
		set_active(tenant, true);
	}
	tenant->sync_requests++;
	sim_wake(tenant);
}

void sim_rows_fault(enum fault_kind kind, struct sim_tenant *tenant)
{
	if (kind == FAULT_KINDS) { // the operator looks after everything when nothing is injected any more
		recover(tenant);
	} else if (kind == FAULT_RULES) {
		put_rules(tenant);
	} else if (kind == FAULT_PIN || kind == FAULT_RETIRES) {
		sim_routes_fault(kind, tenant);
	} else if (kind == FAULT_ENROLS) {
		sim_enrolments_fault(tenant);
	} else if (kind == FAULT_INSTANCE) {
		change_instance(tenant);
	} else if (kind == FAULT_TOKEN_NEW) {
		take_token(tenant);
	} else if (kind == FAULT_SYNC_NOW || kind == FAULT_FULL_NOW) {
		tenant->sync_requests += kind == FAULT_SYNC_NOW;
		tenant->full_requests += kind == FAULT_FULL_NOW;
		sim_wake(tenant);
	} else if (kind == FAULT_POISONED) {
		tenant->poison += (unsigned)sim_between(1, 2 * CRASHES_MAX);
	} else if (kind == FAULT_VANISHED) {
		tenant->full_requests++;
		sim_wake(tenant);
	} else if (kind == FAULT_PAUSED && tenant->active) {
		set_active(tenant, false);
		sim_at(sim.now_us + sim_between(1, 30) * MINUTE_US, NULL, activate, tenant);
	}
}

// Of exactly as many as wait for it.
void sim_allow_removals(struct sim_tenant *tenant)
{
	if (tenant->stream.removals_held > 0) {
		tenant->full_requests++;
		tenant->removals_allowed = tenant->stream.removals_held;
		tenant->removals_allowed_for = tenant->full_requests;
		tenant->word = tenant->removals_allowed;
		sim_trace("allow", tenant->id, tenant->word, 0);
		sim_wake(tenant);
	}
}

static void allow_removals(void *tenant)
{
	sim_allow_removals(tenant);
}

static void release_struck(void *argument)
{
	struct sim_tenant *tenant = argument;

	if (tenant->quarantined && tenant->crash_count >= CRASHES_MAX) {
		set_active(tenant, true);
	}
}

// It was in flight when its node crashed.
static bool strike(struct sim_tenant *tenant)
{
	size_t kept = 0;

	while (kept < tenant->crash_count && tenant->crashes_us[kept] > sim.now_us - HOUR_US) {
		kept++;
	}
	assert(kept < sizeof tenant->crashes_us / sizeof *tenant->crashes_us);
	memmove(tenant->crashes_us + 1, tenant->crashes_us, kept * sizeof *tenant->crashes_us);
	tenant->crashes_us[0] = sim.now_us;
	tenant->crash_count = kept + 1;
	tenant->claimed_by = TEXT_NONE;
	tenant->due_at_us = sim.now_us + STRUCK_WAITS_S * SECOND_US;
	sim_trace("struck", tenant->id, (int64_t)tenant->crash_count, 0);
	if (tenant->crash_count < CRASHES_MAX || tenant->quarantined) {
		return false;
	}
	tenant->active = false;
	tenant->quarantined = true;
	tenant->has_news = true;
	tenant->alerts[ALERT_QUARANTINED] = true;
	if (sim.shape->faults > 0) {
		sim_at(sim.now_us + sim_between(5, 90) * MINUTE_US, NULL, release_struck, tenant);
	}
	return true;
}

static void strike_clients(struct sim_op *op)
{
	struct struck_row *rows = sim_answer_rows(op, (size_t)sim.shape->tenants, sizeof *rows);

	op->out_count = 0;
	forget_node(op->text);
	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (text_equal(tenant->claimed_by, op->text)) {
			const bool quarantined = strike(tenant);

			rows[op->out_count++] = (struct struck_row){ text_of(tenant->slug), (int64_t)tenant->crash_count, quarantined };
		}
	}
}

// What was on its way when the faults ended may still switch something off.
void sim_rows_look_after(struct sim_tenant *tenant)
{
	bool off = !tenant->active;

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		off = off || tenant->instances[i].disabled;
	}
	if (off) {
		recover(tenant);
	}
	sim_allow_removals(tenant);
}

// --- reads ---

static void read_one(struct sim_op *op, const void *row, size_t size)
{
	memcpy(sim_answer_rows(op, 1, size), row, size);
}

static void read_stream(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct stream_row row = tenant->stream;

	row.sync.has_cursor = row.cursor.length > 0;
	row.now_us = sim.now_us;
	read_one(op, &row, sizeof row);
}

// What a run knows from now on: laws about what it does compare with it.
static void note_load(struct sim_life *life, struct sim_tenant *tenant)
{
	const size_t at = (size_t)tenant->id - 1;

	life->loaded[at].epoch = tenant->stream.epoch;
	life->loaded[at].config = tenant->stream.config_version;
	life->loaded[at].route = tenant->route;
	for (int i = 0; i < SIM_INSTANCES; i++) {
		life->loaded[at].version[i + 1] = tenant->instances[i].version;
	}
	life->loaded[at].active = tenant->active;
	life->loaded[at].stale_calls = 0;
	sim_wait_loaded(tenant);
}

// Drawn, as it were: none comes again.
static int64_t new_load_id(void)
{
	return ++sim.load_ids;
}

static void take_news(struct sim_op *op, struct sim_tenant *tenant)
{
	if (tenant->has_news && text_equal(tenant->stream.owner, op->text)) {
		tenant->has_news = false;
		tenant->stream.load_id = new_load_id();
	}
	op->number = tenant->stream.load_id;
	op->out_count = 1;
}

static void take_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	struct stream_row *stream = &tenant->stream;

	if (stream->owner.length > 0 && !text_equal(stream->owner, op->text) && is_alive(stream->owner)) {
		return;
	}
	LAW(tenant->crash_count < CRASHES_MAX || transaction->life->loaded[tenant->id - 1].claimed_at_us < tenant->crashes_us[0],
		"client %lld runs again after %zu crashes", (long long)tenant->id, tenant->crash_count);
	stream->epoch++;
	stream->owner = op->text;
	stream->run_started_at_us = sim.now_us;
	stream->run_pages = 0;
	stream->run_devices = 0;
	tenant->owner_life = transaction->life->number;
	note_load(transaction->life, tenant);
	read_stream(op, tenant);
}

static void take_due_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	if (tenant->active && tenant->due_at_us <= sim.now_us && tenant->crash_count == 0 &&
		(text_equal(tenant->claimed_by, op->text) || !is_alive(tenant->claimed_by))) {
		take_stream(transaction, op, tenant);
		if (op->out_count > 0) {
			transaction->life->loaded[tenant->id - 1].claimed_at_us = sim.now_us;
			tenant->claimed_by = op->text;
			tenant->due_at_us = sim.now_us + FORGOTTEN_AFTER_S * SECOND_US;
			sim_due_changed();
		}
	}
}

static void read_webhook_secrets(struct secret_row *rows, struct sim_op *op, const struct sim_tenant *tenant)
{
	for (int64_t i = 1; i <= SIM_INSTANCES; i++) {
		rows[op->out_count++] = (struct secret_row){ SECRET_WEBHOOK, i, 1, TEXT("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
			tenant->instances[i - 1] };
	}
}

static void read_secrets(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct secret_row *rows = sim_answer_rows(op, SIM_INSTANCES + 2, sizeof *rows);

	op->out_count = 0;
	if (op->number == SECRET_WEBHOOK) {
		read_webhook_secrets(rows, op, tenant);
		return;
	}
	rows[op->out_count++] = (struct secret_row){ SECRET_SERVER_TOKEN, tenant->token_id, 1,
		TEXT("{\"consumer_key\":\"CK_1\",\"consumer_secret\":\"CS_1\","
			"\"access_token\":\"AT_1\",\"access_secret\":\"AS_1\",\"access_token_expiry\":\"2028-01-01T00:00:00Z\"}"), { 0 } };
	if (tenant->session.length > 0) {
		rows[op->out_count++] = (struct secret_row){ SECRET_APPLE_SESSION, tenant->token_id, tenant->session_version, tenant->session, { 0 } };
	}
}

static bool has_pending(const struct sim_tenant *tenant, const struct position_row *position)
{
	return tenant->newest[position - tenant->positions] > position->acked_seq;
}

static void read_positions(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct position_row *rows = sim_answer_rows(op, SIM_LANES, sizeof *rows);

	memcpy(rows, tenant->positions, SIM_LANES * sizeof *rows);
	for (size_t i = 0; i < SIM_LANES; i++) {
		rows[i].pending = has_pending(tenant, &tenant->positions[i]);
	}
}

static void read_events(struct sim_op *op, const struct sim_tenant *tenant)
{
	const int64_t *place = op->in;
	const int64_t left = tenant->stream.event_seq > op->number ? tenant->stream.event_seq - op->number : 0;
	struct stored_event *rows = sim_answer_rows(op, (size_t)(left < op->other ? left : op->other), sizeof *rows);

	op->out_count = 0;
	for (int64_t seq = op->number + 1; seq <= tenant->stream.event_seq && (int64_t)op->out_count < op->other; seq++) {
		const struct stored_event *event = &tenant->events[seq - 1];

		if (event->instance_id == place[0] && event->lane == place[1]) {
			rows[op->out_count] = *event;
			rows[op->out_count++].event.instance = text_of(tenant->instances[place[0] - 1].name);
		}
	}
}

static int compare_texts(struct text a, struct text b)
{
	const size_t shorter = a.length < b.length ? a.length : b.length;
	const int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static bool is_wanted(const struct sim_op *op, const struct device_row *row)
{
	const struct text *serials = op->in;

	if (op->kind == OP_TO_ASSIGN) {
		return row->assign_at_us != INSTANT_NONE && row->assign_at_us <= op->number;
	}
	if (op->kind == OP_FINGERPRINTS || op->kind == OP_DEVICE_LIST) {
		return compare_texts(row->apple.serial_number, op->text) > 0 && (op->kind == OP_FINGERPRINTS || row->gone_at_us == INSTANT_NONE);
	}
	for (size_t i = 0; i < op->in_count; i++) {
		if (text_equal(serials[i], row->apple.serial_number)) {
			return true;
		}
	}
	return false;
}

static void read_devices(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct device_row *rows = sim_answer_rows(op, SIM_DEVICES, sizeof *rows);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_DEVICES; i++) { // which are in the order of their serial numbers
		if (tenant->devices[i].used && is_wanted(op, &tenant->devices[i].row)) {
			rows[op->out_count++] = tenant->devices[i].row;
		}
	}
}

static int64_t next_assign(const struct sim_tenant *tenant)
{
	int64_t next_us = INSTANT_NONE;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const int64_t at_us = tenant->devices[i].used ? tenant->devices[i].row.assign_at_us : INSTANT_NONE;

		if (at_us != INSTANT_NONE && (next_us == INSTANT_NONE || at_us < next_us)) {
			next_us = at_us;
		}
	}
	return next_us;
}

static void read_next_assign(struct sim_op *op, const struct sim_tenant *tenant)
{
	op->number = next_assign(tenant);
	op->out_count = 1;
}

static struct text open_alerts(const struct sim_tenant *tenant)
{
	struct buffer names CLEANUP(buffer_fini) = BUFFER(ALERT_KINDS * 40);

	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		if (tenant->alerts[kind]) {
			buffer_add_string(&names, names.length > 0 ? "," : "");
			buffer_add_string(&names, alert_name(kind));
		}
	}
	return sim_keep(buffer_text(&names));
}

static void read_run_row(struct sim_op *op, const struct sim_tenant *tenant)
{
	const struct run_row row = {
		.tenant = {
			.tenant_id = tenant->id,
			.state = tenant->active ? TEXT("active") : tenant->quarantined ? TEXT("quarantined") : TEXT("paused"),
			.server_uuid = text_of(tenant->server_uuid),
			.brake_devices = SIM_BRAKE_DEVICES,
			.brake_percent = SIM_BRAKE_PERCENT,
		},
		.status = {
			.token_state = tenant->token_state,
			.event_seq = tenant->counted_seq,
			.announced_seq = tenant->announced_seq,
			.told_token_id = tenant->told_token_id,
			.told_days = tenant->told_days,
		},
		.token = { .token_id = tenant->token_id },
		.rules = { .version = tenant->stream.rules_version, .document = sim_rules_document(tenant->route.rules) },
		.next_assign_us = next_assign(tenant),
		.open_alerts = open_alerts(tenant),
		.incarnation = 1,
	};

	read_one(op, &row, sizeof row);
}

static void read_profiles(struct sim_op *op, const struct sim_tenant *tenant)
{
	memcpy(sim_answer_rows(op, tenant->profile_count, sizeof *tenant->profiles), tenant->profiles,
		tenant->profile_count * sizeof *tenant->profiles);
}

static void read_due(struct sim_op *op, const struct sim_tenant *tenant)
{
	const struct due_row row = due_row_of(tenant);

	read_one(op, &row, sizeof row);
}

// --- writes ---

static void hand_over(const struct sim_op *op, struct sim_tenant *tenant)
{
	if (text_equal(tenant->claimed_by, op->text) && !text_equal(tenant->stream.owner, op->text)) {
		tenant->claimed_by = is_alive(tenant->stream.owner) ? tenant->stream.owner : TEXT_NONE;
		tenant->due_at_us = sim.now_us;
		sim_due_changed();
	}
}

static bool is_as_loaded(const struct op_fence *fence, const struct sim_tenant *tenant)
{
	const struct stream_row *stream = &tenant->stream;

	return text_equal(stream->owner, fence->node_id) && stream->epoch == fence->epoch && stream->config_version == fence->config_version;
}

static bool fence_holds(const struct op_fence *fence, const struct sim_tenant *tenant)
{
	const struct stream_row *stream = &tenant->stream;

	return is_as_loaded(fence, tenant) && stream->write_seq == fence->write_seq && stream->event_seq == fence->event_seq;
}

static struct position_row *position_of(struct sim_tenant *tenant, const struct position_row *of)
{
	return &tenant->positions[(of->endpoint_id - 1) * EVENT_LANES + of->lane];
}

static bool may_settle(const struct op_fence *fence, struct sim_tenant *tenant)
{
	return position_of(tenant, &fence->position)->acked_seq == fence->was_acked_seq && fence->was_acked_seq <= fence->position.acked_seq &&
		text_equal(tenant->stream.owner, fence->node_id) && tenant->stream.epoch == fence->epoch;
}

// "f<generation>-<place>-<since>" of a list, "c<generation>-<place>" of the changes: see sim_apple.c.
static int64_t cursor_place(struct text cursor)
{
	const int64_t changes = sim_number(cursor, 'c', NULL);
	struct text rest = TEXT_NONE;

	return changes >= 0 ? 1000000 + changes : sim_number(cursor, 'f', &rest) >= 0 ? sim_number(rest, '-', NULL) : -1;
}

static void check_next(const struct sim_tenant *tenant, const struct stream_row *next)
{
	const struct stream_row *stream = &tenant->stream;

	LAW(next->sync.generation >= stream->sync.generation, "client %lld goes back from generation %lld to %lld", (long long)tenant->id,
		(long long)stream->sync.generation, (long long)next->sync.generation);
	if (next->sync.generation == stream->sync.generation) {
		LAW(cursor_place(next->cursor) >= cursor_place(stream->cursor), "client %lld's cursor goes back from %.*s to %.*s",
			(long long)tenant->id, TEXT_ARGS(stream->cursor), TEXT_ARGS(next->cursor));
	}
	LAW(next->sync_requests_done <= tenant->sync_requests && next->full_requests_done <= tenant->full_requests,
		"client %lld has done what was not asked for", (long long)tenant->id);
}

// A run that ends leaves no event behind without coming back for it at once, unless its endpoint is to be left alone. Whoever has claimed the
// client meanwhile comes, or the client is due again soon after the claim.
static void check_left(const struct sim_tenant *tenant)
{
	const int64_t soon_us = (tenant->claimed_by.length > 0 ? FORGOTTEN_AFTER_S : 5) * SECOND_US;

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		const struct position_row *lanes = &tenant->positions[i * EVENT_LANES];
		bool left = false, waits = tenant->instances[i].disabled;

		for (size_t lane = 0; lane < EVENT_LANES; lane++) {
			left = left || has_pending(tenant, &lanes[lane]);
			waits = waits || lanes[lane].attempts > 0;
		}
		LAW(!left || waits || tenant->due_at_us <= sim.now_us + soon_us, "client %lld: a run ends with events that wait for %lld s",
			(long long)tenant->id, (long long)((tenant->due_at_us - sim.now_us) / SECOND_US));
	}
}

static void advance(const struct sim_life *life, const struct op_fence *fence, struct sim_tenant *tenant)
{
	struct stream_row *stream = &tenant->stream;
	struct stream_row after = *stream;

	if (fence->has_next) {
		check_next(tenant, &fence->next);
		sim_wait_stored(life, tenant, &fence->next);
		after = fence->next;
		after.epoch = stream->epoch;
		after.owner = stream->owner;
		after.write_seq = stream->write_seq;
		after.event_seq = stream->event_seq;
		after.config_version = stream->config_version;
		after.rules_version = stream->rules_version;
		after.load_id = stream->load_id;
		after.removals_held = stream->removals_held;
		after.removals_held_of = stream->removals_held_of;
		after.removals_held_at_us = stream->removals_held_at_us;
	}
	after.write_seq++;
	after.load_id = fence->load_changes ? new_load_id() : after.load_id;
	after.event_seq += fence->events;
	if (fence->finish) {
		sim_due_changed();
		after.owner = TEXT_NONE;
		if (text_equal(tenant->claimed_by, fence->node_id)) {
			tenant->claimed_by = TEXT_NONE;
			tenant->due_at_us = tenant->wake == fence->wake && fence->due_at_us != INSTANT_NONE ? fence->due_at_us : sim.now_us;
		}
	}
	*stream = after;
	if (fence->finish && tenant->active) {
		check_left(tenant);
	}
}

int64_t sim_device_of(const struct sim_tenant *tenant, struct text serial)
{
	struct text rest;

	if (sim_number(serial, 'T', &rest) != tenant->id) {
		return -1;
	}

	const int64_t device = sim_number(rest, 'D', &rest);

	return rest.length == 0 && device < SIM_DEVICES ? device : -1;
}

static size_t device_number(const struct sim_tenant *tenant, struct text serial)
{
	const int64_t device = sim_device_of(tenant, serial);

	LAW(device >= 0, "client %lld gets a device that is not its own: %.*s", (long long)tenant->id, TEXT_ARGS(serial));
	return (size_t)device;
}

static bool is_present(const struct sim_device *device)
{
	return device->used && device->row.gone_at_us == INSTANT_NONE;
}

static int64_t count_present(const struct sim_tenant *tenant)
{
	int64_t count = 0;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		count += is_present(&tenant->devices[i]);
	}
	return count;
}

static int64_t count_unlisted(const struct sim_tenant *tenant, const struct device_row *rows, size_t count)
{
	int64_t unlisted = 0;

	for (size_t i = 0; i < count; i++) {
		unlisted += rows[i].gone_reason == REMOVAL_UNLISTED && is_present(&tenant->devices[device_number(tenant, rows[i].apple.serial_number)]);
	}
	return unlisted;
}

// One list, in as many writes as it needs, removes a few devices, or as many as a person has allowed.
static void check_removals(struct sim_tenant *tenant, const struct device_row *rows, size_t count)
{
	const int64_t removals = count_unlisted(tenant, rows, count);

	if (removals == 0) {
		return;
	}
	if (tenant->list_generation != tenant->stream.sync.generation) {
		tenant->list_generation = tenant->stream.sync.generation;
		tenant->list_present = count_present(tenant);
		tenant->list_removals = 0;
	}
	tenant->list_removals += removals;
	if (tenant->list_removals > SIM_BRAKE_DEVICES && tenant->list_removals * 100 > tenant->list_present * SIM_BRAKE_PERCENT) {
		LAW(tenant->list_removals <= tenant->word, "a list removes %lld of client %lld's %lld devices, allowed are %lld",
			(long long)tenant->list_removals, (long long)tenant->id, (long long)tenant->list_present, (long long)tenant->word);
		tenant->word = 0;
	}
}

static void put_removals(const struct sim_op *op, struct sim_tenant *tenant)
{
	LAW(op->number == 0 || (op->other == count_present(tenant) && op->number <= op->other), "client %lld: the brake holds %lld of %lld devices, there are %lld",
		(long long)tenant->id, (long long)op->number, (long long)op->other, (long long)count_present(tenant));
	sim_trace("held", tenant->id, op->number, op->other);
	tenant->stream.removals_held = op->number;
	tenant->stream.removals_held_of = op->number > 0 ? op->other : 0;
	tenant->stream.removals_held_at_us = op->number > 0 ? sim.now_us : INSTANT_NONE;
	tenant->removals_allowed = 0;
	if (op->number > 0 && sim.shape->faults > 0 && !sim.quiet) {
		sim_at(sim.now_us + sim_between(5, 120) * MINUTE_US, NULL, allow_removals, tenant);
	}
}

// A device that came in another one's place stays where that one was when it was decided about; so it is compared when it moves.
static void check_route(const struct sim_tenant *tenant, const struct device_row *row)
{
	const size_t number = device_number(tenant, row->apple.serial_number);
	const struct sim_device *device = &tenant->devices[number];
	const int64_t want = sim_want(tenant, &tenant->route, number, &row->apple);
	const bool stays = is_present(device) && device->row.instance_id == row->instance_id;

	LAW(row->gone_at_us != INSTANT_NONE || row->instance_id == want || (stays && sim_inherits(&tenant->route, number)),
		"device %.*s is routed to %lld, and wanted at %lld", TEXT_ARGS(row->apple.serial_number), (long long)row->instance_id, (long long)want);
}

static void put_device(struct sim_tenant *tenant, const struct device_row *row)
{
	struct sim_device *device = &tenant->devices[device_number(tenant, row->apple.serial_number)];
	const bool was_present = is_present(device);

	if (was_present && row->gone_at_us != INSTANT_NONE) {
		LAW(sim_apple_was_gone_after(tenant, row->apple.serial_number, device->row.apple.asset_tag),
			"device %.*s is removed, and Apple has listed it all the time", TEXT_ARGS(row->apple.serial_number));
	}
	LAW(row->gone_at_us == INSTANT_NONE || row->instance_id == 0, "device %.*s is gone, and routed", TEXT_ARGS(row->apple.serial_number));
	if (was_present && row->gone_at_us != INSTANT_NONE) {
		device->last_instance_id = device->row.instance_id;
	}
	sim_trace("row", tenant->id * 100 + (device - tenant->devices), row->gone_at_us != INSTANT_NONE, row->assign_state);
	device->used = true;
	device->was_at[row->gone_at_us == INSTANT_NONE ? row->instance_id : device->last_instance_id] = true;
	device->row = *row;
}

// A page is decided by what was there before it, and written in two parts: so all of it is looked at before the first one.
static void check_routes(const struct sim_transaction *transaction, const struct sim_op *at, const struct sim_tenant *tenant)
{
	for (const struct sim_op *op = transaction->ops; op < at; op++) {
		if (op->kind == OP_DEVICE_PUT) {
			return;
		}
	}
	for (const struct sim_op *op = at; op < transaction->ops + transaction->count; op++) {
		for (size_t i = 0; op->kind == OP_DEVICE_PUT && i < op->in_count; i++) {
			check_route(tenant, (const struct device_row *)op->in + i);
		}
	}
}

static void put_devices(const struct sim_transaction *transaction, struct sim_tenant *tenant, const struct sim_op *op)
{
	const struct device_row *rows = op->in;

	check_routes(transaction, op, tenant);
	check_removals(tenant, rows, op->in_count);
	for (size_t i = 0; i < op->in_count; i++) {
		LAW(op->number == 0 || !tenant->devices[device_number(tenant, rows[i].apple.serial_number)].used,
			"device %.*s is inserted, and is there already", TEXT_ARGS(rows[i].apple.serial_number));
		put_device(tenant, &rows[i]);
	}
}

static void tell(struct sim_tenant *tenant, const struct stored_event *event)
{
	struct sim_device *device = &tenant->devices[device_number(tenant, event->event.serial_number)];

	LAW(device->told == NULL || device->told->event.at_us <= event->event.at_us, "device %.*s goes back in time with event %lld",
		TEXT_ARGS(event->event.serial_number), (long long)event->event.seq);
	device->told = event;
}

// The log says of each device what its row says. (One that was gone when it was heard of first was never there.)
static void check_history(const struct sim_transaction *transaction, struct sim_tenant *tenant)
{
	for (size_t i = 0; i < transaction->count; i++) {
		const struct sim_op *op = &transaction->ops[i];

		for (size_t j = 0; op->kind == OP_DEVICE_PUT && j < op->in_count; j++) {
			const struct device_row *row = (const struct device_row *)op->in + j;
			const struct sim_device *device = &tenant->devices[device_number(tenant, row->apple.serial_number)];
			const bool present = row->gone_at_us == INSTANT_NONE;

			if (device->told == NULL) {
				LAW(!present, "device %.*s is there, and no event tells of it", TEXT_ARGS(row->apple.serial_number));
				continue;
			}
			const struct history_state told = history_state_after(&device->told->event, device->told->instance_id);

			LAW(told.present == present && told.instance_id == row->instance_id && told.gone_reason == row->gone_reason,
				"device %.*s is not what event %lld tells of it", TEXT_ARGS(row->apple.serial_number),
				(long long)device->told->event.seq);
		}
	}
}

static void insert_events(struct sim_tenant *tenant, const struct stored_event *events, size_t count)
{
	const int64_t first = tenant->stream.event_seq - (int64_t)count + 1;

	while (tenant->event_room < (size_t)tenant->stream.event_seq) {
		const size_t room = tenant->event_room > 0 ? tenant->event_room * 2 : 256;
		struct stored_event *larger = sim_take(room * sizeof *larger);

		if (tenant->event_room > 0) {
			memcpy(larger, tenant->events, tenant->event_room * sizeof *larger);
		}
		tenant->events = larger;
		tenant->event_room = room;
	}
	for (size_t i = 0; i < count; i++) {
		LAW(events[i].event.seq == first + (int64_t)i, "client %lld's event %lld is numbered %lld", (long long)tenant->id,
			(long long)first + (long long)i, (long long)events[i].event.seq);
		tenant->events[events[i].event.seq - 1] = events[i];
		if (history_tells_state(events[i].event.type)) {
			tell(tenant, &events[i]);
		}
		if (events[i].instance_id > 0) {
			tenant->newest[(events[i].instance_id - 1) * EVENT_LANES + events[i].lane] = events[i].event.seq;
		}
		sim_trace("event", tenant->id, events[i].event.seq, events[i].event.type);
	}
}

static void put_profile(struct sim_tenant *tenant, const struct sim_profile *profile)
{
	size_t at = 0;

	while (at < tenant->profile_count && (tenant->profiles[at].instance_id != profile->instance_id ||
			!text_equal(tenant->profiles[at].digest, profile->digest))) {
		at++;
	}
	assert(at < sizeof tenant->profiles / sizeof *tenant->profiles);
	tenant->profile_count = at < tenant->profile_count ? tenant->profile_count : at + 1;
	tenant->profiles[at] = *profile;
}

static void forget_profile(struct sim_tenant *tenant, struct text uuid)
{
	for (size_t at = 0; at < tenant->profile_count; at++) {
		if (text_equal(tenant->profiles[at].uuid, uuid)) {
			tenant->profiles[at--] = tenant->profiles[--tenant->profile_count];
		}
	}
}

static void settle(const struct op_fence *fence, struct sim_tenant *tenant)
{
	struct position_row *position = position_of(tenant, &fence->position);

	for (int64_t seq = position->acked_seq + 1; seq <= fence->position.acked_seq; seq++) {
		const struct stored_event *event = &tenant->events[seq - 1];

		LAW(event->instance_id != position->endpoint_id || event->lane != position->lane || sim_hook_has(tenant, seq),
			"client %lld's event %lld counts as delivered, and nobody has it", (long long)tenant->id, (long long)seq);
	}
	*position = fence->position;
}

// Everything before the first event that waits for an instance that is told.
static int64_t announced(const struct sim_tenant *tenant)
{
	int64_t all_until = tenant->stream.event_seq;

	for (size_t i = 0; i < SIM_LANES; i++) {
		const struct position_row *position = &tenant->positions[i];

		if (tenant->instances[position->endpoint_id - 1].disabled || !has_pending(tenant, position)) {
			continue;
		}
		for (int64_t seq = position->acked_seq + 1; seq <= all_until; seq++) {
			const struct stored_event *event = &tenant->events[seq - 1];

			if (event->instance_id == position->endpoint_id && event->lane == position->lane) {
				all_until = seq - 1;
			}
		}
	}
	return all_until;
}

static void put_token_state(const struct sim_op *op, struct sim_tenant *tenant)
{
	tenant->token_state = op->text.length > 0 ? op->text : tenant->token_state;
}

static void put_secret(const struct sim_op *op, struct sim_tenant *tenant)
{
	if (op->number == tenant->token_id) {
		tenant->session_version = (int)op->other;
		tenant->session = op->text;
	}
}

static void put_alert(const struct sim_op *op, struct sim_tenant *tenant)
{
	const bool raised = op->other != 0;
	enum alert_kind kind;

	LAW(alert_of(op->text, &kind), "client %lld: there is no alert %.*s", (long long)tenant->id, TEXT_ARGS(op->text));
	LAW(kind >= ALERT_CONDITIONS || kind == ALERT_TOKEN_EXPIRING || raised != tenant->alerts[kind], "client %lld: %s is %s twice",
		(long long)tenant->id, alert_name(kind), raised ? "raised" : "cleared");
	sim_trace("alert", tenant->id, kind, raised);
	tenant->alerts[kind] = raised;
}

// --- a transaction ---

static bool writes(enum op_kind kind)
{
	static const bool does[] = {
		[OP_LEDGER] = true, [OP_DEVICE_PUT] = true, [OP_EVENT_INSERT] = true, [OP_PROFILE_PUT] = true, [OP_PROFILE_FORGET] = true,
		[OP_SECRET_PUT] = true, [OP_SECRET_DELETE] = true, [OP_QUARANTINE] = true, [OP_STATUS] = true, [OP_QUIET_STATUS] = true,
		[OP_ALERT] = true, [OP_TOLD] = true, [OP_REMOVALS] = true, [OP_REROUTE_PUT] = true, [OP_REROUTE_DELETE] = true,
		[OP_REPLACEMENT_NOTE] = true, [OP_REPLACEMENT_PUT] = true, [OP_ENROLMENT_PUT] = true, [OP_ENROLMENT_SUPERSEDE] = true,
		[OP_ENROLMENT_DONE] = true, [OP_ENROLMENT_REVIEW] = true,
	};

	return (size_t)kind < sizeof does / sizeof *does && does[kind];
}

static bool may_commit(struct sim_transaction *transaction, struct sim_tenant *tenant)
{
	bool fenced = false;

	for (size_t i = 0; i < transaction->count; i++) {
		const struct sim_op *op = &transaction->ops[i];

		if (op->kind == OP_ADVANCE) {
			if (!fence_holds(op->in, tenant)) {
				return false;
			}
			fenced = true;
			LAW(tenant->owner_life == transaction->life->number, "client %lld: a former owner writes", (long long)tenant->id);
		}
		if (op->kind == OP_REQUIRE && !is_as_loaded(op->in, tenant)) {
			return false;
		}
		if (op->kind == OP_SETTLE && !may_settle(op->in, tenant)) {
			return false;
		}
		LAW(!writes(op->kind) || fenced, "client %lld: a write without a fence", (long long)tenant->id);
	}
	return true;
}

// Each line of the log that was numbered is there, and nothing else.
static void check_numbers(const struct sim_transaction *transaction, const struct sim_tenant *tenant)
{
	int64_t numbered = 0;
	size_t inserted = 0;

	for (size_t i = 0; i < transaction->count; i++) {
		const struct sim_op *op = &transaction->ops[i];

		numbered += op->kind == OP_ADVANCE ? ((const struct op_fence *)op->in)->events : 0;
		inserted += op->kind == OP_EVENT_INSERT ? op->in_count : 0;
		LAW(op->kind != OP_LEDGER || (op->number == tenant->stream.write_seq && op->other == tenant->stream.event_seq),
			"client %lld: a line of the ledger has another number than the write", (long long)tenant->id);
	}
	LAW(numbered == (int64_t)inserted, "client %lld: %lld events are numbered, %zu are inserted", (long long)tenant->id,
		(long long)numbered, inserted);
}

static void execute_for_tenant(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	switch (op->kind) {
	case OP_STREAM_TAKE: take_stream(transaction, op, tenant); break;
	case OP_STREAM_TAKE_DUE: take_due_stream(transaction, op, tenant); break;
	case OP_STREAM_SELECT: read_stream(op, tenant); break;
	case OP_NEWS_TAKE:
		LAW(op > transaction->ops && (op[-1].kind == OP_STREAM_TAKE || op[-1].kind == OP_STREAM_TAKE_DUE),
			"client %lld: its news is read before it is taken", (long long)tenant->id);
		take_news(op, tenant);
		break;
	case OP_NEWS:
		op->number = tenant->has_news;
		op->out_count = 1;
		break;
	case OP_DUE_SELECT: read_due(op, tenant); break;
	case OP_HAND_OVER: hand_over(op, tenant); break;
	case OP_RUN_ROW:
		LAW(op > transaction->ops && op[-1].kind == OP_NEWS_TAKE,
			"client %lld: what its run goes by is read before it is taken", (long long)tenant->id);
		read_run_row(op, tenant);
		break;
	case OP_SECRETS: read_secrets(op, tenant); break;
	case OP_INSTANCES:
		memcpy(sim_answer_rows(op, SIM_INSTANCES, sizeof *tenant->instances), tenant->instances, sizeof tenant->instances);
		break;
	case OP_PROFILES: read_profiles(op, tenant); break;
	case OP_POSITIONS: read_positions(op, tenant); break;
	case OP_NEXT_ASSIGN: read_next_assign(op, tenant); break;
	case OP_ADVANCE: advance(transaction->life, op->in, tenant); break;
	case OP_REMOVALS: put_removals(op, tenant); break;
	case OP_DEVICE_PUT: put_devices(transaction, tenant, op); break;
	case OP_ROUTING:
	case OP_FACTS:
	case OP_REROUTES:
	case OP_REROUTE_PUT:
	case OP_REROUTE_DELETE:
	case OP_REPLACEMENT_NOTE:
	case OP_REPLACEMENT_PUT:
	case OP_REPLACEMENTS: sim_routes_execute(op, tenant); break;
	case OP_ENROLMENT_WORK:
	case OP_ENROLMENT_HEARD:
	case OP_ENROLMENT_TO_SETTLE:
	case OP_ENROLMENT_PUT:
	case OP_ENROLMENT_SUPERSEDE:
	case OP_ENROLMENT_DONE:
	case OP_ENROLMENT_REVIEW: sim_enrolments_execute(transaction, op, tenant); break;
	case OP_BY_SERIALS:
	case OP_FINGERPRINTS:
	case OP_DEVICE_LIST:
	case OP_TO_ASSIGN: read_devices(op, tenant); break;
	case OP_EVENT_INSERT: insert_events(tenant, op->in, op->in_count); break;
	case OP_EVENT_TO_DELIVER: read_events(op, tenant); break;
	case OP_SETTLE: settle(op->in, tenant); break;
	case OP_ENDPOINT_SLOW: tenant->instances[op->number - 1].not_before_us = op->other; break;
	case OP_ENDPOINT_SUCCEEDED: tenant->instances[op->number - 1].succeeded_at_us = op->other; break;
	case OP_DISABLE: tenant->instances[op->number - 1].disabled = true; break;
	case OP_PROFILE_PUT: put_profile(tenant, op->in); break;
	case OP_PROFILE_FORGET: forget_profile(tenant, op->text); break;
	case OP_SECRET_PUT: put_secret(op, tenant); break;
	case OP_QUARANTINE:
		tenant->active = false;
		tenant->quarantined = true;
		sim_due_changed();
		break;
	case OP_STATUS:
		tenant->counted_seq = tenant->stream.event_seq;
		tenant->announced_seq = announced(tenant);
		put_token_state(op, tenant);
		break;
	case OP_QUIET_STATUS:
		LAW(tenant->counted_seq == tenant->stream.event_seq && tenant->announced_seq == announced(tenant),
			"client %lld: a run ends quietly at event %lld of %lld, and %lld of %lld are announced", (long long)tenant->id,
			(long long)tenant->counted_seq, (long long)tenant->stream.event_seq, (long long)tenant->announced_seq, (long long)announced(tenant));
		put_token_state(op, tenant);
		break;
	case OP_SECRET_DELETE: tenant->session = TEXT_NONE; break;
	case OP_ALERT: put_alert(op, tenant); break;
	case OP_TOLD:
		tenant->told_token_id = op->number;
		tenant->told_days = op->other;
		break;
	case OP_LEDGER:
	case OP_REQUIRE:
	case OP_NODE_BEAT:
	case OP_NODE_RELEASE:
	case OP_NODE_CRASHED:
	case OP_DUE_CLAIM:
	case OP_NUMBER:
	case OP_NOTHING: break;
	}
}

static void execute_for_directory(struct sim_life *life, struct sim_op *op)
{
	if (op->kind == OP_NODE_BEAT) {
		beat(op->text);
	} else if (op->kind == OP_NODE_RELEASE) {
		release_node(op->text);
	} else if (op->kind == OP_DUE_CLAIM) {
		claim(life, op);
	} else if (op->kind == OP_NODE_CRASHED) {
		strike_clients(op);
	}
}

enum err sim_rows_execute(struct sim_transaction *transaction)
{
	struct sim_tenant *tenant = transaction->tenant_id != 0 ? sim_tenant_of(transaction->tenant_id) : NULL;

	if (tenant != NULL && !may_commit(transaction, tenant)) {
		return ERR_FENCED;
	}
	for (size_t i = 0; i < transaction->count; i++) {
		if (tenant != NULL) {
			execute_for_tenant(transaction, &transaction->ops[i], tenant);
		} else {
			execute_for_directory(transaction->life, &transaction->ops[i]);
		}
	}
	if (tenant != NULL) {
		check_numbers(transaction, tenant);
		check_history(transaction, tenant);
	}
	return OK;
}

// --- the end ---

// Of the content in force; none when it is not defined, or was refused.
static struct text wanted_profile(const struct sim_tenant *tenant, const struct sim_instance *instance)
{
	for (size_t i = 0; i < tenant->profile_count; i++) {
		const struct text uuid = tenant->profiles[i].uuid;

		if (uuid.length > 0 && sim_apple_profile_is(tenant, uuid, instance->id, instance->version)) {
			return uuid;
		}
	}
	return TEXT_NONE;
}

const char *sim_rows_unfinished(struct sim_tenant *tenant)
{
	struct text wanted[SIM_INSTANCES + 1] = { TEXT_NONE };

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		wanted[i + 1] = wanted_profile(tenant, &tenant->instances[i]);
	}
	if (tenant->stream.profile_needed) {
		return "routes are to be looked at";
	}
	if (sim_routes_unfinished(tenant) != NULL) {
		return sim_routes_unfinished(tenant);
	}
	if (sim_enrolments_unfinished(tenant) != NULL) {
		return sim_enrolments_unfinished(tenant);
	}
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const char *difference = sim_apple_differs(tenant, i, tenant->devices[i].used ? &tenant->devices[i].row : NULL, wanted);

		if (difference != NULL) {
			return difference;
		}
	}
	for (int64_t seq = 1; seq <= tenant->stream.event_seq; seq++) {
		if (tenant->events[seq - 1].instance_id != 0 && !sim_hook_has(tenant, seq)) {
			return "an event is not delivered";
		}
	}
	for (size_t i = 0; i < SIM_LANES; i++) {
		if (has_pending(tenant, &tenant->positions[i])) {
			return "a lane is not settled";
		}
	}
	return NULL;
}

static void make_tenant(struct sim_tenant *tenant, int64_t id)
{
	tenant->id = id;
	tenant->active = true;
	tenant->token_id = 100;
	tenant->token_state = TEXT("active");
	tenant->due_at_us = sim.now_us + sim_between(0, 30) * SECOND_US;
	(void)snprintf(tenant->slug, sizeof tenant->slug, "t%d", (int)id);
	(void)snprintf(tenant->server_uuid, sizeof tenant->server_uuid, "SERVER-%d", (int)id);
	tenant->stream = (struct stream_row){ .sync_next_at_us = INSTANT_NONE, .synced_at_us = INSTANT_NONE, .run_started_at_us = INSTANT_NONE,
		.replacement_due_us = INSTANT_NONE, .removals_held_at_us = INSTANT_NONE, .profile_needed = true, .rules_version = 1 };
	tenant->route.rules = (int)sim_between(0, SIM_RULES - 1);
	for (int i = 0; i < SIM_DEVICES; i++) {
		tenant->serials[i] = sim_format("T%dD%d", (int)id, i);
	}
	for (int i = 0; i < SIM_INSTANCES; i++) {
		struct sim_instance *instance = &tenant->instances[i];

		instance->id = i + 1;
		instance->not_before_us = INSTANT_NONE;
		instance->succeeded_at_us = INSTANT_NONE;
		(void)snprintf(instance->name, sizeof instance->name, "i%d", i + 1);
		(void)snprintf(instance->url, sizeof instance->url, "https://mdm%d.example/enrol", i + 1);
		(void)snprintf(instance->host, sizeof instance->host, "mdm%d.example", i + 1);
		(void)snprintf(instance->members, sizeof instance->members, "{\"department\":\"0\"}");
		(void)snprintf(instance->hook, sizeof instance->hook, "h%d/%d", (int)id, i + 1);
		for (int lane = 0; lane < EVENT_LANES; lane++) {
			tenant->positions[i * EVENT_LANES + lane] = (struct position_row){ .endpoint_id = i + 1, .lane = lane,
				.next_try_at_us = INSTANT_NONE, .first_failed_at_us = INSTANT_NONE };
		}
	}
}

void sim_rows_begin(void)
{
	node_rows = sim_take(NODE_ROWS * sizeof *node_rows);
	node_count = 0;
	sim.tenants = sim_take((size_t)sim.shape->tenants * sizeof *sim.tenants);
	sim_routes_begin();
	sim_enrolments_begin();
	for (int i = 0; i < sim.shape->tenants; i++) {
		make_tenant(&sim.tenants[i], i + 1);
	}
}
