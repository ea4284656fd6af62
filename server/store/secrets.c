// SPDX-License-Identifier: Apache-2.0
#include "store/secrets.h"

#include "store/keys.h"
#include "store/store_inner.h"

#include <string.h>

enum {
	SECRET_OBJECT_ID, SECRET_VERSION, SECRET_KEY_VERSION, SECRET_NONCE, SECRET_CIPHERTEXT, SECRET_WRAPPED, SECRET_MASTER_KEY, SECRET_KIND,
};

unsigned store_data_key_insert(struct pg_transaction *t, int64_t tenant_id, int version, struct text wrapped, struct text master_key)
{
	return PG_ADD(t, "insert into depbroker.data_keys (tenant_id, version, wrapped, master_key_id) values ($1, $2, $3, $4)",
		PG_V_INT8(tenant_id), PG_V_INT8(version), PG_V_BYTEA(wrapped), PG_V_TEXT(store_not_null(master_key)));
}

bool store_key_was_replaced(const struct pg_transaction *t)
{
	return strcmp(t->constraint, "data_keys_master_key") == 0 || strcmp(t->constraint, "secrets_tenant_id_data_key_version_fkey") == 0;
}

unsigned store_data_key_current(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select version, wrapped, master_key_id from depbroker.data_keys where tenant_id = $1 and is_current",
		PG_V_INT8(tenant_id));
}

enum err store_data_key_read(const struct pg_transaction *t, unsigned statement, struct key_provider *provider,
	int64_t tenant_id, struct data_key *out, struct fault *fault)
{
	struct buffer wrapped CLEANUP(buffer_fini_wiped) = BUFFER(STORE_WRAPPED_MAX);

	if (pg_row_count(t, statement) == 0 || pg_is_null(t, statement, 0, 0)) {
		return fault_set(fault, ERR_NOT_FOUND, "tenant %lld has no data key", (long long)tenant_id);
	}
	if (!pg_bytes(t, statement, 0, 1, &wrapped)) {
		return fault_set(fault, ERR_CRYPTO, "the wrapped data key of tenant %lld is damaged", (long long)tenant_id);
	}
	return provider->unwrap(provider, out, pg_text(t, statement, 0, 2), buffer_text(&wrapped), tenant_id,
		(int)pg_int8(t, statement, 0, 0), fault);
}

void store_secret_put(struct pg_transaction *t, const struct data_key *key, enum secret_kind kind, int64_t tenant_id, int64_t object_id,
	int version, struct text plain)
{
	const struct seal_binding binding = { kind, tenant_id, key->version, object_id, version };
	struct sealed sealed CLEANUP(sealed_fini);

	seal(&sealed, key, &binding, plain);
	(void)PG_ADD(t,
		"insert into depbroker.secrets (tenant_id, kind, object_id, version, data_key_version, nonce, ciphertext)"
		" values ($1, $2, $3, $4, $5, $6, $7)",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id), PG_V_INT8(version), PG_V_INT8(key->version),
		PG_V_BYTEA(((struct text){ (const char *)sealed.nonce, sizeof sealed.nonce })), PG_V_BYTEA(buffer_text(&sealed.ciphertext)));
	(void)PG_ADD(t,
		"delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3 and version < $4",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id), PG_V_INT8(version));
}

unsigned store_secret_delete(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	return PG_ADD(t, "delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id));
}

#define SECRET_COLUMNS                                                                                             \
	STORE_SECRET_COLUMNS                                                                                           \
	" from depbroker.secrets s join depbroker.data_keys k on k.tenant_id = s.tenant_id and k.version = s.data_key_version"

unsigned store_secret_select(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	return PG_ADD(t,
		"select distinct on (s.object_id) " SECRET_COLUMNS " where s.tenant_id = $1 and k.tenant_id = $1 and s.kind = $2"
		" and ($3 = 0 or s.object_id = $3) order by s.object_id, s.version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id));
}

// The private key is not among them, nor are bypass codes, of which there may be many.
unsigned store_secret_select_for_run(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select distinct on (s.kind, s.object_id) " SECRET_COLUMNS " where s.tenant_id = $1 and k.tenant_id = $1"
		" and s.kind in ($2, $3) order by s.kind, s.object_id, s.version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_SERVER_TOKEN), PG_V_INT8(SECRET_APPLE_SESSION));
}

bool store_secret_is(const struct pg_transaction *t, unsigned statement, size_t row, enum secret_kind kind, int64_t object_id)
{
	return pg_int8(t, statement, row, SECRET_KIND) == (int64_t)kind && store_secret_object_id(t, statement, row) == object_id;
}

int64_t store_secret_object_id(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, SECRET_OBJECT_ID);
}

int store_secret_version(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return (int)pg_int8(t, statement, row, SECRET_VERSION);
}

static enum err unwrap_own_key(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id,
	struct key_provider *provider, struct data_key *out, struct fault *fault)
{
	struct buffer wrapped CLEANUP(buffer_fini_wiped) = BUFFER(STORE_WRAPPED_MAX);

	if (!pg_bytes(t, statement, row, SECRET_WRAPPED, &wrapped)) {
		return fault_set(fault, ERR_CRYPTO, "the wrapped data key of tenant %lld is damaged", (long long)tenant_id);
	}
	return provider->unwrap(provider, out, pg_text(t, statement, row, SECRET_MASTER_KEY), buffer_text(&wrapped), tenant_id,
		(int)pg_int8(t, statement, row, SECRET_KEY_VERSION), fault);
}

static enum err open_with(const struct pg_transaction *t, unsigned statement, size_t row, const struct seal_binding *binding,
	const struct data_key *key, struct buffer *plain, struct fault *fault)
{
	struct buffer nonce CLEANUP(buffer_fini_wiped) = BUFFER(AEAD_NONCE_SIZE);
	struct buffer ciphertext CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX + AEAD_TAG_SIZE);

	if (!pg_bytes(t, statement, row, SECRET_NONCE, &nonce) || !pg_bytes(t, statement, row, SECRET_CIPHERTEXT, &ciphertext)) {
		return fault_set(fault, ERR_CRYPTO, "a sealed secret of tenant %lld is damaged", (long long)binding->tenant_id);
	}
	return unseal(plain, key, binding, buffer_text(&nonce), buffer_text(&ciphertext), fault);
}

enum err store_secret_open(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id, enum secret_kind kind,
	struct key_provider *provider, const struct data_key *key, struct buffer *plain, struct fault *fault)
{
	struct data_key own CLEANUP(data_key_fini) = { 0 };
	const struct seal_binding binding = {
		.kind = kind,
		.tenant_id = tenant_id,
		.data_key_version = (int)pg_int8(t, statement, row, SECRET_KEY_VERSION),
		.object_id = store_secret_object_id(t, statement, row),
		.secret_version = store_secret_version(t, statement, row),
	};

	if (key == NULL || key->version != binding.data_key_version) {
		TRY(unwrap_own_key(t, statement, row, tenant_id, provider, &own, fault));
		key = &own;
	}
	return open_with(t, statement, row, &binding, key, plain, fault);
}

// --- re-sealing ---

unsigned store_secret_list(struct pg_transaction *t, int64_t tenant_id, const struct seal_binding *after, int stale_for, int limit)
{
	return PG_ADD(t,
		"select " SECRET_COLUMNS " where s.tenant_id = $1 and k.tenant_id = $1 and (s.kind, s.object_id, s.version) > ($2, $3, $4)"
		" and s.data_key_version <> $5 order by s.kind, s.object_id, s.version limit $6",
		PG_V_INT8(tenant_id), PG_V_INT8(after->kind), PG_V_INT8(after->object_id), PG_V_INT8(after->secret_version),
		PG_V_INT8(stale_for), PG_V_INT8(limit));
}

struct text store_secret_master_key(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_text(t, statement, row, SECRET_MASTER_KEY);
}

struct seal_binding store_secret_binding(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id)
{
	return (struct seal_binding){
		.kind = (enum secret_kind)pg_int8(t, statement, row, SECRET_KIND),
		.tenant_id = tenant_id,
		.data_key_version = (int)pg_int8(t, statement, row, SECRET_KEY_VERSION),
		.object_id = store_secret_object_id(t, statement, row),
		.secret_version = store_secret_version(t, statement, row),
	};
}

unsigned store_secret_reseal(struct pg_transaction *t, const struct seal_binding *binding, int old_data_key_version,
	const struct sealed *sealed)
{
	const struct text nonce = { (const char *)sealed->nonce, sizeof sealed->nonce };

	return PG_ADD(t,
		"update depbroker.secrets set data_key_version = $6, nonce = $7, ciphertext = $8"
		" where tenant_id = $1 and kind = $2 and object_id = $3 and version = $4 and data_key_version = $5",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id), PG_V_INT8(binding->secret_version),
		PG_V_INT8(old_data_key_version), PG_V_INT8(binding->data_key_version), PG_V_BYTEA(nonce),
		PG_V_BYTEA(buffer_text(&sealed->ciphertext)));
}
