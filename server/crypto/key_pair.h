// SPDX-License-Identifier: Apache-2.0
//
// key_pair.h - the RSA-2048 pair whose certificate a tenant's administrator uploads at Apple (dep-api.md, section 3.1).
//
// Ownership  a struct key_pair owns its memory until key_pair_fini, which wipes the private key.
// Thread     pure, but slow (p90 400 ms): NEVER on the loop, always through loop/offload.
#pragma once

#include "depbroker/text.h"

struct key_pair {
	struct buffer private_key_der; // PKCS#8
	char *certificate_pem;
	char fingerprint[65];          // SHA-256 of the certificate's DER, lower-case hex
	int64_t not_before_us;
	int64_t not_after_us;
};

enum { KEY_PAIR_NAME_MAX = 64, KEY_PAIR_DAYS_MAX = 36500 };

// A key and a self-signed certificate: CN `common_name`, key usage keyEncipherment and digitalSignature, a random
// positive serial number, valid from ten minutes before `now_us` for `days` days.
// `pair` need not be initialised, and needs key_pair_fini only after OK.
// ERR_BAD_INPUT: name empty, too long or not UTF-8, days not in 1..36500. ERR_CRYPTO: the library refused.
MUST_USE enum err key_pair_make(struct key_pair *pair, struct text common_name, int64_t now_us, int days, struct fault *fault);
// A pair that somebody else made, both in PEM (PKCS#1 or PKCS#8, not encrypted). As above: fini after OK only.
// ERR_BAD_INPUT: one cannot be read, is not RSA, or they do not belong together.
MUST_USE enum err key_pair_read(struct key_pair *pair, struct text certificate_pem, struct text private_key_pem,
	struct fault *fault);
void key_pair_fini(struct key_pair *pair);
