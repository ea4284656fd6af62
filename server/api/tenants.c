// SPDX-License-Identifier: Apache-2.0
//
// /tenants, /tenants/{tenant}: GET and DELETE; what writes them is in tenant_write.c
#include "api/resources.h"
#include "api/tenant_json.h"
#include "api/tenant_order.h"

#include <inttypes.h>
#include <stdio.h>

// --- GET /tenants ---

static void answer_list(struct call *call)
{
	const struct tenant_order *order = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0); i++) {
		struct tenant_status_row status;
		struct tenant_row row;

		store_tenant_read(&call->transaction, 0, i, &row);
		store_tenant_status_read(&call->transaction, 0, i, &status);
		tenant_json(&json, NULL, &row, &status);
	}
	put_list_end(&json);
	tenant_order_write(&json, order, &call->transaction);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void tenants_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!tenant_order_read(call, call_own(call, sizeof(struct tenant_order)), "tenants")) {
			return;
		}
		AWAIT(call, LISTING, tenant_order_ask(call, call->own));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one tenant, as it is now ---

void tenant_answer(struct call *call, unsigned status_code, const struct pg_transaction *transaction, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct tenant_status_row status;
	struct tenant_row row;
	char etag[32];

	store_tenant_read(transaction, statement, 0, &row);
	store_tenant_status_read(transaction, statement, 0, &status);
	(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", row.version);
	http_answer_header(call->request, "ETag", etag);
	tenant_json(&json, NULL, &row, &status);
	call_answer(call, status_code, &body);
}

void tenant_show(struct call *call)
{
	tenant_answer(call, 200, &call->admission, 1);
}

// --- DELETE: its data keys first, so that no copy of what follows can be read; then its rows, part by part ---

static void begin_erase(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(4096);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_id(&json, "tenant_id", call->tenant.tenant_id);
	put_text(&json, "server_uuid", call->tenant.server_uuid);
	put_object_end(&json);
	store_tenant_begin_erase(transaction, call->tenant.tenant_id);
	call_audit(call, transaction, "tenant.delete", call->tenant.slug, buffer_text(&detail));
	call_start(call);
}

static void erase(struct call *call)
{
	(void)store_tenant_erase(call_transaction(call, store_api(call->tenant.tenant_id)), STORE_ERASE_ROWS);
	call_start(call);
}

static bool may_be_deleted(struct call *call)
{
	int64_t version;

	if (!call_if_match(call, &version)) {
		return false;
	}
	if (version >= 0 && version != call->tenant.version) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "another version is in force");
		return false;
	}
	if (!text_equal(call->tenant.state, TEXT("archived")) && !text_equal(call->tenant.state, TEXT("deleting"))) {
		call_problem(call, PROBLEM_TENANT_NOT_ARCHIVED, "it is %.*s", TEXT_ARGS(call->tenant.state));
		return false;
	}
	return true;
}

void tenant_delete(struct call *call)
{
	enum { NEW, BEGINNING, ERASING };

	switch (call->state) {
	case NEW:
		if (!may_be_deleted(call)) {
			return;
		}
		AWAIT(call, BEGINNING, begin_erase(call));
		if (call_failed(call)) {
			return;
		}
		do {
			AWAIT(call, ERASING, erase(call));
			if (call->transaction.op.rc == ERR_FENCED) { // housekeeping was faster
				break;
			}
			if (call_failed(call)) {
				return;
			}
		} while (!store_tenant_erase_read(&call->transaction, 0));
		call_answer_empty(call, 204);
	}
}
