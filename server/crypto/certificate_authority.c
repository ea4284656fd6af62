// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate_authority.h"

#include "crypto/openssl_parts.h"
#include "depbroker/clock.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { VERSION_3_WITH_CA_TRUE = 1 }; // of X509_check_ca

struct authorities {
	X509 *each[AUTHORITY_CERTIFICATES_MAX];
	size_t count;
};

static void free_authorities(struct authorities *authorities)
{
	for (size_t i = 0; i < authorities->count; i++) {
		X509_free(authorities->each[i]);
	}
}

static size_t count_of_beginnings(struct text pem)
{
	static const char beginning[] = "-----BEGIN ";
	const char *const end = pem.bytes + pem.length;
	size_t count = 0;

	for (const char *at = pem.bytes; (at = memmem(at, (size_t)(end - at), beginning, sizeof beginning - 1)) != NULL; at++) {
		count++;
	}
	return count;
}

// Up to the first thing that is no certificate, if there is one.
static void read_all(struct authorities *out, struct text pem)
{
	BIO *bio CLEANUP(bio_fini) = BIO_new_mem_buf(pem.bytes, (int)pem.length);
	X509 *certificate;

	while (bio != NULL && out->count < AUTHORITY_CERTIFICATES_MAX && (certificate = PEM_read_bio_X509(bio, NULL, pem_no_password, NULL)) != NULL) {
		out->each[out->count++] = certificate;
	}
	ERR_clear_error();
}

static enum err check_one(X509 *certificate, size_t number, int64_t now_us, struct fault *fault)
{
	const int64_t until_us = asn1_instant_us(X509_get0_notAfter(certificate));
	char when[INSTANT_TEXT_SIZE];

	if (X509_check_ca(certificate) != VERSION_3_WITH_CA_TRUE) {
		return fault_set(fault, ERR_BAD_INPUT, "certificate %zu is no authority's: it does not say CA:TRUE, or may not sign others", number);
	}
	if (until_us == INSTANT_NONE || until_us <= now_us) {
		return fault_set(fault, ERR_BAD_INPUT, "certificate %zu was good until %s", number,
			until_us == INSTANT_NONE ? "a time that is none" : instant_format(when, until_us, false));
	}
	return OK;
}

static enum err check_form(struct text given, struct fault *fault)
{
	if (given.length == 0 || given.length > AUTHORITY_PEM_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "it has 1 to %d bytes", AUTHORITY_PEM_MAX);
	}
	if (text_contains_ignoring_case(given, "PRIVATE KEY")) {
		return fault_set(fault, ERR_BAD_INPUT, "it holds a private key: keep it to yourself, and send certificates only");
	}
	if (memchr(given.bytes, '\0', given.length) != NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "it is not text");
	}
	return OK;
}

static bool write_all(struct buffer *pem, const struct authorities *authorities)
{
	BIO *out CLEANUP(bio_fini) = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	bool good = out != NULL;

	for (size_t i = 0; i < authorities->count && good; i++) {
		good = PEM_write_bio_X509(out, authorities->each[i]) == 1;
	}
	if (good) {
		const long length = BIO_get_mem_data(out, &bytes);

		buffer_add(pem, bytes, (size_t)length);
	}
	return good && !pem->overflow;
}

enum err certificate_authority_read(struct buffer *pem, struct text given, int64_t now_us, struct fault *fault)
{
	struct authorities authorities CLEANUP(free_authorities) = { 0 };

	TRY(check_form(given, fault));
	const size_t beginnings = count_of_beginnings(given);

	if (beginnings > AUTHORITY_CERTIFICATES_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "it has more than %d certificates", AUTHORITY_CERTIFICATES_MAX);
	}
	read_all(&authorities, given);
	if (beginnings == 0) {
		return fault_set(fault, ERR_BAD_INPUT, "it has no certificate in PEM");
	}
	if (authorities.count != beginnings) {
		return fault_set(fault, ERR_BAD_INPUT, "number %zu of it is no certificate in PEM", authorities.count + 1);
	}
	for (size_t i = 0; i < authorities.count; i++) {
		TRY(check_one(authorities.each[i], i + 1, now_us, fault));
	}
	return write_all(pem, &authorities) ? OK : fault_set(fault, ERR_BAD_INPUT, "its certificates have more than %zu bytes in PEM", pem->limit);
}

static void write_subject(char out[AUTHORITY_SUBJECT_MAX + 1], X509 *certificate)
{
	BIO *bio CLEANUP(bio_fini) = BIO_new(BIO_s_mem());
	int length = 0;

	if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
		length = BIO_read(bio, out, AUTHORITY_SUBJECT_MAX);
	}
	out[length > 0 ? length : 0] = '\0';
}

size_t certificate_authority_describe(struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX], struct text pem)
{
	struct authorities authorities CLEANUP(free_authorities) = { 0 };

	read_all(&authorities, pem);
	for (size_t i = 0; i < authorities.count; i++) {
		X509 *certificate = authorities.each[i];

		facts[i] = (struct authority_facts){
			.not_before_us = asn1_instant_us(X509_get0_notBefore(certificate)),
			.not_after_us = asn1_instant_us(X509_get0_notAfter(certificate)),
		};
		write_subject(facts[i].subject, certificate);
		(void)X509_digest(certificate, EVP_sha256(), facts[i].fingerprint, NULL);
	}
	ERR_clear_error();
	return authorities.count;
}
