// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/instances: reading, enabling, deliveries; writing is in instance_write.c
#include "api/call.h"
#include "api/endpoint_json.h"
#include "api/instance_json.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/instances.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void instance_json(struct json_out *json, const char *name, const struct instance_row *row, struct text webhook_secret)
{
	put_object(json, name);
	put_text(json, "name", row->name);
	put_text(json, "kind", row->kind);
	put_text(json, "enrolment_url", row->enrolment_url);
	put_list(json, "allowed_hosts");
	for (size_t i = 0; i < row->allowed_host_count; i++) {
		put_text(json, NULL, row->allowed_hosts[i]);
	}
	put_list_end(json);
	put_text(json, "state", row->state);
	put_list(json, "labels");
	for (size_t i = 0; i < row->label_count; i++) {
		put_text(json, NULL, row->labels[i]);
	}
	put_list_end(json);
	put_list(json, "anchor_certs");
	for (size_t i = 0; i < row->anchor_cert_count; i++) {
		put_text(json, NULL, row->anchor_certs[i]);
	}
	put_list_end(json);
	put_instant(json, "hook_made_at", row->hook_made_at_us);
	put_raw(json, "profile", row->profile.length > 0 ? row->profile : TEXT("{}"));
	put_text(json, "webhook_url", row->webhook_url);
	if (webhook_secret.length > 0) {
		put_text(json, "webhook_secret", webhook_secret);
	}
	put_instant(json, "webhook_disabled_at", row->webhook_disabled_at_us);
	put_text(json, "webhook_disabled_reason", row->webhook_disabled_reason);
	put_instant(json, "created_at", row->created_at_us);
	put_instant(json, "updated_at", row->updated_at_us);
	put_object_end(json);
}

// --- the list ---

static bool is_after(struct text name, struct text after)
{
	const size_t shorter = name.length < after.length ? name.length : after.length;
	const int order = shorter == 0 ? 0 : memcmp(name.bytes, after.bytes, shorter);

	return order > 0 || (order == 0 && name.length > after.length);
}

static void answer_list(struct call *call)
{
	const struct paging *paging = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct instance_row row;
	struct text last = TEXT("");
	size_t shown = 0;

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0) && shown < (size_t)paging->limit; i++) {
		store_instance_read(&call->transaction, 0, i, &row);
		if (is_after(row.name, paging->after)) {
			instance_json(&json, NULL, &row, TEXT_NONE);
			last = row.name;
			shown++;
		}
	}
	put_list_end(&json);
	paging_write(&json, paging, shown, last);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_list(struct call *call)
{
	(void)store_instance_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

void instances_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "instances")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one ---

static void ask_one(struct call *call)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		call->request->parameters[1]);
	call_start(call);
}

static bool is_there(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

void instance_put_etag(struct call *call, const struct instance_row *row)
{
	char etag[24];

	(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", row->version);
	http_answer_header(call->request, "ETag", etag);
}

static void answer_one(struct call *call, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct instance_row row;

	store_instance_read(&call->transaction, statement, 0, &row);
	instance_json(&json, NULL, &row, TEXT_NONE);
	instance_put_etag(call, &row);
	call_answer(call, 200, &body);
}

void instance_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask_one(call));
		if (!call_failed(call) && is_there(call)) {
			answer_one(call, 0);
		}
	}
}

// --- POST .../enable ---

static void enable(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	unsigned *read_back = call_own(call, sizeof *read_back);
	struct instance_row row;

	store_instance_read(&call->transaction, 0, 0, &row);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_endpoint_enable(transaction, tenant_id, row.instance_id);
	call_audit(call, transaction, "instance.enable", call->tenant.slug, TEXT_NONE);
	*read_back = store_instance_by_name(transaction, tenant_id, call->request->parameters[1]);
	call_start(call);
}

void instance_enable(struct call *call)
{
	enum { NEW, READING, ENABLING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask_one(call));
		if (call_failed(call) || !is_there(call)) {
			return;
		}
		AWAIT(call, ENABLING, enable(call));
		if (!call_failed(call)) {
			answer_one(call, *(const unsigned *)call->own);
		}
	}
}

// --- GET .../deliveries ---

struct deliveries {
	struct paging paging;
	int64_t endpoint_id; // its first one
};

static void ask_deliveries(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct deliveries *deliveries = call->own;
	struct instance_row row;

	store_instance_read(&call->transaction, 0, 0, &row);
	deliveries->endpoint_id = row.instance_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	endpoint_deliveries_ask(transaction, tenant_id, deliveries->endpoint_id, deliveries->paging.limit);
	call_start(call);
}

void instance_deliveries(struct call *call)
{
	enum { NEW, READING, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, &((struct deliveries *)call_own(call, sizeof(struct deliveries)))->paging, "deliveries")) {
			return;
		}
		AWAIT(call, READING, ask_one(call));
		if (call_failed(call) || !is_there(call)) {
			return;
		}
		AWAIT(call, LISTING, ask_deliveries(call));
		if (!call_failed(call)) {
			endpoint_deliveries_answer(call, ((const struct deliveries *)call->own)->endpoint_id);
		}
	}
}
