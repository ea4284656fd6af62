// SPDX-License-Identifier: Apache-2.0
#include "tenants/history.h"

#include "tenants/device.h"

#include <assert.h>

static void add_value(struct buffer *out, struct text value)
{
	if (value.length > 0) {
		buffer_add_json(out, value);
	} else {
		buffer_add_string(out, "null");
	}
}

static void add_change(struct buffer *out, size_t start, const char *name, struct text before, struct text after)
{
	if (text_equal(before, after)) {
		return;
	}
	buffer_add_string(out, out->length == start ? "{\"" : ",\"");
	buffer_add_string(out, name);
	buffer_add_string(out, "\":[");
	add_value(out, before);
	buffer_add_string(out, ",");
	add_value(out, after);
	buffer_add_string(out, "]");
}

static struct text reason_of(const struct device_row *row)
{
	return row->gone_at_us == INSTANT_NONE ? TEXT_NONE : text_of(removal_reason_name(row->gone_reason));
}

void history_changes_write(struct buffer *out, const struct history_side *before, const struct history_side *after)
{
	const size_t start = out->length;

	add_change(out, start, "instance", before->instance, after->instance);
	add_change(out, start, "gone_reason", reason_of(before->row), reason_of(after->row));
	device_changes_write(out, out->length == start ? "{" : ",", &before->row->apple, &after->row->apple);
	if (out->length > start) {
		buffer_add_string(out, "}");
	}
}

void history_assignment_write(struct buffer *out, struct text before_uuid, struct text after_uuid)
{
	const size_t start = out->length;

	add_change(out, start, "assigned_profile_uuid", before_uuid, after_uuid);
	if (out->length > start) {
		buffer_add_string(out, "}");
	}
}

bool history_tells_state(enum event_type type)
{
	return type >= EVENT_DEVICE_ADDED && type <= EVENT_DEVICE_HELD;
}

struct history_state history_state_after(const struct event_row *event, int64_t instance_id)
{
	const bool gone = event->type == EVENT_DEVICE_REMOVED;

	assert(history_tells_state(event->type));
	return (struct history_state){
		.present = !gone,
		.instance_id = gone ? 0 : instance_id,
		.gone_reason = gone ? event->reason : REMOVAL_NONE,
		.device_json = event->device_json,
	};
}
