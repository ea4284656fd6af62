// SPDX-License-Identifier: Apache-2.0
//
// /approvals, /approvals/{id}, .../approve, .../reject: changes that move too many devices for one person to decide.
#include "api/approval_json.h"
#include "api/call.h"
#include "api/job_runner.h"
#include "api/paging.h"
#include "api/resources.h"
#include "api/rules_cost.h"
#include "store/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void approval_json(struct json_out *json, const char *name, const struct approval_row *row)
{
	put_object(json, name);
	put_id(json, "id", row->approval_id);
	put_text(json, "tenant", row->slug);
	put_text(json, "kind", row->kind);
	put_text(json, "state", row->state);
	put_text(json, "reason", row->reason);
	put_int(json, "base_version", row->base_version);
	put_int(json, "changes", row->changes);
	put_int(json, "of", row->present);
	put_text(json, "requested_by", row->requested_by);
	put_instant(json, "requested_at", row->requested_at_us);
	put_instant(json, "expires_at", row->expires_at_us);
	put_text(json, "decided_by", row->decided_by);
	put_instant(json, "decided_at", row->decided_at_us);
	if (row->payload.length > 0) {
		put_raw(json, "proposed", row->payload);
	}
	if (row->devices.length > 0) {
		put_raw(json, "devices", row->devices);
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
	const int64_t after = listing->paging.after.length > 0 ? strtoll(listing->paging.after.bytes, NULL, 10) : 0;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_approval_list(call_transaction(call, store_directory()), after, !listing->all, tenants, count, listing->paging.limit);
	call_start(call);
}

static void answer_list(struct call *call)
{
	const struct listing *listing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, 0);
	char last[24] = "";

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct approval_row row;

		store_approval_read(&call->transaction, 0, i, &row);
		approval_json(&json, NULL, &row);
		(void)snprintf(last, sizeof last, "%" PRId64, row.approval_id);
	}
	put_list_end(&json);
	paging_write(&json, &listing->paging, count, text_of(last));
	put_object_end(&json);
	call_answer(call, 200, &body);
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
			answer_list(call);
		}
	}
}

// --- one ---

struct deciding {
	int64_t approval_id;
	struct rules_cost cost;
	struct rules_cost_statements at;
	struct buffer payload, reason;
	int64_t tenant_id, base_version, changes;
	struct text slug;
	bool is_stale; // to be closed as such
	bool is_job;   // which is costed again while it is carried out
	struct tenant_row tenant;
};

static void finish(struct call *call)
{
	struct deciding *deciding = call->own;

	rules_cost_fini(&deciding->cost);
	buffer_fini(&deciding->payload);
	buffer_fini(&deciding->reason);
}

static bool read_id(struct call *call)
{
	const struct text id = call->request->parameters[0];
	struct deciding *deciding = call_own(call, sizeof *deciding);

	deciding->payload = BUFFER(RULESET_DOCUMENT_MAX);
	deciding->reason = BUFFER(1024);
	deciding->cost.seen_since_us = INSTANT_NONE;
	call_on_finish(call, finish);
	for (size_t i = 0; i < id.length && id.length <= 18; i++) {
		if (id.bytes[i] < '0' || id.bytes[i] > '9') {
			deciding->approval_id = 0;
			break;
		}
		deciding->approval_id = deciding->approval_id * 10 + (id.bytes[i] - '0');
	}
	if (deciding->approval_id == 0) {
		call_problem(call, PROBLEM_APPROVAL_NOT_FOUND, "%s", "");
	}
	return deciding->approval_id != 0;
}

static void find(struct call *call)
{
	(void)store_approval_by_id(call_transaction(call, store_directory()), ((const struct deciding *)call->own)->approval_id);
	call_start(call);
}

// Another tenant's is refused by the same words as one that does not exist.
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
	struct buffer body = BUFFER(CALL_ANSWER_MAX + (16 << 20));
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

// --- approve, reject ---

static bool take_waiting(struct call *call)
{
	struct deciding *deciding = call->own;
	struct approval_row row;

	if (!was_found(call, &row)) {
		return false;
	}
	if (!text_equal(row.state, TEXT("pending"))) {
		call_problem(call, PROBLEM_APPROVAL_CLOSED, "it is %.*s", TEXT_ARGS(row.state));
		return false;
	}
	deciding->tenant_id = row.tenant_id;
	deciding->slug = text_of(arena_copy(&call->request->arena, row.slug));
	deciding->base_version = row.base_version;
	deciding->changes = row.changes;
	deciding->is_job = text_equal(row.kind, TEXT("job"));
	buffer_add_text(&deciding->payload, row.payload);
	buffer_add_text(&deciding->reason, row.reason);
	return true;
}

static bool is_another(struct call *call)
{
	struct approval_row row;

	store_approval_read(&call->transaction, 0, 0, &row);
	if (text_equal(row.requested_by, call->key.key_id)) {
		call_problem(call, PROBLEM_APPROVAL_BY_SAME_KEY, "%s", "");
		return false;
	}
	return true;
}

static void close_as(struct call *call, const char *state, const char *action)
{
	const struct deciding *deciding = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(deciding->tenant_id));

	store_approval_close(transaction, deciding->tenant_id, deciding->approval_id, text_of(state), call->key.key_id);
	store_job_rejected(transaction, deciding->tenant_id, deciding->approval_id);
	call_audit(call, transaction, action, deciding->slug, TEXT_NONE);
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

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call) || !take_waiting(call)) {
			return;
		}
		AWAIT(call, CLOSING, close_as(call, "rejected", "approval.reject"));
		if (!was_closed(call)) {
			return;
		}
		AWAIT(call, READING, find(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}

static void ask_rules(struct call *call)
{
	struct deciding *deciding = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(deciding->tenant_id));

	deciding->at = rules_cost_ask(transaction, deciding->tenant_id);
	(void)store_tenant_by_id(transaction, deciding->tenant_id);
	call_start(call);
}

// False: it has been answered, or is_stale.
static bool compile(struct call *call)
{
	struct deciding *deciding = call->own;
	struct tenant_row tenant;

	store_tenant_read(&call->transaction, deciding->at.instances + 1, 0, &tenant);
	deciding->tenant = (struct tenant_row){ .brake_devices = tenant.brake_devices, .brake_percent = tenant.brake_percent };
	if (!rules_cost_compile(call, &deciding->cost, deciding->at, &tenant, buffer_text(&deciding->payload))) {
		return false;
	}
	deciding->is_stale = deciding->cost.version != deciding->base_version;
	return !deciding->is_stale;
}

// What was approved is a number of devices: more than that is another change.
static bool has_grown(const struct call *call)
{
	const struct deciding *deciding = call->own;

	return rules_cost_needs_approval(&deciding->cost, &deciding->tenant, deciding->changes);
}

static void apply(struct call *call)
{
	const struct deciding *deciding = call->own;
	const struct rules_row rules = {
		.document = ruleset_document(deciding->cost.after), .reason = buffer_text(&deciding->reason), .made_by = call->key.key_id,
	};
	struct pg_transaction *transaction = call_transaction(call, store_api(deciding->tenant_id));

	(void)store_rules_put(transaction, deciding->tenant_id, deciding->base_version, &rules);
	store_approval_grant(transaction, deciding->tenant_id, deciding->approval_id, call->key.key_id);
	call_audit(call, transaction, "approval.approve", deciding->slug, TEXT_NONE);
	call_start(call);
}

static void let_job_go_on(struct call *call)
{
	const struct deciding *deciding = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(deciding->tenant_id));

	store_job_approved(transaction, deciding->tenant_id, deciding->approval_id);
	store_approval_grant(transaction, deciding->tenant_id, deciding->approval_id, call->key.key_id);
	call_audit(call, transaction, "approval.approve", deciding->slug, TEXT_NONE);
	call_start(call);
}

void approval_approve(struct call *call)
{
	enum { NEW, FINDING, READING, COSTING, APPLYING, CLOSING, LETTING_GO_ON, READING_BACK, READING_JOB_BACK };
	struct deciding *deciding = call->own;

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call) || !take_waiting(call) || !is_another(call)) {
			return;
		}
		if (((struct deciding *)call->own)->is_job) {
			AWAIT(call, LETTING_GO_ON, let_job_go_on(call));
			if (!was_closed(call)) {
				return;
			}
			job_runner_wake(call->service->job_runner);
			AWAIT(call, READING_JOB_BACK, find(call));
			if (!call_failed(call)) {
				answer_one(call);
			}
			return;
		}
		AWAIT(call, READING, ask_rules(call));
		if (call_failed(call)) {
			return;
		}
		if (!compile(call) && !deciding->is_stale) {
			return;
		}
		while (!deciding->cost.complete && !deciding->is_stale) {
			AWAIT(call, COSTING, rules_cost_read(call, &deciding->cost));
			if (call_failed(call)) {
				return;
			}
			rules_cost_take(call, &deciding->cost);
		}
		if (deciding->is_stale || has_grown(call)) {
			AWAIT(call, CLOSING, close_as(call, "stale", "approval.stale"));
			if (was_closed(call)) {
				call_problem(call, PROBLEM_APPROVAL_STALE, "%s", deciding->is_stale ? "other rules are in force now" : "it would move more devices now");
			}
			return;
		}
		AWAIT(call, APPLYING, apply(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_APPROVAL_STALE, "%s", "");
			return;
		}
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, READING_BACK, find(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}
