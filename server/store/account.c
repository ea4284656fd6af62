// SPDX-License-Identifier: Apache-2.0
#include "store/account.h"

#include "store/store_inner.h"

#include <stdlib.h>

enum { NONE = -1 };

unsigned store_account_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select sum(changes)::bigint, coalesce(min(limit_devices), -1), coalesce(min(limit_percent), -1)"
		" from depbroker.brake_account where tenant_id = $1 and made_at > clock_timestamp() - $2 * interval '1 second'"
		" group by tenant_id",
		PG_V_INT8(tenant_id), PG_V_INT8(BLAST_WINDOW_S));
}

void store_account_read(const struct pg_transaction *t, unsigned statement, struct account_row *out)
{
	struct columns at = { t, statement, 0, 0 };

	*out = (struct account_row){ .least_devices = NONE, .least_percent = NONE };
	if (pg_row_count(t, statement) == 0) {
		return;
	}
	out->spent = next_number(&at);
	out->least_devices = next_number(&at);
	out->least_percent = next_number(&at);
}

static int64_t own_or_usual(int64_t own, int64_t usual)
{
	return own > 0 ? own : usual;
}

static int64_t lower(int64_t limit, int64_t before)
{
	return before != NONE && before < limit ? before : limit;
}

struct blast_limits store_account_limits(const struct tenant_row *tenant, const struct account_row *account)
{
	return (struct blast_limits){
		.devices = lower(own_or_usual(tenant->brake_devices, BLAST_DEVICES), account->least_devices),
		.percent = lower(own_or_usual(tenant->brake_percent, BLAST_PERCENT), account->least_percent),
	};
}

// The due rows stay locked, in the order of their clients.
static void require_bases(struct pg_transaction *t, const int64_t *tenant_ids, const int64_t *counts, size_t count)
{
	(void)PG_ADD(t,
		"select depbroker.require_fence(not exists (select from unnest($1::bigint[], $2::bigint[]) as b (tenant_id, change_count)"
		" left join (select tenant_id, change_count from depbroker.sync_due where tenant_id = any ($1::bigint[]) order by tenant_id for update) as d"
		" on d.tenant_id = b.tenant_id where d.change_count is distinct from b.change_count))",
		PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count), PG_V_NUMBERS(PG_INT8_ARRAY, counts, count));
}

void store_account_begin(struct pg_transaction *t, int64_t tenant_id, int64_t change_count)
{
	(void)PG_ADD(t, "select from depbroker.sync_stream where tenant_id = $1 for update", PG_V_INT8(tenant_id));
	require_bases(t, &tenant_id, &change_count, 1);
}

void store_account_begin_all(struct pg_transaction *t, const struct account_base *bases, size_t count)
{
	int64_t *numbers = allocate_array(2 * count + 1, sizeof *numbers);

	for (size_t i = 0; i < count; i++) {
		numbers[i] = bases[i].tenant_id;
		numbers[count + i] = bases[i].change_count;
	}
	require_bases(t, numbers, numbers + count, count);
	free(numbers);
}

// What has ceased to count goes with the next entry of its client.
static void drop_old(struct pg_transaction *t, const int64_t *tenant_ids, size_t count)
{
	(void)PG_ADD(t,
		"delete from depbroker.brake_account where tenant_id = any ($1::bigint[])"
		" and made_at < clock_timestamp() - 2 * $2 * interval '1 second'",
		PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count), PG_V_INT8(BLAST_WINDOW_S));
}

void store_account_spend(struct pg_transaction *t, const struct account_spending *spending, size_t count, struct text action, struct text by)
{
	int64_t *numbers = allocate_array(3 * count + 1, sizeof *numbers);
	int64_t *changes = numbers + count;
	int64_t *limits = changes + count;

	for (size_t i = 0; i < count; i++) {
		numbers[i] = spending[i].tenant_id;
		changes[i] = spending[i].changes;
		limits[i] = spending[i].limit;
	}
	drop_old(t, numbers, count);
	(void)PG_ADD(t,
		"with given as ("
		"  select * from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as g (tenant_id, changes, most)),"
		" entered as ("
		"  insert into depbroker.brake_account (tenant_id, entry_id, made_by, action, changes)"
		"  select tenant_id, nextval('depbroker.object_ids'), $4, $5, changes from given)"
		" select depbroker.require_fence(not exists (select from given g where g.changes + (select coalesce(sum(a.changes), 0)"
		"  from depbroker.brake_account a where a.tenant_id = g.tenant_id and a.made_at > clock_timestamp() - $6 * interval '1 second') > g.most))",
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers, count), PG_V_NUMBERS(PG_INT8_ARRAY, changes, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, limits, count), PG_V_TEXT(by), PG_V_TEXT(action), PG_V_INT8(BLAST_WINDOW_S));
	free(numbers);
}

void store_account_note_limits(struct pg_transaction *t, const struct tenant_row *before, struct text by)
{
	(void)PG_ADD(t,
		"insert into depbroker.brake_account (tenant_id, entry_id, made_by, action, limit_devices, limit_percent)"
		" values ($1, nextval('depbroker.object_ids'), $2, 'tenant.change', $3, $4)",
		PG_V_INT8(before->tenant_id), PG_V_TEXT(by), PG_V_INT8(own_or_usual(before->brake_devices, BLAST_DEVICES)),
		PG_V_INT8(own_or_usual(before->brake_percent, BLAST_PERCENT)));
}
