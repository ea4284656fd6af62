// SPDX-License-Identifier: Apache-2.0
//
// token_maker.h - makes a server token and its .p7m file in Apple's exact layout (dep-api.md, section 3): MIME in 76
// columns around CMS in BER of indefinite length, AES-128-CBC, rsaEncryption, issuer and serial number; MIME inside.
#pragma once

#include "applesim/world.h"

// The tenant's next token; the one before dies. The consumer key stays unless another administrator makes it.
void token_make(struct tenant *tenant, int64_t life_s, bool by_another_administrator);
// Appends the file, encrypted to the tenant's certificate. ERR_BAD_INPUT: no certificate, or not one with an RSA key.
MUST_USE enum err token_file_make(struct buffer *out, const struct tenant *tenant, struct fault *fault);
MUST_USE bool certificate_is_usable(const char *pem);
