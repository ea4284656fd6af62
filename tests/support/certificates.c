// SPDX-License-Identifier: Apache-2.0
#include "support/certificates.h"
#include "support/cmocka_all.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static X509 *certificate_new(EVP_PKEY *key, const char *name, long from_s, long until_s)
{
	static long serial = 1;
	X509 *certificate = X509_new();

	assert_non_null(certificate);
	assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), from_s));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), until_s));
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0), 1);
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	return certificate;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void sign(X509 *certificate, X509 *issuer, EVP_PKEY *key, const EVP_MD *digest)
{
	assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), 1);
	assert_int_not_equal(X509_sign(certificate, key, digest), 0);
}

static void write_pem(const char *path, X509 *certificate, EVP_PKEY *key)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	if (key != NULL) {
		assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	}
	assert_int_equal(fclose(file), 0);
}

void authority_open(struct authority *authority, const char *folder, const char *name, const struct authority *issuer,
	bool may_sign)
{
	authority->key = EVP_EC_gen("P-256");
	assert_non_null(authority->key);
	authority->certificate = certificate_new(authority->key, name, -3600, 86400);
	add_extension(authority->certificate, NID_basic_constraints, may_sign ? "critical,CA:TRUE" : "critical,CA:FALSE");
	sign(authority->certificate, issuer != NULL ? issuer->certificate : authority->certificate,
		issuer != NULL ? issuer->key : authority->key, EVP_sha256());
	(void)snprintf(authority->path, sizeof authority->path, "%s/%s.pem", folder, name);
	write_pem(authority->path, authority->certificate, NULL);
}

void authority_close(struct authority *authority)
{
	EVP_PKEY_free(authority->key);
	X509_free(authority->certificate);
}

static void tamper(X509 *certificate)
{
	const ASN1_BIT_STRING *signature;

	X509_get0_signature(&signature, NULL, certificate);
	signature->data[signature->length - 1] ^= 1;
}

void certificate_write(const struct authority *authority, const struct certificate_wish *wish, const char *path)
{
	EVP_PKEY *key = wish->rsa_bits > 0 ? EVP_RSA_gen((unsigned)wish->rsa_bits) : EVP_EC_gen("P-256");
	const bool any_time = wish->valid_from_s == 0 && wish->valid_until_s == 0;
	X509 *certificate = certificate_new(key, "server", any_time ? -3600 : wish->valid_from_s,
		any_time ? 86400 : wish->valid_until_s);

	add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(certificate, NID_subject_alt_name, wish->alternative_names);
	add_extension(certificate, NID_ext_key_usage, wish->purpose != NULL ? wish->purpose : "serverAuth");
	sign(certificate, wish->self_signed ? certificate : authority->certificate, wish->self_signed ? key : authority->key,
		wish->sha1 ? EVP_sha1() : EVP_sha256());
	if (wish->tampered) {
		tamper(certificate);
	}
	write_pem(path, certificate, key);
	X509_free(certificate);
	EVP_PKEY_free(key);
}
