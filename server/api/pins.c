// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices/{serial}/pin: where one device goes, whatever the rules say.
#include "api/body.h"
#include "api/pin_json.h"
#include "api/resources.h"
#include "store/instances.h"

#include <assert.h>

enum { SERIAL_MAX = 64, REASON_MAX = 256 };

struct pinning {
	struct pin_row pin;
	bool is_hold;
	unsigned read_back;
};

// As Apple writes them (device.h, law 2). False: it is none, and that has been answered.
static bool read_serial(struct call *call, struct text *out)
{
	const struct text given = call->request->parameters[1];
	char *copy = arena_copy(&call->request->arena, given);

	assert(copy != NULL);
	if (given.length == 0 || given.length > SERIAL_MAX || !text_is_utf8(given)) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "a serial number has 1 to %d bytes", SERIAL_MAX);
		return false;
	}
	for (size_t i = 0; i < given.length; i++) {
		copy[i] = (char)(copy[i] >= 'a' && copy[i] <= 'z' ? copy[i] - 'a' + 'A' : copy[i]);
	}
	*out = (struct text){ copy, given.length };
	return true;
}

static const struct body_member members[] = {
	{ "instance", BODY_TEXT, .minimum = 1, .maximum = 63 },
	{ "hold", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
	{ "reason", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
};

static bool read_pin(struct call *call)
{
	enum { INSTANCE, HOLD, REASON, COUNT };
	struct body_value values[COUNT];
	struct pinning *pinning = call_own(call, sizeof *pinning);

	if (!read_serial(call, &pinning->pin.serial_number) || !body_read(call, members, values, COUNT)) {
		return false;
	}
	if (values[INSTANCE].given == values[HOLD].given) {
		call_problem(call, PROBLEM_BAD_BODY, "either instance, or hold with the reason");
		return false;
	}
	pinning->is_hold = values[HOLD].given;
	pinning->pin.instance = values[INSTANCE].text;
	pinning->pin.reason = pinning->is_hold ? values[HOLD].text : values[REASON].text;
	pinning->pin.made_by = call->key.key_id;
	return true;
}

static void find_instance(struct call *call)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		((const struct pinning *)call->own)->pin.instance);
	call_start(call);
}

static bool instance_was_found(struct call *call)
{
	struct pinning *pinning = call->own;
	struct instance_row row;

	if (pinning->is_hold) {
		return true;
	}
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(pinning->pin.instance));
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &row);
	if (text_equal(row.state, TEXT("retired"))) {
		call_problem(call, PROBLEM_INSTANCE_RETIRED, "%.*s", TEXT_ARGS(pinning->pin.instance));
		return false;
	}
	pinning->pin.instance_id = row.instance_id;
	return true;
}

static void put_pin(struct call *call)
{
	struct pinning *pinning = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_pin_put(transaction, tenant_id, &pinning->pin);
	pinning->read_back = store_pin_select(transaction, tenant_id, pinning->pin.serial_number);
	call_audit(call, transaction, "device.pin", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void pin_json(struct json_out *json, const char *name, const struct pin_row *pin)
{
	put_object(json, name);
	put_text(json, "serial_number", pin->serial_number);
	put_text(json, "instance", pin->instance); // null: held
	put_text(json, "reason", pin->reason);
	put_instant(json, "made_at", pin->made_at_us);
	put_text(json, "made_by", pin->made_by);
	put_object_end(json);
}

// The rule that would do for all of its kind what the pin does for one device.
static void offer_rule(struct json_out *json, const struct pin_row *pin)
{
	if (pin->instance.length == 0) {
		put_null(json, "offered_rule");
		return;
	}
	put_object(json, "offered_rule");
	put_object(json, "when");
	put_list(json, "serial");
	put_text(json, NULL, pin->serial_number);
	put_list_end(json);
	put_object_end(json);
	put_object(json, "then");
	put_text(json, "instance", pin->instance);
	put_object_end(json);
	put_object_end(json);
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct pin_row pin;

	store_pin_read(&call->transaction, ((const struct pinning *)call->own)->read_back, 0, &pin);
	put_object(&json, NULL);
	pin_json(&json, "pin", &pin);
	offer_rule(&json, &pin);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void pin_put(struct call *call)
{
	enum { NEW, FINDING, PUTTING };

	switch (call->state) {
	case NEW:
		if (!read_pin(call)) {
			return;
		}
		AWAIT(call, FINDING, find_instance(call));
		if (call_failed(call) || !instance_was_found(call)) {
			return;
		}
		AWAIT(call, PUTTING, put_pin(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}

static void delete_pin(struct call *call)
{
	struct pinning *pinning = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	pinning->read_back = store_pin_delete(transaction, tenant_id, pinning->pin.serial_number);
	call_audit(call, transaction, "device.unpin", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void pin_delete(struct call *call)
{
	enum { NEW, DELETING };
	struct pinning *pinning = call->own;

	switch (call->state) {
	case NEW:
		pinning = call_own(call, sizeof *pinning);
		if (!read_serial(call, &pinning->pin.serial_number)) {
			return;
		}
		AWAIT(call, DELETING, delete_pin(call));
		if (call_failed(call)) {
			return;
		}
		if (pg_row_count(&call->transaction, pinning->read_back) == 0) {
			call_problem(call, PROBLEM_PIN_NOT_FOUND, "%s", "");
		} else {
			call_answer_empty(call, 204);
		}
	}
}
