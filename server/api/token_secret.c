// SPDX-License-Identifier: Apache-2.0
#include "api/token_secret.h"

#include "store/secrets.h"
#include "store/tokens.h"

enum err server_token_open(const struct call *call, struct token_statements at, int64_t token_id, struct server_token *out,
	struct fault *fault)
{
	const struct pg_transaction *transaction = &call->transaction;
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };

	TRY(store_data_key_read(transaction, at.data_key, call->service->keys, call->tenant.tenant_id, &data_key, fault));
	for (size_t row = 0; row < pg_row_count(transaction, at.secrets); row++) {
		if (store_secret_object_id(transaction, at.secrets, row) == token_id) {
			TRY(store_secret_open(transaction, at.secrets, row, call->tenant.tenant_id, SECRET_SERVER_TOKEN, call->service->keys, &data_key,
				&plain, fault));
			return token_parse(out, buffer_text(&plain), fault);
		}
	}
	return fault_set(fault, ERR_NOT_FOUND, "a token without its secret");
}

unsigned server_token_current_select(struct pg_transaction *transaction, int64_t tenant_id)
{
	const unsigned first = store_token_current(transaction, tenant_id);

	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_SERVER_TOKEN, 0);
	return first;
}

bool server_token_current_is_there(const struct pg_transaction *transaction, unsigned first)
{
	return pg_row_count(transaction, first) > 0;
}

// A client may have a second token, one that waits until Apple says whose it is: its secret is among them.
enum err server_token_current_open(const struct call *call, unsigned first, struct server_token *out, struct fault *fault)
{
	struct token_row row;

	store_token_read(&call->transaction, first, 0, &row);
	return server_token_open(call, (struct token_statements){ .data_key = first + 1, .secrets = first + 2 }, row.token_id, out, fault);
}
