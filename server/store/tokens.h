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
	struct text taken_by; // a key's id, or link:<number>
};

// Api or worker scope, the switch: the new token becomes the current one, its pair too, the former ones are retired, one that waits
// is dropped; the run starts over, with a sync.
// The sealed token goes into the same transaction by store_secret_put.
void store_token_take(struct pg_transaction *t, int64_t tenant_id, const struct token_row *token);
// Api scope: there is no current token afterwards; its secrets go too.
void store_token_remove(struct pg_transaction *t, int64_t tenant_id);
unsigned store_token_current(struct pg_transaction *t, int64_t tenant_id); // one row or none
void store_token_read(const struct pg_transaction *t, unsigned statement, size_t row, struct token_row *out);
// Worker scope: Apple names another administrator for it.
unsigned store_token_set_admin(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, struct text admin_id);

// --- a token that waits until Apple can be asked whose it is. Its secret is that of a server token, under token_id ---

struct pending_token_row {
	int64_t token_id;
	int64_t key_pair_id;
	struct text consumer_key_end;
	int64_t expires_at_us;
	int64_t uploaded_at_us;
	struct text uploaded_by;
	int64_t attempts; // besides that of the upload
	int64_t next_try_at_us;
	struct text error;
};

// Api scope: it takes the place of one that waits, and a worker looks at it. The sealed token goes into the same transaction.
void store_pending_put(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *pending);
unsigned store_pending_select(struct pg_transaction *t, int64_t tenant_id); // one row or none
void store_pending_read(const struct pg_transaction *t, unsigned statement, size_t row, struct pending_token_row *out);
// Worker scope: attempts, next_try_at and error become these.
unsigned store_pending_retry(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *pending);
// Api or worker scope: it and its secret. `token_id` 0: whichever waits.
void store_pending_drop(struct pg_transaction *t, int64_t tenant_id, int64_t token_id);
