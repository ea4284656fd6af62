// SPDX-License-Identifier: Apache-2.0
//
// token_json.h - a server token as answers show it: whose it is, how it is and how long it lives, never a secret.
#pragma once

#include "api/json_out.h"
#include "store/tenants.h"
#include "store/tokens.h"

// `token` NULL: there is none. `pending` NULL: none waits.
void token_json(struct json_out *json, const char *name, const struct token_facts *facts, const struct tenant_status_row *status,
	const struct token_row *token, const struct pending_token_row *pending);
