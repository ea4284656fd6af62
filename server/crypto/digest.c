// SPDX-License-Identifier: Apache-2.0
#include "depbroker/digest.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <string.h>

// OpenSSL 3 looks algorithms up by name, which costs more than hashing a short text: so it is done once a process.
static EVP_MD *sha256_method;
static EVP_MAC *hmac_method;
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; // frees a thread's context with the thread

static void context_free(void *context)
{
	EVP_MD_CTX_free(context);
}

static void methods_fetch(void)
{
	const int made = pthread_key_create(&context_key, context_free);

	assert(made == 0);
	sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
	hmac_method = EVP_MAC_fetch(NULL, "HMAC", NULL);
	assert(sha256_method != NULL && hmac_method != NULL);
}

enum { GATHERED_MAX = 1024 };

// Kept by each thread: to make one costs as much as hashing a short text.
static EVP_MD_CTX *context_of_thread(void)
{
	static _Thread_local EVP_MD_CTX *context;

	if (context == NULL) {
		context = EVP_MD_CTX_new();
		assert(context != NULL);
		const int kept = pthread_setspecific(context_key, context);

		assert(kept == 0);
	}
	return context;
}

// Each call of the library costs as much as hashing a hundred bytes, so short parts are handed over together.
static bool hash_parts(EVP_MD_CTX *context, const struct digest_part *parts, size_t count)
{
	unsigned char gathered[GATHERED_MAX];
	size_t length = 0;
	bool good = true;

	if (count == 1) {
		return EVP_DigestUpdate(context, parts[0].bytes, parts[0].length) == 1;
	}
	for (size_t i = 0; i < count; i++) {
		if (parts[i].length > sizeof gathered - length) {
			good = good && EVP_DigestUpdate(context, gathered, length) == 1;
			length = 0;
		}
		if (parts[i].length > sizeof gathered) {
			good = good && EVP_DigestUpdate(context, parts[i].bytes, parts[i].length) == 1;
		} else if (parts[i].length > 0) {
			memcpy(gathered + length, parts[i].bytes, parts[i].length);
			length += parts[i].length;
		}
	}
	good = good && EVP_DigestUpdate(context, gathered, length) == 1;
	OPENSSL_cleanse(gathered, length);
	return good;
}

void sha256(unsigned char out[SHA256_SIZE], const struct digest_part *parts, size_t count)
{
	(void)pthread_once(&methods_once, methods_fetch);

	EVP_MD_CTX *context = context_of_thread();
	bool good = EVP_DigestInit_ex2(context, sha256_method, NULL) == 1;

	good = good && hash_parts(context, parts, count) && EVP_DigestFinal_ex(context, out, NULL) == 1;
	assert(good);
}

static void hmac(unsigned char *out, size_t size, const char *digest, struct text key, const struct digest_part *parts,
	size_t count)
{
	(void)pthread_once(&methods_once, methods_fetch);

	char digest_name[8] = ""; // OSSL_PARAM wants it writable, and measures it

	(void)OPENSSL_strlcpy(digest_name, digest, sizeof digest_name);

	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
		OSSL_PARAM_construct_end(),
	};
	const unsigned char *key_bytes = (const unsigned char *)(key.length > 0 ? key.bytes : "");
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac_method);
	size_t written = 0;
	bool good;

	good = context != NULL && EVP_MAC_init(context, key_bytes, key.length, parameters) == 1;
	for (size_t i = 0; i < count; i++) {
		good = good && EVP_MAC_update(context, parts[i].bytes, parts[i].length) == 1;
	}
	good = good && EVP_MAC_final(context, out, &written, size) == 1 && written == size;
	assert(good);
	EVP_MAC_CTX_free(context);
}

void hmac_sha256(unsigned char out[SHA256_SIZE], struct text key, const struct digest_part *parts, size_t count)
{
	hmac(out, SHA256_SIZE, "SHA256", key, parts, count);
}

void hmac_sha1(unsigned char out[SHA1_SIZE], struct text key, const struct digest_part *parts, size_t count)
{
	hmac(out, SHA1_SIZE, "SHA1", key, parts, count);
}

void pbkdf2_sha256(unsigned char out[SHA256_SIZE], struct text password, struct text salt, int rounds)
{
	const int good = PKCS5_PBKDF2_HMAC(password.bytes, (int)password.length, (const unsigned char *)salt.bytes,
		(int)salt.length, rounds, EVP_sha256(), SHA256_SIZE, out);

	assert(good == 1);
}

static EVP_PKEY *ed25519_key(const unsigned char seed[ED25519_SIZE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SIZE);

	assert(key != NULL);
	return key;
}

void ed25519_public(unsigned char out[ED25519_SIZE], const unsigned char seed[ED25519_SIZE])
{
	EVP_PKEY *key = ed25519_key(seed);
	size_t length = ED25519_SIZE;
	const int good = EVP_PKEY_get_raw_public_key(key, out, &length);

	assert(good == 1 && length == ED25519_SIZE);
	EVP_PKEY_free(key);
}

// It hashes what is signed twice, so that it has to be in one piece.
void ed25519_sign(unsigned char out[ED25519_SIGNATURE_SIZE], const unsigned char seed[ED25519_SIZE], const struct digest_part *parts, size_t count)
{
	EVP_PKEY *key = ed25519_key(seed);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	struct buffer joined CLEANUP(buffer_fini) = BUFFER(SIZE_MAX / 2);
	size_t length = ED25519_SIGNATURE_SIZE;
	bool good;

	for (size_t i = 0; i < count; i++) {
		buffer_add(&joined, parts[i].bytes, parts[i].length);
	}
	good = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(context, out, &length, (const unsigned char *)joined.bytes, joined.length) == 1 && length == ED25519_SIGNATURE_SIZE;
	assert(good);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
}

bool equal_in_constant_time(const void *a, const void *b, size_t length)
{
	return CRYPTO_memcmp(a, b, length) == 0;
}
