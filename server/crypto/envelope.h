// SPDX-License-Identifier: Apache-2.0
//
// envelope.h - opens the CMS EnvelopedData inside a server token file (dep-api.md, section 3.3), and makes one for
// the virtual DEP servers that hand out tokens themselves.
//
// Thread     pure; RSA takes a millisecond or two: through loop/offload.
// Laws       1. ENVELOPE_MAX bytes at most are read, so hostile input costs at most that
//            2. CMS here has neither MAC nor signature: with a wrong key the result may be random bytes, so the caller's
//               check of the content (token_parse) is the real check of integrity
#pragma once

#include "depbroker/text.h"

enum { ENVELOPE_MAX = 64 * 1024 };

// Appends the content to `plain` (its owner ends it with buffer_fini_wiped). BER (indefinite length, chunks) or DER;
// AES-128/192/256-CBC or 3DES; the private key in PKCS#8 or PKCS#1 DER.
// ERR_BAD_INPUT: not a CMS enveloped message, too large, another cipher, or damaged. ERR_REFUSED: made for another key.
// ERR_CRYPTO: our own key or certificate cannot be read.
MUST_USE enum err envelope_open(struct buffer *plain, struct text cms_der, struct text private_key_der,
	struct text certificate_pem, struct fault *fault);

// Appends BER with indefinite lengths to `cms`: `plain` encrypted with AES-128-CBC to the certificate, as Apple does it.
// ERR_BAD_INPUT: the certificate cannot be read or has no RSA key of ENVELOPE_RSA_BITS_MIN or more.
enum { ENVELOPE_RSA_BITS_MIN = 2048 };
MUST_USE enum err envelope_make(struct buffer *cms, struct text plain, struct text certificate_pem,
	struct fault *fault);
