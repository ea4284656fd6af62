// SPDX-License-Identifier: Apache-2.0
#include "tenants/device.h"

#include "depbroker/digest.h"

#include <assert.h>
#include <string.h>

// The members of a record in the order in which they are written and hashed. Neither may ever change for stored data:
// a member that is added later goes to the end.
static const struct member {
	const char *name;
	size_t offset;
	bool is_instant;
} members[] = {
#define TEXT_MEMBER(name)    { #name, offsetof(struct device_record, name), false }
#define INSTANT_MEMBER(name) { #name, offsetof(struct device_record, name##_us), true }
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

static void add_member(struct buffer *out, bool *first, const struct device_record *record, const struct member *member)
{
	char instant[INSTANT_TEXT_SIZE];
	const struct text value = member->is_instant
		? text_of(instant_format(instant, instant_member(record, member), true)) // of INSTANT_NONE it is empty
		: text_member(record, member);

	if (value.length == 0) {
		return;
	}
	buffer_add_string(out, *first ? "\"" : ",\"");
	buffer_add_string(out, member->name);
	buffer_add_string(out, "\":");
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
