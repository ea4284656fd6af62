// SPDX-License-Identifier: Apache-2.0
//
// state.c - secrets, ids and devices in a file: a receiver that forgets ids would do things twice after a restart.
#include "receiver/receiver.h"

#include "rig/json.h"
#include "rig/program.h"

#include <stdlib.h>

#define STATE_MAX ((size_t)1024 * 1024 * 1024)

static void add_text(struct buffer *out, const char *text)
{
	if (text != NULL) {
		buffer_add_json(out, text_of(text));
	} else {
		buffer_add_string(out, "null");
	}
}

static void add_devices(struct buffer *out, const struct inbox *inbox)
{
	for (size_t i = 0; i < inbox->device_count; i++) {
		const struct known_device *device = inbox->devices[i];

		buffer_add_string(out, i > 0 ? ",\n[" : "\n[");
		add_text(out, device->serial);
		buffer_add_string(out, ",");
		add_text(out, device->tenant);
		buffer_add_string(out, ",");
		add_text(out, device->instance);
		buffer_add_string(out, ",");
		add_text(out, device->json);
		buffer_add_format(out, ",%lld,%lld,%d,%d]", (long long)device->seq, (long long)device->incarnation, device->is_present,
			device->is_assigned);
	}
}

static void add_inbox(struct buffer *out, const struct inbox *inbox)
{
	const char *between = "";

	buffer_add_string(out, "{\"name\":");
	add_text(out, inbox->name);
	buffer_add_string(out, ",\"tenant\":");
	add_text(out, inbox->tenant);
	buffer_add_string(out, ",\"secrets\":\"");
	for (size_t i = 0; i < inbox->secret_count; i++) {
		buffer_add_string(out, i > 0 ? " " : "");
		webhook_secret_write(out, &inbox->secrets[i]);
	}
	buffer_add_string(out, "\",\"seen\":{");
	for (size_t i = 0; i < inbox->seen.capacity; i++) {
		if (inbox->seen.slots[i].key != NULL) {
			buffer_add_string(out, between);
			add_text(out, inbox->seen.slots[i].key);
			buffer_add_string(out, ":");
			add_text(out, inbox->seen.slots[i].value);
			between = ",\n";
		}
	}
	buffer_add_string(out, "},\"devices\":[");
	add_devices(out, inbox);
	buffer_add_string(out, "]}");
}

enum err receiver_save(struct receiver *receiver, const char *path, struct fault *fault)
{
	struct buffer out CLEANUP(buffer_fini_wiped) = BUFFER(STATE_MAX);

	buffer_add_string(&out, "{\"format\":1,\"inboxes\":[");
	for (size_t i = 0; i < receiver->inbox_count; i++) {
		buffer_add_string(&out, i > 0 ? ",\n" : "\n");
		add_inbox(&out, receiver->inboxes[i]);
	}
	buffer_add_string(&out, "]}\n");
	if (out.overflow) {
		return fault_set(fault, ERR_BUDGET, "the state is too large to be written");
	}
	TRY(rig_file_write(path, buffer_text(&out), fault));
	receiver->is_changed = false;
	return OK;
}

static char *text_at(yyjson_val *array, size_t index)
{
	const char *text = yyjson_get_str(yyjson_arr_get(array, index));

	return text != NULL ? duplicate(text_of(text)) : NULL;
}

static void load_device(struct inbox *inbox, yyjson_val *json)
{
	const char *serial = yyjson_get_str(yyjson_arr_get(json, 0));
	struct known_device *device = inbox_add_device(inbox, serial != NULL ? serial : "");

	device->tenant = text_at(json, 1);
	device->instance = text_at(json, 2);
	device->json = text_at(json, 3);
	device->seq = yyjson_get_sint(yyjson_arr_get(json, 4));
	device->incarnation = yyjson_get_sint(yyjson_arr_get(json, 5));
	device->is_present = yyjson_get_sint(yyjson_arr_get(json, 6)) != 0;
	device->is_assigned = yyjson_get_sint(yyjson_arr_get(json, 7)) != 0;
}

static enum err load_inbox(struct receiver *receiver, yyjson_val *json, struct fault *fault)
{
	struct inbox *inbox = receiver_inbox(receiver, json_text(json, "name"), true);
	const struct text secrets = json_text(json, "secrets");
	yyjson_val *name, *value;
	size_t index, count;

	inbox->tenant = json_duplicate(json, "tenant");
	yyjson_obj_foreach(yyjson_obj_get(json, "seen"), index, count, name, value) {
		if (yyjson_is_str(value)) {
			text_index_put(&inbox->seen, yyjson_get_str(name), duplicate(text_of(yyjson_get_str(value))));
		}
	}
	yyjson_arr_foreach(yyjson_obj_get(json, "devices"), index, count, value) {
		load_device(inbox, value);
	}
	return secrets.length > 0 ? inbox_set_secrets(inbox, secrets, fault) : OK;
}

enum err receiver_load(struct receiver *receiver, const char *path, struct fault *fault)
{
	struct buffer in CLEANUP(buffer_fini_wiped) = BUFFER(STATE_MAX);
	yyjson_doc *doc;
	yyjson_val *inbox;
	size_t index, count;
	enum err rc = OK;

	TRY(rig_file_read(&in, path, fault));
	if (in.length == 0) {
		return OK;
	}
	doc = yyjson_read(in.bytes, in.length, 0);
	if (json_number(yyjson_doc_get_root(doc), "format", 0) != 1) {
		rc = fault_set(fault, ERR_BAD_INPUT, "%s: not a state of receiver", path);
	}
	yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "inboxes"), index, count, inbox) {
		rc = rc == OK ? load_inbox(receiver, inbox, fault) : rc;
	}
	yyjson_doc_free(doc);
	return rc;
}
