// SPDX-License-Identifier: Apache-2.0
//
// certificate_authority.h - the certificates of authorities that a client of TLS may be told to trust, in PEM.
#pragma once

#include "crypto/certificate.h"

#include <stdint.h>

enum { AUTHORITY_PEM_MAX = 16 * 1024, AUTHORITY_CERTIFICATES_MAX = 8, AUTHORITY_SUBJECT_MAX = 255 };

// Appends the certificates of `given` to `pem`, without what is between them. ERR_BAD_INPUT: there is none, something besides certificates, a
// private key, or one that is no authority's or was over at `now_us`; the fault says which.
MUST_USE enum err certificate_authority_read(struct buffer *pem, struct text given, int64_t now_us, struct fault *fault);

struct authority_facts {
	char subject[AUTHORITY_SUBJECT_MAX + 1]; // as RFC 2253 writes it, in ASCII
	int64_t not_before_us, not_after_us;
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
};
// Of each certificate of what certificate_authority_read has written; returns their number.
size_t certificate_authority_describe(struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX], struct text pem);
