// SPDX-License-Identifier: Apache-2.0
#include "store/dep_servers.h"

#include "crypto/seal.h"
#include "store/secrets.h"
#include "store/store_inner.h"

void store_dep_server_put(struct pg_transaction *t, int64_t tenant_id, const struct dep_server_row *server)
{
	(void)PG_ADD(t,
		"with put as (insert into depbroker.dep_servers (tenant_id, instance_id, server_uuid, consumer_key, secret_version, fingerprint,"
		" made_by, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"
		" on conflict (tenant_id, instance_id) do update set consumer_key = excluded.consumer_key, secret_version = excluded.secret_version,"
		" fingerprint = excluded.fingerprint, made_at = now(), made_by = excluded.made_by,"
		" expires_at = excluded.expires_at, revoked_at = null"
		" where dep_servers.secret_version = excluded.secret_version - 1 returning 1)"
		" select depbroker.require_fence(exists (select from put))",
		PG_V_INT8(tenant_id), PG_V_INT8(server->instance_id), PG_V_TEXT(server->server_uuid), PG_V_TEXT(server->consumer_key),
		PG_V_INT8(server->secret_version), PG_V_TEXT(server->fingerprint), PG_V_TEXT(server->made_by),
		PG_V_INSTANT(server->expires_at_us));
}

unsigned store_dep_server_revoke(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	(void)store_secret_delete(t, tenant_id, SECRET_DEP_TOKEN, instance_id);
	return PG_ADD(t,
		"update depbroker.dep_servers set revoked_at = now() where tenant_id = $1 and instance_id = $2 and revoked_at is null returning 1",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
}

#define SERVER                                                                                                              \
	"select s.instance_id, i.name, s.server_uuid, s.consumer_key, s.secret_version, s.fingerprint, s.made_at,"  \
	" s.made_by, s.expires_at, s.revoked_at, s.used_at from depbroker.dep_servers s"                                         \
	" join depbroker.instances i on i.tenant_id = $1 and i.instance_id = s.instance_id where s.tenant_id = $1 "

unsigned store_dep_server_select(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	return PG_ADD(t, SERVER "and s.instance_id = $2", PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
}

unsigned store_dep_server_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, SERVER "order by i.name", PG_V_INT8(tenant_id));
}

void store_dep_server_read(const struct pg_transaction *t, unsigned statement, size_t row, struct dep_server_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->instance_id = next_number(&at);
	out->instance = next_text(&at);
	out->server_uuid = next_text(&at);
	out->consumer_key = next_text(&at);
	out->secret_version = next_number(&at);
	out->fingerprint = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->made_by = next_text(&at);
	out->expires_at_us = next_instant(&at);
	out->revoked_at_us = next_instant(&at);
	out->used_at_us = next_instant(&at);
}

// Forgotten is what lies twice the window back, so that clocks of several machines may differ.
unsigned store_dep_nonce_take(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, const unsigned char digest[SHA256_SIZE],
	int64_t signed_at_us, int64_t window_s)
{
	const struct text bytes = { (const char *)digest, SHA256_SIZE };

	(void)PG_ADD(t,
		"delete from depbroker.dep_nonces where tenant_id = $1 and instance_id = $2 and signed_at < now() - 2 * $3 * interval '1 second'",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(window_s));
	(void)PG_ADD(t, "update depbroker.dep_servers set used_at = now() where tenant_id = $1 and instance_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(instance_id));
	return PG_ADD(t,
		"insert into depbroker.dep_nonces (tenant_id, instance_id, digest, signed_at) values ($1, $2, $3, $4) on conflict do nothing returning 1",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_BYTEA(bytes), PG_V_INSTANT(signed_at_us));
}
