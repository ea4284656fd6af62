// SPDX-License-Identifier: Apache-2.0
//
// everybody_key.h - the data key of STORE_EVERYBODY, which it gets with its first endpoint.
//
//   everybody_key_ask -> (the master key is read) -> everybody_key_make -> everybody_key_put -> (it is there, or ERR_CONFLICT: it was already)
//
// Ownership  the caller's; `wrapped` is to be freed by buffer_fini.
#pragma once

#include "api/call.h"
#include "crypto/key_provider.h"

struct everybody_key {
	struct buffer wrapped;
	char master_key[KEY_NAME_MAX + 1];
};

void everybody_key_ask(struct call *call);
MUST_USE bool everybody_key_make(struct call *call, struct everybody_key *key); // false: it has answered
void everybody_key_put(struct call *call, const struct everybody_key *key);
