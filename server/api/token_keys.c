// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/token/keys: the pairs whose certificates administrators upload at Apple
#include "api/key_making.h"
#include "api/paging.h"
#include "api/resources.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void pair_json(struct json_out *json, const char *name, const struct key_pair_row *pair)
{
	put_object(json, name);
	put_id(json, "id", pair->key_pair_id);
	put_text(json, "state", pair->state);
	put_text(json, "fingerprint", pair->fingerprint);
	put_instant(json, "not_before", pair->not_before_us);
	put_instant(json, "not_after", pair->not_after_us);
	put_instant(json, "created_at", pair->created_at_us);
	put_object_end(json);
}

// --- GET: newest first; the cursor is the number of the last one shown ---

static void answer_list(struct call *call)
{
	const struct paging *paging = call->own;
	const int64_t below = paging->after.length > 0 ? strtoll(paging->after.bytes, NULL, 10) : INT64_MAX;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct key_pair_row pair = { 0 };
	size_t shown = 0;
	char last[24] = "";

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0) && shown < (size_t)paging->limit; i++) {
		store_key_pair_read(&call->transaction, 0, i, &pair);
		if (pair.key_pair_id < below) {
			pair_json(&json, NULL, &pair);
			shown++;
			(void)snprintf(last, sizeof last, "%" PRId64, pair.key_pair_id);
		}
	}
	put_list_end(&json);
	paging_write(&json, paging, shown, text_of(last));
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_list(struct call *call)
{
	(void)store_key_pair_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

void token_keys_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "keys")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- GET .../{id}/certificate ---

static void ask_pair(struct call *call, int64_t key_pair_id)
{
	(void)store_key_pair_by_id(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, key_pair_id);
	call_start(call);
}

static void answer_certificate(struct call *call)
{
	struct key_pair_row pair;

	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_KEY_PAIR_NOT_FOUND, "%s", "");
		return;
	}
	store_key_pair_read(&call->transaction, 0, 0, &pair);
	http_answer(call->request, 200, "application/x-pem-file", pair.certificate_pem);
}

void token_key_certificate(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW: {
		int64_t id;

		if (!call_parameter_id(call, 1, &id)) {
			call_problem(call, PROBLEM_KEY_PAIR_NOT_FOUND, "%s", "");
			return;
		}
		call->state = READING;
		ask_pair(call, id);
		return;
	}
	case READING:
		if (!call_failed(call)) {
			answer_certificate(call);
		}
	}
}

// --- POST ---

static void store_pair(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	key_making_store(call->own, transaction);
	call_audit(call, transaction, "token.key.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_made(struct call *call)
{
	const struct key_making *making = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct key_pair_row pair;
	char *location = arena_format(&call->request->arena, "/api/v1/tenants/%.*s/token/keys/%" PRId64 "/certificate",
		TEXT_ARGS(call->tenant.slug), making->key_pair_id);

	if (location != NULL) {
		http_answer_header(call->request, "Location", location);
	}
	store_key_pair_read(&call->transaction, making->read_back, 0, &pair);
	pair_json(&json, NULL, &pair);
	call_answer(call, 201, &body);
}

static void finish_making(struct call *call)
{
	key_making_fini(call->own);
}

void token_keys_create(struct call *call)
{
	enum { NEW, NUMBERING, MAKING, STORING };

	switch (call->state) {
	case NEW:
		key_making_init(call_own(call, sizeof(struct key_making)), call);
		call_on_finish(call, finish_making);
		AWAIT(call, NUMBERING, key_making_ask(call->own));
		if (call_failed(call) || !key_making_take(call->own)) {
			return;
		}
		AWAIT(call, MAKING, key_making_start(call->own));
		if (!key_making_worked(call->own)) {
			return;
		}
		AWAIT(call, STORING, store_pair(call));
		if (!call_failed(call)) {
			answer_made(call);
		}
	}
}
