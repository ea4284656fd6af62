// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_pair.h"

#include "crypto/openssl_parts.h"
#include "depbroker/clock.h"
#include "depbroker/digest.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

enum { KEY_BITS = 2048, SERIAL_SIZE = 16, EARLIER_S = 600, DER_MAX = 16 * 1024, PEM_MAX = 64 * 1024 };

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_SIZE];
	BIGNUM *number;
	bool good;

	random_bytes(bytes, sizeof bytes);
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, and always of the same length
	number = BN_bin2bn(bytes, sizeof bytes, NULL);
	good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return good;
}

static bool set_names(X509 *certificate, struct text name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name.bytes, (int)name.length, -1,
			   0) == 1 &&
		X509_set_issuer_name(certificate, subject) == 1;
}

static bool set_key_usage(X509 *certificate)
{
	X509_EXTENSION *usage = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,keyEncipherment,digitalSignature");
	const bool good = usage != NULL && X509_add_ext(certificate, usage, -1) == 1;

	X509_EXTENSION_free(usage);
	return good;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct key_pair *pair, struct text name)
{
	return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) && set_names(certificate, name) &&
		ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)(pair->not_before_us / SECOND_US)) != NULL &&
		ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)(pair->not_after_us / SECOND_US)) != NULL &&
		X509_set_pubkey(certificate, key) == 1 && set_key_usage(certificate) &&
		X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool write_private_key(struct key_pair *pair, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	const int length = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

	if (length > 0) {
		buffer_add(&pair->private_key_der, der, (size_t)length);
		OPENSSL_clear_free(der, (size_t)length);
	}
	PKCS8_PRIV_KEY_INFO_free(info);
	return length > 0 && !pair->private_key_der.overflow;
}

static bool write_fingerprint(struct key_pair *pair, X509 *certificate)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(sizeof pair->fingerprint);
	unsigned char hash[SHA256_SIZE];
	unsigned char *der = NULL;
	const int length = i2d_X509(certificate, &der);

	if (length <= 0) {
		return false;
	}
	sha256(hash, &(struct digest_part){ der, (size_t)length }, 1);
	OPENSSL_free(der);
	buffer_add_hex(&hex, hash, sizeof hash);
	for (size_t i = 0; i < sizeof pair->fingerprint; i++) {
		pair->fingerprint[i] = hex.bytes[i];
	}
	return true;
}

static bool write_certificate(struct key_pair *pair, X509 *certificate)
{
	BIO *bio CLEANUP(bio_fini) = BIO_new(BIO_s_mem());
	char *pem = NULL;

	if (bio == NULL || PEM_write_bio_X509(bio, certificate) != 1) {
		return false;
	}
	const long length = BIO_get_mem_data(bio, &pem);

	pair->certificate_pem = duplicate((struct text){ pem, (size_t)length });
	return write_fingerprint(pair, certificate);
}

static bool make(struct key_pair *pair, struct text name)
{
	EVP_PKEY *key CLEANUP(pkey_fini) = EVP_RSA_gen(KEY_BITS);
	X509 *certificate CLEANUP(x509_fini) = X509_new();

	return key != NULL && certificate != NULL && fill(certificate, key, pair, name) && write_private_key(pair, key) &&
		write_certificate(pair, certificate);
}

enum err key_pair_make(struct key_pair *pair, struct text name, int64_t now_us, int days, struct fault *fault)
{
	if (name.length == 0 || name.length > KEY_PAIR_NAME_MAX || !text_is_utf8(name)) {
		return fault_set(fault, ERR_BAD_INPUT, "the name in a certificate must have 1 to %d bytes of UTF-8",
			(int)KEY_PAIR_NAME_MAX);
	}
	if (days < 1 || days > KEY_PAIR_DAYS_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "a certificate can be valid for 1 to %d days", (int)KEY_PAIR_DAYS_MAX);
	}
	const int64_t second_us = now_us - now_us % SECOND_US; // certificates know whole seconds only

	*pair = (struct key_pair){
		.private_key_der = BUFFER(DER_MAX),
		.not_before_us = second_us - EARLIER_S * SECOND_US,
		.not_after_us = second_us + days * DAY_S * SECOND_US,
	};
	if (!make(pair, name)) {
		key_pair_fini(pair);
		ERR_clear_error();
		return fault_set(fault, ERR_CRYPTO, "a key pair could not be made");
	}
	return OK;
}

// --- one that somebody else made ---

static BIO *open_pem(struct text pem)
{
	return pem.length > 0 && pem.length <= PEM_MAX ? BIO_new_mem_buf(pem.bytes, (int)pem.length) : NULL;
}

static X509 *certificate_of(struct text pem)
{
	BIO *bio CLEANUP(bio_fini) = open_pem(pem);

	return bio != NULL ? PEM_read_bio_X509(bio, NULL, pem_no_password, NULL) : NULL;
}

static EVP_PKEY *private_key_of(struct text pem)
{
	BIO *bio CLEANUP(bio_fini) = open_pem(pem);

	return bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, pem_no_password, NULL) : NULL;
}

static const char *complaint_about(EVP_PKEY *key, X509 *certificate)
{
	if (certificate == NULL) {
		return "the certificate is none in PEM form";
	}
	if (key == NULL) {
		return "the private key is none in PEM form, or is encrypted";
	}
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		return "the private key is not an RSA key";
	}
	return X509_check_private_key(certificate, key) == 1 ? NULL : "the private key does not belong to the certificate";
}

static bool take_validity(struct key_pair *pair, X509 *certificate)
{
	pair->not_before_us = asn1_instant_us(X509_get0_notBefore(certificate));
	pair->not_after_us = asn1_instant_us(X509_get0_notAfter(certificate));
	return pair->not_before_us != INSTANT_NONE && pair->not_after_us != INSTANT_NONE;
}

static enum err take_pair(struct key_pair *pair, EVP_PKEY *key, X509 *certificate, struct fault *fault)
{
	const char *complaint = complaint_about(key, certificate);

	*pair = (struct key_pair){ .private_key_der = BUFFER(DER_MAX) };
	if (complaint == NULL && (!write_private_key(pair, key) || !write_certificate(pair, certificate) || !take_validity(pair, certificate))) {
		complaint = "the key pair cannot be used";
	}
	if (complaint == NULL) {
		return OK;
	}
	key_pair_fini(pair);
	return fault_set(fault, ERR_BAD_INPUT, "%s", complaint);
}

enum err key_pair_read(struct key_pair *pair, struct text certificate_pem, struct text private_key_pem,
	struct fault *fault)
{
	X509 *certificate CLEANUP(x509_fini) = certificate_of(certificate_pem);
	EVP_PKEY *key CLEANUP(pkey_fini) = private_key_of(private_key_pem);
	const enum err rc = take_pair(pair, key, certificate, fault);

	ERR_clear_error();
	return rc;
}

void key_pair_fini(struct key_pair *pair)
{
	buffer_fini_wiped(&pair->private_key_der);
	free(pair->certificate_pem);
	pair->certificate_pem = NULL;
}
