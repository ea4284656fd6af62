// SPDX-License-Identifier: Apache-2.0
#include "store/guards.h"

#include "store/guards_inner.h"
#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

// --- claims ---

#define CLAIM                                                                                               \
	"insert into depbroker.serial_claims as c (tenant_id, serial_number, claimed_at, assigned_at, gone_at)"    \
	" select $1, n.serial, now(), coalesce(n.assigned, $5::timestamptz), case when coalesce(n.gone, $6::bigint) = 1 then now() end"  \
	" from (select unnest($2::text[]) as serial, unnest($3::timestamptz[]) as assigned, unnest($4::bigint[]) as gone) as n"

static void add_claims(struct pg_transaction *t, const char *sql, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	struct text *serials = allocate_array(count, sizeof *serials);
	int64_t *assigned = allocate_array(count, sizeof *assigned);
	int64_t *gone = allocate_array(count, sizeof *gone);
	struct pg_value values[] = { PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count), [5] = PG_V_INT8(0) };

	for (size_t i = 0; i < count; i++) {
		serials[i] = claims[i].serial_number;
		assigned[i] = claims[i].assigned_at_us;
		gone[i] = claims[i].gone;
	}
	store_set_numbers(&values[2], &values[4], PG_TIMESTAMPTZ_ARRAY, assigned, count);
	store_set_numbers(&values[3], &values[5], PG_INT8_ARRAY, gone, count);
	(void)pg_add(t, sql, values, sizeof values / sizeof *values);
	free(serials);
	free(assigned);
	free(gone);
}

void store_claims_put(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	add_claims(t,
		CLAIM " on conflict (tenant_id, serial_number) do update set assigned_at = excluded.assigned_at,"
		" claimed_at = case when c.gone_at is not null and excluded.gone_at is null then now() else c.claimed_at end,"
		" gone_at = case when excluded.gone_at is not null then coalesce(c.gone_at, now()) end",
		tenant_id, claims, count);
}

void store_claims_insert(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	add_claims(t, CLAIM, tenant_id, claims, count);
}

unsigned store_claim_list(struct pg_transaction *t, struct text serial, const int64_t *tenant_ids, size_t count, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select c.tenant_id, t.slug, t.display_name, c.claimed_at, c.gone_at from depbroker.serial_claims c"
		" join depbroker.tenants t on t.tenant_id = c.tenant_id where c.serial_number = $1 and t.state <> 'deleting'"
		" and ($2::bigint[] is null or c.tenant_id = any ($2::bigint[]))"
		" order by c.gone_at is not null, c.gone_at desc, c.claimed_at, c.tenant_id limit $3",
		PG_V_TEXT(serial), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

void store_claim_read(const struct pg_transaction *t, unsigned statement, size_t row, struct claim_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->display_name = next_text(&at);
	out->claimed_at_us = next_instant(&at);
	out->gone_at_us = next_instant(&at);
}

// --- guards ---

// What is expected is not looked at unless something that is not is to be held.
unsigned store_guard_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *assigned_us,
	size_t count)
{
	return PG_ADD(t,
		"with rivalled as materialized (select * from depbroker.rivalled($2::text[], $3::timestamptz[]) as r (serial_number))"
		" select r.serial_number, true from rivalled r"
		" union all select w.serial_number, false from (select unnest($2::text[]) as serial_number) as w"
		" where " GUARD_UNEXPECTED("w.serial_number") " and not exists (select from rivalled r where r.serial_number = w.serial_number)",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count),
		PG_V_NUMBERS(PG_TIMESTAMPTZ_ARRAY, assigned_us, assigned_us != NULL ? count : 0));
}

void store_guard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct guard_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->serial_number = next_text(&at);
	out->reason = next_bool(&at) ? TEXT("another organisation lists this serial number too, and has done so for longer")
		: TEXT(GUARD_REASON_UNEXPECTED);
}
