// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_device.h"

#include "apple/apple.h"

#include <string.h>

enum kind { SERIAL, STRING, INSTANT, OPERATION };

#define MEMBER(kind, member, name) { name, sizeof name - 1, kind, offsetof(struct device_record, member) }

static const struct field {
	const char *name;
	size_t length;
	enum kind kind;
	size_t offset; // of the struct text or int64_t in the record
} fields[] = { // in the order in which Apple sends them
	MEMBER(SERIAL, serial_number, "serial_number"),
	MEMBER(STRING, description, "description"),
	MEMBER(STRING, model, "model"),
	MEMBER(STRING, os, "os"),
	MEMBER(STRING, device_family, "device_family"),
	MEMBER(STRING, color, "color"),
	MEMBER(STRING, profile_uuid, "profile_uuid"),
	MEMBER(INSTANT, profile_assign_time_us, "profile_assign_time"),
	MEMBER(INSTANT, profile_push_time_us, "profile_push_time"),
	MEMBER(STRING, profile_status, "profile_status"),
	MEMBER(STRING, device_assigned_by, "device_assigned_by"),
	MEMBER(INSTANT, device_assigned_date_us, "device_assigned_date"),
	MEMBER(OPERATION, operation, "op_type"),
	MEMBER(INSTANT, op_date_us, "op_date"),
	MEMBER(STRING, asset_tag, "asset_tag"),
	MEMBER(INSTANT, mdm_migration_deadline_us, "mdm_migration_deadline"),
	MEMBER(STRING, response_status, "response_status"),
};

// Newer members, which stand in `extra`: each only as what it is documented to be.
enum shape { A_STRING, STRINGS, A_STRING_OR_STRINGS, A_BOOLEAN };

static const struct newer_member {
	const char *name;
	size_t length;
	enum shape shape;
} newer_members[] = { // of protocol version 10
#define NEWER(name, shape) { name, sizeof name - 1, shape }
	NEWER("imei", STRINGS),
	NEWER("meid", STRINGS),
	NEWER("eid", A_STRING),
	NEWER("wifi_mac_address", A_STRING),
	NEWER("bluetooth_mac_address", A_STRING),
	NEWER("ethernet_mac_address", A_STRING_OR_STRINGS),
	NEWER("is_replacement_device", A_BOOLEAN),
	NEWER("released_by_replacement", A_BOOLEAN),
#undef NEWER
};

enum { FIELD_COUNT = sizeof fields / sizeof *fields };

// Looked for from where it is expected: right behind the one before.
static const struct field *field_named(struct text name, size_t expected)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const struct field *field = &fields[(expected + i) % FIELD_COUNT];

		if (field->length == name.length && memcmp(field->name, name.bytes, name.length) == 0) {
			return field;
		}
	}
	return NULL;
}

const char *apple_serial_canonical(struct text *serial, struct apple_json *json)
{
	const struct text trimmed = text_trim(*serial);
	char *at = trimmed.length > 0 ? json->bytes + (trimmed.bytes - json->bytes) : NULL; // ours to change

	if (trimmed.length == 0) {
		return "it has no serial number";
	} else if (trimmed.length > APPLE_SERIAL_MAX) {
		return "its serial number is too long";
	} else if (!text_is_utf8(trimmed) || memmem(trimmed.bytes, trimmed.length, "\xef\xbf\xbd", 3) != NULL) {
		return "its serial number is not well-formed text";
	}
	for (size_t i = 0; i < trimmed.length; i++) {
		const unsigned char c = (unsigned char)at[i];

		if (c <= ' ' || c == 0x7f) {
			return "its serial number has blanks or control characters";
		}
		at[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	}
	*serial = trimmed;
	return NULL;
}

// Words that nobody knows are taken for a device that is there: only "deleted" may ever remove one.
static bool read_operation(enum device_operation *out, yyjson_val *value)
{
	static const char *const words[] = {
		[DEVICE_ADDED] = "added", [DEVICE_MODIFIED] = "modified", [DEVICE_DELETED] = "deleted",
	};
	const struct text word = apple_json_string(value);

	*out = DEVICE_PRESENT;
	if (apple_json_is_absent(value)) {
		return true;
	}
	for (enum device_operation i = DEVICE_ADDED; i <= DEVICE_DELETED; i++) {
		if (text_equal_ignoring_case(word, text_of(words[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool read_field(struct device_record *record, const struct field *field, yyjson_val *value)
{
	void *member = (char *)record + field->offset;

	switch (field->kind) {
	case STRING: return apple_json_text(member, value, APPLE_TEXT_MAX);
	case INSTANT: return apple_json_instant(member, value);
	case OPERATION: return read_operation(member, value);
	case SERIAL: break;
	}
	return true;
}

static bool is_list_of_strings(yyjson_val *value)
{
	yyjson_arr_iter items = yyjson_arr_iter_with(value);
	yyjson_val *item;

	while ((item = yyjson_arr_iter_next(&items)) != NULL) {
		if (!yyjson_is_str(item)) {
			return false;
		}
	}
	return yyjson_is_arr(value);
}

static bool has_shape(yyjson_val *value, enum shape shape)
{
	switch (shape) {
	case A_STRING: return yyjson_is_str(value);
	case STRINGS: return is_list_of_strings(value);
	case A_STRING_OR_STRINGS: return yyjson_is_str(value) || is_list_of_strings(value);
	case A_BOOLEAN: return yyjson_is_bool(value);
	}
	return false;
}

// What nobody has documented may have any shape.
static bool is_as_documented(struct text name, yyjson_val *value)
{
	for (size_t i = 0; i < sizeof newer_members / sizeof *newer_members; i++) {
		if (name.length == newer_members[i].length && memcmp(name.bytes, newer_members[i].name, name.length) == 0) {
			return apple_json_is_absent(value) || has_shape(value, newer_members[i].shape);
		}
	}
	return true;
}

static bool read_extra(struct apple_device_reading *reading, struct text name, yyjson_val *value)
{
	if (!is_as_documented(name, value)) {
		return false;
	}
	if (text_equal_string(name, "is_replacement_device")) {
		reading->record.is_replacement = yyjson_is_true(value);
	} else if (text_equal_string(name, "released_by_replacement")) {
		reading->record.released_by_replacement = yyjson_is_true(value);
	}
	return apple_extra_add(&reading->extra, name, value);
}

// The record's own serial number and the key it stands under; two different ones are as bad as none.
static const char *read_serial(struct apple_device_reading *reading, struct apple_json *json, yyjson_val *value)
{
	struct text serial = apple_json_string(value);

	if (apple_json_is_absent(value)) {
		return NULL;
	}
	if (reading->refused_serial.length == 0) {
		reading->refused_serial = serial;
	}
	if (!yyjson_is_str(value)) {
		return "its serial number is not a string";
	}
	const char *why = apple_serial_canonical(&serial, json);

	if (why != NULL) {
		return why;
	}
	if (reading->record.serial_number.length > 0 && !text_equal(reading->record.serial_number, serial)) {
		return "it has two serial numbers";
	}
	reading->record.serial_number = serial;
	return NULL;
}

static const char *read_members(struct apple_device_reading *reading, struct apple_json *json, yyjson_val *object)
{
	yyjson_obj_iter members = yyjson_obj_iter_with(object);
	yyjson_val *key;
	bool seen[FIELD_COUNT] = { false };
	size_t expected = 0;

	while ((key = yyjson_obj_iter_next(&members)) != NULL) {
		yyjson_val *value = yyjson_obj_iter_get_val(key);
		const struct text name = apple_json_string(key);
		const struct field *field = field_named(name, expected);
		bool read;

		expected = field != NULL ? (size_t)(field - fields) + 1 : expected;
		if (field == NULL) {
			read = read_extra(reading, name, value);
		} else if (field->kind == SERIAL) {
			const char *why = read_serial(reading, json, value);

			if (why != NULL) {
				return why;
			}
			continue;
		} else {
			read = read_field(&reading->record, field, value) && !seen[field - fields];
			seen[field - fields] = true;
		}
		reading->fields_ignored += read ? 0 : 1;
	}
	return NULL;
}

const char *apple_device_read(struct apple_device_reading *reading, struct apple_json *json, yyjson_val *value,
	struct text key)
{
	reading->record = (struct device_record){
		.profile_assign_time_us = INSTANT_NONE,
		.profile_push_time_us = INSTANT_NONE,
		.device_assigned_date_us = INSTANT_NONE,
		.mdm_migration_deadline_us = INSTANT_NONE,
		.op_date_us = INSTANT_NONE,
	};
	reading->extra.count = 0;
	reading->extra.too_much = false;
	reading->fields_ignored = 0;
	reading->refused_serial = key;
	if (key.bytes != NULL) {
		const char *why = apple_serial_canonical(&key, json);

		if (why != NULL) {
			return why;
		}
		reading->record.serial_number = key;
	}
	if (!yyjson_is_obj(value)) {
		return "it is not an object";
	}
	const char *why = read_members(reading, json, value);

	if (why == NULL && reading->record.serial_number.length == 0) {
		return "it has no serial number";
	}
	return why;
}
