// SPDX-License-Identifier: Apache-2.0
//
// key_making.h - a new key pair of a tenant: made on a pool thread, sealed, stored as staged.
//
// Ownership  embedded in call->own; key_making_fini when the call is finished.
// Laws       1. any number of pairs may be staged; making one changes nothing of those that are there
//            2. key_making_ask, _take, _start, _worked, _store, in this order; ask and start call the call's step again
#pragma once

#include "api/call.h"
#include "crypto/key_pair.h"
#include "store/tokens.h"

struct key_making {
	struct call *call;
	struct offload offload;
	char common_name[KEY_PAIR_NAME_MAX + 1]; // of the certificate; key_making_init sets both for whoever has no wish
	int days;
	int64_t now_us;
	struct fault fault;
	struct key_pair pair;
	bool has_pair;
	int64_t key_pair_id;
	struct data_key data_key;
	unsigned read_back; // the statement that gives its row
};

void key_making_init(struct key_making *making, struct call *call);
void key_making_fini(struct key_making *making);
void key_making_ask(struct key_making *making);
MUST_USE bool key_making_take(struct key_making *making);   // false: that has been answered
void key_making_start(struct key_making *making);
MUST_USE bool key_making_worked(struct key_making *making); // false: that has been answered
void key_making_store(struct key_making *making, struct pg_transaction *transaction); // adds its statements
