// SPDX-License-Identifier: Apache-2.0
//
// /approvals, /approvals/{id}, .../devices, .../approve, .../reject: changes that move too many devices for one person to decide.
#include "api/approval_json.h"
#include "api/approval_kinds.h"
#include "api/change.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/jobs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_secret(struct text kind)
{
	const struct approval_kind *known = approval_kind(kind);

	return known == NULL || known->is_secret;
}

void approval_json(struct json_out *json, const char *name, const struct approval_row *row)
{
	put_object(json, name);
	put_id(json, "id", row->approval_id);
	put_text(json, "tenant", row->slug);
	put_text(json, "kind", row->kind);
	put_text(json, "target", row->target.length > 0 ? row->target : TEXT_NONE);
	put_text(json, "state", row->state);
	put_text(json, "reason", row->reason);
	if (row->base_version >= 0) {
		put_int(json, "base_version", row->base_version);
	} else {
		put_null(json, "base_version");
	}
	put_int(json, "changes", row->changes);
	put_int(json, "of", row->present);
	put_text(json, "requested_by", row->requested_by);
	put_instant(json, "requested_at", row->requested_at_us);
	put_instant(json, "expires_at", row->expires_at_us);
	put_text(json, "decided_by", row->decided_by);
	put_instant(json, "decided_at", row->decided_at_us);
	if (row->detail.length > 0) {
		put_raw(json, "detail", row->detail);
	}
	if (row->payload.length > 0 && !is_secret(row->kind)) {
		put_raw(json, "proposed", row->payload);
	}
	put_object_end(json);
}

// --- the list ---

struct listing {
	struct paging paging;
	bool all;
};

static void ask_list(struct call *call)
{
	const struct listing *listing = call->own;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_approval_list(call_transaction(call, store_directory()), paging_after_number(&listing->paging, 0), !listing->all, tenants, count, listing->paging.limit);
	call_start(call);
}

static void put(struct json_out *json, const struct pg_transaction *t, size_t at, struct buffer *key)
{
	struct approval_row row;

	store_approval_read(t, 0, at, &row);
	approval_json(json, NULL, &row);
	paging_number_key(key, row.approval_id);
}

void approvals_list(struct call *call)
{
	enum { NEW, LISTING };
	struct listing *listing = call->own;

	switch (call->state) {
	case NEW:
		listing = call_own(call, sizeof *listing);
		if (!paging_read(call, &listing->paging, "approvals") || !call_flag(call, "all", &listing->all)) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			paging_answer(call, &listing->paging, put);
		}
	}
}

// --- one ---

static bool read_id(struct call *call)
{
	int64_t *approval_id = call_own(call, sizeof *approval_id);

	if (!call_parameter_id(call, 0, approval_id)) {
		call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static int64_t id_of(const struct call *call)
{
	return call->granted != NULL ? call->granted->approval.approval_id : *(const int64_t *)call->own;
}

static void find(struct call *call)
{
	(void)store_approval_by_id(call_transaction(call, store_directory()), id_of(call));
	call_start(call);
}

// Another tenant's is refused by the same words as one that does not exist. One of no single tenant is for those who see all of them.
static bool was_found(struct call *call, struct approval_row *row)
{
	if (pg_row_count(&call->transaction, 0) == 1) {
		store_approval_read(&call->transaction, 0, 0, row);
		if (call_may_see(call, row->tenant_id)) {
			return true;
		}
	}
	call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
	return false;
}

static void answer_one(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct approval_row row;

	if (was_found(call, &row)) {
		approval_json(&json, NULL, &row);
		call_answer(call, 200, &body);
	}
}

void approval_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, READING, find(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}

// --- its devices ---

struct device_listing {
	struct paging paging;
	int64_t approval_id, after;
};

static bool read_listing(struct call *call)
{
	struct device_listing *listing = call_own(call, sizeof *listing);

	if (!call_parameter_id(call, 0, &listing->approval_id)) {
		call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
		return false;
	}
	if (!paging_read(call, &listing->paging, "approval.devices")) {
		return false;
	}
	listing->after = paging_after_number(&listing->paging, 0);
	return true;
}

static void ask_devices(struct call *call)
{
	const struct device_listing *listing = call->own;
	struct pg_transaction *t = call_transaction(call, store_directory());

	(void)store_approval_by_id(t, listing->approval_id);
	(void)store_approval_devices(t, listing->approval_id, listing->after, listing->paging.limit);
	call_start(call);
}

static void answer_devices(struct call *call)
{
	enum { APPROVAL, DEVICES };
	const struct device_listing *listing = call->own;
	const size_t count = pg_row_count(&call->transaction, DEVICES);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	char last[24];

	(void)snprintf(last, sizeof last, "%" PRId64, listing->after + (int64_t)count);
	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		put_raw(&json, NULL, store_approval_device_read(&call->transaction, DEVICES, i));
	}
	put_list_end(&json);
	paging_write(&json, &listing->paging, count, text_of(last));
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void approval_devices(struct call *call)
{
	enum { NEW, READING };
	struct approval_row row;

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		AWAIT(call, READING, ask_devices(call));
		if (!call_failed(call) && was_found(call, &row)) {
			answer_devices(call);
		}
	}
}

// --- approve, reject ---

static bool is_waiting(struct call *call, const struct approval_row *row)
{
	if (!text_equal(row->state, TEXT("pending"))) {
		call_problem(call, PROBLEM_APPROVAL_CLOSED, "it is %.*s", TEXT_ARGS(row->state));
		return false;
	}
	return true;
}

static void close_as(struct call *call, const struct approval_row *row, const char *state, const char *action)
{
	const int64_t tenant_id = row->tenant_id, approval_id = row->approval_id;
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(256);
	struct json_out json = { .out = &detail };
	const bool is_job = text_equal(row->kind, TEXT("job"));
	const struct text target = tenant_id > 0 ? row->slug : row->target;
	const char *copy = arena_copy(&call->request->arena, target); // the row goes with its transaction

	put_object(&json, NULL);
	put_id(&json, "id", approval_id);
	put_text(&json, "kind", row->kind);
	put_object_end(&json);
	struct pg_transaction *t = call_transaction(call, tenant_id > 0 ? store_api(tenant_id) : store_directory());

	store_approval_close(t, tenant_id, approval_id, text_of(state), call->key.key_id);
	if (is_job) {
		store_job_rejected(t, tenant_id, approval_id);
	}
	call_audit(call, t, action, (struct text){ copy, target.length }, buffer_text(&detail));
	call_start(call);
}

static bool was_closed(struct call *call)
{
	if (call->transaction.op.rc == ERR_FENCED) {
		call_problem(call, PROBLEM_APPROVAL_CLOSED, "%s", "");
		return false;
	}
	return !call_failed(call);
}

void approval_reject(struct call *call)
{
	enum { NEW, FINDING, CLOSING, READING };
	struct approval_row row;

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call) || !was_found(call, &row) || !is_waiting(call, &row)) {
			return;
		}
		AWAIT(call, CLOSING, close_as(call, &row, "rejected", "approval.reject"));
		if (!was_closed(call)) {
			return;
		}
		AWAIT(call, READING, find(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}

// --- the change is made by its own endpoint ---

// From here on call->own is that endpoint's, and its finish wipes it.
static void go_on_with(struct call *call, void (*step)(struct call *call))
{
	call->granted->replay = (struct endpoint){ .step = step };
	call->endpoint = &call->granted->replay;
	call->state = 0;
	step(call);
}

static void read_back(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, find(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}

static void was_made(struct call *call)
{
	go_on_with(call, read_back);
}

static void close_stale(struct call *call)
{
	enum { NEW, CLOSING };

	switch (call->state) {
	case NEW:
		AWAIT(call, CLOSING, close_as(call, &call->granted->approval, "stale", "approval.stale"));
		if (was_closed(call)) {
			call_problem(call, PROBLEM_APPROVAL_STALE, "%.*s", TEXT_ARGS(call->granted->refusal));
		}
	}
}

static void was_refused(struct call *call, enum api_problem which, const char *detail)
{
	const struct problem problem = api_problem(which);

	if (problem.status >= 500 || problem.status == 403) { // another time, or another key, may make it
		call->endpoint = call->granted->asked;
		call_problem(call, which, "%s", detail);
		return;
	}
	call->granted->refusal = text_of(arena_format(&call->request->arena, "%s%s%s", problem.title, detail[0] != '\0' ? ": " : "", detail));
	go_on_with(call, close_stale);
}

static bool may_decide(struct call *call, const struct approval_row *row)
{
	const struct approval_kind *kind = approval_kind(row->kind);

	if (text_equal(row->requested_by, call->key.key_id)) {
		call_problem(call, PROBLEM_APPROVAL_BY_SAME_KEY, "%s", "");
	} else if (kind == NULL) {
		call_problem(call, PROBLEM_APPROVAL_CLOSED, "this version knows no changes of its kind");
	} else if (call->role < kind->least) {
		call_problem(call, PROBLEM_FORBIDDEN, "it needs %s, and the key is of a %s", role_name(kind->least), role_name(call->role));
	} else {
		return true;
	}
	return false;
}

enum { READ_APPROVAL, READ_TENANT };

static void on_read(struct op *op)
{
	struct granted *granted = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct granted, reading);

	granted->call->endpoint->step(granted->call);
}

static void read_whole(struct call *call, const struct approval_row *row)
{
	struct granted *granted = arena_take(&call->request->arena, sizeof *granted);

	assert(granted != NULL); // among the first things in it
	*granted = (struct granted){ .call = call, .asked = call->endpoint };
	call->granted = granted;
	granted->approval.approval_id = row->approval_id;
	pg_transaction_init(&granted->reading, store_directory(), on_read);
	(void)store_approval_by_id(&granted->reading, row->approval_id);
	(void)store_tenant_by_id(&granted->reading, row->tenant_id);
	pg_start(&granted->reading, call->service->pool, STORE_TIMEOUT_MS);
}

static bool was_read(struct call *call)
{
	struct granted *granted = call->granted;
	const struct op *op = &granted->reading.op;

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
		return false;
	}
	if (pg_row_count(&granted->reading, READ_APPROVAL) == 0) {
		call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
		return false;
	}
	store_approval_read(&granted->reading, READ_APPROVAL, 0, &granted->approval);
	return is_waiting(call, &granted->approval);
}

static bool take_tenant(struct call *call)
{
	const struct pg_transaction *reading = &call->granted->reading;

	if (pg_row_count(reading, READ_TENANT) > 0) {
		store_tenant_read(reading, READ_TENANT, 0, &call->tenant);
		store_tenant_status_read(reading, READ_TENANT, 0, &call->tenant_status);
		if (!text_equal(call->tenant.state, TEXT("deleting"))) {
			return true;
		}
	}
	call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
	return false;
}

static void make(struct call *call)
{
	struct granted *granted = call->granted;
	const struct approval_kind *kind = approval_kind(granted->approval.kind);
	struct http_request *request = call->request;

	if (kind->of_tenant && !take_tenant(call)) {
		return;
	}
	request->parameters[0] = kind->of_tenant ? call->tenant.slug : granted->approval.target;
	request->parameters[1] = kind->of_tenant ? granted->approval.target : TEXT_NONE;
	request->body = granted->approval.payload;
	granted->replay = (struct endpoint){ .step = kind->step, .refuse = was_refused, .answer = was_made };
	call->endpoint = &granted->replay;
	call->state = 0;
	call->endpoint->step(call);
}

void approval_approve(struct call *call)
{
	enum { NEW, FINDING, READING };
	struct approval_row row;

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call) || !was_found(call, &row) || !is_waiting(call, &row) || !may_decide(call, &row)) {
			return;
		}
		AWAIT(call, READING, read_whole(call, &row));
		if (was_read(call)) {
			make(call);
		}
	}
}
