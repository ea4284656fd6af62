// SPDX-License-Identifier: Apache-2.0
//
// control_devices.c - what an administrator does to devices in Apple's portal. With "quiet" it leaves no trace in the
// change log, as it does at Apple now and then: only a full list shows it.
#include "applesim/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Members that are about the control listener or about state, not about what the device is.
static const char *const own_members[] = {
	"serial_number", "quiet", "profile_status", "cool_down_s", "assigned_by_default",
};

static bool is_own_member(const char *name)
{
	for (size_t i = 0; i < sizeof own_members / sizeof *own_members; i++) {
		if (strcmp(own_members[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void merge_facts(struct device *device, yyjson_val *json)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_doc *old = device->facts != NULL ? yyjson_read(device->facts, strlen(device->facts), 0) : NULL;
	yyjson_mut_val *facts = old != NULL ? yyjson_val_mut_copy(doc, yyjson_doc_get_root(old)) : yyjson_mut_obj(doc);
	yyjson_val *name, *value;
	size_t index, count;

	yyjson_mut_doc_set_root(doc, facts);
	yyjson_obj_foreach(json, index, count, name, value) {
		if (!is_own_member(yyjson_get_str(name))) {
			(void)yyjson_mut_obj_put(facts, yyjson_val_mut_copy(doc, name), yyjson_val_mut_copy(doc, value));
		}
	}
	free(device->facts);
	device->facts = yyjson_mut_obj_size(facts) > 0 ? yyjson_mut_write(doc, 0, NULL) : NULL;
	yyjson_mut_doc_free(doc);
	yyjson_doc_free(old);
}

static void enter(struct control_call *call, struct device *device, struct tenant *tenant, enum operation operation)
{
	device->is_assigned_by_default = json_flag(call->body, "assigned_by_default");
	device_enter(device, tenant);
	if (!json_flag(call->body, "quiet")) {
		tenant_log(tenant, device, operation, CAUSE_CONTROL);
	}
}

static void add_serial(struct control_call *call, const struct device *device, size_t before)
{
	buffer_add_string(call->out, before > 0 ? "," : "");
	buffer_add_json(call->out, text_of(device->serial));
}

static uint64_t seed_of(const char *serial)
{
	uint64_t seed = 1;

	for (const char *at = serial; *at != '\0'; at++) {
		seed = mixed(seed, (unsigned char)*at);
	}
	return seed;
}

// A serial number, or an object that has one. False: it is on a server already.
static bool add_named(struct control_call *call, yyjson_val *given, size_t place)
{
	const struct text serial = yyjson_is_str(given) ? text_of(yyjson_get_str(given)) : json_text(given, "serial_number");
	struct device *device = world_device(call->world, serial);

	if (serial.length == 0) {
		refuse_control(call, 400, "each device is a serial number, or an object with serial_number");
		return false;
	}
	if (device != NULL && device->tenant != NULL) {
		refuse_control(call, 409, "a device of this serial number is on a server already");
		return false;
	}
	if (device == NULL) {
		device = world_make_device(call->world, serial.bytes, seed_of(serial.bytes));
	}
	if (yyjson_is_obj(given)) {
		merge_facts(device, given);
	}
	enter(call, device, call->tenant, OPERATION_ADDED);
	add_serial(call, device, place);
	return true;
}

void control_add_devices(struct control_call *call)
{
	yyjson_val *given;
	size_t index, count;

	call->answer->status = 201;
	buffer_add_string(call->out, "{\"serials\":[");
	for (int64_t i = 0; i < json_number(call->body, "count", 0); i++) {
		struct device *device = tenant_make_device(call->tenant);

		enter(call, device, call->tenant, OPERATION_ADDED);
		add_serial(call, device, (size_t)i);
	}
	yyjson_arr_foreach(yyjson_obj_get(call->body, "devices"), index, count, given) {
		if (!add_named(call, given, index)) {
			return;
		}
	}
	buffer_add_string(call->out, "]}");
}

static void add_place(struct control_call *call, const struct device *device)
{
	buffer_add_string(call->out, "{\"serial_number\":");
	buffer_add_json(call->out, text_of(device->serial));
	buffer_add_format(call->out, ",\"tenant\":%lld}", device->tenant != NULL ? (long long)device->tenant->id : 0);
}

static void change_status(struct device *device, struct text word)
{
	for (uint8_t i = 0; i < 4; i++) {
		if (text_equal_string(word, profile_status_words[i])) {
			device->status = i;
		}
	}
	if (device->status == PROFILE_PUSHED) {
		device->profile_pushed_at_s = world_now_s(device->tenant->world);
	}
}

void control_change_device(struct control_call *call)
{
	const int64_t cool_down_s = json_number(call->body, "cool_down_s", -1);

	merge_facts(call->device, call->body);
	change_status(call->device, json_text(call->body, "profile_status"));
	if (cool_down_s >= 0) {
		call->device->cool_until_s = world_now_s(call->world) + cool_down_s;
	}
	if (!json_flag(call->body, "quiet")) {
		tenant_log(call->tenant, call->device, OPERATION_MODIFIED, CAUSE_CONTROL);
	}
	call->world->is_changed = true;
	add_place(call, call->device);
}

static void leave(struct control_call *call, bool quiet, enum cause cause)
{
	if (!quiet) {
		tenant_log(call->tenant, call->device, OPERATION_DELETED, cause);
	}
	device_leave(call->device);
}

void control_delete_device(struct control_call *call)
{
	leave(call, web_query(call->request, "quiet").bytes != NULL, CAUSE_CONTROL);
	add_place(call, call->device);
}

void control_move_device(struct control_call *call)
{
	struct tenant *to = world_tenant(call->world, json_number(call->body, "to", 0));
	const bool as_modified = text_equal_string(json_text(call->body, "op_type"), "modified");

	if (to == NULL) {
		refuse_control(call, 404, "to: there is no such tenant");
		return;
	}
	leave(call, json_flag(call->body, "quiet") || json_flag(call->body, "quiet_from"), CAUSE_CONTROL);
	enter(call, call->device, to, as_modified ? OPERATION_MODIFIED : OPERATION_ADDED);
	add_place(call, call->device);
}

void control_replace_device(struct control_call *call)
{
	struct device *fresh = tenant_make_device(call->tenant);

	fresh->replaces = call->device;
	leave(call, false, CAUSE_REPLACEMENT);
	enter(call, fresh, call->tenant, OPERATION_ADDED);
	add_place(call, fresh);
}
