// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/token/keys: the pairs whose certificates administrators upload at Apple
#include "api/paging.h"
#include "api/resources.h"
#include "crypto/key_pair.h"
#include "store/secrets.h"
#include "store/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAIR_DAYS = 1096 }; // Apple does not look at it after the upload; a token lives a year

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

static bool read_id(struct call *call, int64_t *out)
{
	const struct text id = call->request->parameters[1];

	*out = 0;
	for (size_t i = 0; i < id.length && id.length <= 18; i++) {
		if (id.bytes[i] < '0' || id.bytes[i] > '9') {
			return false;
		}
		*out = *out * 10 + (id.bytes[i] - '0');
	}
	return *out > 0;
}

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

		if (!read_id(call, &id)) {
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

// --- POST: the key is made on a pool thread, sealed, and stored ---

struct making {
	struct call *call;
	struct offload offload;
	struct text name;
	int64_t now_us;
	struct fault fault;
	struct key_pair pair;
	bool has_pair;
	int64_t key_pair_id;
	struct data_key data_key;
	unsigned read_back;
};

static void finish_making(struct call *call)
{
	struct making *making = call->own;

	if (making->has_pair) {
		key_pair_fini(&making->pair);
	}
	data_key_fini(&making->data_key);
}

static void begin_making(struct call *call)
{
	struct making *making = call_own(call, sizeof *making);

	making->call = call;
	making->name = call->tenant.slug;
	if (making->name.length > KEY_PAIR_NAME_MAX) {
		making->name.length = KEY_PAIR_NAME_MAX;
	}
	call_on_finish(call, finish_making);
}

static void ask_number_and_key(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_object_next_id(transaction);
	(void)store_data_key_current(transaction, call->tenant.tenant_id);
	call_start(call);
}

static bool take_number_and_key(struct call *call)
{
	struct making *making = call->own;
	struct fault fault;
	enum err rc;

	making->key_pair_id = store_object_next_id_read(&call->transaction, 0);
	rc = store_data_key_read(&call->transaction, 1, call->service->keys, call->tenant.tenant_id, &making->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static enum err work_make(struct offload *offload)
{
	struct making *making = CONTAINER_OF(offload, struct making, offload);

	return key_pair_make(&making->pair, making->name, making->now_us, PAIR_DAYS, &making->fault);
}

static void on_made(struct op *op)
{
	struct making *making = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct making, offload);

	making->has_pair = op->rc == OK;
	making->call->endpoint->step(making->call);
}

static void make(struct call *call)
{
	struct making *making = call->own;

	making->now_us = clock_wall_us();
	op_init(&making->offload.op, on_made);
	making->offload.work = work_make;
	offload_start(&making->offload, &call->service->loop);
}

static void store_pair(struct call *call)
{
	struct making *making = call->own;
	struct sealed sealed CLEANUP(sealed_fini);
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct seal_binding binding = {
		.kind = SECRET_PRIVATE_KEY,
		.tenant_id = tenant_id,
		.data_key_version = making->data_key.version,
		.object_id = making->key_pair_id,
		.secret_version = 1,
	};
	const struct key_pair_row row = {
		.key_pair_id = making->key_pair_id,
		.state = TEXT("staged"),
		.fingerprint = text_of(making->pair.fingerprint),
		.certificate_pem = text_of(making->pair.certificate_pem),
		.not_before_us = making->pair.not_before_us,
		.not_after_us = making->pair.not_after_us,
		.created_at_us = making->now_us,
	};
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	seal(&sealed, &making->data_key, &binding, buffer_text(&making->pair.private_key_der));
	(void)store_key_pair_insert(transaction, tenant_id, &row);
	store_secret_put(transaction, &binding, &sealed);
	making->read_back = store_key_pair_by_id(transaction, tenant_id, making->key_pair_id);
	call_start(call);
}

static void answer_made(struct call *call)
{
	const struct making *making = call->own;
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

void token_keys_create(struct call *call)
{
	enum { NEW, NUMBERING, MAKING, STORING };

	switch (call->state) {
	case NEW:
		begin_making(call);
		AWAIT(call, NUMBERING, ask_number_and_key(call));
		if (call_failed(call) || !take_number_and_key(call)) {
			return;
		}
		AWAIT(call, MAKING, make(call));
		if (!((struct making *)call->own)->has_pair) {
			call_problem_of(call, ((struct making *)call->own)->offload.op.rc, &((struct making *)call->own)->fault);
			return;
		}
		AWAIT(call, STORING, store_pair(call));
		if (!call_failed(call)) {
			answer_made(call);
		}
	}
}
