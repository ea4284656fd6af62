// SPDX-License-Identifier: Apache-2.0
#include "store/renewal_links.h"

#include "store/store_inner.h"

static struct pg_value hash_value(const unsigned char hash[SHA256_SIZE])
{
	return PG_V_BYTEA(((struct text){ (const char *)hash, SHA256_SIZE }));
}

unsigned store_renewal_link_insert(struct pg_transaction *t, int64_t tenant_id, const struct renewal_link_row *link,
	const unsigned char hash[SHA256_SIZE])
{
	return PG_ADD(t,
		"insert into depbroker.renewal_links (tenant_id, link_id, hash, key_pair_id, made_by, expires_at) values ($1, $2, $3, $4, $5, $6)",
		PG_V_INT8(tenant_id), PG_V_INT8(link->link_id), hash_value(hash), PG_V_INT8(link->key_pair_id), PG_V_TEXT(link->made_by),
		PG_V_INSTANT(link->expires_at_us));
}

unsigned store_renewal_link_by_hash(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE])
{
	return PG_ADD(t,
		"select link_id, key_pair_id, made_by, made_at, expires_at from depbroker.renewal_links"
		" where hash = $1 and used_at is null and expires_at > now()", hash_value(hash));
}

void store_renewal_link_read(const struct pg_transaction *t, unsigned statement, size_t row, struct renewal_link_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->link_id = next_number(&at);
	out->key_pair_id = next_number(&at);
	out->made_by = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->expires_at_us = next_instant(&at);
}

void store_renewal_link_use(struct pg_transaction *t, int64_t tenant_id, int64_t link_id)
{
	(void)PG_ADD(t,
		"with used as (update depbroker.renewal_links set used_at = now()"
		"  where tenant_id = $1 and link_id = $2 and used_at is null and expires_at > now() returning 1)"
		" select depbroker.require_fence(exists (select from used))",
		PG_V_INT8(tenant_id), PG_V_INT8(link_id));
}
