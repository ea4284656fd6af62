// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/token: GET and DELETE; PUT is in token_upload.c
#include "api/call.h"
#include "api/resources.h"
#include "api/tenant_json.h"
#include "api/token_json.h"

void token_json(struct json_out *json, const char *name, const struct token_row *token, struct text state)
{
	put_object(json, name);
	put_text(json, "state", state);
	put_instant(json, "expires_at", token->expires_at_us);
	put_instant(json, "taken_at", token->taken_at_us);
	put_text(json, "consumer_key_end", token->consumer_key_end);
	if (token->key_pair_id != 0) {
		put_id(json, "key_pair_id", token->key_pair_id);
	} else {
		put_null(json, "key_pair_id");
	}
	put_text(json, "server_uuid", token->server_uuid);
	put_text(json, "server_name", token->server_name);
	put_text(json, "admin_id", token->admin_id);
	put_text(json, "org_id", token->org_id);
	put_text(json, "org_id_hash", token->org_id_hash);
	put_text(json, "org_name", token->org_name);
	put_text(json, "org_type", token->org_type);
	put_object_end(json);
}

static void ask(struct call *call)
{
	(void)store_token_current(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

static bool is_there(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct token_row token;

	store_token_read(&call->transaction, 0, 0, &token);
	token_json(&json, NULL, &token, token_state_now(&call->tenant_status, clock_wall_us()));
	call_answer(call, 200, &body);
}

void token_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call) && is_there(call)) {
			answer(call);
		}
	}
}

static void remove_token(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	store_token_remove(transaction, call->tenant.tenant_id);
	(void)store_tenant_status_token(transaction, call->tenant.tenant_id, TEXT("none"), INSTANT_NONE);
	call_start(call);
}

void token_remove(struct call *call)
{
	enum { NEW, READING, REMOVING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !is_there(call)) {
			return;
		}
		AWAIT(call, REMOVING, remove_token(call));
		if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}
