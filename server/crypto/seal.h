// SPDX-License-Identifier: Apache-2.0
//
// seal.h - envelope encryption of a tenant's secrets: a master key wraps one data key per tenant and version, the data key
// seals the secrets. Deleting a tenant's wrapped data keys erases its secrets. Who holds master keys: key_provider.h.
//
// Ownership  keys are values of the caller, who wipes them (master_key_fini, data_key_fini).
//            struct sealed owns its ciphertext until sealed_fini.
// Thread     pure functions; fast enough for the loop.
// Laws       1. a sealed secret opens only with the binding that it was sealed with: another tenant, kind, object or
//               version is refused, so a row copied to another place is worthless
//            2. data keys are made from the operating system's randomness and never leave the process unwrapped
//            3. nonces are random, 96 bits: a data key serves up to 2^30 secrets, then a new version is due
//            4. faults never contain key material, plain text or ciphertext
#pragma once

#include "crypto/aead.h"

struct master_key {
	unsigned char bytes[AEAD_KEY_SIZE];
};

void master_key_fini(struct master_key *key);

struct data_key {
	unsigned char bytes[AEAD_KEY_SIZE];
	int version; // from 1
};

enum { WRAPPED_DATA_KEY_SIZE = AEAD_NONCE_SIZE + AEAD_KEY_SIZE + AEAD_TAG_SIZE }; // nonce || ciphertext || tag

void data_key_make(struct data_key *key, int version);
void data_key_wrap(struct buffer *wrapped, const struct data_key *key, const struct master_key *master, int64_t tenant_id);
// ERR_CRYPTO: another master key, another tenant or version, or damaged.
MUST_USE enum err data_key_unwrap(struct data_key *key, struct text wrapped, const struct master_key *master,
	int64_t tenant_id, int version, struct fault *fault);
void data_key_fini(struct data_key *key);

enum secret_kind { // stored; never renumbered
	SECRET_SERVER_TOKEN = 1,
	SECRET_WEBHOOK = 2,
	SECRET_PRIVATE_KEY = 3,
	SECRET_APPLE_SESSION = 4,
	SECRET_BYPASS_CODE = 5,
	SECRET_HOOK = 6,
	SECRET_DEP_TOKEN = 7,
	SECRET_WEBHOOK_KEY = 8,
};

struct seal_binding {
	enum secret_kind kind;
	int64_t tenant_id;
	int data_key_version;
	int64_t object_id;  // of the row that the secret belongs to
	int secret_version; // so that an old version cannot be swapped back in
};

// "depb1" | kind u8 | tenant be64 | data key version be32 | object be64 | secret version be32
enum { SEAL_ASSOCIATED_SIZE = 30, SEALED_SECRET_MAX = 64 * 1024 };

void seal_associated_data(unsigned char out[SEAL_ASSOCIATED_SIZE], const struct seal_binding *binding);

struct sealed {
	unsigned char nonce[AEAD_NONCE_SIZE];
	struct buffer ciphertext; // ciphertext || tag
};

// `out` need not be initialised. Asserts that the binding names the key's version and plain <= SEALED_SECRET_MAX.
void seal(struct sealed *out, const struct data_key *key, const struct seal_binding *binding, struct text plain);
void sealed_fini(struct sealed *sealed);

// Both columns as they come from the database. `plain` should be empty; its owner ends it with buffer_fini_wiped.
// ERR_CRYPTO: anything that law 1 forbids, or damage.
MUST_USE enum err unseal(struct buffer *plain, const struct data_key *key, const struct seal_binding *binding,
	struct text nonce, struct text ciphertext, struct fault *fault);
