// SPDX-License-Identifier: Apache-2.0
//
// renewal_links.h - links by which a client's administrator renews the token, hashed. A link serves once, until it expires.
#pragma once

#include "depbroker/digest.h"
#include "store/store.h"

struct renewal_link_row {
	int64_t link_id;
	int64_t key_pair_id;
	struct text made_by;
	int64_t made_at_us, expires_at_us;
	int64_t used_at_us, revoked_at_us;
};

// Api scope. expires_at, key_pair_id and made_by are taken.
unsigned store_renewal_link_insert(struct pg_transaction *t, int64_t tenant_id, const struct renewal_link_row *link,
	const unsigned char hash[SHA256_SIZE]);
// Directory scope: a link that can be used now, and its client. One row each, or none.
unsigned store_renewal_link_by_hash(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE]);
unsigned store_tenant_by_renewal_link(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE]); // rows of store_tenant_read
void store_renewal_link_read(const struct pg_transaction *t, unsigned statement, size_t row, struct renewal_link_row *out);
// Api scope: ERR_FENCED when it was used or revoked meanwhile, or has expired.
void store_renewal_link_use(struct pg_transaction *t, int64_t tenant_id, int64_t link_id);
// Api scope: newest first, the first `limit` below `below_id`.
unsigned store_renewal_link_list(struct pg_transaction *t, int64_t tenant_id, int64_t below_id, int limit);
// Api scope: ERR_FENCED when it cannot be used anyway. Its private key goes.
void store_renewal_link_revoke(struct pg_transaction *t, int64_t tenant_id, int64_t link_id);

// Directory scope: clients of links that expired a week ago, unused, and still have their private keys. One number a row.
unsigned store_renewal_link_unused(struct pg_transaction *t, int limit);
int64_t store_renewal_link_unused_read(const struct pg_transaction *t, unsigned statement, size_t row);
// Api scope: their private keys go. Until then a technician may upload what was made for one.
void store_renewal_link_drop_keys(struct pg_transaction *t, int64_t tenant_id);
