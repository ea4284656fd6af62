// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/token: GET and DELETE; PUT is in token_upload.c
#include "api/call.h"
#include "api/resources.h"
#include "api/token_json.h"

static void put_pending(struct json_out *json, const struct pending_token_row *pending)
{
	if (pending == NULL) {
		put_null(json, "pending");
		return;
	}
	put_object(json, "pending");
	put_instant(json, "uploaded_at", pending->uploaded_at_us);
	put_text(json, "uploaded_by", pending->uploaded_by);
	put_instant(json, "expires_at", pending->expires_at_us);
	put_text(json, "consumer_key_end", pending->consumer_key_end);
	put_id(json, "key_pair_id", pending->key_pair_id);
	put_int(json, "attempts", pending->attempts);
	put_instant(json, "next_try_at", pending->next_try_at_us);
	put_text(json, "error", pending->error);
	put_object_end(json);
}

void token_json(struct json_out *json, const char *name, const struct token_facts *facts, const struct tenant_status_row *status,
	const struct token_row *token, const struct pending_token_row *pending)
{
	const struct token_view view = token_view(facts, clock_wall_us());
	const struct token_row none = { .expires_at_us = INSTANT_NONE, .taken_at_us = INSTANT_NONE };
	const struct token_row *shown = token != NULL ? token : &none;

	put_object(json, name);
	put_string(json, "state", token_state_name(view.state));
	put_instant(json, "state_since", view.since_us);
	put_instant(json, "checked_at", status->token_checked_at_us);
	put_text(json, "apple_error", status->token_word);
	put_text(json, "fix", text_of(token_state_fix(view.state)));
	put_instant(json, "expires_at", shown->expires_at_us);
	put_instant(json, "taken_at", shown->taken_at_us);
	put_text(json, "taken_by", shown->taken_by);
	put_text(json, "consumer_key_end", shown->consumer_key_end);
	if (shown->key_pair_id != 0) {
		put_id(json, "key_pair_id", shown->key_pair_id);
	} else {
		put_null(json, "key_pair_id");
	}
	put_text(json, "server_uuid", shown->server_uuid);
	put_text(json, "server_name", shown->server_name);
	put_text(json, "admin_id", shown->admin_id);
	put_text(json, "org_id", shown->org_id);
	put_text(json, "org_id_hash", shown->org_id_hash);
	put_text(json, "org_name", shown->org_name);
	put_text(json, "org_type", shown->org_type);
	put_pending(json, pending);
	put_object_end(json);
}

enum { TOKEN, PENDING };

static void ask(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_token_current(transaction, call->tenant.tenant_id);
	(void)store_pending_select(transaction, call->tenant.tenant_id);
	call_start(call);
}

static bool is_there(struct call *call)
{
	if (pg_row_count(&call->transaction, TOKEN) == 0 && pg_row_count(&call->transaction, PENDING) == 0) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static void answer(struct call *call)
{
	const bool has_token = pg_row_count(&call->transaction, TOKEN) > 0;
	const bool has_pending = pg_row_count(&call->transaction, PENDING) > 0;
	const struct token_facts facts = store_token_facts(&call->tenant, &call->tenant_status);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct pending_token_row pending;
	struct token_row token;

	if (has_token) {
		store_token_read(&call->transaction, TOKEN, 0, &token);
	}
	if (has_pending) {
		store_pending_read(&call->transaction, PENDING, 0, &pending);
	}
	token_json(&json, NULL, &facts, &call->tenant_status, has_token ? &token : NULL, has_pending ? &pending : NULL);
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
	call_audit(call, transaction, "token.remove", call->tenant.slug, TEXT_NONE);
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

// --- DELETE .../pending: the one in use stays ---

static void drop_pending(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	store_pending_drop(transaction, call->tenant.tenant_id, 0);
	call_audit(call, transaction, "token.pending.remove", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void token_pending_remove(struct call *call)
{
	enum { NEW, READING, REMOVING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (call_failed(call)) {
			return;
		}
		if (pg_row_count(&call->transaction, PENDING) == 0) {
			call_problem(call, PROBLEM_NO_PENDING_TOKEN, "%s", "");
			return;
		}
		AWAIT(call, REMOVING, drop_pending(call));
		if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}
