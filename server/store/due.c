// SPDX-License-Identifier: Apache-2.0
#include "store/store_inner.h"
#include "store/stream.h"

#include <assert.h>

enum { FORGOTTEN_AFTER_S = 15 };

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

unsigned store_due_claim(struct pg_transaction *t, struct text node_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"with due as ("
		"  select d.tenant_id, t.slug from depbroker.sync_due d join depbroker.tenants t on t.tenant_id = d.tenant_id"
		"  where t.state in ('active', 'paused', 'quarantined') and d.due_at <= now() and (d.claimed_by is null or d.claimed_by = $1 or not exists ("
		"    select from depbroker.nodes n where n.node_id = d.claimed_by and n.alive_until > now()))"
		"  order by d.due_at limit $2 for update of d skip locked)"
		" update depbroker.sync_due as d set claimed_by = $1, due_at = now() + $3::bigint * interval '1 second'"
		" from due where d.tenant_id = due.tenant_id"
		" returning d.tenant_id, due.slug, d.wake, d.sync_requests, d.full_requests",
		PG_V_TEXT(node_id), PG_V_INT8(limit), PG_V_INT8(FORGOTTEN_AFTER_S));
}

unsigned store_due_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select d.tenant_id, t.slug, d.wake, d.sync_requests, d.full_requests from depbroker.sync_due d"
		" join depbroker.tenants t on t.tenant_id = $1 where d.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_due_read(const struct pg_transaction *t, unsigned statement, size_t row, struct due_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->wake = next_number(&at);
	out->sync_requests = next_number(&at);
	out->full_requests = next_number(&at);
}

unsigned store_due_request(struct pg_transaction *t, int64_t tenant_id, enum due_request request)
{
	return PG_ADD(t,
		"update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()), sync_requests = sync_requests + $2,"
		" full_requests = full_requests + $3 where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(request == DUE_SYNC ? 1 : 0), PG_V_INT8(request == DUE_FULL ? 1 : 0));
}
