// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.h"

#include "depbroker/clock.h"

#include <assert.h>
#include <string.h>

static unsigned char *put_be32(unsigned char *at, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		*at++ = (unsigned char)(value >> shift & 0xff);
	}
	return at;
}

static unsigned char *put_be64(unsigned char *at, uint64_t value)
{
	at = put_be32(at, (uint32_t)(value >> 32));
	return put_be32(at, (uint32_t)value);
}

void master_key_fini(struct master_key *key)
{
	wipe(key, sizeof *key);
}

void data_key_fini(struct data_key *key)
{
	wipe(key, sizeof *key);
}

// "depb-dek1" | tenant be64 | version be32
enum { WRAP_ASSOCIATED_SIZE = 9 + 8 + 4 };

static void wrap_associated_data(unsigned char out[WRAP_ASSOCIATED_SIZE], int64_t tenant_id, int version)
{
	memcpy(out, "depb-dek1", 9);
	(void)put_be32(put_be64(out + 9, (uint64_t)tenant_id), (uint32_t)version);
}

void data_key_wrap(struct buffer *wrapped, const struct data_key *key, const struct master_key *master, int64_t tenant_id)
{
	unsigned char associated[WRAP_ASSOCIATED_SIZE];
	unsigned char nonce[AEAD_NONCE_SIZE];

	assert(key->version > 0);
	random_bytes(nonce, sizeof nonce);
	wrap_associated_data(associated, tenant_id, key->version);
	buffer_add(wrapped, nonce, sizeof nonce);
	aead_seal(wrapped, master->bytes, nonce, (struct text){ (const char *)associated, sizeof associated },
		(struct text){ (const char *)key->bytes, sizeof key->bytes });
}

void data_key_make(struct data_key *key, int version)
{
	random_bytes(key->bytes, sizeof key->bytes);
	key->version = version;
}

enum err data_key_unwrap(struct data_key *key, struct text wrapped, const struct master_key *master, int64_t tenant_id,
	int version, struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(AEAD_KEY_SIZE);
	unsigned char associated[WRAP_ASSOCIATED_SIZE];

	if (wrapped.length != WRAPPED_DATA_KEY_SIZE) {
		return fault_set(fault, ERR_CRYPTO, "the wrapped data key is damaged: it has %zu bytes, not %d", wrapped.length,
			(int)WRAPPED_DATA_KEY_SIZE);
	}
	wrap_associated_data(associated, tenant_id, version);
	if (!aead_open(&plain, master->bytes, (const unsigned char *)wrapped.bytes,
			(struct text){ (const char *)associated, sizeof associated },
			(struct text){ wrapped.bytes + AEAD_NONCE_SIZE, wrapped.length - AEAD_NONCE_SIZE })) {
		return fault_set(fault, ERR_CRYPTO, "data key %d of tenant %lld does not open: it was wrapped with another "
			"master key, or is damaged", version, (long long)tenant_id);
	}
	memcpy(key->bytes, plain.bytes, sizeof key->bytes);
	key->version = version;
	return OK;
}

void seal_associated_data(unsigned char out[SEAL_ASSOCIATED_SIZE], const struct seal_binding *binding)
{
	unsigned char *at = out;

	memcpy(at, "depb1", 5);
	at[5] = (unsigned char)binding->kind;
	at = put_be64(at + 6, (uint64_t)binding->tenant_id);
	at = put_be32(at, (uint32_t)binding->data_key_version);
	at = put_be64(at, (uint64_t)binding->object_id);
	at = put_be32(at, (uint32_t)binding->secret_version);
	assert(at == out + SEAL_ASSOCIATED_SIZE);
}

void seal(struct sealed *out, const struct data_key *key, const struct seal_binding *binding, struct text plain)
{
	unsigned char associated[SEAL_ASSOCIATED_SIZE];

	assert(binding->data_key_version == key->version);
	assert(plain.length <= SEALED_SECRET_MAX);
	*out = (struct sealed){ .ciphertext = BUFFER(SEALED_SECRET_MAX + AEAD_TAG_SIZE) };
	random_bytes(out->nonce, sizeof out->nonce);
	seal_associated_data(associated, binding);
	aead_seal(&out->ciphertext, key->bytes, out->nonce, (struct text){ (const char *)associated, sizeof associated },
		plain);
}

void sealed_fini(struct sealed *sealed)
{
	buffer_fini(&sealed->ciphertext);
}

enum err unseal(struct buffer *plain, const struct data_key *key, const struct seal_binding *binding, struct text nonce,
	struct text ciphertext, struct fault *fault)
{
	unsigned char associated[SEAL_ASSOCIATED_SIZE];

	if (binding->data_key_version != key->version) {
		return fault_set(fault, ERR_CRYPTO, "the secret was sealed with data key %d, not %d",
			binding->data_key_version, key->version);
	}
	seal_associated_data(associated, binding);
	if (nonce.length != AEAD_NONCE_SIZE ||
		!aead_open(plain, key->bytes, (const unsigned char *)nonce.bytes,
			(struct text){ (const char *)associated, sizeof associated }, ciphertext)) {
		return fault_set(fault, ERR_CRYPTO, "a sealed secret does not open (kind %d, tenant %lld, object %lld, version "
			"%d): it belongs to another row, or is damaged", (int)binding->kind, (long long)binding->tenant_id,
			(long long)binding->object_id, binding->secret_version);
	}
	return OK;
}
