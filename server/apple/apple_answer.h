// SPDX-License-Identifier: Apache-2.0
//
// apple_answer.h - what every answer tells besides its body. For this room only.
#pragma once

#include "apple/apple.h"

// Fills the output members of the call from call->http.
void apple_answer_observe(struct apple_call *call);

// The instant of a Date header: RFC 9110's preferred form, or RFC 3339 as Apple's simulator writes it. INSTANT_NONE:
// neither.
int64_t apple_date_parse(struct text value);
