// SPDX-License-Identifier: Apache-2.0
#include "tenants/event.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const char *const names[] = {
	[EVENT_DEVICE_ADDED] = "device.added",
	[EVENT_DEVICE_CHANGED] = "device.changed",
	[EVENT_DEVICE_REMOVED] = "device.removed",
	[EVENT_DEVICE_ASSIGNED] = "device.assigned",
	[EVENT_DEVICE_HELD] = "device.held",
	[EVENT_PING] = "ping",
	[EVENT_TOKEN_EXPIRING] = "token.expiring",
	[EVENT_TOKEN_EXPIRED] = "token.expired",
	[EVENT_TOKEN_REJECTED] = "token.rejected",
	[EVENT_TERMS_UNSIGNED] = "terms.unsigned",
	[EVENT_SYNC_FAILING] = "sync.failing",
	[EVENT_TENANT_QUARANTINED] = "tenant.quarantined",
	[EVENT_TOKEN_RENEWED] = "token.renewed",
	[EVENT_TOKEN_ADMIN_CHANGED] = "token.admin_changed",
	[EVENT_TOKEN_REFUSED] = "token.refused",
	[EVENT_ENDPOINT_DISABLED] = "endpoint.disabled",
	[EVENT_ALERT_RAISED] = "alert.raised",
	[EVENT_ALERT_CLEARED] = "alert.cleared",
	[EVENT_PROFILE_UNUSABLE] = "profile.unusable",
	[EVENT_PROFILE_UNDEFINED] = "profile.undefined",
	[EVENT_PROFILE_DRIFTED] = "profile.drifted",
	[EVENT_DEVICE_REPLACED] = "device.replaced",
	[EVENT_DEVICE_ENROLLED] = "device.enrolled",
	[EVENT_DEVICE_UNENROLLED] = "device.unenrolled",
	[EVENT_DEVICE_MISROUTED] = "device.misrouted",
};

bool event_is_of_client(enum event_type type)
{
	return (type >= EVENT_TOKEN_EXPIRING && type <= EVENT_ENDPOINT_DISABLED) ||
		(type >= EVENT_PROFILE_UNUSABLE && type <= EVENT_PROFILE_DRIFTED);
}

bool event_is_of_alert(enum event_type type)
{
	return type == EVENT_ALERT_RAISED || type == EVENT_ALERT_CLEARED;
}

static const char *json_member(enum event_type type)
{
	return event_is_of_client(type) ? ",\"detail\":" : event_is_of_alert(type) ? ",\"alert\":" : ",\"device\":";
}

const char *event_type_name(enum event_type type)
{
	return (size_t)type < sizeof names / sizeof *names ? names[type] : NULL;
}

bool event_type_of(struct text name, enum event_type *out)
{
	for (size_t type = 0; type < sizeof names / sizeof *names; type++) {
		if (names[type] != NULL && text_equal_string(name, names[type])) {
			*out = (enum event_type)type;
			return true;
		}
	}
	return false;
}

const char *removal_reason_name(enum removal_reason reason)
{
	static const char *const reasons[] = {
		[REMOVAL_DELETED] = "deleted",
		[REMOVAL_REPLACED] = "replaced",
		[REMOVAL_UNLISTED] = "unlisted",
		[REMOVAL_INACCESSIBLE] = "inaccessible",
		[REMOVAL_REROUTED] = "rerouted",
	};

	return (size_t)reason < sizeof reasons / sizeof *reasons ? reasons[reason] : NULL;
}

// Always with six digits: the length is part of the format.
void event_timestamp_write(struct buffer *out, int64_t at_us)
{
	char seconds[INSTANT_TEXT_SIZE];
	const size_t length = strlen(instant_format(seconds, at_us, false));

	assert(length > 0); // no event happens before 1970 or after 9999
	buffer_add(out, seconds, length - 1);
	buffer_add_format(out, ".%06dZ", (int)(at_us % SECOND_US));
}

static void add_text_member(struct buffer *out, const char *start, struct text value)
{
	if (value.length > 0) {
		buffer_add_string(out, start);
		buffer_add_json(out, value);
	}
}

void event_body_write(struct buffer *out, struct text tenant_slug, int64_t incarnation, const struct event_row *row)
{
	const char *name = event_type_name(row->type);

	assert(name != NULL);
	buffer_add_string(out, "{\"type\":\"");
	buffer_add_string(out, name);
	buffer_add_string(out, "\",\"timestamp\":\"");
	event_timestamp_write(out, row->at_us);
	buffer_add_string(out, "\",\"data\":{");
	if (tenant_slug.length > 0) {
		add_text_member(out, "\"tenant\":", tenant_slug);
		buffer_add_string(out, ",");
	}
	buffer_add_format(out, "\"seq\":%" PRId64 ",\"incarnation\":%" PRId64, row->seq, incarnation);
	add_text_member(out, ",\"serial_number\":", row->serial_number);
	add_text_member(out, ",\"instance\":", row->instance);
	add_text_member(out, ",\"reason\":", text_of(removal_reason_name(row->reason)));
	if (row->device_json.length > 0) {
		buffer_add_string(out, json_member(row->type));
		buffer_add_text(out, row->device_json);
	}
	buffer_add_string(out, "}}");
}
