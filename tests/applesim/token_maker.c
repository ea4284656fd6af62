// SPDX-License-Identifier: Apache-2.0
#include "applesim/token_maker.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

static char *make_text(const char *prefix, uint64_t seed, size_t digits)
{
	struct buffer text = BUFFER(256);

	buffer_add_string(&text, prefix);
	add_mixed_hex(&text, seed, digits, false);
	return buffer_take(&text);
}

void token_make(struct tenant *tenant, int64_t life_s, bool by_another_administrator)
{
	const uint64_t seed = mixed(mixed(tenant->seed, 3), tenant->tokens_made);
	const int64_t now_ms = world_now_ms(tenant->world);
	struct buffer access CLEANUP(buffer_fini) = BUFFER(256);
	struct credentials token = { .expires_at_s = now_ms / 1000 + life_s };

	token.consumer_key = tenant->token.consumer_key != NULL && !by_another_administrator
		? duplicate(text_of(tenant->token.consumer_key)) : make_text("CK_", mixed(seed, 1), 64);
	token.consumer_secret = make_text("CS_", mixed(seed, 2), 40);
	buffer_add_format(&access, "AT_O%llu", (unsigned long long)(mixed(seed, 3) % UINT64_C(10000000000)));
	buffer_add_string(&access, "O");
	add_mixed_hex(&access, mixed(seed, 4), 48, false);
	buffer_add_format(&access, "O%lld", (long long)now_ms);
	token.access_token = duplicate(buffer_text(&access));
	token.access_secret = make_text("AS_", mixed(seed, 5), 40);
	tenant_set_token(tenant, &token);
}

static void add_plain(struct buffer *out, const struct credentials *token)
{
	char expiry[INSTANT_TEXT_SIZE];

	buffer_add_string(out, "Content-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
						   "-----BEGIN MESSAGE-----\n");
	buffer_add_format(out, "{\"consumer_key\":\"%s\",\"consumer_secret\":\"%s\",\"access_token\":\"%s\","
		"\"access_secret\":\"%s\",\"access_token_expiry\":\"%s\"}", token->consumer_key, token->consumer_secret,
		token->access_token, token->access_secret, instant_format(expiry, token->expires_at_s * SECOND_US, false));
	buffer_add_string(out, "\n-----END MESSAGE-----\n");
}

static void free_bio(BIO **bio)
{
	(void)BIO_free(*bio);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_cms(CMS_ContentInfo **cms)
{
	CMS_ContentInfo_free(*cms);
}

static X509 *read_certificate(const char *pem)
{
	BIO *in CLEANUP(free_bio) = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);

	if (certificate != NULL && EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) != EVP_PKEY_RSA) {
		X509_free(certificate);
		certificate = NULL;
	}
	ERR_clear_error();
	return certificate;
}

bool certificate_is_usable(const char *pem)
{
	X509 *certificate CLEANUP(free_certificate) = read_certificate(pem);

	return certificate != NULL;
}

// Streaming is what gives the indefinite lengths.
static bool encrypt(BIO *out, struct text plain, X509 *certificate)
{
	const unsigned flags = CMS_BINARY | CMS_STREAM;
	STACK_OF(X509) *recipients = sk_X509_new_null();
	BIO *in CLEANUP(free_bio) = BIO_new_mem_buf(plain.bytes, (int)plain.length);
	CMS_ContentInfo *cms CLEANUP(free_cms) = NULL;

	if (recipients != NULL && sk_X509_push(recipients, certificate) > 0) {
		cms = CMS_encrypt(recipients, in, EVP_aes_128_cbc(), flags);
	}
	sk_X509_free(recipients);
	return cms != NULL && i2d_CMS_bio_stream(out, cms, in, (int)flags) == 1;
}

static void add_mime(struct buffer *out, struct text cms)
{
	struct buffer base64 CLEANUP(buffer_fini) = BUFFER(256 * 1024);

	buffer_add_string(out, "Content-Type: application/pkcs7-mime; name=\"smime.p7m\"; smime-type=enveloped-data\n"
						   "Content-Transfer-Encoding: base64\n"
						   "Content-Disposition: attachment; filename=\"smime.p7m\"\n"
						   "Content-Description: S/MIME Encrypted Message\n\n");
	buffer_add_base64(&base64, cms.bytes, cms.length);
	for (size_t at = 0; at < base64.length; at += 76) {
		buffer_add(out, base64.bytes + at, base64.length - at < 76 ? base64.length - at : 76);
		buffer_add(out, "\n", 1);
	}
}

enum err token_file_make(struct buffer *out, const struct tenant *tenant, struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(8 * 1024);
	BIO *cms CLEANUP(free_bio) = BIO_new(BIO_s_mem());
	char *bytes = NULL;

	if (tenant->certificate == NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "this tenant has no certificate yet");
	}
	X509 *certificate CLEANUP(free_certificate) = read_certificate(tenant->certificate);

	add_plain(&plain, &tenant->token);
	if (certificate == NULL || !encrypt(cms, buffer_text(&plain), certificate)) {
		ERR_clear_error();
		return fault_set(fault, ERR_BAD_INPUT, "nothing can be encrypted to this tenant's certificate");
	}
	const long length = BIO_get_mem_data(cms, &bytes);

	add_mime(out, (struct text){ bytes, (size_t)length });
	return OK;
}
