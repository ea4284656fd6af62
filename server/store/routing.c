// SPDX-License-Identifier: Apache-2.0
#include "store/routing.h"

#include "store/guards_inner.h"
#include "store/jobs.h"
#include "store/store_inner.h"

#include <assert.h>

// --- facts ---

#define FACT                                                                                                                     \
	"p.serial_number is not null, p.instance_id, p.reason, r.serial_number is not null,"                                          \
	" r.original_serial_number is null and r.ask_at is not null, o.serial_number is not null, o.instance_id,"                             \
	" array_to_string(l.labels, E'\\n'), f.instance_id, f.profile_uuid, x.instance_id"
// `wanted` has serial numbers. Each is looked up by primary key.
#define WITH_FACT(wanted)                                                                                                        \
	" from (" wanted ") as w"                                                                                                     \
	" left join depbroker.pins p on p.tenant_id = $1 and p.serial_number = w.serial_number"                                       \
	" left join depbroker.replacements r on r.tenant_id = $1 and r.serial_number = w.serial_number"                               \
	" left join depbroker.device_labels l on l.tenant_id = $1 and l.serial_number = w.serial_number"                              \
	" left join lateral (select d.serial_number, case when d.gone_at is null then d.instance_id else d.last_instance_id end"       \
	"  as instance_id from depbroker.devices d where d.tenant_id = $1 and d.serial_number = r.original_serial_number offset 0) as o" \
	" on true"                                                                                                                    \
	" left join lateral (select h.instance_id, h.profile_uuid from depbroker.dep_wishes h join depbroker.dep_profiles k"           \
	"  on k.tenant_id = $1 and k.instance_id = h.instance_id and k.profile_uuid = h.profile_uuid and k.lost_at is null"            \
	"  where h.tenant_id = $1 and h.serial_number = w.serial_number offset 0) as f on true"                                            \
	" left join lateral (select e.instance_id from depbroker.expected_devices e where e.tenant_id = $1"                           \
	"  and e.serial_number = w.serial_number and e.instance_id is not null and not exists (select from depbroker.devices h"       \
	"   where h.tenant_id = $1 and h.serial_number = w.serial_number and h.gone_at is null and h.instance_id is not null)"        \
	"  offset 0) as x on true"
#define FACTS_OF(wanted) "select w.serial_number, " FACT WITH_FACT(wanted) \
	" where p.serial_number is not null or r.serial_number is not null or l.serial_number is not null or f.profile_uuid is not null" \
	" or x.instance_id is not null"

#define SERIAL                "select serial_number from depbroker.devices where tenant_id = $1 "

unsigned store_fact_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	return PG_ADD(t, FACTS_OF("select s.serial_number from unnest($2::text[]) as s (serial_number)"), PG_V_INT8(tenant_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

unsigned store_fact_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	return PG_ADD(t, FACTS_OF(SERIAL "and serial_number > $2 and gone_at is null order by serial_number limit $3"), PG_V_INT8(tenant_id),
		PG_V_TEXT(store_not_null(after)), PG_V_INT8(limit));
}

unsigned store_fact_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	return PG_ADD(t,
		FACTS_OF("select * from (" STORE_TO_ASSIGN(SERIAL, "is null") ") as urgent union all select * from (" STORE_TO_ASSIGN(SERIAL, "is not null") ") as bulk"),
		PG_V_INT8(tenant_id), PG_V_INSTANT(now_us), PG_V_INT8(limit));
}

static void read_fact(struct columns *at, struct routing_fact *out)
{
	out->is_pinned = next_bool(at);
	out->pin_instance_id = next_number(at);
	out->pin_reason = next_text(at);
	out->is_replacement = next_bool(at);
	out->original_is_asked_for = next_bool(at);
	out->original_is_known = next_bool(at);
	out->original_instance_id = next_number(at);
	out->labels = next_text(at);
	out->wish_instance_id = next_number(at);
	out->wished_profile_uuid = next_text(at);
	out->expected_instance_id = next_number(at);
}

static void read_routed(struct columns *at, struct routed_row *out)
{
	*out = (struct routed_row){ .apple = { .operation = DEVICE_PRESENT } };
	out->apple.serial_number = next_text(at);
	out->apple.model = next_text(at);
	out->apple.description = next_text(at);
	out->apple.color = next_text(at);
	out->apple.asset_tag = next_text(at);
	out->apple.device_family = next_text(at);
	out->apple.os = next_text(at);
	out->apple.device_assigned_by = next_text(at);
	out->apple.device_assigned_date_us = next_instant(at);
	out->first_seen_us = next_instant(at);
	out->guard_reason = next_text(at);
	out->fact.serial_number = out->apple.serial_number;
	read_fact(at, &out->fact);
}

void store_fact_read(const struct pg_transaction *t, unsigned statement, size_t row, struct routing_fact *out)
{
	struct columns at = { t, statement, row, 0 };

	out->serial_number = next_text(&at);
	read_fact(&at, out);
}

unsigned store_routing_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select exists (select from depbroker.pins where tenant_id = $1) or exists (select from depbroker.replacements where tenant_id = $1)"
		" or exists (select from depbroker.device_labels where tenant_id = $1) or exists (select from depbroker.dep_wishes where tenant_id = $1)"
		" or exists (select from depbroker.expected_devices where tenant_id = $1 and instance_id is not null),"
		" exists (select from depbroker.reroutes where tenant_id = $1) or exists (" GUARDED_NO_MORE ")",
		PG_V_INT8(tenant_id));
}

void store_routing_read(const struct pg_transaction *t, unsigned statement, bool *has_facts, bool *has_reroutes)
{
	struct columns at = { t, statement, 0, 0 };

	*has_facts = next_bool(&at);
	*has_reroutes = next_bool(&at);
}

// --- once more ---

void store_reroute_insert(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)PG_ADD(t,
		"insert into depbroker.reroutes (tenant_id, serial_number) select $1, n.serial from unnest($2::text[]) as n (serial)"
		" on conflict do nothing",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

void store_reroute_delete(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)PG_ADD(t, "delete from depbroker.reroutes where tenant_id = $1 and serial_number = any ($2::text[])", PG_V_INT8(tenant_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

unsigned store_reroute_list(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, "select serial_number from depbroker.reroutes where tenant_id = $1 union " GUARDED_NO_MORE " order by serial_number limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(limit));
}

struct text store_reroute_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_text(t, statement, row, 0);
}

// --- pins ---

void store_pins_put(struct pg_transaction *t, int64_t tenant_id, const struct pin_row *pin, const struct text *serials, size_t count)
{
	assert(count <= STORE_PINS_MAX);
	store_start_over(t, tenant_id, false);
	(void)PG_ADD(t,
		"insert into depbroker.pins (tenant_id, serial_number, instance_id, reason, made_by)"
		" select $1, s.serial_number, nullif($3, 0), $4, $5 from unnest($2::text[]) as s (serial_number)"
		" on conflict (tenant_id, serial_number) do update set instance_id = excluded.instance_id, reason = excluded.reason,"
		" made_by = excluded.made_by, made_at = now()",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count), PG_V_INT8(pin->instance_id), PG_V_TEXT(store_not_null(pin->reason)),
		PG_V_TEXT(pin->made_by));
	store_reroute_insert(t, tenant_id, serials, count);
}

unsigned store_pins_delete(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	store_start_over(t, tenant_id, false);
	store_reroute_insert(t, tenant_id, serials, count);
	return PG_ADD(t, "delete from depbroker.pins where tenant_id = $1 and serial_number = any ($2::text[]) returning 1", PG_V_INT8(tenant_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

#define PIN                                                                                                                      \
	"select p.serial_number, p.instance_id, i.name, p.reason, p.made_at, p.made_by from depbroker.pins p"                           \
	" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = p.instance_id where p.tenant_id = $1 and p.serial_number "

unsigned store_pin_select(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t, PIN "= $2", PG_V_INT8(tenant_id), PG_V_TEXT(serial));
}

unsigned store_pin_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int64_t instance_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, PIN "> $2 and ($3 = -1 or coalesce(p.instance_id, 0) = $3) order by p.serial_number limit $4", PG_V_INT8(tenant_id),
		PG_V_TEXT(store_not_null(after)), PG_V_INT8(instance_id), PG_V_INT8(limit));
}

void store_pin_read(const struct pg_transaction *t, unsigned statement, size_t row, struct pin_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->serial_number = next_text(&at);
	out->instance_id = next_number(&at);
	out->instance = next_text(&at);
	out->reason = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->made_by = next_text(&at);
}

// --- what rules look at ---

#define ROUTED                                                                                                                  \
	"select w.serial_number, w.model, w.description, w.color, w.asset_tag, w.device_family, w.os, w.device_assigned_by,"          \
	" w.device_assigned_date, w.first_seen_at, case when w.decider = 3 then w.hold_reason end, " FACT
#define PRESENT "select * from depbroker.devices where tenant_id = $1 and gone_at is null "

unsigned store_routed_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int64_t seen_since_us, int limit)
{
	assert(limit > 0 && limit <= STORE_ROUTED_MAX);
	return PG_ADD(t,
		ROUTED WITH_FACT(PRESENT "and serial_number > $2 and ($3::timestamptz is null or first_seen_at >= $3) order by serial_number limit $4")
		" order by w.serial_number",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_INSTANT(seen_since_us), PG_V_INT8(limit));
}

unsigned store_routed_guarded(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	assert(limit > 0 && limit <= STORE_ROUTED_MAX);
	return PG_ADD(t,
		ROUTED WITH_FACT("select * from (" PRESENT "and decider = 3 union all " PRESENT "and decider = 4) as g where g.serial_number > $2"
			" order by g.serial_number limit $3")
		" order by w.serial_number",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_INT8(limit));
}

unsigned store_routed_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	return PG_ADD(t, ROUTED WITH_FACT(PRESENT "and serial_number = any ($2::text[])") " order by w.serial_number", PG_V_INT8(tenant_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

void store_routed_read(const struct pg_transaction *t, unsigned statement, size_t row, struct routed_row *out)
{
	struct columns at = { t, statement, row, 0 };

	read_routed(&at, out);
}

// --- rows of a job ---

unsigned store_job_slice(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t after)
{
	return PG_ADD(t,
		ROUTED ", w.row_number, w.result, w.wanted_instance_id, w.is_present, w.stored_instance_id, w.has_profile, w.moves, w.to_instance_id,"
		" w.given_labels is not null, array_to_string(w.given_labels, E'\\n')"
		WITH_FACT("select j.row_number, j.result, j.serial_number, j.instance_id as wanted_instance_id, j.moves, j.to_instance_id, d.tenant_id is not null as is_present,"
			" d.instance_id as stored_instance_id, d.profile_uuid is not null and d.profile_status <> 'removed' as has_profile, d.model,"
			" d.description, d.color, d.asset_tag, d.device_family, d.os, d.device_assigned_by, d.device_assigned_date, d.first_seen_at, d.decider, d.hold_reason,"
			" " STORE_JOB_LABELS(k, j) " as given_labels"
			" from depbroker.job_rows j join depbroker.jobs k on k.tenant_id = $1 and k.job_id = $2 left join depbroker.devices d on d.tenant_id = $1 and d.serial_number = j.serial_number"
			" and d.gone_at is null where j.tenant_id = $1 and j.job_id = $2 and j.row_number > $3 order by j.row_number limit $4")
		" order by w.row_number",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_INT8(after), PG_V_INT8(JOB_SLICE_MAX));
}

void store_job_slice_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_slice_row *out)
{
	struct columns at = { t, statement, row, 0 };

	read_routed(&at, &out->routed);
	out->row_number = next_number(&at);
	out->result = store_job_result(next_text(&at));
	out->wanted_instance_id = next_number(&at);
	out->is_present = next_bool(&at);
	out->stored_instance_id = next_number(&at);
	out->has_profile = next_bool(&at);
	out->was_to_move = next_bool(&at);
	out->was_to_go_to = next_number(&at);
	out->has_labels = next_bool(&at);
	out->labels = next_text(&at);
}
