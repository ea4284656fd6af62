// SPDX-License-Identifier: Apache-2.0
//
// rules_redirect.h - the same rules, which send devices to another instance wherever they sent them to one.
#pragma once

#include "tenants/ruleset.h"

// The document of the valid `rules` with `to` in place of `from`, appended to `out`.
void rules_redirect(struct buffer *out, const struct ruleset *rules, struct text from, struct text to);
