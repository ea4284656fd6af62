// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices/{serial}/pin, and /tenants/{tenant}/pins for many: where devices go, whatever the rules say.
#include "api/body.h"
#include "api/devices_cost.h"
#include "api/pin_json.h"
#include "api/resources.h"

#include <assert.h>
#include <string.h>

enum { REASON_MAX = 256, LIST_MAX = STORE_PINS_MAX * (3 * CALL_SERIAL_MAX + 4 * 64 + 1024) };
_Static_assert((int)STORE_PINS_MAX <= (int)BODY_VALUES_MAX / 2, "a body can hold all of them");

struct pinning {
	struct pin_row pin; // as which all of them are pinned
	bool is_hold, is_unpin;
	struct text *serials; // sorted, each once
	size_t count;
	struct devices_cost cost;
	unsigned instance_at, read_back;
	struct change described;
};

static void finish(struct call *call)
{
	devices_cost_fini(&((struct pinning *)call->own)->cost);
}

static struct pinning *begin(struct call *call, size_t most)
{
	struct pinning *pinning = call_own(call, sizeof *pinning);

	devices_cost_init(&pinning->cost, LIST_MAX);
	pinning->serials = arena_take(&call->request->arena, most * sizeof *pinning->serials);
	assert(pinning->serials != NULL);
	pinning->pin.made_by = call->key.key_id;
	call_on_finish(call, finish);
	return pinning;
}

// --- what is asked for ---

static bool read_path(struct call *call, struct pinning *pinning)
{
	if (!call_serial(call, call->request->parameters[1], &pinning->serials[0])) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "a serial number has 1 to %d bytes", CALL_SERIAL_MAX);
		return false;
	}
	pinning->count = 1;
	return true;
}

enum { INSTANCE, HOLD, REASON, ONE, UNPIN = ONE, SERIALS, MANY };
static const struct body_member members[] = {
	[INSTANCE] = { "instance", BODY_TEXT, .minimum = 1, .maximum = 63 },
	[HOLD] = { "hold", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
	[REASON] = { "reason", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
	[UNPIN] = { .name = "unpin", .kind = BODY_FLAG },
	[SERIALS] = { .name = "serial_numbers", .kind = BODY_LIST, .required = true },
};

static void take_pin(struct pinning *pinning, const struct body_value *values)
{
	pinning->is_hold = values[HOLD].given;
	pinning->pin.instance = values[INSTANCE].text;
	pinning->pin.reason = pinning->is_hold ? values[HOLD].text : values[REASON].text;
}

static bool read_pin(struct call *call)
{
	struct body_value values[ONE];
	struct pinning *pinning = begin(call, 1);

	if (!read_path(call, pinning) || !body_read(call, members, values, ONE)) {
		return false;
	}
	if (values[INSTANCE].given == values[HOLD].given) {
		call_problem(call, PROBLEM_BAD_BODY, "either instance, or hold with the reason");
		return false;
	}
	take_pin(pinning, values);
	return true;
}

static bool read_unpin(struct call *call)
{
	struct pinning *pinning = begin(call, 1);

	pinning->is_unpin = true;
	return read_path(call, pinning);
}

static int compare_serials(const void *a, const void *b)
{
	const struct text *left = a, *right = b;
	const int order = memcmp(left->bytes, right->bytes, left->length < right->length ? left->length : right->length);

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

static void sort_serials(struct pinning *pinning)
{
	size_t kept = 0;

	qsort(pinning->serials, pinning->count, sizeof *pinning->serials, compare_serials);
	for (size_t i = 0; i < pinning->count; i++) {
		if (kept == 0 || !text_equal(pinning->serials[kept - 1], pinning->serials[i])) {
			pinning->serials[kept++] = pinning->serials[i];
		}
	}
	pinning->count = kept;
}

static bool read_serials(struct call *call, struct pinning *pinning, const json_t *list)
{
	if (json_array_size(list) == 0 || json_array_size(list) > STORE_PINS_MAX) {
		call_problem(call, PROBLEM_BAD_BODY, "serial_numbers has 1 to %d elements", STORE_PINS_MAX);
		return false;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const struct text given = { json_string_value(item), json_string_length(item) };

		if (!json_is_string(item) || !call_serial(call, given, &pinning->serials[i])) {
			call_problem(call, PROBLEM_BAD_BODY, "serial_numbers[%zu] is no text of 1 to %d bytes", i, CALL_SERIAL_MAX);
			return false;
		}
	}
	pinning->count = json_array_size(list);
	sort_serials(pinning);
	return true;
}

static bool read_pins(struct call *call)
{
	struct body_value values[MANY];
	struct pinning *pinning = begin(call, STORE_PINS_MAX);

	if (!body_read(call, members, values, MANY)) {
		return false;
	}
	pinning->is_unpin = values[UNPIN].flag;
	if (values[INSTANCE].given + values[HOLD].given + pinning->is_unpin != 1) {
		call_problem(call, PROBLEM_BAD_BODY, "either instance, or hold with the reason, or unpin");
		return false;
	}
	take_pin(pinning, values);
	return read_serials(call, pinning, values[SERIALS].object);
}

// --- what it would do ---

static void ask(struct call *call)
{
	struct pinning *pinning = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	pinning->instance_at = store_instance_by_name(t, tenant_id, pinning->pin.instance.length > 0 ? pinning->pin.instance : TEXT(""));
	devices_cost_ask(&pinning->cost, t, tenant_id, pinning->serials, pinning->count);
	call_start(call);
}

static bool instance_was_found(struct call *call)
{
	struct pinning *pinning = call->own;
	struct instance_row row;

	if (pinning->is_hold || pinning->is_unpin) {
		return true;
	}
	if (pg_row_count(&call->transaction, pinning->instance_at) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(pinning->pin.instance));
		return false;
	}
	store_instance_read(&call->transaction, pinning->instance_at, 0, &row);
	if (store_instance_state(&row) == RULESET_INSTANCE_RETIRED) {
		call_problem(call, PROBLEM_INSTANCE_RETIRED, "%.*s%s", TEXT_ARGS(pinning->pin.instance),
			store_instance_is_parking(&row) ? " is for parking" : "");
		return false;
	}
	pinning->pin.instance_id = row.instance_id;
	return true;
}

static void repin(struct ruleset_device *device, void *argument)
{
	const struct pinning *pinning = argument;

	device->is_pinned = !pinning->is_unpin;
	device->pin_instance_id = pinning->is_unpin ? RULESET_INSTANCE_NONE : pinning->pin.instance_id;
	device->pin_reason = pinning->is_unpin ? TEXT_NONE : pinning->pin.reason;
}

// --- done ---

static void put(struct call *call)
{
	struct pinning *pinning = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	change_begin(call, t, &pinning->described);
	if (pinning->is_unpin) {
		pinning->read_back = store_pins_delete(t, tenant_id, pinning->serials, pinning->count);
	} else {
		store_pins_put(t, tenant_id, &pinning->pin, pinning->serials, pinning->count);
		pinning->read_back = store_pin_select(t, tenant_id, pinning->serials[0]);
	}
	change_settle(call, t, &pinning->described);
	call_audit(call, t, pinning->is_unpin ? "device.unpin" : "device.pin", call->tenant.slug, TEXT_NONE);
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

static void answer_pin(struct call *call)
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

static void answer_unpin(struct call *call)
{
	if (pg_row_count(&call->transaction, ((const struct pinning *)call->own)->read_back) == 0) {
		call_problem(call, PROBLEM_PIN_NOT_FOUND, "%s", "");
	} else {
		call_answer_empty(call, 204);
	}
}

static void answer_pins(struct call *call)
{
	const struct pinning *pinning = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t removed = pg_row_count(&call->transaction, pinning->read_back);

	put_object(&json, NULL);
	put_int(&json, "pins", (int64_t)(pinning->is_unpin ? removed : pinning->count));
	put_int(&json, "changes", pinning->cost.total.blast.changes);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void step(struct call *call, const char *kind, bool (*read)(struct call *call), void (*answer)(struct call *call))
{
	enum { NEW, READING, REQUESTING, PUTTING };
	struct pinning *pinning = call->own;

	switch (call->state) {
	case NEW:
		if (!read(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !instance_was_found(call) || !devices_cost_take(call, &pinning->cost, repin, pinning)) {
			return;
		}
		pinning->described = devices_cost_change(call, &pinning->cost, kind, pinning->pin.reason);
		if (change_needs_approval(call, &pinning->described)) {
			AWAIT(call, REQUESTING, change_request(call, &pinning->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, PUTTING, put(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "other devices were moved at the same moment");
		} else if (!call_failed(call)) {
			answer(call);
		}
	}
}

void pin_put(struct call *call)
{
	step(call, "pin", read_pin, answer_pin);
}

void pin_delete(struct call *call)
{
	step(call, "unpin", read_unpin, answer_unpin);
}

void pins_put(struct call *call)
{
	step(call, "pins", read_pins, answer_pins);
}
