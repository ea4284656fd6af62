// SPDX-License-Identifier: Apache-2.0
#include "store/approvals.h"

#include "store/store_inner.h"

#include <assert.h>

enum { REASON_MAX = 400 };

void store_approval_insert(struct pg_transaction *t, const struct approval_row *approval)
{
	(void)PG_ADD(t,
		"insert into depbroker.approvals (tenant_id, approval_id, kind, payload, reason, base_version, changes, present, devices, requested_by)"
		" values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		PG_V_INT8(approval->tenant_id), PG_V_INT8(approval->approval_id), PG_V_TEXT(approval->kind), PG_V_TEXT(approval->payload),
		PG_V_TEXT(store_clipped(approval->reason, REASON_MAX)), PG_V_INT8(approval->base_version), PG_V_INT8(approval->changes),
		PG_V_INT8(approval->present), PG_V_TEXT(approval->devices), PG_V_TEXT(approval->requested_by));
}

void store_approval_grant(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text by)
{
	(void)PG_ADD(t,
		"with granted as ("
		"  update depbroker.approvals set state = 'approved', decided_by = $3, decided_at = now()"
		"  where tenant_id = $1 and approval_id = $2 and state = 'pending' and expires_at > now() and requested_by <> $3 returning 1)"
		" select depbroker.require_fence(exists (select from granted))",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id), PG_V_TEXT(by));
}

void store_approval_close(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text state, struct text by)
{
	(void)PG_ADD(t,
		"with closed as ("
		"  update depbroker.approvals set state = $3, decided_by = $4, decided_at = now()"
		"  where tenant_id = $1 and approval_id = $2 and state = 'pending' returning 1)"
		" select depbroker.require_fence(exists (select from closed))",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id), PG_V_TEXT(state), PG_V_TEXT(by));
}

#define APPROVAL(payload, devices)                                                                                               \
	"select a.approval_id, a.tenant_id, t.slug, a.kind, " payload ", a.reason, a.base_version, a.changes, a.present, " devices ","   \
	" case when a.state = 'pending' and a.expires_at <= now() then 'expired' else a.state end, a.requested_by, a.requested_at,"      \
	" a.expires_at, a.decided_by, a.decided_at from depbroker.approvals a join depbroker.tenants t on t.tenant_id = a.tenant_id "

unsigned store_approval_list(struct pg_transaction *t, int64_t after_id, bool only_pending, const int64_t *tenant_ids, size_t count, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		APPROVAL("null::text", "null::text") "where a.approval_id > $1 and (not $2 or (a.state = 'pending' and a.expires_at > now()))"
		" and ($3::bigint[] is null or a.tenant_id = any ($3::bigint[])) order by a.approval_id limit $4",
		PG_V_INT8(after_id), PG_V_BOOL(only_pending), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

unsigned store_approval_by_id(struct pg_transaction *t, int64_t approval_id)
{
	return PG_ADD(t, APPROVAL("a.payload", "a.devices") "where a.approval_id = $1", PG_V_INT8(approval_id));
}

void store_approval_read(const struct pg_transaction *t, unsigned statement, size_t row, struct approval_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->approval_id = next_number(&at);
	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->kind = next_text(&at);
	out->payload = next_text(&at);
	out->reason = next_text(&at);
	out->base_version = next_number(&at);
	out->changes = next_number(&at);
	out->present = next_number(&at);
	out->devices = next_text(&at);
	out->state = next_text(&at);
	out->requested_by = next_text(&at);
	out->requested_at_us = next_instant(&at);
	out->expires_at_us = next_instant(&at);
	out->decided_by = next_text(&at);
	out->decided_at_us = next_instant(&at);
}
