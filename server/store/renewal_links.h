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
};

// Api scope. expires_at, key_pair_id and made_by are taken.
unsigned store_renewal_link_insert(struct pg_transaction *t, int64_t tenant_id, const struct renewal_link_row *link,
	const unsigned char hash[SHA256_SIZE]);
// Directory scope: a link that can be used now, and its client. One row each, or none.
unsigned store_renewal_link_by_hash(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE]);
unsigned store_tenant_by_renewal_link(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE]); // rows of store_tenant_read
void store_renewal_link_read(const struct pg_transaction *t, unsigned statement, size_t row, struct renewal_link_row *out);
// Api scope: ERR_FENCED when it was used meanwhile, or has expired.
void store_renewal_link_use(struct pg_transaction *t, int64_t tenant_id, int64_t link_id);
