// SPDX-License-Identifier: Apache-2.0
//
// certificate.h - whether a text is one X.509 certificate in PEM, and nothing else.
#pragma once

#include "depbroker/text.h"

enum { CERTIFICATE_PEM_MAX = 16 * 1024 };

// ERR_BAD_INPUT: it is none, or more than one, or something besides; a private key is named as such.
MUST_USE enum err certificate_check_pem(struct text pem, struct fault *fault);
