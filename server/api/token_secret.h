// SPDX-License-Identifier: Apache-2.0
//
// token_secret.h - a server token out of the rows that seal it.
#pragma once

#include "api/call.h"
#include "tenants/token.h"

struct token_statements { // of call->transaction: store_data_key_current, and store_secret_select of SECRET_SERVER_TOKEN
	unsigned data_key, secrets;
};

// `out` needs server_token_fini after OK only.
MUST_USE enum err server_token_open(const struct call *call, struct token_statements at, int64_t token_id, struct server_token *out,
	struct fault *fault);

// The token that is in force, of three statements: server_token_current_select gives the first one's number.
unsigned server_token_current_select(struct pg_transaction *transaction, int64_t tenant_id);
bool server_token_current_is_there(const struct pg_transaction *transaction, unsigned first);
MUST_USE enum err server_token_current_open(const struct call *call, unsigned first, struct server_token *out, struct fault *fault);
