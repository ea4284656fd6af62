// SPDX-License-Identifier: Apache-2.0
#include "store/endpoints.h"

#include "store/deliveries.h"
#include "store/secrets.h"
#include "store/store_inner.h"
#include "store/tenants.h"
#include "tenants/webhook.h"

#include <assert.h>

enum { REASON_MAX = 400 };

// --- changes ---

static struct pg_value events_of(const struct endpoint_row *endpoint)
{
	assert(endpoint->event_count <= STORE_ENDPOINT_EVENTS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, endpoint->events, endpoint->event_count);
}

static struct pg_value kinds_of(const struct endpoint_row *endpoint)
{
	assert(endpoint->alert_kind_count <= STORE_ENDPOINT_KINDS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, endpoint->alert_kinds, endpoint->alert_kind_count);
}

static struct pg_value headers_of(const struct endpoint_row *endpoint)
{
	assert(endpoint->header_count <= STORE_ENDPOINT_HEADERS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, endpoint->headers, endpoint->header_count);
}

static struct pg_value instance_of(const struct endpoint_row *endpoint)
{
	return endpoint->instance_id != 0 ? PG_V_INT8(endpoint->instance_id) : (struct pg_value){ .kind = PG_NULL };
}

void store_endpoint_add(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint)
{
	(void)PG_ADD(t,
		"insert into depbroker.endpoints (tenant_id, endpoint_id, instance_id, url, events, headers, secret_version, batch_size, format,"
		" certificate_authority, alert_kinds) values ($1, $2, $3, $4, $5, $6, coalesce(nullif($7, 0), 1), coalesce(nullif($8, 0), 1), $9, $10, $11)",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint->endpoint_id), instance_of(endpoint), PG_V_TEXT(store_nullable(endpoint->url)),
		events_of(endpoint), headers_of(endpoint), PG_V_INT8(endpoint->secret_version), PG_V_INT8(endpoint->batch_size),
		PG_V_STRING(endpoint_format_name(endpoint->format)), PG_V_TEXT(store_nullable(endpoint->certificate_authority)), kinds_of(endpoint));
	// Events before now cannot concern it.
	(void)PG_ADD(t,
		"insert into depbroker.positions (tenant_id, endpoint_id, lane, acked_seq)"
		" select $1, $2, lane, coalesce(a.seq, s.event_seq) from depbroker.sync_stream s"
		" left join depbroker.alert_log a on a.tenant_id = $1, generate_series(0, $3 - 1) lane where s.tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint->endpoint_id), PG_V_INT8(DELIVERY_LANES));
}

void store_endpoint_insert(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint)
{
	const bool is_for_alerts = tenant_id == STORE_EVERYBODY;

	store_start_over(t, tenant_id, false);
	if (endpoint->instance_id != 0 || is_for_alerts) {
		(void)PG_ADD(t,
			"select depbroker.require_fence((select count(*) from depbroker.endpoints"
			" where tenant_id = $1 and instance_id is not distinct from nullif($2, 0)) < $3)",
			PG_V_INT8(tenant_id), PG_V_INT8(endpoint->instance_id),
			PG_V_INT8(is_for_alerts ? STORE_ENDPOINTS_FOR_ALERTS_MAX : STORE_ENDPOINTS_OF_INSTANCE_MAX));
	}
	store_endpoint_add(t, tenant_id, endpoint);
}

unsigned store_endpoint_update(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint)
{
	store_start_over(t, tenant_id, false);
	return PG_ADD(t,
		"update depbroker.endpoints set url = $3, events = $4, headers = $5, batch_size = $6, certificate_authority = $7, alert_kinds = $8, updated_at = now()"
		" where tenant_id = $1 and endpoint_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint->endpoint_id), PG_V_TEXT(store_nullable(endpoint->url)), events_of(endpoint),
		headers_of(endpoint), PG_V_INT8(endpoint->batch_size), PG_V_TEXT(store_nullable(endpoint->certificate_authority)), kinds_of(endpoint));
}

void store_endpoint_delete(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	store_start_over(t, tenant_id, false);
	(void)PG_ADD(t, "delete from depbroker.resends where tenant_id = $1 and endpoint_id = $2", PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id));
	(void)PG_ADD(t, "delete from depbroker.parked_events where tenant_id = $1 and endpoint_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(endpoint_id));
	(void)PG_ADD(t, "delete from depbroker.positions where tenant_id = $1 and endpoint_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(endpoint_id));
	(void)PG_ADD(t, "delete from depbroker.endpoints where tenant_id = $1 and endpoint_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(endpoint_id));
	(void)store_secret_delete(t, tenant_id, SECRET_WEBHOOK, endpoint_id);
	(void)store_secret_delete(t, tenant_id, SECRET_WEBHOOK_KEY, endpoint_id);
}

static void end_former(struct pg_transaction *t, const struct seal_binding *binding, int64_t overlap_s)
{
	(void)PG_ADD(t,
		"delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3 and ($4 = 0 or expires_at <= now())",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id), PG_V_INT8(overlap_s));
	(void)PG_ADD(t,
		"update depbroker.secrets set expires_at = least(expires_at, now() + make_interval(secs => $4))"
		" where tenant_id = $1 and kind = $2 and object_id = $3",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id), PG_V_INT8(overlap_s));
}

void store_endpoint_rotate(struct pg_transaction *t, const struct seal_binding *binding, const struct sealed *sealed, struct text public_part,
	int64_t overlap_s)
{
	const struct text nonce = { (const char *)sealed->nonce, sizeof sealed->nonce };

	store_start_over(t, binding->tenant_id, false);
	(void)PG_ADD(t,
		"update depbroker.endpoints set secret_version = case when $4 = $5 then $3 else secret_version end,"
		" key_version = case when $4 = $6 then $3 else key_version end, updated_at = now() where tenant_id = $1 and endpoint_id = $2",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->object_id), PG_V_INT8(binding->secret_version), PG_V_INT8(binding->kind),
		PG_V_INT8(SECRET_WEBHOOK), PG_V_INT8(SECRET_WEBHOOK_KEY));
	end_former(t, binding, overlap_s);
	(void)PG_ADD(t,
		"insert into depbroker.secrets (tenant_id, kind, object_id, version, data_key_version, nonce, ciphertext, public_part)"
		" values ($1, $2, $3, $4, $5, $6, $7, $8)",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id), PG_V_INT8(binding->secret_version),
		PG_V_INT8(binding->data_key_version), PG_V_BYTEA(nonce), PG_V_BYTEA(buffer_text(&sealed->ciphertext)),
		PG_V_TEXT(store_nullable(public_part)));
	(void)PG_ADD(t,
		"select depbroker.require_fence((select count(*) from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3) <= $4)",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id), PG_V_INT8(WEBHOOK_SECRETS_MAX));
}

void store_endpoint_drop_keys(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	store_start_over(t, tenant_id, false);
	(void)store_secret_delete(t, tenant_id, SECRET_WEBHOOK_KEY, endpoint_id);
}

unsigned store_endpoint_keys(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	return PG_ADD(t,
		"select public_part, expires_at from depbroker.secrets where tenant_id = $1 and kind = $3 and object_id = $2"
		" and (expires_at is null or expires_at > now()) order by version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INT8(SECRET_WEBHOOK_KEY));
}

void store_endpoint_key_read(const struct pg_transaction *t, unsigned statement, size_t row, struct text *public_part, int64_t *expires_at_us)
{
	struct columns at = { t, statement, row, 0 };

	*public_part = next_text(&at);
	*expires_at_us = next_instant(&at);
}

void store_endpoint_enable(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	(void)PG_ADD(t,
		"update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = $1",
		PG_V_INT8(tenant_id));
	(void)PG_ADD(t,
		"update depbroker.positions set attempts = 0, next_try_at = '-infinity', first_failed_at = null, single_until = 0"
		" where tenant_id = $1 and endpoint_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id));
	(void)PG_ADD(t,
		"update depbroker.endpoints set disabled_at = null, disabled_reason = null, not_before = null, updated_at = now()"
		" where tenant_id = $1 and endpoint_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id));
}

unsigned store_endpoint_disable(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, struct text reason)
{
	return PG_ADD(t,
		"update depbroker.endpoints set disabled_at = now(), disabled_reason = $3"
		" where tenant_id = $1 and endpoint_id = $2 and disabled_at is null",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_TEXT(store_clipped(reason, REASON_MAX)));
}

unsigned store_endpoint_slow(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t not_before_us)
{
	return PG_ADD(t, "update depbroker.endpoints set not_before = $3 where tenant_id = $1 and endpoint_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(endpoint_id), PG_V_INSTANT(not_before_us));
}

// Never back: the lanes of an endpoint settle in any order.
unsigned store_endpoint_succeeded(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t at_us)
{
	return PG_ADD(t,
		"update depbroker.endpoints set succeeded_at = greatest(succeeded_at, $3) where tenant_id = $1 and endpoint_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INSTANT(at_us));
}

// --- reading ---

#define ENDPOINT                                                                                                              \
	"n.endpoint_id, n.instance_id, i.name, n.url, array_to_string(n.events, ' '), array_to_string(n.headers, E'\\n'), "        \
	"array_to_string(n.alert_kinds, ' '), n.certificate_authority, n.batch_size, n.format, n.secret_version, n.key_version, n.disabled_at, n.disabled_reason, n.not_before, n.succeeded_at, n.created_at, n.updated_at"
#define FROM_ENDPOINTS                                                                                                        \
	" from depbroker.endpoints n left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = n.instance_id"

unsigned store_endpoint_select(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	return PG_ADD(t, "select " ENDPOINT FROM_ENDPOINTS " where n.tenant_id = $1 and ($2 = 0 or n.endpoint_id = $2) order by n.endpoint_id",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id));
}

static void read_from(struct columns at, struct endpoint_row *out)
{
	struct text events, headers, kinds, item;
	bool is_known;

	out->endpoint_id = next_number(&at);
	out->instance_id = next_number(&at);
	out->instance = next_text(&at);
	out->url = next_text(&at);
	events = next_text(&at);
	headers = next_text(&at);
	kinds = next_text(&at);
	out->certificate_authority = next_text(&at);
	out->batch_size = (int)next_number(&at);
	is_known = endpoint_format_of(next_text(&at), &out->format);
	assert(is_known); // the schema knows no other
	out->secret_version = next_number(&at);
	out->key_version = next_number(&at);
	out->disabled_at_us = next_instant(&at);
	out->disabled_reason = next_text(&at);
	out->not_before_us = next_instant(&at);
	out->succeeded_at_us = next_instant(&at);
	out->created_at_us = next_instant(&at);
	out->updated_at_us = next_instant(&at);
	out->event_count = 0;
	while (store_next_item(&events, ' ', &item)) {
		assert(out->event_count < STORE_ENDPOINT_EVENTS_MAX); // the schema's limit, too
		out->events[out->event_count++] = item;
	}
	out->alert_kind_count = 0;
	while (store_next_item(&kinds, ' ', &item)) {
		assert(out->alert_kind_count < STORE_ENDPOINT_KINDS_MAX);
		out->alert_kinds[out->alert_kind_count++] = item;
	}
	out->header_count = 0;
	while (store_next_item(&headers, '\n', &item)) {
		assert(out->header_count < STORE_ENDPOINT_HEADERS_MAX);
		out->headers[out->header_count++] = item;
	}
}

void store_endpoint_read(const struct pg_transaction *t, unsigned statement, size_t row, struct endpoint_row *out)
{
	read_from((struct columns){ t, statement, row, 0 }, out);
}

unsigned store_endpoint_list_with_secrets(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select " STORE_SECRET_COLUMNS ", " ENDPOINT FROM_ENDPOINTS
		" left join depbroker.secrets s on s.tenant_id = $1 and s.kind in ($2, $3) and s.object_id = n.endpoint_id"
		"  and (s.expires_at is null or s.expires_at > now())"
		" left join depbroker.data_keys k on k.tenant_id = $1 and k.version = s.data_key_version"
		" where n.tenant_id = $1 and n.url is not null order by n.endpoint_id, s.kind, s.version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_WEBHOOK), PG_V_INT8(SECRET_WEBHOOK_KEY));
}

void store_endpoint_read_with_secret(const struct pg_transaction *t, unsigned statement, size_t row, struct endpoint_row *out)
{
	read_from((struct columns){ t, statement, row, STORE_SECRET_COLUMN_COUNT }, out);
}
