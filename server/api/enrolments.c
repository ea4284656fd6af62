// SPDX-License-Identifier: Apache-2.0
//
// GET /tenants/{tenant}/enrolments: what MDM servers have told
#include "api/enrolment_json.h"
#include "api/paging.h"
#include "api/resources.h"

#include <inttypes.h>

static void put_members(struct json_out *json, const struct enrolment_row *row)
{
	const bool has_own_id = !text_starts_with(row->enrolment_id, TEXT("serial:"));

	put_string(json, "state", enrolment_state_name(row->enrolment.state));
	put_text(json, "instance", row->instance);
	put_text(json, "udid", has_own_id ? row->enrolment_id : TEXT_NONE);
	put_instant(json, "at", row->enrolment.at_us);
	put_instant(json, "heard_at", row->heard_at_us);
	put_instant(json, "enrolled_at", row->enrolment.enrolled_at_us);
	put_bool(json, "awaiting_configuration", row->awaiting);
	put_bool(json, "misrouted", row->enrolment.is_misrouted);
}

void enrolment_json(struct json_out *json, const char *name, const struct enrolment_row *row)
{
	put_object(json, name);
	put_text(json, "serial_number", row->serial_number);
	put_bool(json, "orphan", row->enrolment.is_orphan);
	put_members(json, row);
	put_object_end(json);
}

void enrolment_of_device_json(struct json_out *json, const struct enrolment_row *newest, size_t count, const struct device_row *device)
{
	if (count > 0) {
		put_object(json, "enrolment");
		put_string(json, "source", "hook");
		put_members(json, newest);
		put_object_end(json);
	} else if (text_equal(device->apple.profile_status, TEXT("pushed"))) {
		put_object(json, "enrolment");
		put_string(json, "source", "apple");
		put_string(json, "state", "pushed");
		put_instant(json, "at", device->apple.profile_push_time_us);
		put_object_end(json);
	} else {
		put_null(json, "enrolment");
	}
}

struct listing {
	struct paging paging;
	bool only_orphans;
};

// "instance number/enrolment id": what paging_write was given; a cursor can be made up.
static bool cursor_is_good(struct text after)
{
	size_t digits = 0;

	while (digits < after.length && after.bytes[digits] >= '0' && after.bytes[digits] <= '9') {
		digits++;
	}
	return after.length == 0 || (digits > 0 && digits <= 18 && digits < after.length && after.bytes[digits] == '/');
}

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	if (!paging_read(call, &listing->paging, "enrolments") || !call_flag(call, "orphans", &listing->only_orphans)) {
		return false;
	}
	if (!cursor_is_good(listing->paging.after)) {
		call_problem(call, PROBLEM_BAD_CURSOR, "%s", "");
		return false;
	}
	return true;
}

static void ask(struct call *call)
{
	const struct listing *listing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	(void)store_enrolment_list(call_transaction(call, store_api(tenant_id)), tenant_id, listing->paging.after, listing->only_orphans,
		listing->paging.limit);
	call_start(call);
}

static void put(struct json_out *json, const struct pg_transaction *t, size_t at, struct buffer *key)
{
	struct enrolment_row row;

	store_enrolment_read(t, 0, at, &row);
	enrolment_json(json, NULL, &row);
	buffer_add_format(key, "%" PRId64 "/%.*s", row.instance_id, TEXT_ARGS(row.enrolment_id));
}

void enrolments_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		AWAIT(call, LISTING, ask(call));
		if (!call_failed(call)) {
			paging_answer(call, &((const struct listing *)call->own)->paging, put);
		}
	}
}
