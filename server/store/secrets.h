// SPDX-License-Identifier: Apache-2.0
//
// secrets.h - wrapped data keys and sealed secrets of one client. Sealing itself is server/crypto/seal.h.
//
// Law  a secret is read together with the data key that seals it, by one statement, so it opens while keys are being replaced
#pragma once

#include "crypto/key_provider.h"
#include "store/store.h"

// `master_key`: its name. One that the database does not know (any more): ERR_BAD_INPUT, and store_key_was_replaced.
unsigned store_data_key_insert(struct pg_transaction *t, int64_t tenant_id, int version, struct text wrapped, struct text master_key);
unsigned store_data_key_current(struct pg_transaction *t, int64_t tenant_id); // one row
// Unwraps the row of store_data_key_current. ERR_NOT_FOUND: no row.
MUST_USE enum err store_data_key_read(const struct pg_transaction *t, unsigned statement, struct key_provider *provider,
	int64_t tenant_id, struct data_key *out, struct fault *fault);

// After ERR_BAD_INPUT: a key that was read before was replaced meanwhile. The same again, from the reading on, works.
bool store_key_was_replaced(const struct pg_transaction *t);

// Seals a new version of a secret, or the first; older versions of the object go away in the same transaction.
void store_secret_put(struct pg_transaction *t, const struct data_key *key, enum secret_kind kind, int64_t tenant_id, int64_t object_id,
	int version, struct text plain);
unsigned store_secret_delete(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id);
// The newest version, or no row. `object_id` 0: of every object of this kind.
unsigned store_secret_select(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id);
// The newest of each that a run may need: server tokens and Apple sessions; webhook secrets come with their endpoints.
unsigned store_secret_select_for_run(struct pg_transaction *t, int64_t tenant_id);
bool store_secret_is(const struct pg_transaction *t, unsigned statement, size_t row, enum secret_kind kind, int64_t object_id);
int64_t store_secret_object_id(const struct pg_transaction *t, unsigned statement, size_t row);
int store_secret_version(const struct pg_transaction *t, unsigned statement, size_t row);
// Opens a row of store_secret_select. ERR_CRYPTO: it was not made for this place. `plain`: see unseal.
// `key`: one of the client's that is at hand; when another version seals the secret, that one is unwrapped for it.
MUST_USE enum err store_secret_open(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id,
	enum secret_kind kind, struct key_provider *provider, const struct data_key *key, struct buffer *plain, struct fault *fault);
