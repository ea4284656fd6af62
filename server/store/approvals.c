// SPDX-License-Identifier: Apache-2.0
#include "store/approvals.h"

#include "store/store_inner.h"

#include <assert.h>

enum { REASON_MAX = 400 };

#define APPROVAL(payload, detail)                                                                                                \
	"a.approval_id, coalesce(a.tenant_id, 0), t.slug, a.kind, a.target, " payload ", a.reason, " detail ", a.base_version,"      \
	" a.changes, a.present, case when a.state = 'pending' and a.expires_at <= now() then 'expired' else a.state end,"             \
	" a.requested_by, a.requested_at, a.expires_at, a.decided_by, a.decided_at "
#define ITS_TENANT " left join depbroker.tenants t on t.tenant_id = a.tenant_id "

unsigned store_approval_insert(struct pg_transaction *t, const struct approval_row *approval)
{
	return PG_ADD(t,
		"with a as ("
		"  insert into depbroker.approvals (tenant_id, approval_id, kind, target, payload, reason, detail, base_version, changes, present,"
		"    devices, requested_by)"
		"  values (nullif($1, 0), coalesce(nullif($12, 0), nextval('depbroker.object_ids')), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning *)"
		" select " APPROVAL("null::text", "null::text") " from a" ITS_TENANT,
		PG_V_INT8(approval->tenant_id), PG_V_TEXT(approval->kind), PG_V_TEXT(store_not_null(approval->target)),
		PG_V_TEXT(store_not_null(approval->payload)), PG_V_TEXT(store_clipped(approval->reason, REASON_MAX)),
		PG_V_TEXT(approval->detail.length > 0 ? approval->detail : TEXT("{}")), PG_V_INT8(approval->base_version),
		PG_V_INT8(approval->changes), PG_V_INT8(approval->present), PG_V_TEXT(approval->devices), PG_V_TEXT(approval->requested_by),
		PG_V_INT8(approval->approval_id));
}

#define PLACES(devices)                                                                             \
	"select tenant, serial_number, \"to\", new_rule, profile from json_to_recordset(" devices ")"   \
	" as d (tenant text, serial_number text, \"to\" text, new_rule text, profile text)"

void store_approval_grant(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text by, struct text devices)
{
	(void)PG_ADD(t,
		"with granted as ("
		"  update depbroker.approvals a set state = 'approved', decided_by = $3, decided_at = now()"
		"  where a.tenant_id is not distinct from nullif($1, 0) and a.approval_id = $2 and a.state = 'pending' and a.expires_at > now()"
		"  and a.requested_by <> $3 and not exists (" PLACES("$4::json") " except " PLACES("a.devices::json") ") returning 1)"
		" select depbroker.require_fence(exists (select from granted))",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id), PG_V_TEXT(by), PG_V_TEXT(devices));
}

void store_approval_void(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id)
{
	(void)PG_ADD(t, "update depbroker.approvals set state = 'stale' where tenant_id = $1 and approval_id = $2 and state = 'approved'",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id));
}

void store_approval_close(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text state, struct text by)
{
	(void)PG_ADD(t,
		"with closed as ("
		"  update depbroker.approvals set state = $3, decided_by = $4, decided_at = now()"
		"  where tenant_id is not distinct from nullif($1, 0) and approval_id = $2 and state = 'pending' returning 1)"
		" select depbroker.require_fence(exists (select from closed))",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id), PG_V_TEXT(state), PG_V_TEXT(by));
}

unsigned store_approval_list(struct pg_transaction *t, int64_t after_id, bool only_pending, const int64_t *tenant_ids, size_t count, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select " APPROVAL("null::text", "null::text") " from depbroker.approvals a" ITS_TENANT
		"where a.approval_id > $1 and (not $2 or (a.state = 'pending' and a.expires_at > now()))"
		" and ($3::bigint[] is null or a.tenant_id = any ($3::bigint[])) order by a.approval_id limit $4",
		PG_V_INT8(after_id), PG_V_BOOL(only_pending), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

unsigned store_approval_by_id(struct pg_transaction *t, int64_t approval_id)
{
	return PG_ADD(t,
		"select " APPROVAL("a.payload", "a.detail") " from depbroker.approvals a" ITS_TENANT "where a.approval_id = $1", PG_V_INT8(approval_id));
}

void store_approval_read(const struct pg_transaction *t, unsigned statement, size_t row, struct approval_row *out)
{
	struct columns at = { t, statement, row, 0 };

	*out = (struct approval_row){ .approval_id = next_number(&at) };
	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->kind = next_text(&at);
	out->target = next_text(&at);
	out->payload = next_text(&at);
	out->reason = next_text(&at);
	out->detail = next_text(&at);
	out->base_version = next_number(&at);
	out->changes = next_number(&at);
	out->present = next_number(&at);
	out->state = next_text(&at);
	out->requested_by = next_text(&at);
	out->requested_at_us = next_instant(&at);
	out->expires_at_us = next_instant(&at);
	out->decided_by = next_text(&at);
	out->decided_at_us = next_instant(&at);
}

unsigned store_approval_devices(struct pg_transaction *t, int64_t approval_id, int64_t after, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select d.device::text from depbroker.approvals a, json_array_elements(a.devices::json) with ordinality as d (device, place)"
		" where a.approval_id = $1 and d.place > $2 order by d.place limit $3",
		PG_V_INT8(approval_id), PG_V_INT8(after), PG_V_INT8(limit));
}

struct text store_approval_device_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_text(t, statement, row, 0);
}
