// SPDX-License-Identifier: Apache-2.0
#include "crypto/maid_jwt.h"

#include "crypto/openssl_parts.h"
#include "depbroker/clock.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { KEY_MAX = 64 * 1024, CLAIMS_MAX = 2048, SIGNATURE_MAX = 1024 };

static void free_context(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

void maid_jti_make(char out[MAID_JTI_SIZE])
{
	unsigned char b[16];

	random_bytes(b, sizeof b);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(out, MAID_JTI_SIZE, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

// The alphabet of URLs, and no padding.
static void add_base64url(struct buffer *out, const void *bytes, size_t length)
{
	const size_t start = out->length;

	buffer_add_base64(out, bytes, length);
	for (size_t i = start; i < out->length; i++) {
		out->bytes[i] = out->bytes[i] == '+' ? '-' : out->bytes[i] == '/' ? '_' : out->bytes[i];
	}
	while (out->length > start && out->bytes[out->length - 1] == '=') {
		out->bytes[--out->length] = '\0';
	}
}

static void add_claims(struct buffer *jwt, struct text server_uuid, const char *jti, int64_t now_s)
{
	static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
	struct buffer claims CLEANUP(buffer_fini) = BUFFER(CLAIMS_MAX);

	buffer_add_format(&claims, "{\"iat\":%" PRId64 ",\"iss\":", now_s);
	buffer_add_json(&claims, server_uuid);
	buffer_add_string(&claims, ",\"jti\":");
	buffer_add_json(&claims, text_of(jti));
	buffer_add_string(&claims, ",\"service_type\":\"com.apple.maid\"}");
	add_base64url(jwt, header, sizeof header - 1);
	buffer_add_string(jwt, ".");
	add_base64url(jwt, claims.bytes, claims.length);
}

static bool add_signature(struct buffer *jwt, EVP_PKEY *key)
{
	EVP_MD_CTX *context CLEANUP(free_context) = EVP_MD_CTX_new();
	unsigned char signature[SIGNATURE_MAX];
	size_t length = sizeof signature;

	if (context == NULL || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
		EVP_DigestSign(context, signature, &length, (const unsigned char *)jwt->bytes, jwt->length) != 1) {
		return false;
	}
	buffer_add_string(jwt, ".");
	add_base64url(jwt, signature, length);
	return !jwt->overflow;
}

enum err maid_jwt_sign(struct buffer *jwt, struct text private_key_der, struct text server_uuid, const char *jti,
	int64_t now_s, struct fault *fault)
{
	const unsigned char *at = (const unsigned char *)private_key_der.bytes;
	EVP_PKEY *key CLEANUP(pkey_fini) = NULL;
	bool good;

	if (private_key_der.length > 0 && private_key_der.length <= KEY_MAX) {
		key = d2i_AutoPrivateKey(NULL, &at, (long)private_key_der.length);
	}
	good = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	if (good) {
		add_claims(jwt, server_uuid, jti, now_s);
		good = add_signature(jwt, key);
	}
	ERR_clear_error();
	return good ? OK : fault_set(fault, ERR_CRYPTO, "the tenant's own private key cannot sign");
}
