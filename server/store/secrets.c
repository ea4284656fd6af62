// SPDX-License-Identifier: Apache-2.0
#include "store/secrets.h"

#include "store/store_inner.h"

enum { WRAPPED_MAX = 512, SECRET_OBJECT_ID = 0, SECRET_VERSION, SECRET_KEY_VERSION, SECRET_NONCE, SECRET_CIPHERTEXT };

unsigned store_data_key_insert(struct pg_transaction *t, int64_t tenant_id, int version, struct text wrapped)
{
	return PG_ADD(t, "insert into depbroker.data_keys (tenant_id, version, wrapped) values ($1, $2, $3)",
		PG_V_INT8(tenant_id), PG_V_INT8(version), PG_V_BYTEA(wrapped));
}

unsigned store_data_key_current(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select version, wrapped from depbroker.data_keys where tenant_id = $1 and is_current",
		PG_V_INT8(tenant_id));
}

enum err store_data_key_read(const struct pg_transaction *t, unsigned statement, const struct master_key *master,
	int64_t tenant_id, struct data_key *out, struct fault *fault)
{
	struct buffer wrapped CLEANUP(buffer_fini_wiped) = BUFFER(WRAPPED_MAX);

	if (pg_row_count(t, statement) == 0) {
		return fault_set(fault, ERR_NOT_FOUND, "tenant %lld has no data key", (long long)tenant_id);
	}
	if (!pg_bytes(t, statement, 0, 1, &wrapped)) {
		return fault_set(fault, ERR_CRYPTO, "the wrapped data key of tenant %lld is damaged", (long long)tenant_id);
	}
	return data_key_unwrap(out, buffer_text(&wrapped), master, tenant_id, (int)pg_int8(t, statement, 0, 0), fault);
}

void store_secret_put(struct pg_transaction *t, const struct seal_binding *binding, const struct sealed *sealed)
{
	const struct text nonce = { (const char *)sealed->nonce, sizeof sealed->nonce };

	(void)PG_ADD(t,
		"insert into depbroker.secrets (tenant_id, kind, object_id, version, data_key_version, nonce, ciphertext)"
		" values ($1, $2, $3, $4, $5, $6, $7)",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id),
		PG_V_INT8(binding->secret_version), PG_V_INT8(binding->data_key_version), PG_V_BYTEA(nonce),
		PG_V_BYTEA(buffer_text(&sealed->ciphertext)));
	(void)PG_ADD(t,
		"delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3 and version < $4",
		PG_V_INT8(binding->tenant_id), PG_V_INT8(binding->kind), PG_V_INT8(binding->object_id),
		PG_V_INT8(binding->secret_version));
}

unsigned store_secret_delete(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	return PG_ADD(t, "delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id = $3",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id));
}

unsigned store_secret_select(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	return PG_ADD(t,
		"select distinct on (object_id) object_id, version, data_key_version, nonce, ciphertext from depbroker.secrets"
		" where tenant_id = $1 and kind = $2 and ($3 = 0 or object_id = $3) order by object_id, version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(kind), PG_V_INT8(object_id));
}

int64_t store_secret_object_id(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, SECRET_OBJECT_ID);
}

int store_secret_version(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return (int)pg_int8(t, statement, row, SECRET_VERSION);
}

enum err store_secret_open(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id,
	enum secret_kind kind, const struct data_key *key, struct buffer *plain, struct fault *fault)
{
	struct buffer nonce CLEANUP(buffer_fini_wiped) = BUFFER(AEAD_NONCE_SIZE);
	struct buffer ciphertext CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX + AEAD_TAG_SIZE);
	const struct seal_binding binding = {
		.kind = kind,
		.tenant_id = tenant_id,
		.data_key_version = (int)pg_int8(t, statement, row, SECRET_KEY_VERSION),
		.object_id = store_secret_object_id(t, statement, row),
		.secret_version = store_secret_version(t, statement, row),
	};

	if (!pg_bytes(t, statement, row, SECRET_NONCE, &nonce) || !pg_bytes(t, statement, row, SECRET_CIPHERTEXT, &ciphertext)) {
		return fault_set(fault, ERR_CRYPTO, "a sealed secret of tenant %lld is damaged", (long long)tenant_id);
	}
	return unseal(plain, key, &binding, buffer_text(&nonce), buffer_text(&ciphertext), fault);
}
