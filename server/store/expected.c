// SPDX-License-Identifier: Apache-2.0
#include "store/expected.h"

#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

static void insert_rows(struct pg_transaction *t, int64_t tenant_id, const struct expected_row *rows, size_t count)
{
	enum { SERIAL, DUE, NOTE, INSTANCE, COLUMNS };
	struct text *texts = allocate_array(count, COLUMNS * sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		texts[SERIAL * count + i] = rows[i].serial_number;
		texts[DUE * count + i] = store_nullable(rows[i].due_on);
		texts[NOTE * count + i] = store_nullable(rows[i].note);
		texts[INSTANCE * count + i] = store_nullable(rows[i].instance);
	}
	(void)PG_ADD(t,
		"with wanted as (select * from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as n (serial_number, due_on, note, instance)),"
		" put as (insert into depbroker.expected_devices (tenant_id, serial_number, due_on, note, instance_id)"
		"  select $1, w.serial_number, w.due_on::date, w.note, i.instance_id from wanted w"
		"  left join depbroker.instances i on i.tenant_id = $1 and i.name = w.instance"
		"  on conflict (tenant_id, serial_number) do update set due_on = excluded.due_on, note = excluded.note,"
		"  instance_id = excluded.instance_id)"
		" select depbroker.require_fence(not exists (select from wanted w where w.instance is not null and not exists"
		"  (select from depbroker.instances i where i.tenant_id = $1 and i.name = w.instance)))",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, texts + SERIAL * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, texts + DUE * count, count),
		PG_V_TEXTS(PG_TEXT_ARRAY, texts + NOTE * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, texts + INSTANCE * count, count));
	free(texts);
}

void store_expected_put(struct pg_transaction *t, int64_t tenant_id, const struct expected_row *rows, size_t count, bool replaces,
	enum expected_hold hold, struct text by)
{
	store_start_over(t, tenant_id, false); // which lets two uploads follow each other
	(void)PG_ADD(t,
		"insert into depbroker.expected_lists as l (tenant_id, uploaded_by, holds) values ($1, $2, $3)"
		" on conflict (tenant_id) do update set version = l.version + 1, uploaded_at = now(), uploaded_by = excluded.uploaded_by,"
		" holds = case when $4 then l.holds else excluded.holds end",
		PG_V_INT8(tenant_id), PG_V_TEXT(by), PG_V_BOOL(hold == EXPECTED_HOLD), PG_V_BOOL(hold == EXPECTED_HOLD_AS_IT_WAS));
	if (replaces) {
		(void)PG_ADD(t, "delete from depbroker.expected_devices where tenant_id = $1", PG_V_INT8(tenant_id));
	}
	if (count > 0) {
		insert_rows(t, tenant_id, rows, count);
	} else if (replaces) {
		(void)PG_ADD(t, "delete from depbroker.expected_lists where tenant_id = $1", PG_V_INT8(tenant_id));
	}
	(void)PG_ADD(t, // those that may not be expected elsewhere any more
		"insert into depbroker.reroutes (tenant_id, serial_number) select $1, d.serial_number from depbroker.devices d"
		" where d.tenant_id = $1 and d.decider = 4 and d.gone_at is null on conflict do nothing",
		PG_V_INT8(tenant_id));
}

unsigned store_expected_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select version, since, uploaded_at, uploaded_by, holds from depbroker.expected_lists where tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_expected_list_read(const struct pg_transaction *t, unsigned statement, size_t row, struct expected_list_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->version = next_number(&at);
	out->since_us = next_instant(&at);
	out->uploaded_at_us = next_instant(&at);
	out->uploaded_by = next_text(&at);
	out->holds = next_bool(&at);
}

// A device that Apple had once has arrived, wherever it is now. Days end in UTC.
#define TODAY "(now() at time zone 'UTC')::date"
#define EXPECTATIONS                                                                                                                   \
	"with expectation as ("                                                                                                            \
	" select x.serial_number, x.due_on, x.note, x.instance_id, d.first_seen_at, d.instance_id as arrived_id,"                          \
	"  case when d.tenant_id is not null then 'arrived' when x.due_on < " TODAY " then 'overdue' else 'awaited' end as state"          \
	" from depbroker.expected_devices x left join depbroker.devices d on d.tenant_id = $1 and d.serial_number = x.serial_number"       \
	" where x.tenant_id = $1"                                                                                                          \
	" union all"                                                                                                                       \
	" select d.serial_number, null, null, null, d.first_seen_at, d.instance_id, 'unexpected' from depbroker.devices d"                 \
	" join depbroker.expected_lists l on l.tenant_id = $1 and d.first_seen_at > l.since"                                               \
	" where d.tenant_id = $1 and d.gone_at is null and not exists"                                                                     \
	"  (select from depbroker.expected_devices x where x.tenant_id = $1 and x.serial_number = d.serial_number)) "

unsigned store_expected_count(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		EXPECTATIONS "select count(*) filter (where state = 'arrived'), count(*) filter (where state = 'awaited'),"
		" count(*) filter (where state = 'overdue'), count(*) filter (where state = 'unexpected') from expectation",
		PG_V_INT8(tenant_id));
}

void store_expected_count_read(const struct pg_transaction *t, unsigned statement, struct expected_counts *out)
{
	struct columns at = { t, statement, 0, 0 };

	out->arrived = next_number(&at);
	out->awaited = next_number(&at);
	out->overdue = next_number(&at);
	out->unexpected = next_number(&at);
}

unsigned store_expectations(struct pg_transaction *t, int64_t tenant_id, struct text after, struct text state, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		EXPECTATIONS "select e.serial_number, to_char(e.due_on, 'YYYY-MM-DD'), e.note, wanted.name, e.state, e.first_seen_at, there.name"
		" from expectation e"
		" left join depbroker.instances wanted on wanted.tenant_id = $1 and wanted.instance_id = e.instance_id"
		" left join depbroker.instances there on there.tenant_id = $1 and there.instance_id = e.arrived_id"
		" where e.serial_number > $2 and ($3 = '' or e.state = $3) order by e.serial_number limit $4",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_TEXT(store_not_null(state)), PG_V_INT8(limit));
}

void store_expectation_read(const struct pg_transaction *t, unsigned statement, size_t row, struct expectation_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->expected.serial_number = next_text(&at);
	out->expected.due_on = next_text(&at);
	out->expected.note = next_text(&at);
	out->expected.instance = next_text(&at);
	out->state = next_text(&at);
	out->arrived_at_us = next_instant(&at);
	out->arrived_at = next_text(&at);
}

// --- alerts ---

#define RAISE(kind, state_name, sentence)                                                                                           \
	EXPECTATIONS ", these as (select serial_number from expectation where state = '" state_name "')"                                \
	" insert into depbroker.alerts as a (tenant_id, kind, detail)"                                                                  \
	" select $1, '" kind "', format('" sentence "', count(*), min(serial_number)) from these having count(*) > 0"                   \
	" on conflict (tenant_id, kind) do update set detail = excluded.detail, last_seen_at = now(), cleared_at = null,"               \
	" acked_at = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_at end,"                                \
	" acked_by = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_by end,"                                \
	" since = case when a.cleared_at is null then a.since else now() end"
#define CLEAR(kind, state_name)                                                                                                     \
	EXPECTATIONS "update depbroker.alerts set cleared_at = now() where tenant_id = $1 and kind = '" kind "' and cleared_at is null" \
	" and not exists (select from expectation where state = '" state_name "')"

void store_expected_review(struct pg_transaction *t, int64_t tenant_id, int64_t event_seq)
{
	const struct pg_value values[] = { PG_V_INT8(tenant_id) };

	(void)pg_add(t, RAISE("device.overdue", "overdue", "%s expected devices have not arrived in time, %s among them."), values, 1);
	(void)pg_add(t, CLEAR("device.overdue", "overdue"), values, 1);
	(void)pg_add(t, RAISE("device.unexpected", "unexpected", "%s devices have arrived that nobody expected, %s among them."), values, 1);
	(void)pg_add(t, CLEAR("device.unexpected", "unexpected"), values, 1);
	(void)PG_ADD(t, "update depbroker.expected_lists set reviewed_version = version, reviewed_seq = $2, reviewed_on = " TODAY
		" where tenant_id = $1", PG_V_INT8(tenant_id), PG_V_INT8(event_seq));
}
