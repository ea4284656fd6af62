// SPDX-License-Identifier: Apache-2.0
#include "store/enrolments.h"

#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

static struct pg_value digest_value(const unsigned char digest[SHA256_SIZE])
{
	return PG_V_BYTEA(((struct text){ (const char *)digest, SHA256_SIZE }));
}

// --- the API's ---

unsigned store_enrolment_hear(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_message *message,
	const unsigned char digest[SHA256_SIZE])
{
	return PG_ADD(t,
		"insert into depbroker.enrolment_inbox (tenant_id, digest, instance_id, enrolment_id, serial_number, word, awaiting, at)"
		" select $1, $2, $3, coalesce($4, (select e.enrolment_id from depbroker.enrolments e where e.tenant_id = $1 and e.serial_number = $5"
		"  and e.instance_id = $3 order by e.at desc limit 1), 'serial:' || $5), $5, $6, $7, least($8, now())"
		" on conflict (tenant_id, digest) do nothing",
		PG_V_INT8(tenant_id), digest_value(digest), PG_V_INT8(message->instance_id), PG_V_TEXT(store_nullable(message->enrolment_id)),
		PG_V_TEXT(store_nullable(message->serial_number)), PG_V_INT8(message->word), PG_V_BOOL(message->awaiting),
		PG_V_INSTANT(message->at_us));
}

bool store_enrolment_was_news(const struct pg_transaction *t, unsigned statement)
{
	return pg_affected(t, statement) > 0;
}

// Not when the enrolment is known as misrouted already: a person may have acknowledged it.
unsigned store_enrolment_misroute(struct pg_transaction *t, int64_t tenant_id, const unsigned char digest[SHA256_SIZE])
{
	return PG_ADD(t,
		"with shown as ("
		" select d.serial_number, told.name as told, wanted.name as wanted"
		" from depbroker.enrolment_inbox m"
		" left join depbroker.enrolments e on e.tenant_id = $1 and e.instance_id = m.instance_id and e.enrolment_id = m.enrolment_id"
		" join depbroker.devices d on d.tenant_id = $1 and d.serial_number = coalesce(m.serial_number, e.serial_number)"
		" join depbroker.instances told on told.tenant_id = $1 and told.instance_id = m.instance_id"
		" join depbroker.instances wanted on wanted.tenant_id = $1 and wanted.instance_id = d.instance_id"
		" where m.tenant_id = $1 and m.digest = $2 and m.done_at is null and m.word in (1, 2) and d.gone_at is null"
		"  and d.instance_id <> m.instance_id and (e.at is null or (m.at > e.at and not e.is_misrouted)))"
		" insert into depbroker.alerts as a (tenant_id, kind, detail)"
		" select $1, 'device.misrouted', format('%s enrols at %s, and is wanted at %s.', s.serial_number, s.told, s.wanted) from shown s"
		STORE_ALERT_IS_NEWS,
		PG_V_INT8(tenant_id), digest_value(digest));
}

// --- the owner's ---

unsigned store_enrolment_work(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select exists (select from depbroker.enrolment_inbox where tenant_id = $1 and done_at is null),"
		" exists (select from depbroker.enrolments where tenant_id = $1 and (is_orphan or is_misrouted)),"
		" l.tenant_id is not null, l.version <> l.reviewed_version or l.reviewed_on <> (now() at time zone 'UTC')::date, l.reviewed_seq,"
		" (select (min(x.due_on) + 1)::timestamp at time zone 'UTC' from depbroker.expected_devices x"
		"  where x.tenant_id = $1 and x.due_on >= (now() at time zone 'UTC')::date)"
		" from (select) as one left join depbroker.expected_lists l on l.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_enrolment_work_read(const struct pg_transaction *t, unsigned statement, struct enrolment_work *out)
{
	struct columns at = { t, statement, 0, 0 };

	out->heard = next_bool(&at);
	out->unsettled = next_bool(&at);
	out->expects = next_bool(&at);
	out->list_is_new = next_bool(&at);
	out->reviewed_seq = next_number(&at);
	out->next_due_us = next_instant(&at);
}

#define ENROLMENT_COLUMNS                                                                                             \
	"e.instance_id, i.name, e.enrolment_id, e.serial_number, e.state, e.at, e.enrolled_at, e.awaiting, e.is_orphan, " \
	"e.is_misrouted, e.heard_at"

static void read_enrolment(struct columns *at, struct enrolment_row *out)
{
	out->instance_id = next_number(at);
	out->instance = next_text(at);
	out->enrolment_id = next_text(at);
	out->serial_number = next_text(at);
	out->enrolment.state = (enum enrolment_state)next_number(at);
	out->enrolment.at_us = next_instant(at);
	out->enrolment.enrolled_at_us = next_instant(at);
	out->awaiting = next_bool(at);
	out->enrolment.is_orphan = next_bool(at);
	out->enrolment.is_misrouted = next_bool(at);
	out->heard_at_us = next_instant(at);
}

unsigned store_enrolment_heard(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select m.message_id, m.instance_id, m.enrolment_id, coalesce(m.serial_number, e.serial_number), m.word, m.awaiting, m.at,"
		" e.tenant_id is not null, " ENROLMENT_COLUMNS
		" from (select distinct on (w.enrolment_id) w.* from depbroker.enrolment_inbox w where w.tenant_id = $1 and w.done_at is null"
		"  order by w.enrolment_id, w.message_id) as m"
		" left join depbroker.enrolments e on e.tenant_id = $1 and e.instance_id = m.instance_id and e.enrolment_id = m.enrolment_id"
		" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = e.instance_id"
		" order by m.message_id limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(limit));
}

void store_enrolment_heard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct heard_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->message.message_id = next_number(&at);
	out->message.instance_id = next_number(&at);
	out->message.enrolment_id = next_text(&at);
	out->message.serial_number = next_text(&at);
	out->message.word = (enum enrolment_word)next_number(&at);
	out->message.awaiting = next_bool(&at);
	out->message.at_us = next_instant(&at);
	out->is_known = next_bool(&at);
	read_enrolment(&at, &out->known);
}

#define ENROLMENT                                                                                                   \
	"select " ENROLMENT_COLUMNS " from depbroker.enrolments e"                                                      \
	" join depbroker.instances i on i.tenant_id = $1 and i.instance_id = e.instance_id "

unsigned store_enrolment_to_settle(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		ENROLMENT "left join depbroker.devices d on d.tenant_id = $1 and d.serial_number = e.serial_number"
		" where e.tenant_id = $1 and (e.is_orphan or e.is_misrouted) and case when e.is_orphan then d.gone_at is null and d.tenant_id is not null"
		"  else d.gone_at is not null or d.instance_id is null or d.instance_id = e.instance_id end"
		" order by e.instance_id, e.enrolment_id limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(limit));
}

void store_enrolment_read(const struct pg_transaction *t, unsigned statement, size_t row, struct enrolment_row *out)
{
	struct columns at = { t, statement, row, 0 };

	read_enrolment(&at, out);
}

// --- what the owner writes ---

enum { INSTANCE, STATE, AT, ENROLLED_AT, NUMBER_COLUMNS };
enum { AWAITING, ORPHAN, MISROUTED, BOOL_COLUMNS };
enum { ENROLMENT_ID, SERIAL, TEXT_COLUMNS };

struct arrays {
	int64_t *numbers; // a column after the other
	int64_t *bools;
	struct text *texts;
	size_t count;
};

static struct arrays arrays_of(const struct enrolment_row *rows, size_t count)
{
	const struct arrays arrays = {
		.numbers = allocate_array(count, NUMBER_COLUMNS * sizeof *arrays.numbers),
		.bools = allocate_array(count, BOOL_COLUMNS * sizeof *arrays.bools),
		.texts = allocate_array(count, TEXT_COLUMNS * sizeof *arrays.texts),
		.count = count,
	};

	for (size_t i = 0; i < count; i++) {
		const struct enrolment_row *row = &rows[i];

		arrays.numbers[INSTANCE * count + i] = row->instance_id;
		arrays.numbers[STATE * count + i] = row->enrolment.state;
		arrays.numbers[AT * count + i] = row->enrolment.at_us;
		arrays.numbers[ENROLLED_AT * count + i] = row->enrolment.enrolled_at_us;
		arrays.bools[AWAITING * count + i] = row->awaiting;
		arrays.bools[ORPHAN * count + i] = row->enrolment.is_orphan;
		arrays.bools[MISROUTED * count + i] = row->enrolment.is_misrouted;
		arrays.texts[ENROLMENT_ID * count + i] = row->enrolment_id;
		arrays.texts[SERIAL * count + i] = store_nullable(row->serial_number);
	}
	return arrays;
}

static void free_arrays(struct arrays *arrays)
{
	free(arrays->numbers);
	free(arrays->bools);
	free(arrays->texts);
}

static struct pg_value numbers(const struct arrays *arrays, enum pg_kind kind, int column)
{
	return PG_V_NUMBERS(kind, arrays->numbers + (size_t)column * arrays->count, arrays->count);
}

static struct pg_value bools(const struct arrays *arrays, int column)
{
	return PG_V_NUMBERS(PG_BOOL_ARRAY, arrays->bools + (size_t)column * arrays->count, arrays->count);
}

static struct pg_value texts(const struct arrays *arrays, int column)
{
	return PG_V_TEXTS(PG_TEXT_ARRAY, arrays->texts + (size_t)column * arrays->count, arrays->count);
}

void store_enrolment_put(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *rows, size_t count)
{
	struct arrays arrays CLEANUP(free_arrays) = arrays_of(rows, count);

	(void)PG_ADD(t,
		"insert into depbroker.enrolments (tenant_id, instance_id, enrolment_id, serial_number, state, at, enrolled_at, awaiting, is_orphan,"
		"  is_misrouted)"
		" select $1, n.* from unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::bool[],"
		"  $9::bool[], $10::bool[]) as n"
		" on conflict (tenant_id, instance_id, enrolment_id) do update set serial_number = excluded.serial_number, state = excluded.state,"
		" at = excluded.at, enrolled_at = excluded.enrolled_at, awaiting = excluded.awaiting, is_orphan = excluded.is_orphan,"
		" is_misrouted = excluded.is_misrouted, heard_at = now()",
		PG_V_INT8(tenant_id), numbers(&arrays, PG_INT8_ARRAY, INSTANCE), texts(&arrays, ENROLMENT_ID), texts(&arrays, SERIAL),
		numbers(&arrays, PG_INT8_ARRAY, STATE), numbers(&arrays, PG_TIMESTAMPTZ_ARRAY, AT),
		numbers(&arrays, PG_TIMESTAMPTZ_ARRAY, ENROLLED_AT), bools(&arrays, AWAITING), bools(&arrays, ORPHAN), bools(&arrays, MISROUTED));
}

void store_enrolment_supersede(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *sole, size_t count)
{
	struct arrays arrays CLEANUP(free_arrays) = arrays_of(sole, count);

	(void)PG_ADD(t,
		"update depbroker.enrolments e set state = 3, is_misrouted = false"
		" from unnest($2::bigint[], $3::text[], $4::timestamptz[]) as n (instance_id, serial_number, at)"
		" where e.tenant_id = $1 and e.serial_number = n.serial_number and e.instance_id <> n.instance_id and e.at < n.at and e.state <> 3",
		PG_V_INT8(tenant_id), numbers(&arrays, PG_INT8_ARRAY, INSTANCE), texts(&arrays, SERIAL), numbers(&arrays, PG_TIMESTAMPTZ_ARRAY, AT));
}

void store_enrolment_done(struct pg_transaction *t, int64_t tenant_id, const int64_t *message_ids, size_t count)
{
	(void)PG_ADD(t,
		"update depbroker.enrolment_inbox set done_at = now() where tenant_id = $1 and done_at is null and message_id = any ($2::bigint[])",
		PG_V_INT8(tenant_id), PG_V_NUMBERS(PG_INT8_ARRAY, message_ids, count));
	(void)PG_ADD(t, "delete from depbroker.enrolment_inbox where tenant_id = $1 and done_at < now() - make_interval(days => $2::int)",
		PG_V_INT8(tenant_id), PG_V_INT4(ENROLMENT_KEPT_DAYS));
}

#define MISROUTED_NOW                                                                                                                   \
	"with misrouted as ("                                                                                                               \
	" select d.serial_number, told.name as told, wanted.name as wanted from depbroker.enrolments e"                                     \
	" join depbroker.devices d on d.tenant_id = $1 and d.serial_number = e.serial_number"                                               \
	" join depbroker.instances told on told.tenant_id = $1 and told.instance_id = e.instance_id"                                        \
	" join depbroker.instances wanted on wanted.tenant_id = $1 and wanted.instance_id = d.instance_id"                                  \
	" where e.tenant_id = $1 and e.is_misrouted and e.state in (1, 2))"

// Another detail makes it news, which nobody has acknowledged yet; what the API said of the first one is none.
void store_enrolment_review(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t,
		MISROUTED_NOW ", said as (select format('%s enrols at %s, and is wanted at %s%s.', m.serial_number, m.told, m.wanted,"
		"  case when (select count(*) from misrouted) > 1 then format(' (and %s more)', (select count(*) - 1 from misrouted)) else '' end) as detail"
		"  from misrouted m order by m.serial_number limit 1)"
		" insert into depbroker.alerts as a (tenant_id, kind, detail) select $1, 'device.misrouted', s.detail from said s"
		" on conflict (tenant_id, kind) do update set detail = excluded.detail, last_seen_at = now(), cleared_at = null,"
		" acked_at = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_at end,"
		" acked_by = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_by end,"
		" since = case when a.cleared_at is null then a.since else now() end",
		PG_V_INT8(tenant_id));
	(void)PG_ADD(t,
		MISROUTED_NOW " update depbroker.alerts set cleared_at = now() where tenant_id = $1 and kind = 'device.misrouted' and cleared_at is null"
		" and not exists (select from misrouted)",
		PG_V_INT8(tenant_id));
}

// --- lists ---

unsigned store_enrolment_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool only_orphans, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		ENROLMENT "where e.tenant_id = $1 and (not $2 or e.is_orphan) and ($3 = '' or (e.instance_id, e.enrolment_id) >"
		"  (split_part($3, '/', 1)::bigint, substr($3, strpos($3, '/') + 1) collate \"C\"))"
		" order by e.instance_id, e.enrolment_id limit $4",
		PG_V_INT8(tenant_id), PG_V_BOOL(only_orphans), PG_V_TEXT(store_not_null(after)), PG_V_INT8(limit));
}

unsigned store_enrolment_of(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t, ENROLMENT "where e.tenant_id = $1 and e.serial_number = $2 order by e.at desc, e.instance_id, e.enrolment_id limit 20",
		PG_V_INT8(tenant_id), PG_V_TEXT(serial));
}
