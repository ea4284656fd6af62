// SPDX-License-Identifier: Apache-2.0
//
// /audit: who changed what, of all tenants, deleted ones included
#include "api/paging.h"
#include "api/resources.h"
#include "store/audit.h"

struct reading {
	int64_t after;
	int64_t limit;
};

static bool read_request(struct call *call)
{
	struct reading *reading = call_own(call, sizeof *reading);

	if (!call->key.all_tenants) {
		call_problem(call, PROBLEM_FORBIDDEN, "the audit is of all tenants, and the key is of some");
		return false;
	}
	return paging_number(call, "after", &reading->after) && paging_limit(call, &reading->limit);
}

static void ask(struct call *call)
{
	const struct reading *reading = call->own;

	(void)store_audit_list(call_transaction(call, store_directory()), reading->after, (int)reading->limit);
	call_start(call);
}

static void answer(struct call *call)
{
	const struct reading *reading = call->own;
	const size_t count = pg_row_count(&call->transaction, 0);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	int64_t last = reading->after;

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct audit_row row;

		store_audit_read(&call->transaction, 0, i, &row);
		put_object(&json, NULL);
		put_int(&json, "seq", row.seq);
		put_instant(&json, "at", row.at_us);
		put_text(&json, "actor", row.actor);
		put_text(&json, "action", row.action);
		put_text(&json, "target", row.target);
		put_raw(&json, "detail", row.detail);
		put_text(&json, "hash", row.hash);
		put_object_end(&json);
		last = row.seq;
	}
	put_list_end(&json);
	put_int(&json, "after", last);
	put_bool(&json, "more", count == (size_t)reading->limit);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void audit_list(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
