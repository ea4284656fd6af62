// SPDX-License-Identifier: Apache-2.0
#include "store/store_inner.h"
#include "store/stream.h"
#include "tenants/alert.h"

#include <assert.h>

enum { STRUCK_WAITS_S = 2 };

#define CRASHED_REASON "Workers crashed three times within an hour while they served it."
#define IS_SUSPECT "(d.crashes <> '{}' and d.crashes[1] > now() - interval '1 hour')"

unsigned store_node_beat(struct pg_transaction *t, struct text node_id)
{
	return PG_ADD(t,
		"insert into depbroker.nodes (node_id, alive_until) values ($1, now() + $2::bigint * interval '1 second')"
		" on conflict (node_id) do update set alive_until = excluded.alive_until",
		PG_V_TEXT(node_id), PG_V_INT8(NODE_ALIVE_S));
}

void store_node_release(struct pg_transaction *t, struct text node_id)
{
	(void)PG_ADD(t, "delete from depbroker.nodes where node_id = $1", PG_V_TEXT(node_id));
	(void)PG_ADD(t, "update depbroker.sync_due set claimed_by = null, due_at = now() where claimed_by = $1",
		PG_V_TEXT(node_id));
}

// Those that were struck are due a little later, so that the others are served first, and a worker that crashes again has lived long
// enough to be started again at once.
unsigned store_node_crashed(struct pg_transaction *t, struct text node_id)
{
	(void)PG_ADD(t, "delete from depbroker.nodes where node_id = $1", PG_V_TEXT(node_id));
	return PG_ADD(t,
		"with struck as ("
		"  update depbroker.sync_due as d set claimed_by = null, due_at = now() + $3::bigint * interval '1 second',"
		"    crashes = now() || array(select at from unnest(d.crashes) at where at > now() - interval '1 hour')"
		"  where d.claimed_by = $1 returning d.tenant_id, cardinality(d.crashes) as count),"
		" quarantined as ("
		"  update depbroker.tenants as t set state = 'quarantined', state_since = now(), state_reason = $4, version = version + 1,"
		"    updated_at = now() from struck"
		"  where t.tenant_id = struck.tenant_id and struck.count >= $2 and t.state in ('active', 'paused') returning t.tenant_id),"
		" raised as ("
		"  insert into depbroker.alerts as a (tenant_id, kind, detail) select tenant_id, $5, $4 from quarantined"
		"  on conflict (tenant_id, kind) do update set detail = excluded.detail, since = now(), last_seen_at = now(), cleared_at = null,"
		"    acked_at = null, acked_by = null)"
		" select t.slug, struck.count, q.tenant_id is not null"
		" from struck join depbroker.tenants t on t.tenant_id = struck.tenant_id"
		" left join quarantined q on q.tenant_id = struck.tenant_id",
		PG_V_TEXT(node_id), PG_V_INT8(CRASHES_MAX), PG_V_INT8(STRUCK_WAITS_S), PG_V_TEXT(TEXT(CRASHED_REASON)),
		PG_V_TEXT(text_of(alert_name(ALERT_QUARANTINED))));
}

void store_struck_read(const struct pg_transaction *t, unsigned statement, size_t row, struct struck_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->slug = next_text(&at);
	out->crashes = next_number(&at);
	out->quarantined = next_bool(&at);
}

unsigned store_due_crashes(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select cardinality(crashes), crashes[1] from depbroker.sync_due where tenant_id = $1", PG_V_INT8(tenant_id));
}

void store_due_crashes_read(const struct pg_transaction *t, unsigned statement, int64_t *count, int64_t *last_at_us)
{
	struct columns at = { t, statement, 0, 0 };

	*count = next_number(&at);
	*last_at_us = next_instant(&at);
}

void store_due_forgive_crashes(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t,
		"update depbroker.sync_due as d set crashes = '{}' from depbroker.tenants t"
		" where d.tenant_id = $1 and t.tenant_id = $1 and t.state = 'quarantined'",
		PG_V_INT8(tenant_id));
}

#define CLAIMABLE                                                                                                     \
	"select d.tenant_id, t.slug from depbroker.sync_due d join depbroker.tenants t on t.tenant_id = d.tenant_id"      \
	" where t.state in ('active', 'paused', 'quarantined', 'reserved') and d.due_at <= now()"                             \
	" and (d.claimed_by is null or d.claimed_by = $1 or not exists ("                                                 \
	"   select from depbroker.nodes n where n.node_id = d.claimed_by and n.alive_until > now()))"

// Nobody can make the reserved client active again: it rests until its last crash is an hour ago.
unsigned store_due_claim(struct pg_transaction *t, struct text node_id, int limit, bool one_suspect, struct due_share share)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX && share.processes > 0);
	return PG_ADD(t,
		"with suspect as (" CLAIMABLE " and $4 and d.crashes <> '{}' and " IS_SUSPECT " and cardinality(d.crashes) < $5"
		"  order by d.due_at limit 1 for update of d skip locked),"
		" others as (" CLAIMABLE " and not " IS_SUSPECT " and (cardinality(d.crashes) < $5 or t.state = 'reserved')"
		"   and (d.tenant_id % $6 = $7 or d.due_at <= now() - $8::bigint * interval '1 millisecond')"
		"  order by d.due_at limit $2 - (select count(*) from suspect) for update of d skip locked),"
		" due as (select * from suspect union all select * from others)"
		" update depbroker.sync_due as d set claimed_by = $1, due_at = now() + $3::bigint * interval '1 second'"
		" from due where d.tenant_id = due.tenant_id"
		" returning d.tenant_id, due.slug, d.wake, d.sync_requests, d.full_requests, " IS_SUSPECT
		", d.removals_allowed, d.removals_allowed_for",
		PG_V_TEXT(node_id), PG_V_INT8(limit), PG_V_INT8(FORGOTTEN_AFTER_S), PG_V_BOOL(one_suspect), PG_V_INT8(CRASHES_MAX),
		PG_V_INT8(share.processes), PG_V_INT8(share.index % share.processes), PG_V_INT8(OTHERS_WAIT_MS));
}

unsigned store_due_claim_hinted(struct pg_transaction *t, struct text node_id, const int64_t *tenant_ids, size_t count)
{
	assert(count > 0 && count <= STORE_LIST_MAX);
	return PG_ADD(t,
		"with due as (" CLAIMABLE " and d.tenant_id = any($2) and d.crashes = '{}' for update of d skip locked)"
		" update depbroker.sync_due as d set claimed_by = $1, due_at = now() + $3::bigint * interval '1 second'"
		" from due where d.tenant_id = due.tenant_id"
		" returning d.tenant_id, due.slug, d.wake, d.sync_requests, d.full_requests, false"
		", d.removals_allowed, d.removals_allowed_for",
		PG_V_TEXT(node_id), PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count), PG_V_INT8(FORGOTTEN_AFTER_S));
}

unsigned store_due_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select d.tenant_id, t.slug, d.wake, d.sync_requests, d.full_requests, " IS_SUSPECT
		", d.removals_allowed, d.removals_allowed_for from depbroker.sync_due d"
		" join depbroker.tenants t on t.tenant_id = $1 where d.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_due_hand_over(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)PG_ADD(t,
		"update depbroker.sync_due as d set due_at = now(), claimed_by = ("
		"  select n.node_id from depbroker.nodes n where n.node_id = s.owner and n.alive_until > now())"
		" from depbroker.sync_stream s"
		" where d.tenant_id = $1 and d.claimed_by = $2 and s.tenant_id = $1 and s.owner is distinct from $2",
		PG_V_INT8(tenant_id), PG_V_TEXT(node_id));
}

void store_due_read(const struct pg_transaction *t, unsigned statement, size_t row, struct due_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->wake = next_number(&at);
	out->sync_requests = next_number(&at);
	out->full_requests = next_number(&at);
	out->is_suspect = next_bool(&at);
	out->removals_allowed = next_number(&at);
	out->removals_allowed_for = next_number(&at);
}

unsigned store_due_request(struct pg_transaction *t, int64_t tenant_id, enum due_request request)
{
	return PG_ADD(t,
		"update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()), sync_requests = sync_requests + $2,"
		" full_requests = full_requests + $3 where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(request == DUE_SYNC ? 1 : 0), PG_V_INT8(request == DUE_FULL ? 1 : 0));
}
