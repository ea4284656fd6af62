// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/rules: where devices go. The ETag is the version in force.
#include "api/body.h"
#include "api/json_out.h"
#include "api/resources.h"
#include "store/instances.h"

#include <inttypes.h>
#include <stdio.h>

static void answer(struct call *call, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct rules_row rules = { .made_at_us = INSTANT_NONE }; // before the first ones: version 0, everything is held
	char etag[24];

	if (pg_row_count(&call->transaction, statement) > 0) {
		store_rules_read(&call->transaction, statement, 0, &rules);
	}
	(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", rules.version);
	http_answer_header(call->request, "ETag", etag);
	put_object(&json, NULL);
	put_int(&json, "version", rules.version);
	put_text(&json, "default", rules.default_instance);
	put_instant(&json, "made_at", rules.made_at_us);
	put_text(&json, "made_by", rules.made_by);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask(struct call *call)
{
	(void)store_rules_current(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

void rules_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call, 0);
		}
	}
}

// --- PUT ---

struct putting {
	struct text name; // empty: hold
	int64_t expected_version;
	int64_t instance_id;
	unsigned read_back;
};

static const struct body_member members[] = {
	{ "default", BODY_TEXT, .required = true, .nullable = true, .minimum = 1, .maximum = 63 },
};

static bool read_request(struct call *call)
{
	struct putting *putting = call_own(call, sizeof *putting);
	struct body_value value;

	if (!body_read(call, members, &value, 1) || !call_if_match(call, &putting->expected_version)) {
		return false;
	}
	putting->name = value.text;
	return true;
}

static void find_instance(struct call *call)
{
	const struct putting *putting = call->own;

	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		putting->name);
	call_start(call);
}

static bool instance_was_found(struct call *call)
{
	struct putting *putting = call->own;
	struct instance_row row;

	if (putting->name.length == 0) {
		return true;
	}
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(putting->name));
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &row);
	if (text_equal(row.state, TEXT("retired"))) {
		call_problem(call, PROBLEM_INSTANCE_RETIRED, "%.*s", TEXT_ARGS(putting->name));
		return false;
	}
	putting->instance_id = row.instance_id;
	return true;
}

static void put_rules(struct call *call)
{
	struct putting *putting = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_rules_put(transaction, tenant_id, putting->expected_version, putting->instance_id, call->key.key_id);
	putting->read_back = store_rules_current(transaction, tenant_id);
	call_audit(call, transaction, "rules.put", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void rules_put(struct call *call)
{
	enum { NEW, FINDING, PUTTING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, FINDING, find_instance(call));
		if (call_failed(call) || !instance_was_found(call)) {
			return;
		}
		AWAIT(call, PUTTING, put_rules(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_PRECONDITION_FAILED, "another version is in force");
		} else if (!call_failed(call)) {
			answer(call, ((const struct putting *)call->own)->read_back);
		}
	}
}
