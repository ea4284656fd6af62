// SPDX-License-Identifier: Apache-2.0
#include "store/api_keys.h"

#include "store/store_inner.h"

#include <assert.h>
#include <string.h>

unsigned store_api_key_insert(struct pg_transaction *t, const struct api_key_row *key)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, key->tenant_ids, key->tenant_count);

	assert(key->tenant_count <= STORE_KEY_TENANTS_MAX);
	return PG_ADD(t,
		"insert into depbroker.api_keys (key_id, hash, name, role, tenant_ids, created_at, expires_at, revoked_at, scopes)"
		" values ($1, $2, $3, $4, $5::bigint[], $6, $7, $8, case when $9 then array['tokens:read'] else '{}' end)",
		PG_V_TEXT(key->key_id), PG_V_BYTEA(((struct text){ (const char *)key->hash, sizeof key->hash })),
		PG_V_TEXT(key->name), PG_V_TEXT(key->role), key->all_tenants ? all : these, PG_V_INSTANT(key->created_at_us),
		PG_V_INSTANT(key->expires_at_us), PG_V_INSTANT(key->revoked_at_us), PG_V_BOOL(key->reads_tokens));
}

unsigned store_api_key_by_id(struct pg_transaction *t, struct text key_id)
{
	return PG_ADD(t,
		"select key_id, hash, name, role, tenant_ids is null, array_to_string(tenant_ids, ','), created_at, expires_at,"
		" revoked_at, 'tokens:read' = any (scopes) from depbroker.api_keys where key_id = $1",
		PG_V_TEXT(key_id));
}

static int64_t parse_id(struct text digits)
{
	int64_t id = 0;

	for (size_t i = 0; i < digits.length; i++) {
		assert(digits.bytes[i] >= '0' && digits.bytes[i] <= '9'); // the schema allows nothing else
		id = id * 10 + (digits.bytes[i] - '0');
	}
	return id;
}

void store_api_key_read(const struct pg_transaction *t, unsigned statement, size_t row, struct api_key_row *out)
{
	struct columns at = { t, statement, row, 0 };
	struct text ids;
	struct text id;

	out->key_id = next_text(&at);
	next_bytes(&at, out->hash, sizeof out->hash);
	out->name = next_text(&at);
	out->role = next_text(&at);
	out->all_tenants = next_bool(&at);
	ids = next_text(&at);
	out->created_at_us = next_instant(&at);
	out->expires_at_us = next_instant(&at);
	out->revoked_at_us = next_instant(&at);
	out->reads_tokens = next_bool(&at);
	out->tenant_count = 0;
	while (store_next_item(&ids, ',', &id)) {
		assert(out->tenant_count < STORE_KEY_TENANTS_MAX); // the schema's limit, too
		out->tenant_ids[out->tenant_count++] = parse_id(id);
	}
}
