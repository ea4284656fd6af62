// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

static void free_bio(BIO **bio)
{
	(void)BIO_free(*bio);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static int no_password(char *out, int size, int writing, void *context)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

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

	BIO *bio CLEANUP(free_bio) = BIO_new_mem_buf(pem.bytes, (int)pem.length);
	X509 *certificate CLEANUP(free_certificate) = is_alone && bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;

	ERR_clear_error();
	return certificate != NULL ? OK : fault_set(fault, ERR_BAD_INPUT, "it is not one certificate in PEM");
}
