// SPDX-License-Identifier: Apache-2.0
#include "worker/sync_removals.h"

#include "depbroker/log.h"
#include "tenants/brake.h"
#include "worker/routing.h"

#include <assert.h>
#include <string.h>

static bool has_seen(const struct sync_flow *sync, struct text serial)
{
	return known_has_seen(&sync->known, serial) || seen_has(&sync->seen, serial);
}

void sync_removals_read(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;

	flow_begin_read(flow);
	(void)store_device_fingerprints(&flow->read, flow->tenant->due.tenant_id, text_of(flow->after), SYNC_MARKS_BATCH);
	flow_start_read(flow);
}

void sync_removals_count(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const size_t count = pg_row_count(&flow->read, 0);
	struct device_mark mark;

	for (size_t i = 0; i < count; i++) {
		store_device_mark_read(&flow->read, 0, i, &mark);
		sync->present += mark.gone ? 0 : 1;
		sync->removals += mark.gone || has_seen(sync, mark.serial_number) ? 0 : 1;
	}
	if (count > 0) {
		text_put(flow->after, sizeof flow->after, mark.serial_number);
	}
	sync->marks_left = count == SYNC_MARKS_BATCH;
}

// Whatever this generation has seen is stored as present: so when as many are present, they are the same ones.
static bool is_nothing_missing(const struct sync_flow *sync)
{
	return sync->known_is_read && sync->known.whole && sync->seen_is_open && sync->seen_is_known &&
		sync->known.seen + sync->seen.count == sync->known.present;
}

void sync_removals_begin(struct sync_flow *sync)
{
	sync->flow.after[0] = '\0';
	sync->present = 0;
	sync->removals = 0;
	sync->marks_left = true;
	if (is_nothing_missing(sync)) {
		sync->present = (int64_t)sync->known.present;
		sync->marks_left = false;
	}
}

// By a person, for the request that this list was asked for by.
static int64_t allowed_removals(const struct sync_flow *sync)
{
	const struct tenant *tenant = sync->flow.tenant;

	return tenant->due.removals_allowed_for == tenant->stream.full_requests_done ? tenant->due.removals_allowed : 0;
}

bool sync_removals_are_held(const struct sync_flow *sync)
{
	const struct brake_case given = {
		.present = sync->present, .removals = sync->removals, .doubtful = sync->doubtful, .allowed = allowed_removals(sync),
	};

	return brake_holds(&sync->flow.tenant->brake, &given);
}

bool sync_removals_must_write_brake(const struct sync_flow *sync)
{
	const struct tenant *tenant = sync->flow.tenant;

	return sync_removals_are_held(sync) || tenant->stream.removals_held > 0 || tenant->due.removals_allowed > 0 || tenant->stream.is_other_server;
}

void sync_removals_build_brake(struct fenced_write *write, struct pg_transaction *t)
{
	const struct sync_flow *sync = CONTAINER_OF((struct flow *)write->owner, struct sync_flow, flow);

	store_removals_put(t, write->tenant->due.tenant_id, sync_removals_are_held(sync) ? sync->removals : 0, sync->present);
}

void sync_removals_brake_is_written(struct sync_flow *sync)
{
	struct tenant *tenant = sync->flow.tenant;
	const bool held = sync_removals_are_held(sync);

	tenant->stream.removals_held = held ? sync->removals : 0;
	tenant->stream.is_other_server = tenant->stream.is_other_server && held;
	tenant->due.removals_allowed = 0; // used up, there as here
	if (held) {
		log_event(LOG_ERROR, "sync.removals_held", LOG_STRING("tenant", tenant->slug), LOG_INT("devices", sync->removals),
			LOG_INT("of", sync->present), LOG_BOOL("doubtful", sync->doubtful), LOG_INT("generation", sync->machine.state.generation));
	}
}

void sync_removals_take(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const size_t count = pg_row_count(&flow->read, 0);
	struct device_mark mark;

	arena_reset(&sync->unseen_texts);
	sync->unseen = arena_take(&sync->unseen_texts, (count + 1) * sizeof *sync->unseen);
	assert(sync->unseen != NULL);
	sync->unseen_count = 0;
	for (size_t i = 0; i < count; i++) {
		store_device_mark_read(&flow->read, 0, i, &mark);
		if (!mark.gone && !has_seen(sync, mark.serial_number)) {
			const char *copy = arena_copy(&sync->unseen_texts, mark.serial_number);

			assert(copy != NULL); // UNSEEN_BYTES has room for SYNC_MARKS_BATCH of the longest
			sync->unseen[sync->unseen_count++] = (struct text){ copy, mark.serial_number.length };
		}
	}
	if (count > 0) {
		text_put(flow->after, sizeof flow->after, mark.serial_number);
	}
	sync->marks_left = count == SYNC_MARKS_BATCH;
}

void sync_removals_read_rows(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const size_t count = sync->unseen_count < STORE_LIST_MAX ? sync->unseen_count : STORE_LIST_MAX;

	flow_begin_read(flow);
	sync->unseen_count -= count;
	(void)store_device_by_serials(&flow->read, flow->tenant->due.tenant_id, sync->unseen + sync->unseen_count, count);
	flow_start_read(flow);
}

void sync_removals_reconcile(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct reconcile_settings settings = routing_of_gone(flow->tenant);
	struct reconcile_outcome outcome;
	char after[sizeof flow->after];

	memcpy(after, flow->after, sizeof after); // the marks' place, which taking rows would move
	flow_take_rows(flow);
	memcpy(flow->after, after, sizeof after);
	for (size_t i = 0; i < flow->row_count; i++) {
		reconcile_unseen(&outcome, &settings, &flow->rows[i], REMOVAL_UNLISTED);
		changes_add(&flow->changes, &outcome);
	}
}

void sync_removals_write(struct sync_flow *sync)
{
	struct flow *flow = &sync->flow;
	const struct ledger_entry entry = {
		.kind = "removal", .generation = sync->machine.state.generation, .records = (int)flow->changes.row_count,
	};

	log_event(LOG_INFO, "sync.removed", LOG_STRING("tenant", flow->tenant->slug), LOG_INT("devices", entry.records));
	flow_write_changes(flow, entry, NULL);
}
