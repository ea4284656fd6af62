// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices/{serial}/labels: the labels of a device itself, which rules ask. Jobs give them to many.
#include "api/body.h"
#include "api/devices_cost.h"
#include "api/labels.h"
#include "api/resources.h"
#include "store/jobs.h"

enum { REASON_MAX = 256, LIST_MAX = 4096 };

static void answer(struct call *call, struct text serial, unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct device_labels_row row = { .made_at_us = INSTANT_NONE };

	if (pg_row_count(&call->transaction, statement) == 1) {
		store_device_labels_read(&call->transaction, statement, 0, &row);
	}
	put_object(&json, NULL);
	put_text(&json, "serial_number", serial);
	labels_json(&json, row.labels);
	put_instant(&json, "made_at", row.made_at_us);
	put_text(&json, "made_by", row.made_by);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

// --- GET ---

static void ask(struct call *call)
{
	(void)store_device_labels(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, call->request->parameters[1]);
	call_start(call);
}

void device_labels_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call, call->request->parameters[1], 0);
		}
	}
}

// --- PATCH ---

struct labelling {
	struct text serial, labels, reason;
	struct devices_cost cost;
	struct ruleset_label after[FACT_LABELS_MAX];
	unsigned read_back;
	struct change described;
};

static void finish(struct call *call)
{
	devices_cost_fini(&((struct labelling *)call->own)->cost);
}

static bool read_labels(struct call *call)
{
	enum { LABELS, REASON, MEMBERS };
	static const struct body_member members[MEMBERS] = {
		[LABELS] = { .name = "labels", .kind = BODY_TEXTS, .required = true, .maximum = LABELS_MAX },
		[REASON] = { "reason", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
	};
	struct labelling *labelling = call_own(call, sizeof *labelling);
	struct body_value values[MEMBERS];

	devices_cost_init(&labelling->cost, LIST_MAX);
	call_on_finish(call, finish);
	if (!call_serial(call, call->request->parameters[1], &labelling->serial)) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "a serial number has 1 to %d bytes", CALL_SERIAL_MAX);
		return false;
	}
	if (!body_read(call, members, values, MEMBERS)) {
		return false;
	}
	labelling->reason = values[REASON].text;
	labelling->labels = labels_join(&call->request->arena, values[LABELS].texts, values[LABELS].count);
	if (labelling->labels.bytes == NULL) {
		call_problem(call, PROBLEM_BAD_BODY, LABELS_LAW, LABELS_MAX, LABEL_MAX);
		return false;
	}
	return true;
}

static void ask_cost(struct call *call)
{
	struct labelling *labelling = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	devices_cost_ask(&labelling->cost, call_transaction(call, store_api(tenant_id)), tenant_id, &labelling->serial, 1);
	call_start(call);
}

static void relabel(struct ruleset_device *device, void *argument)
{
	struct labelling *labelling = argument;

	store_fact_label(device, labelling->after, labelling->labels, labelling->cost.rules.labels, labelling->cost.rules.label_count);
}

static void put(struct call *call)
{
	struct labelling *labelling = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	change_begin(call, t, &labelling->described);
	labelling->read_back = store_device_labels_put(t, tenant_id,
		&(struct device_labels_row){ .labels = labelling->labels, .made_by = call->key.key_id }, labelling->serial);
	change_settle(call, t, &labelling->described);
	call_audit(call, t, "device.label", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void device_labels_change(struct call *call)
{
	enum { NEW, READING, REQUESTING, PUTTING };
	struct labelling *labelling = call->own;

	switch (call->state) {
	case NEW:
		if (!read_labels(call)) {
			return;
		}
		AWAIT(call, READING, ask_cost(call));
		if (call_failed(call) || !devices_cost_take(call, &labelling->cost, relabel, labelling)) {
			return;
		}
		labelling->described = devices_cost_change(call, &labelling->cost, "labels", labelling->reason);
		if (change_needs_approval(call, &labelling->described)) {
			AWAIT(call, REQUESTING, change_request(call, &labelling->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, PUTTING, put(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "other devices were moved at the same moment");
		} else if (!call_failed(call)) {
			answer(call, labelling->serial, labelling->read_back);
		}
	}
}
