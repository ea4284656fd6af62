// SPDX-License-Identifier: Apache-2.0
#include "store/tenants.h"

#include "store/store_inner.h"
#include "store/stream.h"

#include <assert.h>

enum { TENANT_COLUMN_COUNT = 16 };

#define TENANT_AND_STATUS                                                                                                \
	"select t.tenant_id, t.slug, t.display_name, t.state, t.apple_url, t.protocol_version, t.sync_interval_s, t.server_uuid, " \
	"t.server_name, t.org_id, t.org_id_hash, t.org_name, t.org_type, t.pinned_at, t.created_at, t.updated_at, "          \
	"s.token_expires_at, s.token_state, s.sync_phase, s.sync_reason, s.sync_error, s.synced_at, s.sync_next_at, "        \
	"s.devices, s.assigned, s.held, s.announced_seq, s.event_seq, s.updated_at, s.removals_held, s.missed_changes, s.parked_records "                                         \
	"from depbroker.tenants t join depbroker.tenant_status s on s.tenant_id = t.tenant_id "

unsigned store_tenant_next_id(struct pg_transaction *t)
{
	return pg_add(t, "select nextval('depbroker.tenant_ids')", NULL, 0);
}

int64_t store_tenant_next_id_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

void store_tenant_insert(struct pg_transaction *t, const struct tenant_row *tenant)
{
	(void)PG_ADD(t,
		"insert into depbroker.tenants (tenant_id, slug, display_name, state, apple_url, protocol_version, sync_interval_s)"
		" values ($1, $2, $3, $4, $5, nullif($6, 0), nullif($7, 0))",
		PG_V_INT8(tenant->tenant_id), PG_V_TEXT(tenant->slug), PG_V_TEXT(tenant->display_name), PG_V_TEXT(tenant->state),
		PG_V_TEXT(store_nullable(tenant->apple_url)), PG_V_INT8(tenant->protocol_version),
		PG_V_INT8(tenant->sync_interval_s));
	(void)PG_ADD(t, "insert into depbroker.sync_stream (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
	(void)PG_ADD(t, "insert into depbroker.sync_due (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
	(void)PG_ADD(t, "insert into depbroker.tenant_status (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
}

unsigned store_tenant_by_slug(struct pg_transaction *t, struct text slug)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.slug = $1", PG_V_TEXT(slug));
}

unsigned store_tenant_by_id(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.tenant_id = $1 and s.tenant_id = $1", PG_V_INT8(tenant_id));
}

unsigned store_tenant_by_server(struct pg_transaction *t, struct text server_uuid)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.server_uuid = $1", PG_V_TEXT(server_uuid));
}

unsigned store_tenant_list(struct pg_transaction *t, struct text after_slug, const int64_t *tenant_ids, size_t count,
	int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		TENANT_AND_STATUS "where t.slug > $1 and ($2::bigint[] is null or t.tenant_id = any ($2::bigint[]))"
		" order by t.slug limit $3",
		PG_V_TEXT(store_not_null(after_slug)), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

void store_tenant_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->display_name = next_text(&at);
	out->state = next_text(&at);
	out->apple_url = next_text(&at);
	out->protocol_version = next_number(&at);
	out->sync_interval_s = next_number(&at);
	out->server_uuid = next_text(&at);
	out->server_name = next_text(&at);
	out->org_id = next_text(&at);
	out->org_id_hash = next_text(&at);
	out->org_name = next_text(&at);
	out->org_type = next_text(&at);
	out->pinned_at_us = next_instant(&at);
	out->created_at_us = next_instant(&at);
	out->updated_at_us = next_instant(&at);
	assert(at.next == TENANT_COLUMN_COUNT);
}

void store_tenant_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_status_row *out)
{
	struct columns at = { t, statement, row, TENANT_COLUMN_COUNT };

	out->token_expires_at_us = next_instant(&at);
	out->token_state = next_text(&at);
	out->sync_phase = next_text(&at);
	out->sync_reason = next_text(&at);
	out->sync_error = next_text(&at);
	out->synced_at_us = next_instant(&at);
	out->sync_next_at_us = next_instant(&at);
	out->devices = next_number(&at);
	out->assigned = next_number(&at);
	out->held = next_number(&at);
	out->announced_seq = next_number(&at);
	out->event_seq = next_number(&at);
	out->updated_at_us = next_instant(&at);
	out->removals_held = next_number(&at);
	out->missed_changes = next_number(&at);
	out->parked_records = next_number(&at);
}

unsigned store_tenant_update(struct pg_transaction *t, const struct tenant_row *tenant)
{
	store_start_over(t, tenant->tenant_id, false);
	if (text_equal_string(tenant->state, "active")) { // it may have been made so: what was waited for is looked at
		store_due_forgive_crashes(t, tenant->tenant_id);
		(void)store_due_request(t, tenant->tenant_id, DUE_SYNC);
	}
	return PG_ADD(t,
		"update depbroker.tenants set display_name = $2, state = $3, apple_url = $4, protocol_version = nullif($5, 0),"
		" sync_interval_s = nullif($6, 0), updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant->tenant_id), PG_V_TEXT(tenant->display_name), PG_V_TEXT(tenant->state),
		PG_V_TEXT(store_nullable(tenant->apple_url)), PG_V_INT8(tenant->protocol_version),
		PG_V_INT8(tenant->sync_interval_s));
}

void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity)
{
	(void)PG_ADD(t,
		"with pinned as ("
		"  update depbroker.tenants set server_uuid = $2, server_name = $3, org_id = $4, org_id_hash = $5, org_name = $6,"
		"    org_type = $7, pinned_at = coalesce(pinned_at, now()), updated_at = now()"
		"  where tenant_id = $1 and (server_uuid is null or server_uuid = $2) returning tenant_id)"
		" select depbroker.require_fence(exists (select from pinned))",
		PG_V_INT8(identity->tenant_id), PG_V_TEXT(identity->server_uuid), PG_V_TEXT(store_nullable(identity->server_name)),
		PG_V_TEXT(store_nullable(identity->org_id)), PG_V_TEXT(store_nullable(identity->org_id_hash)),
		PG_V_TEXT(store_nullable(identity->org_name)), PG_V_TEXT(store_nullable(identity->org_type)));
}

unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "update depbroker.tenants set state = 'quarantined', updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant_id));
}
