// SPDX-License-Identifier: Apache-2.0
#include "store/renewal_links.h"

#include "crypto/seal.h"
#include "store/store_inner.h"

#include <assert.h>

#define LINK "select link_id, key_pair_id, made_by, made_at, expires_at, used_at, revoked_at from depbroker.renewal_links "
#define IS_OPEN "used_at is null and revoked_at is null and expires_at > now()"
#define IS_LEFT_OVER "used_at is null and key_dropped_at is null and expires_at < now() - interval '7 days'"

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
	return PG_ADD(t, LINK "where hash = $1 and " IS_OPEN, hash_value(hash));
}

void store_renewal_link_read(const struct pg_transaction *t, unsigned statement, size_t row, struct renewal_link_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->link_id = next_number(&at);
	out->key_pair_id = next_number(&at);
	out->made_by = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->expires_at_us = next_instant(&at);
	out->used_at_us = next_instant(&at);
	out->revoked_at_us = next_instant(&at);
}

void store_renewal_link_use(struct pg_transaction *t, int64_t tenant_id, int64_t link_id)
{
	(void)PG_ADD(t,
		"with used as (update depbroker.renewal_links set used_at = now()"
		"  where tenant_id = $1 and link_id = $2 and " IS_OPEN " returning 1)"
		" select depbroker.require_fence(exists (select from used))",
		PG_V_INT8(tenant_id), PG_V_INT8(link_id));
}

unsigned store_renewal_link_list(struct pg_transaction *t, int64_t tenant_id, int64_t below_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, LINK "where tenant_id = $1 and link_id < $2 order by link_id desc limit $3", PG_V_INT8(tenant_id),
		PG_V_INT8(below_id), PG_V_INT8(limit));
}

// A pair that a token was made with meanwhile is not staged any more, or a token waits for Apple with it: such a one stays.
#define DROP_KEYS                                                                                                                   \
	", retired as ("                                                                                                                \
	"  update depbroker.key_pairs k set state = 'retired' from ended where k.tenant_id = $1 and k.key_pair_id = ended.key_pair_id"   \
	"    and k.state = 'staged' and not exists (select from depbroker.pending_tokens p where p.tenant_id = $1"                       \
	"      and p.key_pair_id = k.key_pair_id) returning k.key_pair_id),"                                                            \
	" dropped as ("                                                                                                                 \
	"  delete from depbroker.secrets where tenant_id = $1 and kind = $2 and object_id in (select key_pair_id from retired))"

void store_renewal_link_revoke(struct pg_transaction *t, int64_t tenant_id, int64_t link_id)
{
	(void)PG_ADD(t,
		"with ended as (update depbroker.renewal_links set revoked_at = now(), key_dropped_at = now()"
		"  where tenant_id = $1 and link_id = $3 and " IS_OPEN " returning key_pair_id)"
		DROP_KEYS " select depbroker.require_fence(exists (select from ended))",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_PRIVATE_KEY), PG_V_INT8(link_id));
}

unsigned store_renewal_link_unused(struct pg_transaction *t, int limit)
{
	return PG_ADD(t, "select distinct tenant_id from depbroker.renewal_links where " IS_LEFT_OVER " limit $1", PG_V_INT8(limit));
}

int64_t store_renewal_link_unused_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, 0);
}

void store_renewal_link_drop_keys(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t,
		"with ended as (update depbroker.renewal_links set key_dropped_at = now() where tenant_id = $1 and " IS_LEFT_OVER
		"  returning key_pair_id)" DROP_KEYS " select count(*) from ended",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_PRIVATE_KEY));
}
