// SPDX-License-Identifier: Apache-2.0
//
// Pages are made of this, thousands of records a second: so no trees, no formats, but for devices with facts of their own.
#include "applesim/device_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static void add_two_digits(char *at, int64_t number)
{
	at[0] = (char)('0' + number / 10);
	at[1] = (char)('0' + number % 10);
}

void add_time(struct buffer *out, int64_t seconds)
{
	static int64_t known_day = -1;
	static char text[INSTANT_TEXT_SIZE];
	const int64_t of_day = seconds % DAY_S;

	if (seconds / DAY_S != known_day) {
		known_day = seconds / DAY_S;
		(void)instant_format(text, known_day * DAY_S * SECOND_US, false);
	}
	add_two_digits(text + 11, of_day / 3600);
	add_two_digits(text + 14, of_day / 60 % 60);
	add_two_digits(text + 17, of_day % 60);
	buffer_add(out, text, 20);
}

static void add_quoted(struct buffer *out, const char *plain)
{
	buffer_add(out, "\"", 1);
	buffer_add_string(out, plain);
	buffer_add(out, "\"", 1);
}

static bool add_quoted_time(struct buffer *out, int64_t seconds)
{
	if (seconds <= 0) {
		return false;
	}
	buffer_add(out, "\"", 1);
	add_time(out, seconds);
	buffer_add(out, "\"", 1);
	return true;
}

static bool is_mine(const struct device *device, const struct device_view *view)
{
	return device->tenant == view->tenant;
}

#define FIELD(name) static bool name(struct buffer *out, const struct device *device, const struct device_view *view)

FIELD(add_serial)
{
	(void)view;
	buffer_add_json(out, text_of(device->serial));
	return true;
}

FIELD(add_description)
{
	(void)view;
	add_quoted(out, hardware_fact(device->seed, FACT_DESCRIPTION));
	return true;
}

FIELD(add_model)
{
	(void)view;
	add_quoted(out, hardware_fact(device->seed, FACT_MODEL));
	return true;
}

FIELD(add_os)
{
	const char *os = hardware_fact(device->seed, FACT_OS);

	add_quoted(out, view->version < 7 && strcmp(os, "iPadOS") == 0 ? "iOS" : os);
	return true;
}

FIELD(add_family)
{
	(void)view;
	add_quoted(out, hardware_fact(device->seed, FACT_FAMILY));
	return true;
}

FIELD(add_colour)
{
	(void)view;
	add_quoted(out, hardware_fact(device->seed, FACT_COLOUR));
	return true;
}

FIELD(add_profile_uuid)
{
	if (!is_mine(device, view) || device->profile == NULL) {
		return false;
	}
	add_quoted(out, device->profile->uuid);
	return true;
}

FIELD(add_profile_assign_time)
{
	return is_mine(device, view) && add_quoted_time(out, device->profile_assigned_at_s);
}

FIELD(add_profile_push_time)
{
	return is_mine(device, view) && add_quoted_time(out, device->profile_pushed_at_s);
}

FIELD(add_profile_status)
{
	add_quoted(out, profile_status_words[is_mine(device, view) ? device->status : PROFILE_EMPTY]);
	return true;
}

FIELD(add_assigned_by)
{
	if (!is_mine(device, view)) {
		return false;
	}
	add_quoted(out, device->is_assigned_by_default ? "-1" : view->tenant->administrator);
	return true;
}

FIELD(add_assigned_date)
{
	return is_mine(device, view) && add_quoted_time(out, device->assigned_at_s);
}

FIELD(add_imei)
{
	(void)view;
	if (!hardware_is_cellular(device->seed)) {
		return false;
	}
	buffer_add_string(out, "[\"");
	hardware_add_imei(out, device->seed, 0);
	buffer_add_string(out, "\",\"");
	hardware_add_imei(out, device->seed, 1);
	buffer_add_string(out, "\"]");
	return true;
}

FIELD(add_meid)
{
	(void)view;
	if (!hardware_is_cellular(device->seed)) {
		return false;
	}
	buffer_add_string(out, "[\"");
	hardware_add_imei(out, device->seed, 0);
	out->length--; // a MEID has no check digit
	buffer_add_string(out, "\"]");
	return true;
}

FIELD(add_eid)
{
	(void)view;
	if (!hardware_is_cellular(device->seed)) {
		return false;
	}
	buffer_add(out, "\"", 1);
	hardware_add_eid(out, device->seed);
	buffer_add(out, "\"", 1);
	return true;
}

static bool add_mac(struct buffer *out, const struct device *device, unsigned port)
{
	buffer_add(out, "\"", 1);
	hardware_add_mac(out, device->seed, port);
	buffer_add(out, "\"", 1);
	return true;
}

FIELD(add_wifi)
{
	(void)view;
	return add_mac(out, device, 0);
}

FIELD(add_bluetooth)
{
	(void)view;
	return add_mac(out, device, 1);
}

FIELD(add_ethernet)
{
	(void)view;
	return hardware_has_ethernet(device->seed) && add_mac(out, device, 2);
}

FIELD(add_is_replacement)
{
	(void)view;
	buffer_add_string(out, "true");
	return device->replaces != NULL;
}

FIELD(add_op_type)
{
	(void)device;
	if (view->change == NULL) {
		return false;
	}
	add_quoted(out, operation_words[view->change->operation]);
	return true;
}

FIELD(add_op_date)
{
	(void)device;
	return view->change != NULL && add_quoted_time(out, view->change->at_s);
}

FIELD(add_released)
{
	(void)device;
	buffer_add_string(out, "true");
	return view->change != NULL && view->change->operation == OPERATION_DELETED && view->change->cause == CAUSE_REPLACEMENT;
}

FIELD(add_response_status)
{
	(void)device;
	add_quoted(out, "SUCCESS");
	return view->is_detail;
}

FIELD(add_nothing)
{
	(void)out;
	(void)device;
	(void)view;
	return false;
}

static const struct field {
	struct text member; // with what comes before it
	const char *name;
	int since;
	bool (*add)(struct buffer *out, const struct device *device, const struct device_view *view);
} fields[] = {
#define MEMBER(name) { ",\"" name "\":", sizeof(name) + 3 }, name
	{ MEMBER("serial_number"), 1, add_serial },
	{ MEMBER("description"), 1, add_description },
	{ MEMBER("model"), 1, add_model },
	{ MEMBER("os"), 2, add_os },
	{ MEMBER("device_family"), 2, add_family },
	{ MEMBER("color"), 1, add_colour },
	{ MEMBER("asset_tag"), 1, add_nothing },
	{ MEMBER("profile_uuid"), 1, add_profile_uuid },
	{ MEMBER("profile_assign_time"), 1, add_profile_assign_time },
	{ MEMBER("profile_push_time"), 1, add_profile_push_time },
	{ MEMBER("profile_status"), 1, add_profile_status },
	{ MEMBER("device_assigned_by"), 1, add_assigned_by },
	{ MEMBER("device_assigned_date"), 1, add_assigned_date },
	{ MEMBER("mdm_migration_deadline"), 8, add_nothing },
	{ MEMBER("imei"), 10, add_imei },
	{ MEMBER("meid"), 10, add_meid },
	{ MEMBER("eid"), 10, add_eid },
	{ MEMBER("wifi_mac_address"), 10, add_wifi },
	{ MEMBER("bluetooth_mac_address"), 10, add_bluetooth },
	{ MEMBER("ethernet_mac_address"), 10, add_ethernet },
	{ MEMBER("is_replacement_device"), 10, add_is_replacement },
	{ MEMBER("released_by_replacement"), 10, add_released },
	{ MEMBER("op_type"), 1, add_op_type },
	{ MEMBER("op_date"), 1, add_op_date },
	{ MEMBER("response_status"), 1, add_response_status },
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static void add_value(struct buffer *out, yyjson_val *value)
{
	size_t length;
	char *text = yyjson_val_write(value, 0, &length);

	buffer_add(out, text, text != NULL ? length : 0);
	free(text);
}

static void add_field(struct buffer *out, const struct field *field, const struct device *device,
	const struct device_view *view, yyjson_val *facts)
{
	const size_t before = out->length;
	yyjson_val *fact = facts != NULL ? yyjson_obj_get(facts, field->name) : NULL;

	buffer_add_text(out, field->member);
	if (fact != NULL) {
		add_value(out, fact);
	} else if (!field->add(out, device, view)) {
		out->length = before;
	}
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(fields[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

// Fields that do not exist yet: clients must bear them.
static void add_unknown_fields(struct buffer *out, yyjson_val *facts)
{
	size_t index, count;
	yyjson_val *key, *value;

	yyjson_obj_foreach(facts, index, count, key, value) {
		if (!is_known(yyjson_get_str(key))) {
			buffer_add(out, ",", 1);
			add_value(out, key);
			buffer_add(out, ":", 1);
			add_value(out, value);
		}
	}
}

void device_json(struct buffer *out, const struct device *device, const struct device_view *view)
{
	yyjson_doc *doc = device->facts != NULL ? yyjson_read(device->facts, strlen(device->facts), 0) : NULL;
	yyjson_val *facts = yyjson_doc_get_root(doc);
	const size_t start = out->length;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (fields[i].since <= view->version) {
			add_field(out, &fields[i], device, view, facts);
		}
	}
	if (facts != NULL) {
		add_unknown_fields(out, facts);
	}
	out->bytes[start] = '{'; // over the first comma
	buffer_add(out, "}", 1);
	yyjson_doc_free(doc);
}
