// SPDX-License-Identifier: Apache-2.0
//
// token_mistake.h - what people upload instead of a token file, by how it begins. For token_file.c.
#pragma once

#include "tenants/token.h"

// OK: it is none of them. ERR_BAD_INPUT with the mistake and the sentence that tells a technician what happened.
MUST_USE enum err token_mistake_by_text(struct text content, enum token_mistake *mistake, struct fault *fault); // trimmed
MUST_USE enum err token_mistake_by_der(struct text der, enum token_mistake *mistake, struct fault *fault);
