// SPDX-License-Identifier: Apache-2.0
#include "crypto/envelope.h"

#include "crypto/openssl_parts.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static void free_cms(CMS_ContentInfo **cms)
{
	CMS_ContentInfo_free(*cms);
}

static X509 *read_certificate(struct text pem)
{
	if (pem.length == 0 || pem.length > ENVELOPE_MAX) {
		return NULL;
	}
	BIO *bio CLEANUP(bio_fini) = BIO_new_mem_buf(pem.bytes, (int)pem.length);

	return bio != NULL ? PEM_read_bio_X509(bio, NULL, pem_no_password, NULL) : NULL;
}

// Plain text passes through this one: it is overwritten before it is freed.
static void free_secret_bio(BIO **bio)
{
	char *bytes = NULL;

	if (*bio != NULL) {
		const long length = BIO_get_mem_data(*bio, &bytes);

		if (length > 0) {
			wipe(bytes, (size_t)length);
		}
		(void)BIO_free(*bio);
	}
}

static enum err read_keys(EVP_PKEY **key, X509 **certificate, struct text private_key_der, struct text certificate_pem,
	struct fault *fault)
{
	const unsigned char *at = (const unsigned char *)private_key_der.bytes;

	if (private_key_der.length > 0 && private_key_der.length <= ENVELOPE_MAX) {
		*key = d2i_AutoPrivateKey(NULL, &at, (long)private_key_der.length);
	}
	*certificate = read_certificate(certificate_pem);
	if (*key == NULL || *certificate == NULL || X509_check_private_key(*certificate, *key) != 1) {
		return fault_set(fault, ERR_CRYPTO, "the tenant's own %s",
			*key == NULL ? "private key cannot be read"
			: *certificate == NULL ? "certificate cannot be read" : "private key and certificate do not belong together");
	}
	return OK;
}

static enum err parse(CMS_ContentInfo **cms, struct text cms_der, struct fault *fault)
{
	const unsigned char *at = (const unsigned char *)cms_der.bytes;

	if (cms_der.length == 0 || cms_der.length > ENVELOPE_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "an encrypted message has 1 to %d bytes, this one has %zu",
			(int)ENVELOPE_MAX, cms_der.length);
	}
	*cms = d2i_CMS_ContentInfo(NULL, &at, (long)cms_der.length);
	if (*cms == NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "this is not a CMS message, or a part of it is missing");
	}
	if (OBJ_obj2nid(CMS_get0_type(*cms)) != NID_pkcs7_enveloped) {
		return fault_set(fault, ERR_BAD_INPUT, "this is a CMS message, but not an encrypted one");
	}
	return OK;
}

// Is one of the recipients our certificate, by issuer and serial number?
static bool is_for(CMS_ContentInfo *cms, X509 *certificate)
{
	STACK_OF(CMS_RecipientInfo) *recipients = CMS_get0_RecipientInfos(cms);

	for (int i = 0; i < sk_CMS_RecipientInfo_num(recipients); i++) {
		CMS_RecipientInfo *recipient = sk_CMS_RecipientInfo_value(recipients, i);

		if (CMS_RecipientInfo_type(recipient) == CMS_RECIPINFO_TRANS &&
			CMS_RecipientInfo_ktri_cert_cmp(recipient, certificate) == 0) {
			return true;
		}
	}
	return false;
}

static enum err decrypt(struct buffer *plain, CMS_ContentInfo *cms, EVP_PKEY *key, X509 *certificate,
	struct fault *fault)
{
	BIO *out CLEANUP(free_secret_bio) = BIO_new(BIO_s_mem());
	const bool named = is_for(cms, certificate);
	char *bytes = NULL;

	// Without the certificate each recipient is tried: some writers encode the serial number in another way (dep-api.md,
	// 3.3), so that not being named does not yet mean not being meant.
	if (out == NULL || CMS_decrypt(cms, key, named ? certificate : NULL, NULL, out, 0) != 1) {
		return named ? fault_set(fault, ERR_BAD_INPUT, "the encrypted message is damaged: its content does not decrypt")
					 : fault_set(fault, ERR_REFUSED, "the message was encrypted for another certificate");
	}
	const long length = BIO_get_mem_data(out, &bytes);
	const struct text content = { bytes, length > 0 ? (size_t)length : 0 };

	if (!named && !text_is_utf8(content)) { // law 2: one wrong key in 256 gives random bytes rather than an error
		return fault_set(fault, ERR_REFUSED, "the message was encrypted for another certificate");
	}
	buffer_add_text(plain, content);
	if (plain->overflow) {
		return fault_set(fault, ERR_BAD_INPUT, "the decrypted content is too large");
	}
	return OK;
}

enum err envelope_open(struct buffer *plain, struct text cms_der, struct text private_key_der,
	struct text certificate_pem, struct fault *fault)
{
	EVP_PKEY *key CLEANUP(pkey_fini) = NULL;
	X509 *certificate CLEANUP(x509_fini) = NULL;
	CMS_ContentInfo *cms CLEANUP(free_cms) = NULL;
	enum err rc = parse(&cms, cms_der, fault);

	if (rc == OK) {
		rc = read_keys(&key, &certificate, private_key_der, certificate_pem, fault);
	}
	if (rc == OK) {
		rc = decrypt(plain, cms, key, certificate, fault);
	}
	ERR_clear_error(); // OpenSSL's own words stay on the thread otherwise
	return rc;
}

// Streaming is what gives the indefinite lengths.
static enum err encrypt(struct buffer *cms, struct text plain, X509 *certificate, struct fault *fault)
{
	const unsigned flags = CMS_BINARY | CMS_STREAM;
	STACK_OF(X509) *recipients = sk_X509_new_null();
	BIO *in CLEANUP(bio_fini) = BIO_new_mem_buf(plain.length > 0 ? plain.bytes : "", (int)plain.length);
	BIO *out CLEANUP(bio_fini) = BIO_new(BIO_s_mem());
	CMS_ContentInfo *message CLEANUP(free_cms) = NULL;
	char *bytes = NULL;

	if (recipients != NULL && in != NULL && out != NULL && sk_X509_push(recipients, certificate) > 0) {
		message = CMS_encrypt(recipients, in, EVP_aes_128_cbc(), flags);
	}
	sk_X509_free(recipients);
	if (message == NULL || i2d_CMS_bio_stream(out, message, in, (int)flags) != 1) {
		return fault_set(fault, ERR_BAD_INPUT, "nothing can be encrypted to this certificate");
	}
	const long length = BIO_get_mem_data(out, &bytes);

	buffer_add(cms, bytes, (size_t)length);
	return OK;
}

enum err envelope_make(struct buffer *cms, struct text plain, struct text certificate_pem, struct fault *fault)
{
	X509 *certificate CLEANUP(x509_fini) = read_certificate(certificate_pem);
	EVP_PKEY *key = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;
	enum err rc;

	if (plain.length > ENVELOPE_MAX / 2) {
		rc = fault_set(fault, ERR_BAD_INPUT, "at most %d bytes can be encrypted", (int)ENVELOPE_MAX / 2);
	} else if (certificate == NULL) {
		rc = fault_set(fault, ERR_BAD_INPUT, "this is not a certificate in PEM form");
	} else if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < ENVELOPE_RSA_BITS_MIN) {
		rc = fault_set(fault, ERR_BAD_INPUT, "the certificate has no RSA key of at least %d bits", ENVELOPE_RSA_BITS_MIN);
	} else {
		rc = encrypt(cms, plain, certificate, fault);
	}
	ERR_clear_error();
	return rc;
}
