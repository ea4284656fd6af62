// SPDX-License-Identifier: Apache-2.0
#include "store/alerts.h"

#include "store/store_inner.h"

#include <assert.h>

enum { DETAIL_MAX = 400 };

unsigned store_alert_raise(struct pg_transaction *t, int64_t tenant_id, struct text kind, struct text detail)
{
	return PG_ADD(t,
		"insert into depbroker.alerts as a (tenant_id, kind, detail) values ($1, $2, $3)"
		STORE_ALERT_IS_NEWS,
		PG_V_INT8(tenant_id), PG_V_TEXT(kind), PG_V_TEXT(store_clipped(detail, DETAIL_MAX)));
}

unsigned store_alert_clear(struct pg_transaction *t, int64_t tenant_id, struct text kind)
{
	return PG_ADD(t, "update depbroker.alerts set cleared_at = now() where tenant_id = $1 and kind = $2 and cleared_at is null",
		PG_V_INT8(tenant_id), PG_V_TEXT(kind));
}

unsigned store_alerts_seen(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "update depbroker.alerts set last_seen_at = now() where tenant_id = $1 and cleared_at is null", PG_V_INT8(tenant_id));
}

#define ALERT                                                                                                                 \
	"select a.alert_id, a.tenant_id, case when t.state <> 'reserved' then t.slug end, a.kind, a.detail, a.since, a.last_seen_at, a.cleared_at, a.acked_at, a.acked_by " \
	"from depbroker.alerts a join depbroker.tenants t on t.tenant_id = a.tenant_id "

unsigned store_alert_list(struct pg_transaction *t, int64_t after_id, bool only_open, const int64_t *tenant_ids, size_t count, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		ALERT "where a.alert_id > $1 and (not $2 or a.cleared_at is null) and ($3::bigint[] is null or a.tenant_id = any ($3::bigint[]))"
		" order by a.alert_id limit $4",
		PG_V_INT8(after_id), PG_V_BOOL(only_open), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

unsigned store_alert_by_id(struct pg_transaction *t, int64_t alert_id)
{
	return PG_ADD(t, ALERT "where a.alert_id = $1", PG_V_INT8(alert_id));
}

void store_alert_read(const struct pg_transaction *t, unsigned statement, size_t row, struct alert_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->alert_id = next_number(&at);
	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->kind = next_text(&at);
	out->detail = next_text(&at);
	out->since_us = next_instant(&at);
	out->last_seen_at_us = next_instant(&at);
	out->cleared_at_us = next_instant(&at);
	out->acked_at_us = next_instant(&at);
	out->acked_by = next_text(&at);
}

unsigned store_alert_ack(struct pg_transaction *t, int64_t tenant_id, int64_t alert_id, struct text by, bool clear)
{
	return PG_ADD(t,
		"update depbroker.alerts set acked_at = coalesce(acked_at, now()), acked_by = coalesce(acked_by, $3),"
		" cleared_at = case when $4 then coalesce(cleared_at, now()) else cleared_at end where tenant_id = $1 and alert_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(alert_id), PG_V_TEXT(by), PG_V_BOOL(clear));
}
