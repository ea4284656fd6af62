// SPDX-License-Identifier: Apache-2.0
//
// first_key.h - the first data key of a client, wrapped with the master key that is in force.
//
//   first_key_ask, in a transaction of the directory -> first_key_make -> first_key_put, in the transaction that makes the client
//
// Ownership  the caller's, until first_key_fini; zeroed before it is made.
#pragma once

#include "api/call.h"
#include "crypto/key_provider.h"

struct first_key {
	struct buffer wrapped;
	char master_key[KEY_NAME_MAX + 1];
	unsigned asked_at; // the statement
};

void first_key_ask(struct call *call, struct first_key *key, struct pg_transaction *transaction);
MUST_USE bool first_key_make(struct call *call, struct first_key *key, int64_t tenant_id); // false: it failed, and that has been answered
void first_key_put(struct pg_transaction *transaction, const struct first_key *key, int64_t tenant_id); // it has one: ERR_CONFLICT
void first_key_fini(struct first_key *key);
