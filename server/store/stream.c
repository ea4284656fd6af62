// SPDX-License-Identifier: Apache-2.0
#include "store/stream.h"

#include "depbroker/digest.h"
#include "store/store_inner.h"

#include <assert.h>
#include <string.h>

enum { ERROR_MAX = 400, APPLE_ERROR_MAX = 80 };

#define STREAM                                                                                                        \
	"s.epoch, s.owner, s.write_seq, s.event_seq, s.config_version, s.rules_version, s.load_id, s.cursor, s.phase, s.generation, " \
	"s.cursor_at, s.fetch_started_at, s.fetch_completed_at, s.full_due_at, s.stuck_runs, s.exhausted_runs, s.failures, " \
	"s.sync_next_at, s.sync_requests_done, s.full_requests_done, s.reason, s.error_text, s.apple_error, "             \
	"s.run_started_at, s.run_pages, s.run_devices, s.synced_at, s.profile_needed, "  \
	"s.removals_held, s.removals_held_of, s.removals_held_at, s.replacement_due_at, s.is_other_server, now()"

enum { STREAM_COLUMN_COUNT = 34 };

unsigned store_stream_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	return PG_ADD(t,
		"update depbroker.sync_stream as s set epoch = s.epoch + 1, owner = $2, run_started_at = now(), run_pages = 0,"
		" run_devices = 0, updated_at = now()"
		" where s.tenant_id = $1 and (s.owner is null or s.owner = $2 or not exists ("
		"  select from depbroker.nodes n where n.node_id = s.owner and n.alive_until > now()))"
		" returning " STREAM,
		PG_V_INT8(tenant_id), PG_V_TEXT(node_id));
}

unsigned store_stream_take_due(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	return PG_ADD(t,
		"with taken as ("
		"  update depbroker.sync_stream as s set epoch = s.epoch + 1, owner = $2, run_started_at = now(), run_pages = 0,"
		"  run_devices = 0, updated_at = now()"
		"  from depbroker.sync_due d, depbroker.tenants t"
		"  where s.tenant_id = $1 and d.tenant_id = $1 and t.tenant_id = $1 and t.state in ('active', 'reserved') and d.due_at <= now()"
		"  and d.crashes = '{}' and (d.claimed_by is null or d.claimed_by = $2 or not exists ("
		"   select from depbroker.nodes n where n.node_id = d.claimed_by and n.alive_until > now()))"
		"  and (s.owner is null or s.owner = $2 or not exists ("
		"   select from depbroker.nodes n where n.node_id = s.owner and n.alive_until > now()))"
		"  returning s.*),"
		" claimed as ("
		"  update depbroker.sync_due as d set claimed_by = $2, due_at = now() + $3::bigint * interval '1 second'"
		"  from taken s where d.tenant_id = $1 and s.tenant_id = $1)"
		" select " STREAM " from taken s",
		PG_V_INT8(tenant_id), PG_V_TEXT(node_id), PG_V_INT8(FORGOTTEN_AFTER_S));
}

unsigned store_stream_take_claimed(struct pg_transaction *t, struct text node_id)
{
	return PG_ADD(t, "select " STREAM ", s.tenant_id from depbroker.take_claimed($1, $2) s", PG_V_TEXT(node_id), PG_V_INT8(FORGOTTEN_AFTER_S));
}

int64_t store_stream_taken_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, STREAM_COLUMN_COUNT);
}

unsigned store_stream_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select " STREAM " from depbroker.sync_stream s where s.tenant_id = $1", PG_V_INT8(tenant_id));
}

// What is NULL in the row is 0 in the core's state, as in that of a client that was never synced.
static void read_sync(struct columns *at, struct sync_state *out)
{
	out->phase = next_number(at) == SYNC_PHASE_CHANGES ? SYNC_PHASE_CHANGES : SYNC_PHASE_FETCH;
	out->generation = next_number(at);
	out->cursor_at_us = next_instant_or_0(at);
	out->fetch_started_at_us = next_instant_or_0(at);
	out->fetch_completed_at_us = next_instant_or_0(at);
	out->full_due_at_us = next_instant_or_0(at);
	out->stuck_runs = (int)next_number(at);
	out->exhausted_runs = (int)next_number(at);
	out->failures = (int)next_number(at);
}

void store_stream_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stream_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->epoch = next_number(&at);
	out->owner = next_text(&at);
	out->write_seq = next_number(&at);
	out->event_seq = next_number(&at);
	out->config_version = next_number(&at);
	out->rules_version = next_number(&at);
	out->load_id = next_number(&at);
	out->cursor = next_text(&at);
	read_sync(&at, &out->sync);
	out->sync.has_cursor = out->cursor.length > 0;
	out->sync_next_at_us = next_instant(&at);
	out->sync_requests_done = next_number(&at);
	out->full_requests_done = next_number(&at);
	out->reason = next_text(&at);
	out->error_text = next_text(&at);
	out->apple_error = next_text(&at);
	out->run_started_at_us = next_instant(&at);
	out->run_pages = next_number(&at);
	out->run_devices = next_number(&at);
	out->synced_at_us = next_instant(&at);
	out->profile_needed = next_bool(&at);
	out->removals_held = next_number(&at);
	out->removals_held_of = next_number(&at);
	out->removals_held_at_us = next_instant(&at);
	out->replacement_due_us = next_instant(&at);
	out->is_other_server = next_bool(&at);
	out->now_us = next_instant(&at);
}

// --- whether there is news ---

// Drawn: one that was counted would come again after a crash of the server that lost the last commits.
#define NEW_LOAD_ID "(random() * 9e15)::bigint"

unsigned store_news_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select exists (select from depbroker.run_news where tenant_id = $1)", PG_V_INT8(tenant_id));
}

bool store_news_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_bool(t, statement, 0, 0);
}

unsigned store_news_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	return PG_ADD(t,
		"with taken as ("
		"  delete from depbroker.run_news where tenant_id = $1 and exists ("
		"   select from depbroker.sync_stream s where s.tenant_id = $1 and s.owner = $2) returning 1)"
		" update depbroker.sync_stream set load_id = " NEW_LOAD_ID
		" where tenant_id = $1 and exists (select from taken) returning load_id",
		PG_V_INT8(tenant_id), PG_V_TEXT(node_id));
}

int64_t store_news_taken(const struct pg_transaction *t, unsigned statement, const struct stream_row *taken)
{
	return pg_row_count(t, statement) > 0 ? store_number(t, statement) : taken->load_id;
}

// --- fenced writes ---

// `further` are parts that change other rows, after the stream's.
#define FENCED(changes, further)                                                                                      \
	"with moved as ("                                                                                                 \
	"  update depbroker.sync_stream set write_seq = write_seq + 1, event_seq = event_seq + $7, updated_at = now()" changes \
	"  where tenant_id = $1 and owner = $2 and epoch = $3 and write_seq = $4 and event_seq = $5 and config_version = $6" \
	"  returning 1)" further                                                                                          \
	" select depbroker.require_fence(exists (select from moved))"

// Of writes that change what a run reads when it begins, as far as anybody knows.
#define LOAD_CHANGES ", load_id = " NEW_LOAD_ID

#define NEXT                                                                                                          \
	", cursor = $8, phase = $9, generation = $10, cursor_at = $11, fetch_started_at = $12, fetch_completed_at = $13"  \
	", full_due_at = $14, stuck_runs = $15, exhausted_runs = $16, failures = $17"                                     \
	", sync_next_at = coalesce($18, '-infinity'), sync_requests_done = $19, full_requests_done = $20, reason = $21"   \
	", error_text = $22, apple_error = $23, run_started_at = $24, run_pages = $25, run_devices = $26, synced_at = $27" \
	", profile_needed = $28, replacement_due_at = $29"

enum { FENCE_VALUES = 7, NEXT_VALUES = 22 };

static void set_fence(struct pg_value values[FENCE_VALUES], const struct stream_fence *fence, int64_t events)
{
	memcpy(values, (const struct pg_value[FENCE_VALUES]){
		PG_V_INT8(fence->tenant_id), PG_V_TEXT(fence->node_id), PG_V_INT8(fence->epoch), PG_V_INT8(fence->write_seq),
		PG_V_INT8(fence->event_seq), PG_V_INT8(fence->config_version), PG_V_INT8(events),
	}, FENCE_VALUES * sizeof *values);
}

static void set_next(struct pg_value values[NEXT_VALUES], const struct stream_row *next)
{
	const struct sync_state *sync = &next->sync;

	memcpy(values, (const struct pg_value[NEXT_VALUES]){
		PG_V_TEXT(sync->has_cursor ? store_nullable(next->cursor) : TEXT_NONE), PG_V_INT8(sync->phase),
		PG_V_INT8(sync->generation), PG_V_INSTANT(store_instant_or_null(sync->cursor_at_us)),
		PG_V_INSTANT(store_instant_or_null(sync->fetch_started_at_us)),
		PG_V_INSTANT(store_instant_or_null(sync->fetch_completed_at_us)),
		PG_V_INSTANT(store_instant_or_null(sync->full_due_at_us)), PG_V_INT8(sync->stuck_runs),
		PG_V_INT8(sync->exhausted_runs), PG_V_INT8(sync->failures), PG_V_INSTANT(next->sync_next_at_us),
		PG_V_INT8(next->sync_requests_done), PG_V_INT8(next->full_requests_done), PG_V_TEXT(store_not_null(next->reason)),
		PG_V_TEXT(store_clipped(next->error_text, ERROR_MAX)), PG_V_TEXT(store_clipped(next->apple_error, APPLE_ERROR_MAX)),
		PG_V_INSTANT(next->run_started_at_us), PG_V_INT8(next->run_pages), PG_V_INT8(next->run_devices),
		PG_V_INSTANT(next->synced_at_us), PG_V_BOOL(next->profile_needed),
		PG_V_INSTANT(next->replacement_due_us),
	}, NEXT_VALUES * sizeof *values);
}

void store_stream_advance(struct pg_transaction *t, const struct stream_fence *fence, int64_t events,
	const struct stream_row *next)
{
	struct pg_value values[FENCE_VALUES + NEXT_VALUES];

	set_fence(values, fence, events);
	if (next == NULL) {
		(void)pg_add(t, FENCED(LOAD_CHANGES, ""), values, FENCE_VALUES);
		return;
	}
	set_next(values + FENCE_VALUES, next);
	(void)pg_add(t, FENCED(LOAD_CHANGES NEXT, ""), values, FENCE_VALUES + NEXT_VALUES);
}

void store_stream_require(struct pg_transaction *t, const struct stream_fence *fence)
{
	(void)PG_ADD(t,
		"select depbroker.require_fence(exists (select from depbroker.sync_stream"
		"  where tenant_id = $1 and owner = $2 and epoch = $3 and config_version = $4))",
		PG_V_INT8(fence->tenant_id), PG_V_TEXT(fence->node_id), PG_V_INT8(fence->epoch), PG_V_INT8(fence->config_version));
}

#define DUE(wake, at)                                                                                                  \
	", due as ("                                                                                                       \
	"  update depbroker.sync_due set claimed_by = null,"                                                               \
	"    due_at = case when wake = " wake " then coalesce(" at ", now()) else now() end"                               \
	"  where tenant_id = $1 and claimed_by = $2 and exists (select from moved))"

enum { DUE_VALUES = 2 };

void store_stream_finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake)
{
	const size_t count = next != NULL ? FENCE_VALUES + NEXT_VALUES : FENCE_VALUES;
	struct pg_value values[FENCE_VALUES + NEXT_VALUES + DUE_VALUES];

	set_fence(values, fence, 0);
	if (next != NULL) {
		set_next(values + FENCE_VALUES, next);
	}
	values[count] = PG_V_INT8(wake);
	values[count + 1] = PG_V_INSTANT(due_at_us);
	(void)pg_add(t, next != NULL ? FENCED(", owner = null" LOAD_CHANGES NEXT, DUE("$30", "$31"))
		: FENCED(", owner = null" LOAD_CHANGES, DUE("$8", "$9")), values, count + DUE_VALUES);
}

void store_stream_finish_quietly(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake, const struct tenant_status_row *status, bool load_changes)
{
	struct pg_value values[FENCE_VALUES + NEXT_VALUES + DUE_VALUES + STATUS_OF_RUN_VALUES + 1];
	struct pg_value *due = values + FENCE_VALUES + NEXT_VALUES;

	set_fence(values, fence, 0);
	set_next(values + FENCE_VALUES, next);
	due[0] = PG_V_INT8(wake);
	due[1] = PG_V_INSTANT(due_at_us);
	store_set_status_of_run(due + DUE_VALUES, status);
	due[DUE_VALUES + STATUS_OF_RUN_VALUES] = PG_V_BOOL(load_changes);
	(void)pg_add(t,
		FENCED(", owner = null, load_id = case when $40 then " NEW_LOAD_ID " else load_id end" NEXT, DUE("$30", "$31")
			", told as (update depbroker.tenant_status as s set "
			STATUS_OF_RUN("$32", "$33", "$34", "$35", "$36", "$37", "$38", "$39")
			" where s.tenant_id = $1 and exists (select from moved))"),
		values, sizeof values / sizeof *values);
}

// A column of numbers for each value of an end.
enum end_column {
	END_CLIENT, END_EPOCH, END_WRITE_SEQ, END_EVENT_SEQ, END_CONFIG_VERSION, END_CURSOR_AT, END_NEXT_AT, END_PAGES, END_DEVICES, END_SYNCED_AT,
	END_TELLS_TOKEN, END_UNUSABLE, END_WAKE, END_DUE_AT, END_COLUMN_COUNT,
};

static void set_end(int64_t columns[END_COLUMN_COUNT][QUIET_ENDS_MAX], size_t at, const struct quiet_end *end)
{
	columns[END_CLIENT][at] = end->fence.tenant_id;
	columns[END_EPOCH][at] = end->fence.epoch;
	columns[END_WRITE_SEQ][at] = end->fence.write_seq;
	columns[END_EVENT_SEQ][at] = end->fence.event_seq;
	columns[END_CONFIG_VERSION][at] = end->fence.config_version;
	columns[END_CURSOR_AT][at] = store_instant_or_null(end->next->sync.cursor_at_us);
	columns[END_NEXT_AT][at] = end->next->sync_next_at_us;
	columns[END_PAGES][at] = end->next->run_pages;
	columns[END_DEVICES][at] = end->next->run_devices;
	columns[END_SYNCED_AT][at] = end->next->synced_at_us;
	columns[END_TELLS_TOKEN][at] = end->tells_token;
	columns[END_UNUSABLE][at] = end->profile_unusable;
	columns[END_WAKE][at] = end->wake;
	columns[END_DUE_AT][at] = end->due_at_us;
}

unsigned store_streams_end_quietly(struct pg_transaction *t, struct text node_id, const struct quiet_end *ends, size_t count)
{
	int64_t columns[END_COLUMN_COUNT][QUIET_ENDS_MAX];
	struct text cursors[QUIET_ENDS_MAX];

	assert(count > 0 && count <= QUIET_ENDS_MAX);
	for (size_t i = 0; i < count; i++) {
		set_end(columns, i, &ends[i]);
		cursors[i] = ends[i].next->cursor;
	}
#define COLUMN(kind, name) PG_V_NUMBERS(kind, columns[name], count)
	return PG_ADD(t,
		"select depbroker.end_quietly($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		PG_V_TEXT(node_id), COLUMN(PG_INT8_ARRAY, END_CLIENT), COLUMN(PG_INT8_ARRAY, END_EPOCH), COLUMN(PG_INT8_ARRAY, END_WRITE_SEQ),
		COLUMN(PG_INT8_ARRAY, END_EVENT_SEQ), COLUMN(PG_INT8_ARRAY, END_CONFIG_VERSION), PG_V_TEXTS(PG_TEXT_ARRAY, cursors, count),
		COLUMN(PG_TIMESTAMPTZ_ARRAY, END_CURSOR_AT), COLUMN(PG_TIMESTAMPTZ_ARRAY, END_NEXT_AT), COLUMN(PG_INT8_ARRAY, END_PAGES),
		COLUMN(PG_INT8_ARRAY, END_DEVICES), COLUMN(PG_TIMESTAMPTZ_ARRAY, END_SYNCED_AT), COLUMN(PG_BOOL_ARRAY, END_TELLS_TOKEN),
		COLUMN(PG_BOOL_ARRAY, END_UNUSABLE), COLUMN(PG_INT8_ARRAY, END_WAKE), COLUMN(PG_TIMESTAMPTZ_ARRAY, END_DUE_AT));
#undef COLUMN
}

int64_t store_stream_ended_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, 0);
}

unsigned store_ledger_insert(struct pg_transaction *t, const struct stream_fence *fence, int64_t events,
	const struct ledger_entry *entry)
{
	const struct text digest = { (const char *)entry->page_digest, entry->page_digest != NULL ? SHA256_SIZE : 0 };

	return PG_ADD(t,
		"insert into depbroker.page_ledger (tenant_id, write_seq, epoch, event_seq, kind, generation, records, devices_changed,"
		" page_digest) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		PG_V_INT8(fence->tenant_id), PG_V_INT8(fence->write_seq + 1), PG_V_INT8(fence->epoch),
		PG_V_INT8(fence->event_seq + events), PG_V_STRING(entry->kind), PG_V_INT8(entry->generation),
		PG_V_INT8(entry->records), PG_V_INT8(entry->devices_changed), PG_V_BYTEA(digest));
}

void store_stream_change_server(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t,
		"update depbroker.sync_stream set cursor = null, cursor_at = null, phase = 0, full_due_at = now(), is_other_server = true,"
		" removals_held = 0, removals_held_of = 0, removals_held_at = null where tenant_id = $1",
		PG_V_INT8(tenant_id));
	(void)PG_ADD(t, "update depbroker.sync_due set removals_allowed = 0 where tenant_id = $1", PG_V_INT8(tenant_id));
	(void)PG_ADD(t, "update depbroker.tenant_status set removals_held = 0 where tenant_id = $1", PG_V_INT8(tenant_id));
	(void)PG_ADD(t, "delete from depbroker.profiles where tenant_id = $1", PG_V_INT8(tenant_id));
}

void store_removals_put(struct pg_transaction *t, int64_t tenant_id, int64_t held, int64_t present)
{
	(void)PG_ADD(t,
		"update depbroker.sync_stream set removals_held = $2, removals_held_of = $3,"
		" removals_held_at = case when $2 > 0 then now() end, is_other_server = is_other_server and $2 > 0 where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(held), PG_V_INT8(held > 0 ? present : 0));
	(void)PG_ADD(t, "update depbroker.tenant_status set removals_held = $2 where tenant_id = $1", PG_V_INT8(tenant_id),
		PG_V_INT8(held));
	(void)PG_ADD(t, "update depbroker.sync_due set removals_allowed = 0 where tenant_id = $1 and removals_allowed > 0",
		PG_V_INT8(tenant_id));
}

void store_removals_allow(struct pg_transaction *t, int64_t tenant_id, int64_t count)
{
	(void)PG_ADD(t,
		"with allowed as ("
		"  update depbroker.sync_due as d set wake = d.wake + 1, due_at = least(d.due_at, now()), full_requests = d.full_requests + 1,"
		"    removals_allowed = $2, removals_allowed_for = d.full_requests + 1"
		"  from depbroker.sync_stream s"
		"  where d.tenant_id = $1 and s.tenant_id = $1 and s.removals_held = $2 and $2 > 0 returning d.tenant_id)"
		" select depbroker.require_fence(exists (select from allowed))",
		PG_V_INT8(tenant_id), PG_V_INT8(count));
}
