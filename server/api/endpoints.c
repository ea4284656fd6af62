// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/endpoints: reading, enabling, deleting, deliveries. Writing is in endpoint_write.c, secrets in endpoint_secret.c.
#include "api/endpoint_action.h"
#include "api/endpoint_json.h"
#include "api/paging.h"
#include "api/resources.h"

#include <stdio.h>
#include <stdlib.h>

// --- the list ---

static void answer_list(struct call *call)
{
	const struct paging *paging = call->own;
	const int64_t after = paging->after.length > 0 ? strtoll(paging->after.bytes, NULL, 10) : 0;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct endpoint_row row;
	char last[24] = "";
	size_t shown = 0;

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0) && shown < (size_t)paging->limit; i++) {
		store_endpoint_read(&call->transaction, 0, i, &row);
		if (row.endpoint_id > after) {
			endpoint_json(&json, NULL, &row, TEXT_NONE);
			(void)snprintf(last, sizeof last, "%lld", (long long)row.endpoint_id);
			shown++;
		}
	}
	put_list_end(&json);
	paging_write(&json, paging, shown, text_of(last));
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_list(struct call *call)
{
	(void)store_endpoint_select(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, 0);
	call_start(call);
}

void endpoints_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "endpoints")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one ---

static void answer_one(struct call *call, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct endpoint_row row;

	store_endpoint_read(&call->transaction, statement, 0, &row);
	endpoint_json(&json, NULL, &row, TEXT_NONE);
	call_answer(call, 200, &body);
}

static void answer_shown(struct call *call)
{
	answer_one(call, 0);
}

void endpoint_show(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .answer = answer_shown });
}

// --- POST .../enable ---

static void enable(struct call *call, const struct endpoint_row *endpoint)
{
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	unsigned *read_back = call_own(call, sizeof *read_back);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_endpoint_enable(transaction, tenant_id, endpoint_id);
	*read_back = store_endpoint_select(transaction, tenant_id, endpoint_id);
	call_audit(call, transaction, "endpoint.enable", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_enabled(struct call *call)
{
	answer_one(call, *(const unsigned *)call->own);
}

void endpoint_enable(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .act = enable, .answer = answer_enabled });
}

// --- DELETE ---

static bool may_be_deleted(struct call *call, struct endpoint_row *endpoint)
{
	if (endpoint->endpoint_id != endpoint->instance_id) {
		return true;
	}
	call_problem(call, PROBLEM_ENDPOINT_STAYS, "%.*s", TEXT_ARGS(endpoint->instance));
	return false;
}

static void drop(struct call *call, const struct endpoint_row *endpoint)
{
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_endpoint_delete(transaction, tenant_id, endpoint_id);
	call_audit(call, transaction, "endpoint.delete", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_deleted(struct call *call)
{
	call_answer_empty(call, 204);
}

void endpoint_delete(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .take = may_be_deleted, .act = drop, .answer = answer_deleted });
}

// --- GET .../deliveries ---

struct deliveries {
	struct paging paging;
	int64_t endpoint_id;
};

static bool begin_deliveries(struct call *call)
{
	struct deliveries *deliveries = call_own(call, sizeof *deliveries);

	return paging_read(call, &deliveries->paging, "deliveries");
}

static void ask_deliveries(struct call *call, const struct endpoint_row *endpoint)
{
	struct deliveries *deliveries = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	deliveries->endpoint_id = endpoint->endpoint_id;
	endpoint_deliveries_ask(call_transaction(call, store_api(tenant_id)), tenant_id, deliveries->endpoint_id, deliveries->paging.limit);
	call_start(call);
}

static void answer_deliveries(struct call *call)
{
	endpoint_deliveries_answer(call, ((const struct deliveries *)call->own)->endpoint_id);
}

void endpoint_deliveries(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .begin = begin_deliveries, .act = ask_deliveries, .answer = answer_deliveries });
}
