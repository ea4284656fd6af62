// SPDX-License-Identifier: Apache-2.0
//
// bypass_code_json.h - stored bypass codes: opened, and as answers show them.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "store/bypass_codes.h"
#include "tenants/bypass_code.h"

// Opens the code `code_id` out of the rows of store_bypass_code_secrets. The caller wipes it.
MUST_USE enum err bypass_code_open(const struct call *call, unsigned secrets, int64_t code_id,
	const struct data_key *data_key, struct bypass_code *out, struct fault *fault);
void bypass_code_json(struct json_out *json, const struct bypass_code_row *row, const struct bypass_code *code);
