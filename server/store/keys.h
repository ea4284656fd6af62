// SPDX-License-Identifier: Apache-2.0
//
// keys.h - which master key wraps which data key, and how both are replaced (docs/decisions/0009).
//
// Laws       1. the database says which master key wraps new data keys; a master key that it does not name wraps nothing
//            2. a secret in the plain is only in the process that re-seals it, for as long as that takes
#pragma once

#include "store/secrets.h"

enum { STORE_WRAPPED_MAX = 512, STORE_MASTER_KEYS_MAX = 100 };

// --- directory scope ---

// A database that has no current master key begins with this one.
unsigned store_master_key_begin(struct pg_transaction *t, struct text name);
unsigned store_master_key_current(struct pg_transaction *t);                              // one row, or none
struct text store_master_key_read(const struct pg_transaction *t, unsigned statement);    // its name; empty: none
unsigned store_master_key_list(struct pg_transaction *t); // those that may wrap something: the current one first
struct text store_master_key_list_read(const struct pg_transaction *t, unsigned statement, size_t row, bool *is_current);
void store_master_key_take(struct pg_transaction *t, struct text name); // it becomes the current one
// Every other one must be unused now, and cannot be used any more afterwards. ERR_BAD_INPUT: one of them is in use.
unsigned store_master_key_retire(struct pg_transaction *t);

// Data keys from before a moment are to be replaced: now, or when that began. One row, read with pg_instant.
unsigned store_data_keys_since_begin(struct pg_transaction *t);
unsigned store_data_keys_since_end(struct pg_transaction *t);
unsigned store_data_keys_since(struct pg_transaction *t); // NULL: no replacement is under way

// --- api scope of the client ---

struct data_key_row {
	int version;
	bool is_current;
	struct text master_key;
	int64_t created_at_us;
	struct buffer wrapped; // its reader ends it with buffer_fini
};

unsigned store_data_key_list(struct pg_transaction *t, int64_t tenant_id); // by version
// False: damaged.
MUST_USE bool store_data_key_list_read(const struct pg_transaction *t, unsigned statement, size_t row, struct data_key_row *out);
// The same data key under another master key. No row is affected when somebody else did it meanwhile.
unsigned store_data_key_rewrap(struct pg_transaction *t, int64_t tenant_id, const struct data_key_row *old, struct text wrapped,
	struct text master_key);
// The current data key becomes one that only opens; a new one must be inserted in the same transaction. Runs start over, because
// they would seal with the old one.
void store_data_key_supersede(struct pg_transaction *t, int64_t tenant_id, int version);
// Data keys that seal nothing any more. ERR_BAD_INPUT: one of them came to be used at this moment.
unsigned store_data_key_drop_unused(struct pg_transaction *t, int64_t tenant_id);

// Secrets after `after`, in order, that are not sealed with data key `stale_for` (0: all of them); rows as of store_secret_select.
unsigned store_secret_list(struct pg_transaction *t, int64_t tenant_id, const struct seal_binding *after, int stale_for, int limit);
struct text store_secret_master_key(const struct pg_transaction *t, unsigned statement, size_t row); // that wraps its data key
struct seal_binding store_secret_binding(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id);
// No row is affected when the secret was replaced or re-sealed meanwhile.
unsigned store_secret_reseal(struct pg_transaction *t, const struct seal_binding *binding, int old_data_key_version,
	const struct sealed *sealed);
