// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_device_json.h"

#include "tenants/members.h"

#include <string.h>

enum { IPADOS_SINCE = 7 };
enum member_kind { PLAIN, INSTANT, OF_PROFILE, OF_PROFILE_INSTANT, OF_ASSIGNMENT, OF_ASSIGNMENT_INSTANT, OF_RELEASE, SYSTEM };

static const struct member {
	const char *name; // with its quotes
	int since;
	enum member_kind kind;
} members[] = {
	{ "\"os\"", 2, SYSTEM },
	{ "\"device_family\"", 2, PLAIN },
	{ "\"profile_status\"", 1, OF_PROFILE },
	{ "\"profile_uuid\"", 1, OF_PROFILE },
	{ "\"profile_assign_time\"", 1, OF_PROFILE_INSTANT },
	{ "\"profile_push_time\"", 1, OF_PROFILE_INSTANT },
	{ "\"device_assigned_by\"", 1, OF_ASSIGNMENT },
	{ "\"device_assigned_date\"", 1, OF_ASSIGNMENT_INSTANT },
	{ "\"mdm_migration_deadline\"", 8, INSTANT },
	{ "\"imei\"", 10, PLAIN },
	{ "\"meid\"", 10, PLAIN },
	{ "\"eid\"", 10, PLAIN },
	{ "\"wifi_mac_address\"", 10, PLAIN },
	{ "\"bluetooth_mac_address\"", 10, PLAIN },
	{ "\"ethernet_mac_address\"", 10, PLAIN },
	{ "\"is_replacement_device\"", 10, PLAIN },
	{ "\"released_by_replacement\"", 10, OF_RELEASE },
	{ "\"op_type\"", 1, OF_RELEASE }, // never of Apple's operation
	{ "\"op_date\"", 1, OF_RELEASE },
	{ "\"response_status\"", 1, OF_RELEASE },
};

static const struct member *member_of(struct text name)
{
	static const struct member other = { NULL, 1, PLAIN }; // unknown ones pass: MDM servers bear them

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (text_equal_string(name, members[i].name)) {
			return &members[i];
		}
	}
	return &other;
}

int dep_compare_texts(struct text a, struct text b)
{
	const size_t shorter = a.length < b.length ? a.length : b.length;
	const int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

bool dep_profile_is_known(struct dep_profile_set profiles, struct text uuid)
{
	size_t low = 0;

	for (size_t high = profiles.count; low < high;) {
		const size_t middle = low + (high - low) / 2;
		const int order = dep_compare_texts(profiles.uuids[middle], uuid);

		if (order == 0) {
			return true;
		}
		low = order < 0 ? middle + 1 : low;
		high = order < 0 ? high : middle;
	}
	return false;
}

struct device_record dep_device_by_now(const struct device_row *row)
{
	struct device_record record = row->apple;

	if (row->assigned_profile_uuid.length > 0 && !text_equal_ignoring_case(row->assigned_profile_uuid, record.profile_uuid)) {
		record.profile_uuid = row->assigned_profile_uuid;
		record.profile_status = TEXT("assigned");
		record.profile_assign_time_us = row->changed_at_us;
		record.profile_push_time_us = INSTANT_NONE;
	}
	return record;
}

static struct text unquoted(struct text value)
{
	return value.length >= 2 && value.bytes[0] == '"' ? (struct text){ value.bytes + 1, value.length - 2 } : TEXT_NONE;
}

static bool is_shown(const struct member *member, const struct dep_view *view, bool has_profile)
{
	if (member->since > view->version) {
		return false;
	}
	switch (member->kind) {
	case PLAIN:
	case INSTANT:
	case SYSTEM: return true;
	case OF_PROFILE:
	case OF_PROFILE_INSTANT: return has_profile;
	case OF_ASSIGNMENT:
	case OF_ASSIGNMENT_INSTANT: return !view->has_left;
	case OF_RELEASE: return false;
	}
	return false;
}

// Apple's times have whole seconds.
static void add_value(struct buffer *out, const struct member *member, struct text value, int version)
{
	const bool is_instant = member->kind == INSTANT || member->kind == OF_PROFILE_INSTANT || member->kind == OF_ASSIGNMENT_INSTANT;
	const int64_t at_us = is_instant ? instant_parse(unquoted(value)) : INSTANT_NONE;
	char text[INSTANT_TEXT_SIZE];

	if (at_us != INSTANT_NONE) {
		buffer_add_json(out, text_of(instant_format(text, at_us, false)));
	} else if (member->kind == SYSTEM && version < IPADOS_SINCE && text_equal_string(value, "\"iPadOS\"")) {
		buffer_add_string(out, "\"iOS\"");
	} else {
		buffer_add_text(out, value);
	}
}

static void add_own(struct buffer *out, const struct dep_view *view, bool has_profile)
{
	char text[INSTANT_TEXT_SIZE];

	if (!has_profile) {
		buffer_add_string(out, ",\"profile_status\":\"empty\"");
	}
	if (view->operation != NULL) {
		buffer_add_format(out, ",\"op_type\":\"%s\",\"op_date\":\"%s\"", view->operation,
			instant_format(text, view->operation_at_us, false));
	}
	if (view->is_detail) {
		buffer_add_string(out, ",\"response_status\":\"SUCCESS\"");
	}
}

void dep_device_json(struct buffer *out, struct text object, const struct dep_view *view)
{
	const struct text uuid = unquoted(member_value(object, TEXT("\"profile_uuid\"")));
	const bool has_profile = !view->has_left && dep_profile_is_known(view->profiles, uuid);
	struct member_walk walk;
	struct text name, value;
	bool first = true;

	member_walk_init(&walk, object);
	buffer_add_string(out, "{");
	while (member_walk_next(&walk, &name, &value)) {
		const struct member *member = member_of(name);
		const bool is_release = view->has_left && view->version >= member->since &&
			text_equal_string(name, "\"released_by_replacement\"");

		if (is_release || is_shown(member, view, has_profile)) {
			buffer_add_string(out, first ? "" : ",");
			buffer_add_text(out, name);
			buffer_add_string(out, ":");
			add_value(out, member, value, view->version);
			first = false;
		}
	}
	add_own(out, view, has_profile);
	buffer_add_string(out, "}");
}
