// SPDX-License-Identifier: Apache-2.0
//
// vectors.h - reads the test vectors of the shared folder: $DEPBROKER_SHARED, or `shared` beside the checkout.
#pragma once

#include "depbroker/text.h"

// NUL-terminated, the caller frees; fails the test when there is no such file. `source` is SOURCE_DIRECTORY.
char *shared_read(const char *source, const char *path, size_t *length);

// Appends the PKCS#1 DER of an RSA private key that is kept as a JWK (RFC 7517).
void jwk_to_der(struct buffer *der, const char *jwk);
