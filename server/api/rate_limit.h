// SPDX-License-Identifier: Apache-2.0
//
// rate_limit.h - how often something may happen in a minute, for each address or link, in a fixed amount of memory.
//
// Laws  1. whoever asks more than `most` times within a minute is refused until that minute is over
//       2. when more are about than there is room for, some share a count: refused too early, never let through
//       3. which ones share cannot be predicted: the hash is keyed with a secret of the process
#pragma once

#include "depbroker/err.h"

#include <stddef.h>
#include <stdint.h>

struct rate_limit;

struct rate_limit *rate_limit_open(unsigned most);
void rate_limit_close(struct rate_limit *limit); // NULL is harmless
MUST_USE bool rate_limit_take(struct rate_limit *limit, const void *who, size_t length, int64_t now_ms);
