// SPDX-License-Identifier: Apache-2.0
//
// sim_rows.c - a model of a client's rows: what the SQL of server/store does, in C, with the laws that every write must keep.
#include "sim/sim_transaction.h"

#include "tenants/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *sim_answer_rows(struct sim_op *op, size_t count, size_t size)
{
	op->out = reallocate(NULL, (count > 0 ? count : 1) * size); // whoever asked fills what it says that there is
	op->out_size = size;
	op->out_count = count;
	return op->out;
}

void sim_answer_row(struct sim_op *op, const void *row, size_t size)
{
	memcpy(sim_answer_rows(op, 1, size), row, size);
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

// --- writes ---

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
			left = left || sim_has_pending(tenant, &lanes[lane]);
			waits = waits || lanes[lane].attempts > 0;
		}
		LAW(!left || waits || tenant->due_at_us <= sim.now_us + soon_us, "client %lld: a run ends with events that wait for %lld s",
			(long long)tenant->id, (long long)((tenant->due_at_us - sim.now_us) / SECOND_US));
	}
}

// In this scene clients are due in crowds, so that they are claimed, and end, together.
static int64_t in_crowds(const struct op_fence *fence)
{
	const int64_t step_us = sim.shape->interval_s * SECOND_US;

	if (sim.shape != &sim_shape_polls || fence->load_changes) {
		return fence->due_at_us;
	}
	return (fence->due_at_us + step_us - 1) / step_us * step_us;
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
	after.load_id = fence->load_changes ? sim_new_load_id() : after.load_id;
	after.event_seq += fence->events;
	if (fence->finish) {
		sim_due_changed();
		after.owner = TEXT_NONE;
		if (text_equal(tenant->claimed_by, fence->node_id)) {
			tenant->claimed_by = TEXT_NONE;
			tenant->due_at_us = tenant->wake == fence->wake && fence->due_at_us != INSTANT_NONE ? in_crowds(fence) : sim.now_us;
		}
	}
	*stream = after;
	if (fence->finish && tenant->active) {
		check_left(tenant);
	}
}

static void insert_events(struct sim_tenant *tenant, const struct stored_event *events, size_t count)
{
	const int64_t first = tenant->stream.event_seq - (int64_t)count + 1;

	while (tenant->event_room < (size_t)tenant->stream.event_seq) {
		const size_t room = tenant->event_room > 0 ? tenant->event_room * 2 : 256;
		struct stored_event *larger = sim_take_unset(room * sizeof *larger);

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
			sim_device_tell(tenant, &events[i]);
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

		if (tenant->instances[position->endpoint_id - 1].disabled || !sim_has_pending(tenant, position)) {
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

static void check_quiet(const struct sim_life *life, const struct sim_tenant *tenant)
{
	LAW(!life->loaded[tenant->id - 1].guard_is_over, "client %lld: a run ends quietly, and had a device to let go of", (long long)tenant->id);
	LAW(tenant->counted_seq == tenant->stream.event_seq && tenant->announced_seq == announced(tenant),
		"client %lld: a run ends quietly at event %lld of %lld, and %lld of %lld are announced", (long long)tenant->id,
		(long long)tenant->counted_seq, (long long)tenant->stream.event_seq, (long long)tenant->announced_seq, (long long)announced(tenant));
}

static bool is_same_but_for_its_times(const struct stream_row *next, const struct stream_row *stored)
{
	const struct sync_state *sync = &next->sync, *before = &stored->sync;

	return next->cursor.length > 0 && text_equal(next->reason, stored->reason) && next->error_text.length == 0 && stored->error_text.length == 0 &&
		next->apple_error.length == 0 && stored->apple_error.length == 0 && sync->phase == before->phase && sync->generation == before->generation &&
		sync->fetch_started_at_us == before->fetch_started_at_us && sync->fetch_completed_at_us == before->fetch_completed_at_us &&
		sync->full_due_at_us == before->full_due_at_us && sync->stuck_runs == before->stuck_runs &&
		sync->exhausted_runs == before->exhausted_runs && sync->failures == before->failures &&
		next->sync_requests_done == stored->sync_requests_done && next->full_requests_done == stored->full_requests_done &&
		next->run_started_at_us == stored->run_started_at_us && next->profile_needed == stored->profile_needed &&
		next->replacement_due_us == stored->replacement_due_us;
}

// Each for itself. Some are locked by somebody.
static void end_quietly(const struct sim_life *life, struct sim_op *op)
{
	const struct op_end *ends = op->in;
	int64_t *ended = sim_answer_rows(op, op->in_count, sizeof *ended);

	op->out_count = 0;
	for (size_t i = 0; i < op->in_count; i++) {
		struct sim_tenant *tenant = sim_tenant_of(ends[i].tenant_id);

		if (!fence_holds(&ends[i].fence, tenant) || sim_chance(LOCKED_PERCENT)) {
			continue;
		}
		LAW(tenant->owner_life == life->number, "client %lld: a former owner ends a run", (long long)tenant->id);
		LAW(is_same_but_for_its_times(&ends[i].fence.next, &tenant->stream), "client %lld: the end of a quiet run would change more than its times",
			(long long)tenant->id);
		check_quiet(life, tenant);
		sim.gathered_ends++;
		advance(life, &ends[i].fence, tenant);
		ended[op->out_count++] = tenant->id;
	}
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
		[OP_ENROLMENT_DONE] = true, [OP_ENROLMENT_REVIEW] = true, [OP_CLAIMS] = true, [OP_LIST_HASHES] = true,
		[OP_JOB_ANSWERED] = true,
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
	case OP_STREAM_TAKE: sim_take_stream(transaction, op, tenant); break;
	case OP_STREAM_TAKE_DUE: sim_take_due_stream(transaction, op, tenant); break;
	case OP_STREAM_SELECT: sim_read_stream(op, tenant); break;
	case OP_NEWS_TAKE:
		LAW(op > transaction->ops && (op[-1].kind == OP_STREAM_TAKE || op[-1].kind == OP_STREAM_TAKE_DUE),
			"client %lld: its news is read before it is taken", (long long)tenant->id);
		sim_take_news(op, tenant);
		break;
	case OP_NEWS:
		op->number = tenant->has_news;
		op->out_count = 1;
		break;
	case OP_DUE_SELECT: sim_read_due(op, tenant); break;
	case OP_HAND_OVER: sim_hand_over(op, tenant); break;
	case OP_RUN_ROW:
		LAW(op > transaction->ops && op[-1].kind == OP_NEWS_TAKE,
			"client %lld: what its run goes by is read before it is taken", (long long)tenant->id);
		sim_read_run_row(op, tenant);
		break;
	case OP_SECRETS: sim_read_secrets(op, tenant); break;
	case OP_INSTANCES:
		memcpy(sim_answer_rows(op, SIM_INSTANCES, sizeof *tenant->instances), tenant->instances, sizeof tenant->instances);
		break;
	case OP_PROFILES: sim_read_profiles(op, tenant); break;
	case OP_POSITIONS: sim_read_positions(op, tenant); break;
	case OP_NEXT_ASSIGN: sim_read_next_assign(op, tenant); break;
	case OP_ADVANCE: advance(transaction->life, op->in, tenant); break;
	case OP_REMOVALS: sim_put_removals(op, tenant); break;
	case OP_DEVICE_PUT: sim_put_devices(transaction, tenant, op); break;
	case OP_LIST_HASHES: sim_put_list_hashes(tenant, op); break;
	case OP_ROUTING:
	case OP_FACTS:
	case OP_REROUTES:
	case OP_REROUTE_PUT:
	case OP_REROUTE_DELETE:
	case OP_REPLACEMENT_NOTE:
	case OP_REPLACEMENT_PUT:
	case OP_REPLACEMENTS: sim_routes_execute(op, tenant); break;
	case OP_CLAIMS:
	case OP_GUARDS: sim_guards_execute(op, tenant); break;
	case OP_JOB_ANY:
	case OP_JOB_ASKED:
	case OP_JOB_ANSWERED: sim_jobs_execute(op, tenant); break;
	case OP_ENROLMENT_WORK:
	case OP_ENROLMENT_HEARD:
	case OP_ENROLMENT_TO_SETTLE:
	case OP_ENROLMENT_PUT:
	case OP_ENROLMENT_SUPERSEDE:
	case OP_ENROLMENT_DONE:
	case OP_ENROLMENT_REVIEW: sim_enrolments_execute(transaction, op, tenant); break;
	case OP_BY_SERIALS:
		transaction->life->loaded[tenant->id - 1].read_config = tenant->stream.config_version;
		sim_read_devices(op, tenant);
		break;
	case OP_FINGERPRINTS:
	case OP_DEVICE_LIST:
	case OP_TO_ASSIGN: sim_read_devices(op, tenant); break;
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
		check_quiet(transaction->life, tenant);
		sim.quiet_ends++;
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
	case OP_TAKE_CLAIMED:
	case OP_END_QUIETLY:
	case OP_NUMBER:
	case OP_NOTHING: break;
	}
}

static void execute_for_directory(struct sim_transaction *transaction, struct sim_op *op)
{
	if (op->kind == OP_TAKE_CLAIMED) {
		sim_take_claimed(transaction, op);
	} else if (op->kind == OP_END_QUIETLY) {
		end_quietly(transaction->life, op);
	} else {
		sim_claims_execute(transaction->life, op);
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
			execute_for_directory(transaction, &transaction->ops[i]);
		}
	}
	if (tenant != NULL) {
		check_numbers(transaction, tenant);
		sim_devices_check_history(transaction, tenant);
	}
	return OK;
}

// --- clients ---

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
		tenant->serials[i] = sim_format("T%dD%d", (int)sim_named_after(tenant, (size_t)i), i);
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
	sim_claims_begin();
	sim.tenants = sim_take((size_t)sim.shape->tenants * sizeof *sim.tenants);
	sim_routes_begin();
	sim_guards_begin();
	sim_jobs_begin();
	sim_moves_begin();
	sim_enrolments_begin();
	for (int i = 0; i < sim.shape->tenants; i++) {
		make_tenant(&sim.tenants[i], i + 1);
	}
}
