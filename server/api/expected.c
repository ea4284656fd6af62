// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/expected: PUT replaces the list of devices that are to come, POST adds to it, GET shows what became of them
#include "api/expected.h"

#include "api/json_out.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/stream.h"

static const char *const states[] = { "arrived", "awaited", "overdue", "unexpected" };

struct putting {
	struct expected_csv csv;
	enum expected_hold hold;
	unsigned list, counts; // the statements that read back
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

static void finish(struct call *call)
{
	struct putting *putting = call->own;

	expected_csv_fini(&putting->csv);
}

static bool replaces(const struct call *call)
{
	return text_equal(call->request->method, TEXT("PUT"));
}

// A list that is put says what becomes of what is not on it; one that is added changes that only if it says so.
static bool read_hold(struct call *call)
{
	struct putting *putting = call->own;
	const bool is_said = http_request_query(call->request, "hold").bytes != NULL;
	bool hold = false;

	if (!call_flag(call, "hold", &hold)) {
		return false;
	}
	putting->hold = hold ? EXPECTED_HOLD : is_said || replaces(call) ? EXPECTED_HOLD_NOT : EXPECTED_HOLD_AS_IT_WAS;
	return true;
}

static bool read_list(struct call *call)
{
	struct putting *putting = call_own(call, sizeof *putting);
	struct fault fault = { 0 };

	call_on_finish(call, finish);
	if (!read_hold(call)) {
		return false;
	}
	if (expected_csv_read(&putting->csv, call->request->body, &call->request->arena, &fault) != OK) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "%s", fault.text);
		return false;
	}
	if (putting->csv.count == 0 && !replaces(call)) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "it has no devices");
		return false;
	}
	return true;
}

static void store(struct call *call)
{
	struct putting *putting = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_due_request(transaction, tenant_id, DUE_WAKE);
	store_expected_put(transaction, tenant_id, putting->csv.rows, putting->csv.count, replaces(call), putting->hold,
		call->key.key_id);
	putting->list = store_expected_list(transaction, tenant_id);
	putting->counts = store_expected_count(transaction, tenant_id);
	call_audit(call, transaction, replaces(call) ? "expected.put" : "expected.add", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_put(struct call *call)
{
	const struct putting *putting = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_int(&json, "rows", (int64_t)putting->csv.count);
	put_summary(&json, call, putting->list, putting->counts);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void expected_put(struct call *call)
{
	enum { NEW, STORING };

	switch (call->state) {
	case NEW:
		if (!read_list(call)) {
			return;
		}
		AWAIT(call, STORING, store(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "the list names one that the tenant does not have");
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
