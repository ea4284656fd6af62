// SPDX-License-Identifier: Apache-2.0
//
// model.c - what an MDM server would know of its devices after the events so far.
#include "receiver/receiver.h"

#include "rig/json.h"

#include <stdlib.h>
#include <string.h>

struct known_device *inbox_add_device(struct inbox *inbox, const char *serial)
{
	struct known_device *device = allocate(sizeof *device);

	inbox->devices = reallocate(inbox->devices, (inbox->device_count + 1) * sizeof(struct known_device *));
	inbox->devices[inbox->device_count++] = device;
	device->serial = duplicate(text_of(serial));
	text_index_put(&inbox->by_serial, serial, device);
	return device;
}

static void replace(char **text, struct text with)
{
	if (with.bytes != NULL) {
		free(*text);
		*text = duplicate(with);
	}
}

static bool is_ours(const char *type)
{
	static const char *const types[] = { "device.added", "device.changed", "device.assigned", "device.removed" };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(type, types[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void change_device(struct known_device *device, const char *type, yyjson_val *data)
{
	yyjson_val *json = yyjson_obj_get(data, "device");

	device->seq = json_number(data, "seq", 0);
	device->incarnation = json_number(data, "incarnation", 0);
	replace(&device->tenant, json_text(data, "tenant"));
	replace(&device->instance, json_text(data, "instance"));
	if (yyjson_is_obj(json)) {
		free(device->json);
		device->json = yyjson_val_write(json, 0, NULL);
	}
	device->is_present = strcmp(type, "device.removed") != 0;
	device->is_assigned = device->is_present && (device->is_assigned || strcmp(type, "device.assigned") == 0) &&
		strcmp(type, "device.added") != 0;
}

const char *inbox_apply(struct inbox *inbox, yyjson_val *root)
{
	const char *type = yyjson_get_str(yyjson_obj_get(root, "type"));
	yyjson_val *data = yyjson_obj_get(root, "data");
	const struct text serial = json_text(data, "serial_number");
	const struct text tenant = json_text(data, "tenant");
	struct known_device *device;

	if (type == NULL || !yyjson_is_obj(data)) {
		inbox->counters.malformed++;
		return "malformed";
	}
	if (!is_ours(type)) {
		return "ignored";
	}
	if (serial.length == 0 || json_number(data, "seq", 0) < 1) {
		inbox->counters.malformed++;
		return "malformed";
	}
	if (inbox->tenant == NULL && tenant.bytes != NULL) {
		inbox->tenant = duplicate(tenant);
	}
	inbox->counters.foreign += inbox->tenant != NULL && !text_equal_string(tenant, inbox->tenant);
	device = text_index_find(&inbox->by_serial, serial);
	if (device == NULL) {
		device = inbox_add_device(inbox, serial.bytes);
	} else if (json_number(data, "incarnation", 0) < device->incarnation ||
		(json_number(data, "incarnation", 0) == device->incarnation && json_number(data, "seq", 0) <= device->seq)) {
		inbox->counters.inversions++;
		return "inversion";
	}
	change_device(device, type, data);
	return "applied";
}

yyjson_doc *inbox_parse(struct text body)
{
	char *bytes;

	memcpy(&bytes, &body.bytes, sizeof bytes); // read only, whatever yyjson's interface says
	return yyjson_read_opts(bytes, body.length, 0, NULL, NULL);
}
