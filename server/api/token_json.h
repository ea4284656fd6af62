// SPDX-License-Identifier: Apache-2.0
//
// token_json.h - a server token as answers show it: whose it is and how long it lives, never a secret.
#pragma once

#include "api/json_out.h"
#include "store/tokens.h"

// `state` as token_state_now says it.
void token_json(struct json_out *json, const char *name, const struct token_row *token, struct text state);
