// SPDX-License-Identifier: Apache-2.0
//
// The transactions of an upload: the switch to the new token, or that it waits until Apple can be asked.
#include "api/json_out.h"
#include "api/resources.h"
#include "api/token_upload_inner.h"
#include "store/secrets.h"
#include "store/stream.h"
#include "store/tokens.h"

enum { EXTRA_MAX = 4096, ASK_AGAIN_S = 5 };

void token_upload_fill(struct upload *upload)
{
	const struct server_token *token = &upload->opening.token;
	const struct apple_account *account = &upload->account;

	upload->token = (struct token_row){
		.token_id = upload->token_id,
		.key_pair_id = upload->key_pair_id,
		.consumer_key_end = server_token_key_end(token),
		.expires_at_us = token->expires_at_us,
		.server_uuid = account->server_uuid,
		.server_name = account->server_name,
		.admin_id = account->admin_id,
		.org_id = account->org_id,
		.org_id_hash = account->org_id_hash,
		.org_name = account->org_name,
		.org_type = account->org_type,
		.taken_at_us = INSTANT_NONE,
		.taken_by = call_actor(upload->call),
	};
}

static struct tenant_row identity_of(const struct call *call)
{
	const struct upload *upload = call->own;

	return (struct tenant_row){
		.tenant_id = call->tenant.tenant_id,
		.server_uuid = upload->account.server_uuid,
		.server_name = upload->account.server_name,
		.org_id = upload->account.org_id,
		.org_id_hash = upload->account.org_id_hash,
		.org_name = upload->account.org_name,
		.org_type = upload->account.org_type,
	};
}

static void seal_token(struct pg_transaction *transaction, const struct upload *upload)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);

	server_token_write(&plain, &upload->opening.token);
	store_secret_put(transaction, &upload->data_key, SECRET_SERVER_TOKEN, upload->call->tenant.tenant_id, upload->token_id, 1, buffer_text(&plain));
}

static void use_link(struct call *call, struct pg_transaction *transaction)
{
	if (call->endpoint->of_link) {
		store_renewal_link_use(transaction, call->tenant.tenant_id, call->link.link_id);
	}
}

static void audit(struct call *call, struct pg_transaction *transaction, const char *action)
{
	const struct upload *upload = call->own;
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_id(&json, "token_id", upload->token_id);
	put_id(&json, "key_pair_id", upload->token.key_pair_id);
	put_text(&json, "server_uuid", upload->token.server_uuid);
	put_object_end(&json);
	call_audit(call, transaction, action, call->tenant.slug, buffer_text(&detail));
}

void token_upload_take(struct call *call)
{
	struct upload *upload = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct tenant_row identity = identity_of(call);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_token_take(transaction, tenant_id, &upload->token);
	if (upload->override.applies) {
		store_tenant_pin_anew(transaction, &identity);
		store_stream_change_server(transaction, tenant_id);
	} else {
		store_tenant_pin(transaction, &identity);
	}
	seal_token(transaction, upload);
	(void)store_tenant_status_token(transaction, tenant_id, TEXT("active"), upload->token.expires_at_us);
	use_link(call, transaction);
	if (upload->override.applies) {
		change_settle(call, transaction, &upload->override.change);
	}
	audit(call, transaction, upload->override.applies ? "token.override" : "token.take");
	upload->token_at = store_token_current(transaction, tenant_id);
	upload->tenant_at = store_tenant_by_id(transaction, tenant_id);
	call_start(call);
}

// --- Apple is away ---

void token_upload_store_pending(struct call *call)
{
	struct upload *upload = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	token_upload_fill(upload);
	const struct pending_token_row pending = {
		.token_id = upload->token_id,
		.key_pair_id = upload->token.key_pair_id,
		.consumer_key_end = upload->token.consumer_key_end,
		.expires_at_us = upload->token.expires_at_us,
		.uploaded_by = upload->token.taken_by,
		.next_try_at_us = clock_wall_us() + ASK_AGAIN_S * SECOND_US,
		.error = text_of(upload->apple.op.fault.text),
	};
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_pending_put(transaction, tenant_id, &pending);
	seal_token(transaction, upload);
	use_link(call, transaction);
	audit(call, transaction, "token.pending");
	upload->token_at = store_token_current(transaction, tenant_id);
	upload->tenant_at = store_tenant_by_id(transaction, tenant_id);
	upload->pending_at = store_pending_select(transaction, tenant_id);
	call_start(call);
}
