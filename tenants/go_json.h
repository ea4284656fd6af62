// SPDX-License-Identifier: Apache-2.0
//
// go_json.h - JSON as Go's encoder writes it, for peers and scripts that compare bytes.
#pragma once

#include "depbroker/text.h"

// Appends `json`, which is well-formed, with what Go escapes in strings besides what everybody does: < > & U+2028 U+2029.
void go_json_escape(struct buffer *out, struct text json);
