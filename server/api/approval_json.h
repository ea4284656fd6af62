// SPDX-License-Identifier: Apache-2.0
//
// approval_json.h - an approval as it is shown.
#pragma once

#include "api/json_out.h"
#include "store/approvals.h"

// With payload and detail when the row has them.
void approval_json(struct json_out *json, const char *name, const struct approval_row *row);
