// SPDX-License-Identifier: Apache-2.0
//
// certificate.h - whether a text is one X.509 certificate, and nothing else.
#pragma once

#include "depbroker/text.h"

enum { CERTIFICATE_PEM_MAX = 16 * 1024 };

// ERR_BAD_INPUT: it is none, or more than one, or something besides; a private key is named as such.
MUST_USE enum err certificate_check_pem(struct text pem, struct fault *fault);

enum { CERTIFICATE_FINGERPRINT_SIZE = 32 };

// Appends a certificate that was given in PEM, as above, or in DER, to `pem`; its fingerprint is SHA-256 of the DER.
MUST_USE enum err certificate_read(struct buffer *pem, unsigned char fingerprint[CERTIFICATE_FINGERPRINT_SIZE], struct text given,
	struct fault *fault);
