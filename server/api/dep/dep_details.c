// SPDX-License-Identifier: Apache-2.0
//
// POST /devices: what is known of single devices, as far as they are the instance's.
#include "api/dep/dep.h"
#include "api/dep/dep_profile_set.h"
#include "store/devices.h"
#include "tenants/device.h"

#include <stdlib.h>
#include <string.h>

struct details {
	struct dep_serials serials;
	struct device_row *rows; // by serial number
	size_t row_count;
};

static void release(struct dep_call *dep)
{
	free(((struct details *)dep->state)->rows);
}

enum { PROFILES, DEVICES }; // the statements

static void ask(struct call *call)
{
	const struct details *details = dep_of(call)->state;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_dep_profile_uuids(transaction, tenant_id, dep_of(call)->place.instance_id);
	(void)store_device_by_serials(transaction, tenant_id, details->serials.items, details->serials.count);
	call_start(call);
}

static int compare_rows(const void *a, const void *b)
{
	return dep_compare_texts(((const struct device_row *)a)->apple.serial_number, ((const struct device_row *)b)->apple.serial_number);
}

static void take_rows(struct call *call)
{
	struct details *details = dep_of(call)->state;

	details->row_count = pg_row_count(&call->transaction, DEVICES);
	details->rows = allocate_array(details->row_count + 1, sizeof *details->rows);
	for (size_t i = 0; i < details->row_count; i++) {
		store_device_read(&call->transaction, DEVICES, i, &details->rows[i]);
	}
	qsort(details->rows, details->row_count, sizeof *details->rows, compare_rows);
}

// NULL: the client has none, or it is not this instance's.
static const struct device_row *find(const struct dep_call *dep, struct text serial)
{
	const struct details *details = dep->state;
	const struct device_row wanted = { .apple = { .serial_number = serial } };
	const struct device_row *row = bsearch(&wanted, details->rows, details->row_count, sizeof *details->rows, compare_rows);

	return row != NULL && row->gone_at_us == INSTANT_NONE && row->instance_id == dep->place.instance_id ? row : NULL;
}

static void add_detail(struct buffer *body, const struct dep_call *dep, struct text serial, const struct dep_view *view)
{
	const struct device_row *row = find(dep, serial);
	struct buffer object CLEANUP(buffer_fini) = BUFFER(CALL_ANSWER_MAX);

	buffer_add_json(body, serial);
	if (row == NULL) {
		buffer_add_string(body, ":{\"serial_number\":");
		buffer_add_json(body, serial);
		buffer_add_string(body, ",\"response_status\":\"NOT_ACCESSIBLE\"}");
		return;
	}
	const struct device_record record = dep_device_by_now(row);

	device_json_write(&object, &record);
	buffer_add_string(body, ":");
	dep_device_json(body, buffer_text(&object), view);
}

static void answer(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	const struct details *details = dep->state;
	const struct dep_view view = { .version = dep->version, .profiles = dep_profile_set_read(call, PROFILES), .is_detail = true };
	struct buffer body = BUFFER(CALL_ANSWER_MAX);

	buffer_add_string(&body, "{\"devices\":{");
	for (size_t i = 0; i < details->serials.count; i++) {
		buffer_add_string(&body, i > 0 ? "," : "");
		add_detail(&body, dep, details->serials.items[i], &view);
	}
	buffer_add_string(&body, "}}");
	dep_answer_json(call, &body);
}

void dep_details(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW: {
		struct details *details = dep_state(dep_of(call), sizeof *details, release);

		if (!dep_take_serials(call, &details->serials)) {
			return;
		}
		call->state = READING;
		ask(call);
		return;
	}
	case READING:
		if (!call_failed(call)) {
			take_rows(call);
			answer(call);
		}
	}
}
