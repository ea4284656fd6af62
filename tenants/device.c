// SPDX-License-Identifier: Apache-2.0
#include "tenants/device.h"

#include "depbroker/digest.h"
#include "tenants/members.h"

#include <assert.h>
#include <string.h>

// The members of a record in the order in which they are written and hashed. Neither may ever change for stored data:
// a member that is added later goes to the end.
static const struct member {
	const char *name;
	const char *key; // as it stands in the middle of an object
	size_t key_length;
	size_t offset;
	bool is_instant;
} members[] = {
#define KEY(name)            ",\"" #name "\":"
#define TEXT_MEMBER(name)    { #name, KEY(name), sizeof KEY(name) - 1, offsetof(struct device_record, name), false }
#define INSTANT_MEMBER(name) { #name, KEY(name), sizeof KEY(name) - 1, offsetof(struct device_record, name##_us), true }
	TEXT_MEMBER(serial_number),
	TEXT_MEMBER(model),
	TEXT_MEMBER(description),
	TEXT_MEMBER(color),
	TEXT_MEMBER(asset_tag),
	TEXT_MEMBER(device_family),
	TEXT_MEMBER(os),
	TEXT_MEMBER(profile_status),
	TEXT_MEMBER(profile_uuid),
	TEXT_MEMBER(device_assigned_by),
	INSTANT_MEMBER(profile_assign_time),
	INSTANT_MEMBER(profile_push_time),
	INSTANT_MEMBER(device_assigned_date),
	INSTANT_MEMBER(mdm_migration_deadline),
#undef TEXT_MEMBER
#undef INSTANT_MEMBER
#undef KEY
};

enum { MEMBERS = sizeof members / sizeof *members };

static struct text text_member(const struct device_record *record, const struct member *member)
{
	struct text value;

	memcpy(&value, (const char *)record + member->offset, sizeof value);
	return value;
}

static int64_t instant_member(const struct device_record *record, const struct member *member)
{
	int64_t value;

	memcpy(&value, (const char *)record + member->offset, sizeof value);
	return value;
}

// Empty: absent. `instant` is the room for one.
static struct text shown(char instant[INSTANT_TEXT_SIZE], const struct device_record *record, const struct member *member)
{
	return member->is_instant
		? text_of(instant_format(instant, instant_member(record, member), true)) // of INSTANT_NONE it is empty
		: text_member(record, member);
}

static void add_member(struct buffer *out, bool *first, const struct device_record *record, const struct member *member)
{
	char instant[INSTANT_TEXT_SIZE];
	const struct text value = shown(instant, record, member);

	if (value.length == 0) {
		return;
	}
	buffer_add(out, member->key + (*first ? 1 : 0), member->key_length - (*first ? 1 : 0));
	buffer_add_json(out, value);
	*first = false;
}

// What stands between the braces of an object.
static struct text inside(struct text object)
{
	const struct text trimmed = text_trim(object);

	if (trimmed.length == 0) {
		return TEXT_NONE;
	}
	assert(trimmed.length >= 2 && trimmed.bytes[0] == '{' && trimmed.bytes[trimmed.length - 1] == '}');
	return text_trim((struct text){ trimmed.bytes + 1, trimmed.length - 2 });
}

void device_json_write(struct buffer *out, const struct device_record *record)
{
	const struct text extra = inside(record->extra);
	bool first = true;

	buffer_add_string(out, "{");
	for (size_t i = 0; i < MEMBERS; i++) {
		add_member(out, &first, record, &members[i]);
	}
	if (extra.length > 0) {
		buffer_add_string(out, first ? "" : ",");
		buffer_add_text(out, extra);
	}
	buffer_add_string(out, "}");
}

static void add_json_or_null(struct buffer *out, struct text value)
{
	if (value.length > 0) {
		buffer_add_json(out, value);
	} else {
		buffer_add_string(out, "null");
	}
}

static void add_raw_or_null(struct buffer *out, struct text value)
{
	buffer_add_text(out, value.length > 0 ? value : TEXT("null"));
}

// Of the members without a place in the record: those of `before`, then those that are new.
static void add_extra_changes(struct buffer *out, const char *start, struct text before, struct text after)
{
	struct member_walk walk;
	struct text name, value;

	member_walk_init(&walk, before);
	for (int side = 0; side < 2; side++) {
		while (member_walk_next(&walk, &name, &value)) {
			const struct text other = member_value(side == 0 ? after : before, name);

			if (side == 0 ? text_equal(value, other) : other.length > 0) {
				continue;
			}
			buffer_add_string(out, start);
			buffer_add_text(out, name);
			buffer_add_string(out, ":[");
			add_raw_or_null(out, side == 0 ? value : TEXT_NONE);
			buffer_add_string(out, ",");
			add_raw_or_null(out, side == 0 ? other : value);
			buffer_add_string(out, "]");
			start = ",";
		}
		member_walk_init(&walk, after);
	}
}

void device_changes_write(struct buffer *out, const char *start, const struct device_record *before, const struct device_record *after)
{
	char instants[2][INSTANT_TEXT_SIZE];

	for (size_t i = 0; i < MEMBERS; i++) {
		const struct text old = shown(instants[0], before, &members[i]);
		const struct text new = shown(instants[1], after, &members[i]);

		if (text_equal(old, new)) {
			continue;
		}
		buffer_add_string(out, start);
		buffer_add_string(out, "\"");
		buffer_add_string(out, members[i].name);
		buffer_add_string(out, "\":[");
		add_json_or_null(out, old);
		buffer_add_string(out, ",");
		add_json_or_null(out, new);
		buffer_add_string(out, "]");
		start = ",";
	}
	if (!text_equal(before->extra, after->extra)) {
		add_extra_changes(out, start, before->extra, after->extra);
	}
}

static void put_be64(unsigned char out[8], uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (unsigned char)(value >> (56 - 8 * i) & 0xff);
	}
}

// Hashed are a label, then each member: a text as its length and its bytes, an instant as a number (be64 both).
// So where one member ends and the next begins is never a matter of their content.
void device_fingerprint(struct device_record *record)
{
	unsigned char numbers[MEMBERS + 1][8];
	struct digest_part parts[1 + 2 * (MEMBERS + 1)];
	unsigned char hash[SHA256_SIZE];
	size_t count = 0;

	parts[count++] = (struct digest_part){ "depb-device-1", 13 };
	for (size_t i = 0; i <= MEMBERS; i++) {
		const bool is_instant = i < MEMBERS && members[i].is_instant;
		const struct text value = i == MEMBERS ? record->extra : is_instant ? TEXT_NONE : text_member(record, &members[i]);

		put_be64(numbers[i], is_instant ? (uint64_t)instant_member(record, &members[i]) : value.length);
		parts[count++] = (struct digest_part){ numbers[i], sizeof numbers[i] };
		if (value.length > 0) {
			parts[count++] = (struct digest_part){ value.bytes, value.length };
		}
	}
	sha256(hash, parts, count);
	memcpy(record->fingerprint, hash, sizeof record->fingerprint);
}
