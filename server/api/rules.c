// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/rules, .../rules/versions, .../rules/preview: where devices go. The ETag is the version in force.
#include "api/paging.h"
#include "api/resources.h"
#include "api/rules_cost.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REASON_MAX = 400, ROLLBACK_MAX = 64, DAYS_MAX = 3650 };

static void rules_members(struct json_out *json, const struct rules_row *rules)
{
	put_int(json, "version", rules->version);
	put_instant(json, "made_at", rules->made_at_us);
	put_text(json, "made_by", rules->made_by);
	put_text(json, "reason", rules->reason);
}

static void put_etag(struct call *call, int64_t version)
{
	char etag[24];

	(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", version);
	http_answer_header(call->request, "ETag", etag);
}

// The document's members become those of the answer.
static void document_members(struct json_out *json, const struct ruleset *rules)
{
	const struct text document = ruleset_document(rules);

	if (json->comma) {
		buffer_add_string(json->out, ",");
	}
	buffer_add(json->out, document.bytes + 1, document.length - 2);
	json->comma = true;
}

// --- GET ---

struct showing {
	int64_t version; // 0: in force
	struct rules_cost_statements at;
	struct rules_cost cost; // for its instances
};

static void finish_showing(struct call *call)
{
	rules_cost_fini(&((struct showing *)call->own)->cost);
}

static void ask(struct call *call)
{
	struct showing *showing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	showing->at.rules = showing->version > 0 ? store_rules_by_version(transaction, tenant_id, showing->version)
		: store_rules_current(transaction, tenant_id);
	showing->at.instances = store_instance_list(transaction, tenant_id);
	call_start(call);
}

static void answer_none(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_etag(call, 0);
	put_object(&json, NULL);
	rules_members(&json, &(struct rules_row){ .made_at_us = INSTANT_NONE });
	put_raw(&json, "otherwise", TEXT("{\"hold\":\"there are no rules yet\"}"));
	put_raw(&json, "rules", TEXT("[]"));
	put_raw(&json, "warnings", TEXT("[]"));
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void answer_rules(struct call *call, const struct rules_row *row, const struct ruleset *rules)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_etag(call, row->version);
	put_object(&json, NULL);
	rules_members(&json, row);
	document_members(&json, rules);
	rules_cost_warnings(&json, rules);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void show(struct call *call)
{
	struct showing *showing = call->own;
	struct rules_row row;

	if (pg_row_count(&call->transaction, showing->at.rules) == 0) {
		if (showing->version > 0) {
			call_problem(call, PROBLEM_RULES_VERSION_NOT_FOUND, "%" PRId64, showing->version);
		} else {
			answer_none(call);
		}
		return;
	}
	store_rules_read(&call->transaction, showing->at.rules, 0, &row);
	showing->cost.before = rules_cost_in_force(call, &showing->cost, showing->at.instances, row.document);
	if (showing->cost.before != NULL) {
		answer_rules(call, &row, showing->cost.before);
	}
}

void rules_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		call_own(call, sizeof(struct showing));
		call_on_finish(call, finish_showing);
		if (!paging_number(call, "version", &((struct showing *)call->own)->version)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			show(call);
		}
	}
}

// --- GET .../versions ---

static void ask_versions(struct call *call)
{
	const struct paging *paging = call->own;

	(void)store_rules_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		paging_after_number(paging, INT64_MAX), paging->limit);
	call_start(call);
}

static void put_version(struct json_out *json, const struct pg_transaction *t, size_t at, struct buffer *key)
{
	struct rules_row row;

	store_rules_read(t, 0, at, &row);
	put_object(json, NULL);
	rules_members(json, &row);
	put_object_end(json);
	paging_number_key(key, row.version);
}

void rules_versions(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "rules")) {
			return;
		}
		AWAIT(call, READING, ask_versions(call));
		if (!call_failed(call)) {
			paging_answer(call, call->own, put_version);
		}
	}
}

// --- PUT, POST .../preview ---

struct putting {
	struct rules_cost cost;
	struct rules_cost_statements at;
	bool dry_run;
	int64_t expected_version; // -1: any
	int64_t again; // the version that is put once more; 0: the body is the document
	unsigned again_at;
	struct text reason;
	struct buffer devices; // JSON: those that move
	struct change_cost total;
	int64_t days;
	struct paging paging; // of a preview
	unsigned read_back;
};

static void finish_putting(struct call *call)
{
	struct putting *putting = call->own;

	rules_cost_fini(&putting->cost);
	buffer_fini(&putting->devices);
}

static struct putting *begin(struct call *call)
{
	struct putting *putting = call_own(call, sizeof *putting);

	putting->expected_version = -1;
	putting->cost.seen_since_us = INSTANT_NONE;
	putting->reason = change_reason(call);
	putting->devices = BUFFER(CALL_ANSWER_MAX);
	call_on_finish(call, finish_putting);
	return putting;
}

// {"version": 3} alone: those rules once more.
static int64_t version_asked_for(struct text body)
{
	json_t *json = body.length <= ROLLBACK_MAX ? json_loadb(body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const bool alone = json_is_object(json) && json_object_size(json) == 1;
	const json_t *version = alone ? json_object_get(json, "version") : NULL;
	const int64_t number = json_is_integer(version) && json_integer_value(version) > 0 ? json_integer_value(version) : 0;

	json_decref(json);
	return number;
}

static bool read_put(struct call *call)
{
	struct putting *putting = begin(call);

	putting->again = version_asked_for(call->request->body);
	if (putting->reason.length > REASON_MAX) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "reason has at most %d bytes", REASON_MAX);
		return false;
	}
	return call_flag(call, "dry_run", &putting->dry_run) && call_if_match(call, &putting->expected_version);
}

static bool read_preview(struct call *call)
{
	struct putting *putting = begin(call);

	putting->again = version_asked_for(call->request->body);
	if (!paging_read(call, &putting->paging, "rules.preview") || !paging_number(call, "days", &putting->days)) {
		return false;
	}
	if (putting->days > DAYS_MAX) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "days is at most %d", DAYS_MAX);
		return false;
	}
	if (putting->days > 0) {
		putting->cost.seen_since_us = clock_wall_us() - putting->days * DAY_S * SECOND_US;
	}
	return true;
}

static void ask_rules(struct call *call)
{
	struct putting *putting = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	putting->at = rules_cost_ask(transaction, tenant_id);
	putting->again_at = store_rules_by_version(transaction, tenant_id, putting->again);
	call_start(call);
}

static bool compile(struct call *call)
{
	struct putting *putting = call->own;
	struct text document = call->request->body;
	struct rules_row row;

	if (putting->again > 0) {
		if (pg_row_count(&call->transaction, putting->again_at) == 0) {
			call_problem(call, PROBLEM_RULES_VERSION_NOT_FOUND, "%" PRId64, putting->again);
			return false;
		}
		store_rules_read(&call->transaction, putting->again_at, 0, &row);
		document = row.document;
	}
	if (!rules_cost_compile(call, &putting->cost, putting->at, &call->tenant, document)) {
		return false;
	}
	if (putting->expected_version != -1 && putting->expected_version != putting->cost.version) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "another version is in force");
		return false;
	}
	return true;
}

static void answer_preview(struct call *call)
{
	const struct putting *putting = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const int limit = putting->paging.limit > 0 ? putting->paging.limit : PAGE_LIMIT_USUAL;
	struct text last;

	put_object(&json, NULL);
	rules_cost_summary(&json, &putting->cost, &call->tenant);
	const size_t written = rules_cost_moved(&json, "moved", &putting->cost, putting->paging.after, (size_t)limit, &last);

	if (putting->paging.list != NULL) {
		paging_write(&json, &putting->paging, written, last);
	}
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void rules_preview(struct call *call)
{
	enum { NEW, READING, COSTING };
	struct putting *putting = call->own;

	switch (call->state) {
	case NEW:
		if (!read_preview(call)) {
			return;
		}
		AWAIT(call, READING, ask_rules(call));
		if (call_failed(call) || !compile(call)) {
			return;
		}
		while (!putting->cost.complete) {
			AWAIT(call, COSTING, rules_cost_read(call, &putting->cost));
			if (call_failed(call)) {
				return;
			}
			rules_cost_take(call, &putting->cost);
		}
		answer_preview(call);
	}
}

// The list of a change has no brackets.
static void list_devices(struct buffer *out, const struct rules_cost *cost)
{
	struct json_out json = { .out = out };
	struct text last;

	(void)rules_cost_moved(&json, NULL, cost, TEXT_NONE, SIZE_MAX, &last);
}

static struct text without_brackets(const struct buffer *list)
{
	return (struct text){ list->bytes + 1, list->length - 2 };
}

static struct change describe(struct putting *putting, const struct tenant_row *tenant)
{
	putting->total = rules_cost_total(&putting->cost, tenant);
	return (struct change){
		.kind = "rules",
		.tenant_id = tenant->tenant_id,
		.payload = ruleset_document(putting->cost.after),
		.reason = putting->reason,
		.base_version = putting->cost.version,
		.devices = without_brackets(&putting->devices),
		.costs = &putting->total,
		.cost_count = 1,
	};
}

static void put_rules(struct call *call, const struct change *change)
{
	struct putting *putting = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct rules_row rules = {
		.document = ruleset_document(putting->cost.after), .reason = putting->reason, .made_by = call->key.key_id,
	};
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	change_begin(call, transaction, change);
	(void)store_rules_put(transaction, tenant_id, putting->cost.version, &rules);
	putting->read_back = store_rules_current(transaction, tenant_id);
	change_settle(call, transaction, change);
	call_audit(call, transaction, "rules.put", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_put(struct call *call)
{
	const struct putting *putting = call->own;
	struct rules_row row;

	store_rules_read(&call->transaction, putting->read_back, 0, &row);
	answer_rules(call, &row, putting->cost.after);
}

void rules_put(struct call *call)
{
	enum { NEW, READING, COSTING, REQUESTING, PUTTING };
	struct putting *putting = call->own;
	struct change change;

	switch (call->state) {
	case NEW:
		if (!read_put(call)) {
			return;
		}
		AWAIT(call, READING, ask_rules(call));
		if (call_failed(call) || !compile(call)) {
			return;
		}
		while (!putting->cost.complete) {
			AWAIT(call, COSTING, rules_cost_read(call, &putting->cost));
			if (call_failed(call)) {
				return;
			}
			rules_cost_take(call, &putting->cost);
		}
		if (putting->dry_run) {
			answer_preview(call);
			return;
		}
		list_devices(&putting->devices, &putting->cost);
		if (putting->devices.overflow) {
			call_problem(call, PROBLEM_ANSWER_TOO_LARGE, "it moves too many devices at once");
			return;
		}
		change = describe(putting, &call->tenant);
		if (change_needs_approval(call, &change)) {
			AWAIT(call, REQUESTING, change_request(call, &change));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, PUTTING, put_rules(call, &change));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "another version came into force, or other devices were moved, meanwhile");
		} else if (!call_failed(call)) {
			answer_put(call);
		}
	}
}
