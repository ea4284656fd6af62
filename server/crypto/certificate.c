// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include "crypto/openssl_parts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

static size_t count_of(struct text text, struct text part)
{
	size_t count = 0;
	const char *end = text.bytes + text.length;

	for (const char *at = text.bytes; at < end && (at = memmem(at, (size_t)(end - at), part.bytes, part.length)) != NULL; at++) {
		count++;
	}
	return count;
}

enum err certificate_check_pem(struct text pem, struct fault *fault)
{
	static const struct text begin = { "-----BEGIN CERTIFICATE-----", 27 };
	static const struct text end = { "-----END CERTIFICATE-----", 25 };
	const struct text trimmed = text_trim(pem);

	if (pem.length == 0 || pem.length > CERTIFICATE_PEM_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "a certificate has 1 to %d bytes", CERTIFICATE_PEM_MAX);
	}
	if (text_contains_ignoring_case(pem, "PRIVATE KEY")) {
		return fault_set(fault, ERR_BAD_INPUT, "it holds a private key: keep it to yourself, and send the certificate only");
	}
	const bool is_alone = text_starts_with(trimmed, begin) && trimmed.length > end.length &&
		memcmp(trimmed.bytes + trimmed.length - end.length, end.bytes, end.length) == 0 && count_of(pem, TEXT("-----")) == 4;

	BIO *bio CLEANUP(bio_fini) = BIO_new_mem_buf(pem.bytes, (int)pem.length);
	X509 *certificate CLEANUP(x509_fini) = is_alone && bio != NULL ? PEM_read_bio_X509(bio, NULL, pem_no_password, NULL) : NULL;

	ERR_clear_error();
	return certificate != NULL ? OK : fault_set(fault, ERR_BAD_INPUT, "it is not one certificate in PEM");
}

static X509 *read_der(struct text der)
{
	const unsigned char *at = (const unsigned char *)der.bytes;
	X509 *certificate = d2i_X509(NULL, &at, (long)der.length);

	if (certificate != NULL && at != (const unsigned char *)der.bytes + der.length) {
		X509_free(certificate);
		certificate = NULL;
	}
	return certificate;
}

static X509 *read_pem(struct text pem)
{
	BIO *bio CLEANUP(bio_fini) = BIO_new_mem_buf(pem.bytes, (int)pem.length);

	return bio != NULL ? PEM_read_bio_X509(bio, NULL, pem_no_password, NULL) : NULL;
}

static bool write_pem(struct buffer *pem, X509 *certificate)
{
	BIO *out CLEANUP(bio_fini) = BIO_new(BIO_s_mem());
	char *bytes = NULL;

	if (out == NULL || PEM_write_bio_X509(out, certificate) != 1) {
		return false;
	}
	const long length = BIO_get_mem_data(out, &bytes);

	buffer_add(pem, bytes, (size_t)length);
	return !pem->overflow;
}

enum err certificate_read(struct buffer *pem, unsigned char fingerprint[CERTIFICATE_FINGERPRINT_SIZE], struct text given,
	struct fault *fault)
{
	const bool is_der = given.length > 0 && given.length <= CERTIFICATE_PEM_MAX && given.bytes[0] == 0x30; // SEQUENCE
	unsigned length = 0;

	if (!is_der) {
		TRY(certificate_check_pem(given, fault));
	}
	X509 *certificate CLEANUP(x509_fini) = is_der ? read_der(given) : read_pem(given);
	const bool good = certificate != NULL && X509_digest(certificate, EVP_sha256(), fingerprint, &length) == 1 &&
		write_pem(pem, certificate);

	ERR_clear_error();
	return good ? OK : fault_set(fault, ERR_BAD_INPUT, "it is not one certificate, neither in PEM nor in DER");
}
