// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices, /devices/{serial}: as they are, or as they were at a time
#include "api/call.h"
#include "api/enrolment_json.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/devices.h"
#include "store/instances.h"
#include "store/replacements.h"
#include "tenants/device.h"
#include "tenants/history.h"

#include <string.h>

enum { DEVICE_JSON_MAX = 65536, ANY_INSTANCE = -1, HELD = 0, AHEAD_S = 60 };

// The name of a device's instance; the client's instances are the statement `instances`.
static struct text instance_name(const struct call *call, unsigned instances, int64_t instance_id)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, instances); i++) {
		struct instance_row row;

		store_instance_read(&call->transaction, instances, i, &row);
		if (row.instance_id == instance_id) {
			return row.name;
		}
	}
	return TEXT_NONE;
}

static void assignment_json(struct json_out *json, const struct device_row *row)
{
	put_object(json, "assignment");
	put_string(json, "state", assign_state_name(row->assign_state));
	put_instant(json, "next_at", row->assign_at_us);
	put_int(json, "attempts", row->assign_attempts);
	put_text(json, "profile_uuid", row->assigned_profile_uuid);
	put_object_end(json);
}

// Its members, for the caller to add to.
static void device_row_json(struct json_out *json, const struct call *call, unsigned instances, const struct device_row *row)
{
	struct buffer apple CLEANUP(buffer_fini) = BUFFER(DEVICE_JSON_MAX);

	device_json_write(&apple, &row->apple);
	put_text(json, "serial_number", row->apple.serial_number);
	put_text(json, "instance", instance_name(call, instances, row->instance_id));
	put_bool(json, "held", row->instance_id == HELD && row->gone_at_us == INSTANT_NONE);
	put_text(json, "hold_reason", row->hold_reason);
	put_instant(json, "held_since", row->held_since_us);
	put_text(json, "rule", row->rule_id); // null: a pin, or no rules yet
	put_bool(json, "pinned", row->decider == ROUTE_BY_PIN);
	put_int(json, "rules_version", row->rules_version);
	put_instant(json, "gone_at", row->gone_at_us);
	put_text(json, "gone_reason", text_of(removal_reason_name(row->gone_reason)));
	put_int_or_null(json, "gone_seq", row->gone_seq);
	put_raw(json, "device", apple.overflow ? TEXT("{}") : buffer_text(&apple));
	assignment_json(json, row);
	put_instant(json, "first_seen_at", row->first_seen_at_us);
	put_instant(json, "changed_at", row->changed_at_us);
}

static void device_then_json(struct json_out *json, const struct stored_event *stored)
{
	const struct event_row *event = &stored->event;
	const struct history_state state = history_state_after(event, stored->instance_id);

	put_object(json, NULL);
	put_text(json, "serial_number", event->serial_number);
	put_text(json, "instance", state.instance_id != HELD ? event->instance : TEXT_NONE);
	put_bool(json, "held", state.present && state.instance_id == HELD);
	put_bool(json, "gone", !state.present);
	put_text(json, "gone_reason", text_of(removal_reason_name(state.gone_reason)));
	put_raw(json, "device", state.device_json.length > 0 ? state.device_json : TEXT("{}"));
	put_int(json, "seq", event->seq); // the event that made it so
	put_instant(json, "since", event->at_us);
	put_object_end(json);
}

// INSTANT_NONE: as it is. The log says nothing about times to come; clocks may differ a little.
static bool read_as_of(struct call *call, int64_t *out)
{
	const struct text value = http_request_query(call->request, "as_of");

	*out = value.bytes != NULL ? instant_parse(value) : INSTANT_NONE;
	if (value.bytes != NULL && *out == INSTANT_NONE) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "as_of is a date and time of RFC 3339");
		return false;
	}
	if (*out != INSTANT_NONE && *out > clock_wall_us() + AHEAD_S * SECOND_US) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "as_of is in the future");
		return false;
	}
	return true;
}

// --- the list ---

struct listing {
	struct paging paging;
	bool with_gone;
	bool only_held;
	struct text instance; // its name; absent: any
	int64_t instance_id;
	int64_t as_of_us; // INSTANT_NONE: now
};

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	listing->instance = http_request_query(call->request, "instance");
	listing->instance_id = ANY_INSTANCE;
	if (!paging_read(call, &listing->paging, "devices") || !call_flag(call, "gone", &listing->with_gone) ||
		!call_flag(call, "held", &listing->only_held) || !read_as_of(call, &listing->as_of_us)) {
		return false;
	}
	if (listing->only_held && listing->instance.bytes != NULL) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "held and instance exclude each other");
		return false;
	}
	return true;
}

static void find_instance(struct call *call)
{
	const struct listing *listing = call->own;

	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		listing->instance);
	call_start(call);
}

static bool choose_instance(struct call *call)
{
	struct listing *listing = call->own;
	struct instance_row row;

	if (listing->only_held) {
		listing->instance_id = HELD;
	}
	if (listing->instance.bytes == NULL) {
		return true;
	}
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &row);
	listing->instance_id = row.instance_id;
	return true;
}

enum { INSTANCES, DEVICES, REPLACEMENTS, ENROLMENTS };

static void ask_list(struct call *call)
{
	const struct listing *listing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	if (listing->as_of_us != INSTANT_NONE) {
		(void)store_event_list_as_of(transaction, tenant_id, listing->as_of_us, listing->paging.after, listing->with_gone,
			listing->instance_id, listing->paging.limit);
	} else {
		(void)store_device_list(transaction, tenant_id, listing->paging.after, listing->with_gone, listing->instance_id,
			listing->paging.limit);
	}
	call_start(call);
}

// Both: the serial number of what was written.
static struct text put_now(struct json_out *json, const struct call *call, size_t at)
{
	struct device_row row;

	store_device_read(&call->transaction, DEVICES, at, &row);
	put_object(json, NULL);
	device_row_json(json, call, INSTANCES, &row);
	put_object_end(json);
	return row.apple.serial_number;
}

static struct text put_then(struct json_out *json, const struct call *call, size_t at)
{
	struct stored_event event;

	store_event_read(&call->transaction, DEVICES, at, &event);
	device_then_json(json, &event);
	return event.event.serial_number;
}

static void answer_list(struct call *call)
{
	const struct listing *listing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, DEVICES);
	struct text last = TEXT_NONE;

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		last = listing->as_of_us != INSTANT_NONE ? put_then(&json, call, i) : put_now(&json, call, i);
	}
	put_list_end(&json);
	paging_write(&json, &listing->paging, count, last);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void devices_list(struct call *call)
{
	enum { NEW, FINDING, LISTING };

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		AWAIT(call, FINDING, find_instance(call));
		if (call_failed(call) || !choose_instance(call)) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one ---

struct one {
	int64_t as_of_us; // INSTANT_NONE: now
};

static void ask_one(struct call *call)
{
	const struct one *one = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	if (one->as_of_us != INSTANT_NONE) {
		(void)store_event_as_of(transaction, tenant_id, one->as_of_us, call->request->parameters[1]);
	} else {
		(void)store_device_by_serials(transaction, tenant_id, &call->request->parameters[1], 1);
		(void)store_replacement_of(transaction, tenant_id, call->request->parameters[1]);
		(void)store_enrolment_of(transaction, tenant_id, call->request->parameters[1]);
	}
	call_start(call);
}

static void replacement_json(struct json_out *json, const char *name, struct text serial, const struct replacement_row *row)
{
	put_object(json, name);
	put_text(json, "serial_number", serial); // null: Apple has not said it yet
	put_text(json, "date", row->replacement_date);
	put_text(json, "apple_word", row->apple_word);
	put_instant(json, "resolved_at", row->resolved_at_us);
	put_instant(json, "ask_at", row->ask_at_us);
	put_object_end(json);
}

// Which device it came in place of, and which one came in its place.
static void replacements_json(struct json_out *json, const struct call *call, struct text serial)
{
	const size_t count = pg_row_count(&call->transaction, REPLACEMENTS);
	struct replacement_row rows[2] = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct replacement_row row;

		store_replacement_read(&call->transaction, REPLACEMENTS, i, &row);
		rows[text_equal(row.serial_number, serial) ? 0 : 1] = row;
	}
	if (rows[0].serial_number.length > 0) {
		replacement_json(json, "replaces", rows[0].original_serial_number, &rows[0]);
	} else {
		put_null(json, "replaces");
	}
	if (rows[1].serial_number.length > 0) {
		replacement_json(json, "replaced_by", rows[1].serial_number, &rows[1]);
	} else {
		put_null(json, "replaced_by");
	}
}

static void put_enrolment(struct json_out *json, const struct call *call, const struct device_row *device)
{
	const size_t count = pg_row_count(&call->transaction, ENROLMENTS);
	struct enrolment_row newest = { 0 };

	if (count > 0) {
		store_enrolment_read(&call->transaction, ENROLMENTS, 0, &newest);
	}
	enrolment_of_device_json(json, &newest, count, device);
}

static void answer_one(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct device_row row;

	if (pg_row_count(&call->transaction, DEVICES) == 0) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "%s", "");
		return;
	}
	if (((const struct one *)call->own)->as_of_us != INSTANT_NONE) {
		(void)put_then(&json, call, 0);
	} else {
		store_device_read(&call->transaction, DEVICES, 0, &row);
		put_object(&json, NULL);
		device_row_json(&json, call, INSTANCES, &row);
		replacements_json(&json, call, row.apple.serial_number);
		put_enrolment(&json, call, &row);
		put_object_end(&json);
	}
	call_answer(call, 200, &body);
}

void device_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_as_of(call, &((struct one *)call_own(call, sizeof(struct one)))->as_of_us)) {
			return;
		}
		AWAIT(call, READING, ask_one(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}
