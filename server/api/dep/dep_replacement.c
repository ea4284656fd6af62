// SPDX-License-Identifier: Apache-2.0
//
// GET /device/replacementDetails: which device one of the instance's came in the place of, as Apple told depbroker.
#include "api/dep/dep.h"
#include "api/json_out.h"
#include "store/devices.h"
#include "store/replacements.h"

enum { ANSWER_MAX = 1024 };
enum { DEVICES, REPLACEMENTS }; // the statements

static void ask(struct call *call, struct text serial)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_device_by_serials(transaction, tenant_id, &serial, 1);
	(void)store_replacement_of(transaction, tenant_id, serial);
	call_start(call);
}

static bool is_ours(struct call *call)
{
	struct device_row row;

	if (pg_row_count(&call->transaction, DEVICES) == 0) {
		return false;
	}
	store_device_read(&call->transaction, DEVICES, 0, &row);
	return row.gone_at_us == INSTANT_NONE && row.instance_id == dep_of(call)->place.instance_id;
}

static bool find(struct call *call, struct text serial, struct replacement_row *out)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, REPLACEMENTS); i++) {
		store_replacement_read(&call->transaction, REPLACEMENTS, i, out);
		if (text_equal(out->serial_number, serial)) {
			return true;
		}
	}
	return false;
}

static void answer(struct call *call, struct text serial)
{
	struct buffer body = BUFFER(ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct replacement_row row;

	if (!is_ours(call) || !find(call, serial, &row)) {
		dep_answer_word(call, 404, "DEVICE_NOT_FOUND");
	} else if (row.original_serial_number.length == 0 && row.ask_at_us != INSTANT_NONE) {
		call_problem(call, PROBLEM_APPLE_UNREACHABLE, "%s", ""); // it is still to be asked
	} else if (row.original_serial_number.length == 0) {
		dep_answer_word(call, 404, "DEVICE_NOT_FOUND");
	} else {
		put_object(&json, NULL);
		put_text(&json, "serial_number", row.serial_number);
		put_text(&json, "original_device_serial_number", row.original_serial_number);
		if (row.replacement_date.length > 0) {
			put_text(&json, "replacement_date", row.replacement_date);
		}
		put_object_end(&json);
		dep_answer_json(call, &body);
	}
}

void dep_replacement(struct call *call)
{
	enum { NEW, READING };
	const struct text serial = http_request_query(call->request, "device");

	switch (call->state) {
	case NEW:
		if (serial.length == 0) {
			dep_answer_word(call, 400, "DEVICE_ID_REQUIRED");
			return;
		}
		AWAIT(call, READING, ask(call, serial));
		if (!call_failed(call)) {
			answer(call, serial);
		}
	}
}
