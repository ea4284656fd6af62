// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/events, /devices/{serial}/history: the log, of all or of one device, by number
#include "api/call.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/devices.h"

struct reading {
	int64_t after;
	int64_t limit;
};

static bool read_request(struct call *call)
{
	struct reading *reading = call_own(call, sizeof *reading);

	return paging_number(call, "after", &reading->after) && paging_limit(call, &reading->limit);
}

static void raw_or_null(struct json_out *json, const char *name, struct text value)
{
	put_raw(json, name, value.length > 0 ? value : TEXT("null"));
}

// As the webhook's `data`, with what stands around it.
static void event_json(struct json_out *json, const struct event_row *event)
{
	const char *type = event_type_name(event->type);

	put_object(json, NULL);
	put_int(json, "seq", event->seq);
	put_instant(json, "at", event->at_us);
	put_text(json, "type", text_of(type));
	put_text(json, "serial_number", event->serial_number);
	put_text(json, "instance", event->instance);
	put_text(json, "reason", text_of(removal_reason_name(event->reason)));
	raw_or_null(json, "device", event_is_of_client(event->type) ? TEXT_NONE : event->device_json);
	raw_or_null(json, "changes", event->changes);
	raw_or_null(json, "detail", event_is_of_client(event->type) ? event->device_json : TEXT_NONE);
	put_object_end(json);
}

enum { EVENTS, INCARNATION };

static void answer(struct call *call)
{
	const struct reading *reading = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, EVENTS);
	int64_t last = reading->after;

	put_object(&json, NULL);
	put_int(&json, "incarnation", store_incarnation_read(&call->transaction, INCARNATION));
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct stored_event stored;

		store_event_read(&call->transaction, EVENTS, i, &stored);
		event_json(&json, &stored.event);
		last = stored.event.seq;
	}
	put_list_end(&json);
	put_int(&json, "after", last); // where to go on
	put_bool(&json, "more", count == (size_t)reading->limit);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_events(struct call *call)
{
	const struct reading *reading = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_event_list(transaction, call->tenant.tenant_id, reading->after, (int)reading->limit);
	(void)store_incarnation(transaction);
	call_start(call);
}

void events_list(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, READING, ask_events(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}

// --- of one device ---

static void ask_device(struct call *call)
{
	(void)store_device_by_serials(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		&call->request->parameters[1], 1);
	call_start(call);
}

static bool device_is_known(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static void ask_history(struct call *call)
{
	const struct reading *reading = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_event_by_serial(transaction, call->tenant.tenant_id, call->request->parameters[1], reading->after,
		(int)reading->limit);
	(void)store_incarnation(transaction);
	call_start(call);
}

void device_history(struct call *call)
{
	enum { NEW, LOOKING, READING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, LOOKING, ask_device(call));
		if (call_failed(call) || !device_is_known(call)) {
			return;
		}
		AWAIT(call, READING, ask_history(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
