// SPDX-License-Identifier: Apache-2.0
//
// store.h - whose rows a transaction may touch, and how the files of this room are used.
//
// The store has no flows of its own (but migrate.h). A caller inits a pg_transaction with one of the scopes below, adds
// statements with store_..._select, _insert, _update (each returns the index of its statement), starts it, and reads the rows
// with store_..._read. So everything that belongs together is one round trip and one commit, and the caller sees which.
//
// Ownership  rows that are read borrow their texts from the transaction, until pg_transaction_fini.
// Laws       1. SQL is in this room only, parameters are always bound
//            2. every statement on a client's table names the client, besides the policy of the database: two walls
//            3. instants are microseconds since 1970; INSTANT_NONE is NULL; an empty text of a nullable column is NULL
#pragma once

#include "depbroker/text.h"
#include "loop/pg.h"

struct pg_scope store_directory(void);                // all clients, and nothing inside of any
struct pg_scope store_api(int64_t tenant_id);         // one client, as the REST API
struct pg_scope store_worker(int64_t tenant_id);      // one client, as its worker

// The transaction's commit does not wait for the disk: for what costs nothing when a crash of the server takes it back. It is never
// taken back after a later commit that did wait.
void store_commit_lazily(struct pg_transaction *t);

enum { STORE_TIMEOUT_MS = 10000, STORE_LIST_MAX = 1000 };
