// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

static const unsigned char *bytes_of(struct text t)
{
	return (const unsigned char *)(t.length > 0 ? t.bytes : "");
}

void aead_seal(struct buffer *out, const unsigned char key[AEAD_KEY_SIZE], const unsigned char nonce[AEAD_NONCE_SIZE],
	struct text associated, struct text plain)
{
	assert(plain.length <= INT_MAX - AEAD_TAG_SIZE && associated.length <= INT_MAX);

	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	unsigned char *sealed = allocate(plain.length + AEAD_TAG_SIZE);
	int length = 0;
	int rest = 0;
	const bool good = context != NULL && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		EVP_EncryptUpdate(context, NULL, &rest, bytes_of(associated), (int)associated.length) == 1 &&
		EVP_EncryptUpdate(context, sealed, &length, bytes_of(plain), (int)plain.length) == 1 &&
		EVP_EncryptFinal_ex(context, sealed + length, &rest) == 1 && (size_t)(length + rest) == plain.length &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, sealed + plain.length) == 1;

	assert(good);
	buffer_add(out, sealed, plain.length + AEAD_TAG_SIZE);
	assert(!out->overflow);
	free(sealed);
	EVP_CIPHER_CTX_free(context);
}

bool aead_open(struct buffer *out, const unsigned char key[AEAD_KEY_SIZE],
	const unsigned char nonce[AEAD_NONCE_SIZE], struct text associated, struct text sealed)
{
	if (sealed.length < AEAD_TAG_SIZE || sealed.length > INT_MAX || associated.length > INT_MAX) {
		return false;
	}
	const size_t start = out->length;
	const size_t plain_length = sealed.length - AEAD_TAG_SIZE;
	unsigned char tag[AEAD_TAG_SIZE];

	for (size_t i = 0; i < sizeof tag; i++) { // a copy, because OpenSSL takes no const tag
		tag[i] = bytes_of(sealed)[plain_length + i];
	}
	// The ciphertext is decrypted where it lies, so that no other memory ever holds the plain text.
	buffer_add(out, sealed.bytes, plain_length);
	if (out->overflow) {
		return false;
	}
	unsigned char *text = (unsigned char *)out->bytes + start;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int length = 0;
	int rest = 0;
	const bool good = context != NULL && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		EVP_DecryptUpdate(context, NULL, &rest, bytes_of(associated), (int)associated.length) == 1 &&
		EVP_DecryptUpdate(context, text, &length, text, (int)plain_length) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) == 1 &&
		EVP_DecryptFinal_ex(context, text + length, &rest) == 1;

	EVP_CIPHER_CTX_free(context);
	if (!good) {
		wipe(text, plain_length);
		out->length = start;
	}
	return good;
}
