// SPDX-License-Identifier: Apache-2.0
#include "crypto/openssl_parts.h"

#include "depbroker/clock.h"

#include <time.h>

void bio_fini(BIO **bio)
{
	(void)BIO_free(*bio);
}

void pkey_fini(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

void x509_fini(X509 **certificate)
{
	X509_free(*certificate);
}

int pem_no_password(char *out, int size, int writing, void *context)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

int64_t asn1_instant_us(const ASN1_TIME *time)
{
	struct tm parts = { 0 };

	return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * SECOND_US : INSTANT_NONE;
}
