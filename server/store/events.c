// SPDX-License-Identifier: Apache-2.0
#include "store/devices.h"
#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

// --- in ---

enum { SEQ, AT, TYPE, INSTANCE, LANE, REASON, NUMBER_COLUMNS };
enum { SERIAL, DEVICE, CHANGES, TEXT_COLUMNS };
enum { FIRST_TEXT = 1 + NUMBER_COLUMNS, FIRST_ALL = FIRST_TEXT + TEXT_COLUMNS, EVENT_VALUES = FIRST_ALL + NUMBER_COLUMNS };

unsigned store_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct stored_event *events, size_t count)
{
	int64_t *numbers = allocate_array(count, NUMBER_COLUMNS * sizeof *numbers);
	struct text *texts = allocate_array(count, TEXT_COLUMNS * sizeof *texts);
	struct pg_value values[EVENT_VALUES] = { PG_V_INT8(tenant_id) };
	size_t changes = 0; // null in all: their array is sent empty, and unnest fills it up
	unsigned statement;

	for (size_t i = 0; i < count; i++) {
		numbers[SEQ * count + i] = events[i].event.seq;
		numbers[AT * count + i] = events[i].event.at_us;
		numbers[TYPE * count + i] = events[i].event.type;
		numbers[INSTANCE * count + i] = events[i].instance_id;
		numbers[LANE * count + i] = events[i].lane;
		numbers[REASON * count + i] = events[i].event.reason;
		texts[SERIAL * count + i] = store_nullable(events[i].event.serial_number);
		texts[DEVICE * count + i] = store_nullable(events[i].event.device_json);
		texts[CHANGES * count + i] = store_nullable(events[i].event.changes);
		changes = events[i].event.changes.length > 0 ? count : changes;
	}
	for (size_t i = 0; i < NUMBER_COLUMNS; i++) {
		store_set_numbers(&values[1 + i], &values[FIRST_ALL + i], i == AT ? PG_TIMESTAMPTZ_ARRAY : PG_INT8_ARRAY, numbers + i * count, count);
	}
	for (size_t i = 0; i < TEXT_COLUMNS; i++) {
		values[FIRST_TEXT + i] = PG_V_TEXTS(PG_TEXT_ARRAY, texts + i * count, i == CHANGES ? changes : count);
	}
	statement = pg_add(t,
		"insert into depbroker.events (tenant_id, seq, at, type, instance_id, lane, reason, serial_number, device, changes)"
		" select $1, coalesce(n.seq, $11::bigint), coalesce(n.at, $12::timestamptz), coalesce(n.type, $13::bigint),"
		" nullif(coalesce(n.instance_id, $14::bigint), 0), coalesce(n.lane, $15::bigint), nullif(coalesce(n.reason, $16::bigint), 0),"
		" n.serial_number, n.device, n.changes"
		" from (select unnest($2::bigint[]) as seq, unnest($3::timestamptz[]) as at, unnest($4::bigint[]) as type,"
		" unnest($5::bigint[]) as instance_id, unnest($6::bigint[]) as lane, unnest($7::bigint[]) as reason, unnest($8::text[]) as serial_number,"
		" unnest($9::text[]) as device, unnest($10::text[]) as changes) as n",
		values, EVENT_VALUES);
	free(numbers);
	free(texts);
	return statement;
}

// --- out ---

enum { EVENT_COLUMNS = 10 };
#define EVENT_OF(more, from)                                                                                          \
	"select e.seq, e.at, e.type, e.serial_number, i.name, e.device, e.instance_id, e.lane, e.reason, e.changes" more   \
	" from depbroker.events e" from                                                                                   \
	" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = e.instance_id"                    \
	" where e.tenant_id = $1 and e.seq > $2 "
#define EVENT EVENT_OF("", "")

unsigned store_event_list(struct pg_transaction *t, int64_t tenant_id, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, EVENT "order by e.seq limit $3", PG_V_INT8(tenant_id), PG_V_INT8(after_seq), PG_V_INT8(limit));
}

unsigned store_event_by_serial(struct pg_transaction *t, int64_t tenant_id, struct text serial, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, EVENT "and e.serial_number = $4 order by e.seq limit $3", PG_V_INT8(tenant_id), PG_V_INT8(after_seq),
		PG_V_INT8(limit), PG_V_TEXT(serial));
}

unsigned store_event_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int lane, int64_t after_seq,
	int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	if (instance_id == 0) {
		return PG_ADD(t, EVENT "and e.lane = $4 order by e.seq limit $3", PG_V_INT8(tenant_id), PG_V_INT8(after_seq), PG_V_INT8(limit),
			PG_V_INT8(lane));
	}
	return PG_ADD(t, EVENT "and e.instance_id = $4 and e.lane = $5 order by e.seq limit $3", PG_V_INT8(tenant_id),
		PG_V_INT8(after_seq), PG_V_INT8(limit), PG_V_INT8(instance_id), PG_V_INT8(lane));
}

unsigned store_event_pages_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, EVENT_OF(STORE_PAGE_COLUMNS, STORE_PAGE_OF_EVENT) "and ($4 = 0 or e.instance_id = $4) order by e.seq limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(after_seq), PG_V_INT8(limit), PG_V_INT8(instance_id));
}

void store_event_page_read(const struct pg_transaction *t, unsigned statement, size_t row, struct event_page *out)
{
	struct columns at = { t, statement, row, EVENT_COLUMNS };

	out->last_seq = next_number(&at);
	out->is_fetch = text_equal(next_text(&at), TEXT("fetch"));
}

unsigned store_event_of_instance(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX + 1);
	return PG_ADD(t, EVENT "and e.instance_id = $3 and e.type between 1 and 4 order by e.seq limit $4", PG_V_INT8(tenant_id),
		PG_V_INT8(after_seq), PG_V_INT8(instance_id), PG_V_INT8(limit));
}

// The log names each device once and more; a device's row says that there is one.
#define AS_OF(devices, wanted)                                                                                              \
	"select e.seq, e.at, e.type, e.serial_number, i.name, e.device, e.instance_id, e.lane, e.reason, e.changes"             \
	" from depbroker.devices d cross join lateral ("                                                                        \
	"  select * from depbroker.events l where l.tenant_id = $1 and l.serial_number = d.serial_number and l.at <= $2"        \
	"  and l.type between 1 and 5 order by l.seq desc limit 1) as e"                                                        \
	" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = e.instance_id"                                \
	" where d.tenant_id = $1 and " devices wanted " order by d.serial_number"

unsigned store_event_list_as_of(struct pg_transaction *t, int64_t tenant_id, int64_t at_us, struct text after, bool with_gone,
	int64_t instance_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		AS_OF("d.serial_number > $3", " and ($4 or e.type <> 3) and ($5 = -1"
			" or (case when e.type = 3 then 0 else coalesce(e.instance_id, 0) end) = $5)") " limit $6",
		PG_V_INT8(tenant_id), PG_V_INSTANT(at_us), PG_V_TEXT(store_not_null(after)), PG_V_BOOL(with_gone),
		PG_V_INT8(instance_id), PG_V_INT8(limit));
}

unsigned store_event_as_of(struct pg_transaction *t, int64_t tenant_id, int64_t at_us, struct text serial)
{
	return PG_ADD(t, AS_OF("d.serial_number = $3", ""), PG_V_INT8(tenant_id), PG_V_INSTANT(at_us), PG_V_TEXT(serial));
}

void store_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stored_event *out)
{
	struct columns at = { t, statement, row, 0 };

	out->event.seq = next_number(&at);
	out->event.at_us = next_instant(&at);
	out->event.type = (enum event_type)next_number(&at);
	out->event.serial_number = next_text(&at);
	out->event.instance = next_text(&at);
	out->event.device_json = next_text(&at);
	out->instance_id = next_number(&at);
	out->lane = (int)next_number(&at);
	out->event.reason = (enum removal_reason)next_number(&at);
	out->event.changes = next_text(&at);
}

unsigned store_incarnation(struct pg_transaction *t)
{
	return pg_add(t, "select incarnation from depbroker.installation", NULL, 0);
}

int64_t store_incarnation_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}
