// SPDX-License-Identifier: Apache-2.0
#include "store/tokens.h"

#include "crypto/seal.h"
#include "store/store_inner.h"
#include "store/stream.h"

enum { ERROR_MAX = 400 };

unsigned store_object_next_id(struct pg_transaction *t)
{
	return pg_add(t, "select nextval('depbroker.object_ids')", NULL, 0);
}

int64_t store_object_next_id_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

// --- key pairs ---

#define KEY_PAIR "select key_pair_id, state, fingerprint, certificate_pem, not_before, not_after, created_at from depbroker.key_pairs "

unsigned store_key_pair_insert(struct pg_transaction *t, int64_t tenant_id, const struct key_pair_row *pair)
{
	return PG_ADD(t,
		"insert into depbroker.key_pairs (tenant_id, key_pair_id, state, fingerprint, certificate_pem, not_before, not_after)"
		" values ($1, $2, 'staged', $3, $4, $5, $6)",
		PG_V_INT8(tenant_id), PG_V_INT8(pair->key_pair_id), PG_V_TEXT(pair->fingerprint), PG_V_TEXT(pair->certificate_pem),
		PG_V_INSTANT(pair->not_before_us), PG_V_INSTANT(pair->not_after_us));
}

unsigned store_key_pair_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, KEY_PAIR "where tenant_id = $1 order by created_at desc, key_pair_id desc limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(STORE_LIST_MAX));
}

unsigned store_key_pair_by_id(struct pg_transaction *t, int64_t tenant_id, int64_t key_pair_id)
{
	return PG_ADD(t, KEY_PAIR "where tenant_id = $1 and key_pair_id = $2", PG_V_INT8(tenant_id), PG_V_INT8(key_pair_id));
}

void store_key_pair_read(const struct pg_transaction *t, unsigned statement, size_t row, struct key_pair_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->key_pair_id = next_number(&at);
	out->state = next_text(&at);
	out->fingerprint = next_text(&at);
	out->certificate_pem = next_text(&at);
	out->not_before_us = next_instant(&at);
	out->not_after_us = next_instant(&at);
	out->created_at_us = next_instant(&at);
}

// --- server tokens ---

// A former token and its session are of no use to us any more, but they would be to a thief.
static void retire_tokens(struct pg_transaction *t, int64_t tenant_id, int64_t but_token_id)
{
	(void)PG_ADD(t,
		"with dropped as (delete from depbroker.pending_tokens where tenant_id = $1)"
		" update depbroker.server_tokens set is_current = false where tenant_id = $1 and is_current and token_id <> $2",
		PG_V_INT8(tenant_id), PG_V_INT8(but_token_id));
	(void)PG_ADD(t, "delete from depbroker.secrets where tenant_id = $1 and kind in ($2, $3) and object_id <> $4",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_SERVER_TOKEN), PG_V_INT8(SECRET_APPLE_SESSION), PG_V_INT8(but_token_id));
}

void store_token_take(struct pg_transaction *t, int64_t tenant_id, const struct token_row *token)
{
	store_start_over(t, tenant_id, true);
	(void)store_due_request(t, tenant_id, DUE_SYNC); // what the old one was refused for is not waited for any more
	retire_tokens(t, tenant_id, token->token_id);
	(void)PG_ADD(t,
		"insert into depbroker.server_tokens (tenant_id, token_id, key_pair_id, consumer_key_end, expires_at, server_uuid,"
		" server_name, admin_id, org_id, org_id_hash, org_name, org_type, taken_by)"
		" values ($1, $2, nullif($3, 0), $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		PG_V_INT8(tenant_id), PG_V_INT8(token->token_id), PG_V_INT8(token->key_pair_id),
		PG_V_TEXT(store_not_null(token->consumer_key_end)), PG_V_INSTANT(token->expires_at_us),
		PG_V_TEXT(token->server_uuid), PG_V_TEXT(store_nullable(token->server_name)),
		PG_V_TEXT(store_nullable(token->admin_id)), PG_V_TEXT(store_nullable(token->org_id)),
		PG_V_TEXT(store_nullable(token->org_id_hash)), PG_V_TEXT(store_nullable(token->org_name)),
		PG_V_TEXT(store_nullable(token->org_type)), PG_V_TEXT(store_not_null(token->taken_by)));
	(void)PG_ADD(t,
		"update depbroker.key_pairs set state = 'retired' where tenant_id = $1 and state = 'current' and key_pair_id <> $2",
		PG_V_INT8(tenant_id), PG_V_INT8(token->key_pair_id));
	(void)PG_ADD(t, "update depbroker.key_pairs set state = 'current' where tenant_id = $1 and key_pair_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(token->key_pair_id));
}

void store_token_remove(struct pg_transaction *t, int64_t tenant_id)
{
	store_start_over(t, tenant_id, true);
	retire_tokens(t, tenant_id, 0);
}

unsigned store_token_current(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select token_id, key_pair_id, consumer_key_end, expires_at, server_uuid, server_name, admin_id, org_id, org_id_hash,"
		" org_name, org_type, taken_at, taken_by from depbroker.server_tokens where tenant_id = $1 and is_current",
		PG_V_INT8(tenant_id));
}

void store_token_read(const struct pg_transaction *t, unsigned statement, size_t row, struct token_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->token_id = next_number(&at);
	out->key_pair_id = next_number(&at);
	out->consumer_key_end = next_text(&at);
	out->expires_at_us = next_instant(&at);
	out->server_uuid = next_text(&at);
	out->server_name = next_text(&at);
	out->admin_id = next_text(&at);
	out->org_id = next_text(&at);
	out->org_id_hash = next_text(&at);
	out->org_name = next_text(&at);
	out->org_type = next_text(&at);
	out->taken_at_us = next_instant(&at);
	out->taken_by = next_text(&at);
}

unsigned store_token_set_admin(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, struct text admin_id)
{
	return PG_ADD(t, "update depbroker.server_tokens set admin_id = $3 where tenant_id = $1 and token_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(token_id), PG_V_TEXT(store_nullable(admin_id)));
}

// --- one that waits ---

void store_pending_drop(struct pg_transaction *t, int64_t tenant_id, int64_t token_id)
{
	(void)PG_ADD(t,
		"with dropped as (delete from depbroker.pending_tokens where tenant_id = $1 and $2 in (0, token_id) returning token_id),"
		" told as (update depbroker.tenant_status set pending_since = null, updated_at = now()"
		"   where tenant_id = $1 and exists (select from dropped))"
		" delete from depbroker.secrets where tenant_id = $1 and kind = $3 and object_id in (select token_id from dropped)",
		PG_V_INT8(tenant_id), PG_V_INT8(token_id), PG_V_INT8(SECRET_SERVER_TOKEN));
}

void store_pending_put(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *pending)
{
	(void)store_due_request(t, tenant_id, DUE_WAKE); // first: whoever has this row waits for the status, too
	store_pending_drop(t, tenant_id, 0);
	(void)PG_ADD(t,
		"insert into depbroker.pending_tokens (tenant_id, token_id, key_pair_id, consumer_key_end, expires_at, uploaded_by, next_try_at,"
		" error) values ($1, $2, $3, $4, $5, $6, $7, $8)",
		PG_V_INT8(tenant_id), PG_V_INT8(pending->token_id), PG_V_INT8(pending->key_pair_id),
		PG_V_TEXT(store_not_null(pending->consumer_key_end)), PG_V_INSTANT(pending->expires_at_us), PG_V_TEXT(pending->uploaded_by),
		PG_V_INSTANT(pending->next_try_at_us), PG_V_TEXT(store_clipped(pending->error, ERROR_MAX)));
	(void)PG_ADD(t, "update depbroker.tenant_status set pending_since = now(), updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant_id));
}

unsigned store_pending_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select token_id, key_pair_id, consumer_key_end, expires_at, uploaded_at, uploaded_by, attempts, next_try_at, error"
		" from depbroker.pending_tokens where tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_pending_read(const struct pg_transaction *t, unsigned statement, size_t row, struct pending_token_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->token_id = next_number(&at);
	out->key_pair_id = next_number(&at);
	out->consumer_key_end = next_text(&at);
	out->expires_at_us = next_instant(&at);
	out->uploaded_at_us = next_instant(&at);
	out->uploaded_by = next_text(&at);
	out->attempts = next_number(&at);
	out->next_try_at_us = next_instant(&at);
	out->error = next_text(&at);
}

unsigned store_pending_retry(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *pending)
{
	return PG_ADD(t,
		"update depbroker.pending_tokens set attempts = $3, next_try_at = $4, error = $5 where tenant_id = $1 and token_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(pending->token_id), PG_V_INT8(pending->attempts), PG_V_INSTANT(pending->next_try_at_us),
		PG_V_TEXT(store_clipped(pending->error, ERROR_MAX)));
}
