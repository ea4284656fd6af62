// SPDX-License-Identifier: Apache-2.0
#include "store/keys.h"

#include "store/store_inner.h"

unsigned store_master_key_begin(struct pg_transaction *t, struct text name)
{
	return PG_ADD(t,
		"insert into depbroker.master_keys (key_id, is_current) select $1, true"
		" where not exists (select from depbroker.master_keys where is_current) on conflict do nothing",
		PG_V_TEXT(name));
}

unsigned store_master_key_current(struct pg_transaction *t)
{
	return pg_add(t, "select key_id from depbroker.master_keys where is_current", NULL, 0);
}

struct text store_master_key_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_row_count(t, statement) == 0 ? TEXT("") : pg_text(t, statement, 0, 0);
}

unsigned store_master_key_list(struct pg_transaction *t)
{
	return PG_ADD(t, "select key_id, is_current from depbroker.master_keys order by is_current desc, added_at desc, key_id limit $1",
		PG_V_INT8(STORE_MASTER_KEYS_MAX));
}

struct text store_master_key_list_read(const struct pg_transaction *t, unsigned statement, size_t row, bool *is_current)
{
	*is_current = pg_bool(t, statement, row, 1);
	return pg_text(t, statement, row, 0);
}

void store_master_key_take(struct pg_transaction *t, struct text name)
{
	(void)PG_ADD(t, "update depbroker.master_keys set is_current = false where is_current and key_id <> $1", PG_V_TEXT(name));
	(void)PG_ADD(t,
		"insert into depbroker.master_keys (key_id, is_current) values ($1, true) on conflict (key_id) do update set is_current = true",
		PG_V_TEXT(name));
}

unsigned store_master_key_retire(struct pg_transaction *t)
{
	return pg_add(t, "delete from depbroker.master_keys where not is_current", NULL, 0);
}

unsigned store_data_keys_since_begin(struct pg_transaction *t)
{
	return pg_add(t, "update depbroker.installation set data_keys_since = coalesce(data_keys_since, now()) returning data_keys_since",
		NULL, 0);
}

unsigned store_data_keys_since_end(struct pg_transaction *t)
{
	return pg_add(t, "update depbroker.installation set data_keys_since = null", NULL, 0);
}

unsigned store_data_keys_since(struct pg_transaction *t)
{
	return pg_add(t, "select data_keys_since from depbroker.installation", NULL, 0);
}

unsigned store_data_key_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select version, is_current, master_key_id, created_at, wrapped from depbroker.data_keys where tenant_id = $1 order by version",
		PG_V_INT8(tenant_id));
}

bool store_data_key_list_read(const struct pg_transaction *t, unsigned statement, size_t row, struct data_key_row *out)
{
	struct columns at = { t, statement, row, 0 };

	*out = (struct data_key_row){ .version = (int)next_number(&at), .wrapped = BUFFER(STORE_WRAPPED_MAX) };
	out->is_current = next_bool(&at);
	out->master_key = next_text(&at);
	out->created_at_us = next_instant(&at);
	return pg_bytes(t, statement, row, at.next, &out->wrapped);
}

unsigned store_data_key_rewrap(struct pg_transaction *t, int64_t tenant_id, const struct data_key_row *old, struct text wrapped,
	struct text master_key)
{
	return PG_ADD(t,
		"update depbroker.data_keys set wrapped = $4, master_key_id = $5 where tenant_id = $1 and version = $2 and wrapped = $3",
		PG_V_INT8(tenant_id), PG_V_INT8(old->version), PG_V_BYTEA(buffer_text(&old->wrapped)), PG_V_BYTEA(wrapped),
		PG_V_TEXT(master_key));
}

void store_data_key_supersede(struct pg_transaction *t, int64_t tenant_id, int version)
{
	store_start_over(t, tenant_id, false);
	(void)PG_ADD(t, "update depbroker.data_keys set is_current = false where tenant_id = $1 and version = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(version));
}

unsigned store_data_key_drop_unused(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"delete from depbroker.data_keys k where k.tenant_id = $1 and not k.is_current and not exists"
		" (select from depbroker.secrets s where s.tenant_id = $1 and s.data_key_version = k.version)",
		PG_V_INT8(tenant_id));
}
