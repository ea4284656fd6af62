// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices, /devices/{serial}
#include "api/call.h"
#include "api/paging.h"
#include "api/resources.h"
#include "store/devices.h"
#include "store/instances.h"
#include "tenants/device.h"

#include <string.h>

enum { DEVICE_JSON_MAX = 65536, ANY_INSTANCE = -1, HELD = 0 };

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

static void device_row_json(struct json_out *json, const struct call *call, unsigned instances, const struct device_row *row)
{
	struct buffer apple CLEANUP(buffer_fini) = BUFFER(DEVICE_JSON_MAX);

	device_json_write(&apple, &row->apple);
	put_object(json, NULL);
	put_text(json, "serial_number", row->apple.serial_number);
	put_text(json, "instance", instance_name(call, instances, row->instance_id));
	put_bool(json, "held", row->instance_id == HELD && row->gone_at_us == INSTANT_NONE);
	put_int(json, "rules_version", row->rules_version);
	put_instant(json, "gone_at", row->gone_at_us);
	put_raw(json, "device", apple.overflow ? TEXT("{}") : buffer_text(&apple));
	assignment_json(json, row);
	put_instant(json, "first_seen_at", row->first_seen_at_us);
	put_instant(json, "changed_at", row->changed_at_us);
	put_object_end(json);
}

// --- the list ---

struct listing {
	struct paging paging;
	bool with_gone;
	bool only_held;
	struct text instance; // its name; absent: any
	int64_t instance_id;
};

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	listing->instance = http_request_query(call->request, "instance");
	listing->instance_id = ANY_INSTANCE;
	if (!paging_read(call, &listing->paging, "devices") || !call_flag(call, "gone", &listing->with_gone) ||
		!call_flag(call, "held", &listing->only_held)) {
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

enum { INSTANCES, DEVICES };

static void ask_list(struct call *call)
{
	const struct listing *listing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	(void)store_device_list(transaction, tenant_id, listing->paging.after, listing->with_gone, listing->instance_id,
		listing->paging.limit);
	call_start(call);
}

static void answer_list(struct call *call)
{
	const struct listing *listing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, DEVICES);
	struct device_row row = { 0 };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		store_device_read(&call->transaction, DEVICES, i, &row);
		device_row_json(&json, call, INSTANCES, &row);
	}
	put_list_end(&json);
	paging_write(&json, &listing->paging, count, row.apple.serial_number);
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

static void ask_one(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	(void)store_device_by_serials(transaction, tenant_id, &call->request->parameters[1], 1);
	call_start(call);
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
	store_device_read(&call->transaction, DEVICES, 0, &row);
	device_row_json(&json, call, INSTANCES, &row);
	call_answer(call, 200, &body);
}

void device_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask_one(call));
		if (!call_failed(call)) {
			answer_one(call);
		}
	}
}
