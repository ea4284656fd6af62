// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices/{serial}/labels: the labels of a device itself. Jobs put them.
#include "api/call.h"
#include "api/job_json.h"
#include "api/resources.h"

static void ask(struct call *call)
{
	(void)store_device_labels(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, call->request->parameters[1]);
	call_start(call);
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct device_labels_row row = { .made_at_us = INSTANT_NONE };

	if (pg_row_count(&call->transaction, 0) == 1) {
		store_device_labels_read(&call->transaction, 0, 0, &row);
	}
	put_object(&json, NULL);
	put_text(&json, "serial_number", call->request->parameters[1]);
	labels_json(&json, row.labels);
	put_instant(&json, "made_at", row.made_at_us);
	put_text(&json, "made_by", row.made_by);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void device_labels_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
