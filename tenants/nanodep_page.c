// SPDX-License-Identifier: Apache-2.0
#include "tenants/nanodep_page.h"

#include "tenants/go_json.h"
#include "tenants/members.h"

#include <inttypes.h>

// Of a device, in Go's order of the names. What its library does not know is not there.
enum member_kind { WORD, INSTANT, OPERATION, OPERATION_TIME, ALWAYS };
static const struct member {
	const char *name; // with its quotes
	enum member_kind kind;
} members[] = {
	{ "\"asset_tag\"", WORD },
	{ "\"color\"", WORD },
	{ "\"description\"", WORD },
	{ "\"device_assigned_by\"", WORD },
	{ "\"device_assigned_date\"", INSTANT },
	{ "\"device_family\"", WORD },
	{ "\"mdm_migration_deadline\"", INSTANT },
	{ "\"model\"", ALWAYS },
	{ "\"op_date\"", OPERATION_TIME },
	{ "\"op_type\"", OPERATION },
	{ "\"os\"", WORD },
	{ "\"profile_assign_time\"", INSTANT },
	{ "\"profile_push_time\"", INSTANT },
	{ "\"profile_status\"", WORD },
	{ "\"profile_uuid\"", WORD },
	{ "\"serial_number\"", ALWAYS },
};

static const char *operation(enum event_type type)
{
	static const char *const names[] = {
		[EVENT_DEVICE_ADDED] = "added",
		[EVENT_DEVICE_CHANGED] = "modified",
		[EVENT_DEVICE_REMOVED] = "deleted",
		[EVENT_DEVICE_ASSIGNED] = "modified",
	};

	return (size_t)type < sizeof names / sizeof *names ? names[type] : NULL;
}

bool nanodep_page_tells(enum event_type type)
{
	return operation(type) != NULL;
}

// RFC 3339 with as many digits of the second as there are.
static void add_instant(struct buffer *out, int64_t at_us, bool fraction)
{
	char text[INSTANT_TEXT_SIZE];
	struct text t = text_of(instant_format(text, at_us, fraction));

	buffer_add_string(out, "\"");
	if (fraction && at_us % SECOND_US != 0) {
		t.length--; // its Z
		while (t.bytes[t.length - 1] == '0') {
			t.length--;
		}
		buffer_add_text(out, t);
		buffer_add_string(out, "Z");
	} else {
		buffer_add_text(out, t);
	}
	buffer_add_string(out, "\"");
}

void nanodep_page_begin(struct nanodep_page *page, struct buffer *out)
{
	struct buffer name CLEANUP(buffer_fini) = BUFFER(1024);

	page->out = out;
	page->count = 0;
	buffer_add_json(&name, page->dep_name);
	buffer_add_string(out, page->is_fetch ? "{\"topic\":\"dep.FetchDevices\"" : "{\"topic\":\"dep.SyncDevices\"");
	buffer_add_string(out, ",\"event_id\":\"\",\"created_at\":");
	add_instant(out, page->at_us, true);
	buffer_add_string(out, ",\"device_response_event\":{\"dep_name\":");
	go_json_escape(out, buffer_text(&name));
	buffer_add_format(out, ",\"device_response\":{\"cursor\":\"%" PRId64 "-%" PRId64 "\"", page->incarnation, page->last_seq);
}

static bool add_value(struct nanodep_page *page, const struct member *member, const struct event_row *event, struct text value)
{
	const bool is_quoted = value.length >= 2 && value.bytes[0] == '"';
	const struct text inner = is_quoted ? (struct text){ value.bytes + 1, value.length - 2 } : TEXT_NONE;
	struct buffer *out = page->out;

	switch (member->kind) {
	case WORD:
		go_json_escape(out, value);
		return value.length > 0;
	case INSTANT:
		if (instant_parse(inner) != INSTANT_NONE) {
			add_instant(out, instant_parse(inner), true);
		}
		return instant_parse(inner) != INSTANT_NONE;
	case OPERATION:
		if (!page->is_fetch) {
			buffer_add_format(out, "\"%s\"", operation(event->type));
		}
		return !page->is_fetch;
	case OPERATION_TIME:
		if (!page->is_fetch) {
			add_instant(out, event->at_us, false);
		}
		return !page->is_fetch;
	case ALWAYS:
		go_json_escape(out, value.length > 0 ? value : TEXT("\"\""));
		return true;
	}
	return false;
}

static void add_device(struct nanodep_page *page, const struct event_row *event)
{
	struct buffer *out = page->out;
	bool first = true;

	buffer_add_string(out, "{");
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const size_t before = out->length;

		buffer_add_string(out, first ? "" : ",");
		buffer_add_string(out, members[i].name);
		buffer_add_string(out, ":");
		if (add_value(page, &members[i], event, member_value(event->device_json, text_of(members[i].name)))) {
			first = false;
		} else {
			out->length = before;
		}
	}
	buffer_add_string(out, "}");
}

bool nanodep_page_add(struct nanodep_page *page, const struct event_row *event)
{
	const size_t before = page->out->length;

	buffer_add_string(page->out, page->count == 0 ? ",\"devices\":[" : ",");
	add_device(page, event);
	if (page->count > 0 && page->out->length > NANODEP_PAGE_BYTES_MAX) {
		page->out->length = before;
		return false;
	}
	page->count++;
	return true;
}

void nanodep_page_end(struct nanodep_page *page, bool more_to_follow)
{
	struct buffer *out = page->out;

	buffer_add_string(out, page->count > 0 ? "],\"fetched_until\":" : ",\"fetched_until\":");
	add_instant(out, page->at_us, false);
	buffer_add_string(out, more_to_follow ? ",\"more_to_follow\":true}}}" : ",\"more_to_follow\":false}}}");
}
