// SPDX-License-Identifier: Apache-2.0
//
// tokens.h - key pairs and server tokens of one client; their secrets are in secrets.h.
#pragma once

#include "store/store.h"

struct key_pair_row {
	int64_t key_pair_id;
	struct text state; // "staged", "current", "retired"
	struct text fingerprint;
	struct text certificate_pem;
	int64_t not_before_us, not_after_us, created_at_us;
};

unsigned store_object_next_id(struct pg_transaction *t); // any scope: for a key pair, a token, an instance
int64_t store_object_next_id_read(const struct pg_transaction *t, unsigned statement);

unsigned store_key_pair_insert(struct pg_transaction *t, int64_t tenant_id, const struct key_pair_row *pair); // staged
unsigned store_key_pair_list(struct pg_transaction *t, int64_t tenant_id);                                // newest first
unsigned store_key_pair_by_id(struct pg_transaction *t, int64_t tenant_id, int64_t key_pair_id);
void store_key_pair_read(const struct pg_transaction *t, unsigned statement, size_t row, struct key_pair_row *out);

struct token_row {
	int64_t token_id;
	int64_t key_pair_id;          // 0: it was imported without one
	struct text consumer_key_end; // its last four characters
	int64_t expires_at_us;
	struct text server_uuid, server_name, admin_id, org_id, org_id_hash, org_name, org_type;
	int64_t taken_at_us;
};

// Api scope, the switch: the new token becomes the current one, its pair too, the former ones are retired; the run starts over,
// with a sync.
// The sealed token goes into the same transaction by store_secret_put.
void store_token_take(struct pg_transaction *t, int64_t tenant_id, const struct token_row *token);
// Api scope: there is no current token afterwards; its secrets go too.
void store_token_remove(struct pg_transaction *t, int64_t tenant_id);
unsigned store_token_current(struct pg_transaction *t, int64_t tenant_id); // one row or none
void store_token_read(const struct pg_transaction *t, unsigned statement, size_t row, struct token_row *out);
