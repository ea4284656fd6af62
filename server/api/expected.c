// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/expected: PUT replaces the list of devices that are to come, POST adds to it, GET shows what became of them
#include "api/expected.h"

#include "api/call_work.h"
#include "api/json_out.h"
#include "api/paging.h"
#include "api/resources.h"

#include <assert.h>

static const char *const states[] = { "arrived", "awaited", "overdue", "unexpected" };

struct putting {
	struct expected_csv csv;
	struct expected_cost cost;
	json_t *approved; // what was asked for, of an approval
	struct text list;
	struct buffer payload, devices; // JSON, of a change that needs one
	struct change_cost total;
	struct change described;
	unsigned list_at, counts_at; // the statements that read back
};

// --- the list as a whole ---

static void put_summary(struct json_out *json, const struct call *call, unsigned list, unsigned counts)
{
	struct expected_list_row row = { .since_us = INSTANT_NONE, .uploaded_at_us = INSTANT_NONE };
	struct expected_counts count;

	if (pg_row_count(&call->transaction, list) == 1) {
		store_expected_list_read(&call->transaction, list, 0, &row);
	}
	store_expected_count_read(&call->transaction, counts, &count);
	put_int(json, "version", row.version);
	put_instant(json, "since", row.since_us);
	put_instant(json, "uploaded_at", row.uploaded_at_us);
	put_text(json, "uploaded_by", row.uploaded_by);
	put_bool(json, "hold", row.holds);
	put_object(json, "counts");
	put_int(json, "arrived", count.arrived);
	put_int(json, "awaited", count.awaited);
	put_int(json, "overdue", count.overdue);
	put_int(json, "unexpected", count.unexpected);
	put_object_end(json);
}

// --- PUT, POST ---

enum { PAYLOAD_MAX = 4 * EXPECTED_LIST_MAX };

static void finish(struct call *call)
{
	struct putting *putting = call->own;

	expected_csv_fini(&putting->csv);
	rules_cost_fini(&putting->cost.rules);
	json_decref(putting->approved);
	buffer_fini(&putting->payload);
	buffer_fini(&putting->devices);
}

// A list that is put says what becomes of what is not on it; one that is added changes that only if it says so.
static bool read_request(struct call *call)
{
	struct putting *putting = call->own;
	const bool is_said = http_request_query(call->request, "hold").bytes != NULL;
	bool hold = false;

	if (!call_flag(call, "hold", &hold)) {
		return false;
	}
	putting->list = call->request->body;
	putting->cost.replaces = text_equal(call->request->method, TEXT("PUT"));
	putting->cost.hold = hold ? EXPECTED_HOLD : is_said || putting->cost.replaces ? EXPECTED_HOLD_NOT : EXPECTED_HOLD_AS_IT_WAS;
	return true;
}

// As write_payload wrote it.
static void read_approved(struct call *call)
{
	struct putting *putting = call->own;
	const struct text payload = call->request->body;

	putting->approved = json_loadb(payload.bytes, payload.length, 0, NULL);
	const json_t *list = json_object_get(putting->approved, "list");

	assert(json_is_string(list));
	putting->list = (struct text){ json_string_value(list), json_string_length(list) };
	putting->cost.replaces = json_is_true(json_object_get(putting->approved, "replaces"));
	putting->cost.hold = (enum expected_hold)json_integer_value(json_object_get(putting->approved, "hold"));
}

static bool read_list(struct call *call)
{
	struct putting *putting = call->own;
	struct fault fault = { 0 };

	if (call->granted != NULL) {
		read_approved(call);
	} else if (!read_request(call)) {
		return false;
	}
	if (expected_csv_read(&putting->csv, putting->list, &call->request->arena, &fault) != OK) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "%s", fault.text);
		return false;
	}
	if (putting->csv.count == 0 && !putting->cost.replaces) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "it has no devices");
		return false;
	}
	return true;
}

static void begin_putting(struct call *call)
{
	struct putting *putting = call_own(call, sizeof *putting);

	putting->payload = BUFFER(PAYLOAD_MAX);
	putting->devices = BUFFER(CALL_ANSWER_MAX);
	putting->cost.rules.seen_since_us = INSTANT_NONE;
	putting->cost.csv = &putting->csv;
	call_on_finish(call, finish);
	call_work(call, read_list);
}

static void write_payload(struct putting *putting)
{
	struct json_out json = { .out = &putting->payload };

	put_object(&json, NULL);
	put_bool(&json, "replaces", putting->cost.replaces);
	put_int(&json, "hold", putting->cost.hold);
	put_text(&json, "list", putting->list);
	put_object_end(&json);
}

// What it lets go is moved, from being held to where the rules send it.
static void describe(struct call *call)
{
	struct putting *putting = call->own;
	struct json_out json = { .out = &putting->devices };
	struct text last;
	const int64_t changes = (int64_t)rules_cost_moved(&json, NULL, &putting->cost.rules, TEXT_NONE, SIZE_MAX, &last);
	const int64_t present = call->tenant_status.devices > changes ? call->tenant_status.devices : changes;

	write_payload(putting);
	putting->total = (struct change_cost){
		.tenant_id = call->tenant.tenant_id,
		.limits = store_account_limits(&call->tenant, &putting->cost.rules.account),
		.blast = { .present = present, .changes = changes, .spent = putting->cost.rules.account.spent },
	};
	putting->described = (struct change){
		.kind = "expected",
		.tenant_id = call->tenant.tenant_id,
		.payload = buffer_text(&putting->payload),
		.base_version = -1, // the devices that it lets go tell whether anything has changed
		.devices = { putting->devices.bytes + 1, putting->devices.length - 2 },
		.costs = &putting->total,
		.cost_count = 1,
	};
}

static void store(struct call *call)
{
	struct putting *putting = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	const bool replaces = putting->cost.replaces;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	change_begin(call, transaction, &putting->described);
	store_expected_put(transaction, tenant_id, putting->csv.rows, putting->csv.count, replaces, putting->cost.hold, call->key.key_id);
	putting->list_at = store_expected_list(transaction, tenant_id);
	putting->counts_at = store_expected_count(transaction, tenant_id);
	change_settle(call, transaction, &putting->described);
	call_audit(call, transaction, replaces ? "expected.put" : "expected.add", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_put(struct call *call)
{
	const struct putting *putting = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_int(&json, "rows", (int64_t)putting->csv.count);
	put_summary(&json, call, putting->list_at, putting->counts_at);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void expected_put(struct call *call)
{
	enum { NEW, READING, ASKING, COSTING, REQUESTING, STORING };
	struct putting *putting = call->own;

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, begin_putting(call));
		if (!call_worked(call)) {
			return;
		}
		AWAIT(call, ASKING, expected_cost_ask(call, &putting->cost));
		if (call_failed(call) || !expected_cost_compile(call, &putting->cost)) {
			return;
		}
		while (!putting->cost.rules.complete) {
			AWAIT(call, COSTING, expected_cost_read(call, &putting->cost));
			if (call_failed(call)) {
				return;
			}
			expected_cost_take(call, &putting->cost);
		}
		describe(call);
		if (change_needs_approval(call, &putting->described)) {
			AWAIT(call, REQUESTING, change_request(call, &putting->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, STORING, store(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "the list, or something else of the tenant, was changed at the same moment");
		} else if (!call_failed(call)) {
			answer_put(call);
		}
	}
}

// --- GET ---

struct showing {
	struct paging paging;
	struct text state;
};

static bool read_query(struct call *call)
{
	struct showing *showing = call_own(call, sizeof *showing);
	bool is_known = false;

	showing->state = http_request_query(call->request, "state");
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		is_known = is_known || text_equal_string(showing->state, states[i]);
	}
	if (showing->state.bytes != NULL && !is_known) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "state is arrived, awaited, overdue or unexpected");
		return false;
	}
	return paging_read(call, &showing->paging, "expected");
}

enum { LIST, COUNTS, EXPECTATIONS }; // the statements

static void ask(struct call *call)
{
	const struct showing *showing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_expected_list(transaction, tenant_id);
	(void)store_expected_count(transaction, tenant_id);
	(void)store_expectations(transaction, tenant_id, showing->paging.after, showing->state, showing->paging.limit);
	call_start(call);
}

static void put_expectation(struct json_out *json, const struct expectation_row *row)
{
	put_object(json, NULL);
	put_text(json, "serial_number", row->expected.serial_number);
	put_text(json, "state", row->state);
	put_text(json, "expected_by", row->expected.due_on);
	put_text(json, "note", row->expected.note);
	put_text(json, "instance", row->expected.instance);
	put_instant(json, "arrived_at", row->arrived_at_us);
	put_text(json, "arrived_instance", row->arrived_at);
	put_object_end(json);
}

static void answer(struct call *call)
{
	const struct showing *showing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, EXPECTATIONS);
	struct expectation_row row = { 0 };

	put_object(&json, NULL);
	put_summary(&json, call, LIST, COUNTS);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		store_expectation_read(&call->transaction, EXPECTATIONS, i, &row);
		put_expectation(&json, &row);
	}
	put_list_end(&json);
	paging_write(&json, &showing->paging, count, row.expected.serial_number);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void expected_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_query(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
