// SPDX-License-Identifier: Apache-2.0
//
// key_provider.h - who holds the master keys: it wraps and unwraps data keys by the name of a master key.
//
// The whole house knows this interface only; key_file.c is its one implementation. A key service is another one.
//
// Ownership  key_provider_close frees it and wipes what it held.
// Laws       1. which master key wraps new data keys is said by the database (store/data_keys.h), never by the provider
//            2. an empty name stands for "not noted": data keys of versions that did not write it down
//            3. a provider may learn of new keys, and forget old ones, at any time
#pragma once

#include "crypto/seal.h"

enum { KEY_NAME_MAX = 64 };

struct key_provider {
	// Appends to `wrapped`. ERR_CRYPTO: there is no master key of this name.
	enum err (*wrap)(struct key_provider *provider, struct buffer *wrapped, struct text master_key, const struct data_key *key,
		int64_t tenant_id, struct fault *fault);
	// ERR_CRYPTO: no master key of this name, another tenant or version, or damaged.
	enum err (*unwrap)(struct key_provider *provider, struct data_key *key, struct text master_key, struct text wrapped,
		int64_t tenant_id, int version, struct fault *fault);
	// The name of the master key that a new database begins with.
	void (*newest)(struct key_provider *provider, char name[KEY_NAME_MAX + 1]);
	void (*close)(struct key_provider *provider);
};

// The master keys of a file (master_keys.h), made when it is missing. The file is looked at again when a name is not known, and
// otherwise once a second at most, so keys come and go while the process runs.
MUST_USE enum err key_provider_open_file(struct key_provider **out, const char *path, struct fault *fault);
void key_provider_close(struct key_provider *provider); // NULL: nothing
