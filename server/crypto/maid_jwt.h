// SPDX-License-Identifier: Apache-2.0
//
// maid_jwt.h - the proof that device and Managed Apple Account belong to the same organisation, which Apple asks of an MDM
// server: a JWT signed with the private key of the server token's certificate.
//
// Thread     pure; RSA takes a millisecond or two: through loop/offload.
// Law        each has its own jti and is used once: never keep one
#pragma once

#include "depbroker/text.h"

enum { MAID_JTI_SIZE = 37, MAID_JWT_MAX = 8192 };

void maid_jti_make(char out[MAID_JTI_SIZE]); // a random UUID (RFC 9562, version 4)

// Appends the compact form. `server_uuid` exactly as Apple's account names it.
// ERR_CRYPTO: the key cannot be read or is no RSA key.
MUST_USE enum err maid_jwt_sign(struct buffer *jwt, struct text private_key_der, struct text server_uuid, const char *jti,
	int64_t now_s, struct fault *fault);
