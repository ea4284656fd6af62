// SPDX-License-Identifier: Apache-2.0
//
// retry_after.h - the header by which servers ask for patience (RFC 9110, section 10.2.3).
#pragma once

#include "depbroker/text.h"

#define RETRY_AFTER_NONE INT64_C(-1)

// The value of Retry-After: seconds, or an HTTP date (IMF-fixdate), as seconds from `now_us`, rounded up.
// RETRY_AFTER_NONE for anything else.
int64_t retry_after_parse(struct text value, int64_t now_us);
