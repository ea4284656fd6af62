// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices, /devices/{serial}: as they are, or as they were at a time
#include "api/device_filter.h"
#include "api/device_json.h"
#include "api/device_view.h"
#include "api/paging.h"
#include "api/place_filter.h"
#include "api/resources.h"
#include "store/instances.h"
#include "tenants/history.h"

#include <string.h>

enum { AHEAD_S = 60 };

static void device_then_json(struct json_out *json, const struct stored_event *stored)
{
	const struct event_row *event = &stored->event;
	const struct history_state state = history_state_after(event, stored->instance_id);

	put_object(json, NULL);
	put_text(json, "serial_number", event->serial_number);
	put_text(json, "instance", state.instance_id != PLACE_HELD ? event->instance : TEXT_NONE);
	put_bool(json, "held", state.present && state.instance_id == PLACE_HELD);
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
	struct place_filter place;
	struct device_question question;
	bool with_gone;
	int64_t as_of_us; // INSTANT_NONE: now
};

static struct text parameter(const void *from, const char *name)
{
	return http_request_query(from, name);
}

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	if (!paging_read(call, &listing->paging, "devices") || !call_flag(call, "gone", &listing->with_gone) ||
		!place_filter_read(call, &listing->place) || !read_as_of(call, &listing->as_of_us) ||
		!device_filter_read(call, &listing->question, parameter, call->request, PROBLEM_BAD_PARAMETER)) {
		return false;
	}
	if (listing->question.given > 0 && listing->as_of_us != INSTANT_NONE) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "with as_of there are only instance, held and gone");
		return false;
	}
	return true;
}

enum { INSTANCES, DEVICES };

static void ask_list(struct call *call)
{
	const struct listing *listing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct device_filter filter = listing->question.filter;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	filter.after = listing->paging.after;
	filter.with_gone = filter.with_gone || listing->with_gone;
	filter.instance_id = listing->place.instance_id;
	(void)store_instance_list(transaction, tenant_id);
	if (listing->as_of_us != INSTANT_NONE) {
		(void)store_event_list_as_of(transaction, tenant_id, listing->as_of_us, listing->paging.after, listing->with_gone,
			listing->place.instance_id, listing->paging.limit);
	} else {
		(void)store_device_shown_list(transaction, tenant_id, &filter, listing->paging.limit);
	}
	call_start(call);
}

// Both: the serial number of what was written.
static struct text put_now(struct json_out *json, const struct call *call, size_t at)
{
	struct device_status status;
	struct device_row row;

	store_device_read(&call->transaction, DEVICES, at, &row);
	store_device_status_read(&call->transaction, DEVICES, at, &status);
	put_object(json, NULL);
	device_members(json, &call->transaction, INSTANCES, &row, &status);
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
	struct listing *listing = call->own;

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		listing = call->own;
		AWAIT(call, FINDING, place_filter_find(call, &listing->place));
		if (call_failed(call) || !place_filter_take(call, &listing->place)) {
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

static bool is_of_then(const struct call *call)
{
	return ((const struct one *)call->own)->as_of_us != INSTANT_NONE;
}

static void ask_one(struct call *call)
{
	const struct one *one = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	if (is_of_then(call)) {
		(void)store_instance_list(transaction, tenant_id);
		(void)store_event_as_of(transaction, tenant_id, one->as_of_us, call->request->parameters[1]);
	} else {
		device_view_ask(transaction, tenant_id, call->request->parameters[1]);
	}
	call_start(call);
}

static void answer_one(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	if (is_of_then(call) ? pg_row_count(&call->transaction, DEVICES) == 0 : !device_view_is_there(call)) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "%s", "");
		return;
	}
	if (is_of_then(call)) {
		(void)put_then(&json, call, 0);
	} else {
		put_object(&json, NULL);
		device_view_members(&json, call);
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
