// SPDX-License-Identifier: Apache-2.0
#include "apple/apple.h"

#include "apple/apple_device.h"
#include "tenants/device.h"

#include <stdlib.h>
#include <string.h>

enum { EXTRAS_MAX = 2 * APPLE_ANSWER_MAX };

struct page_reading {
	struct apple_page *page;
	struct apple_json json;
	struct apple_device_reading device;
	struct buffer extra; // of one device
	struct buffer shown; // one that is parked
};

// As much of a serial number as can be shown to people.
static struct text printable_part(struct text serial)
{
	size_t length = 0;

	while (length < serial.length && length < APPLE_SERIAL_MAX && serial.bytes[length] >= ' ' &&
		serial.bytes[length] <= '~') {
		length++;
	}
	return (struct text){ serial.bytes, length };
}

// The record's length is kept; where it stands is known when the last one has been added.
static struct text keep_rejected(struct page_reading *reading, yyjson_val *value)
{
	size_t length;

	buffer_clear(&reading->shown);
	apple_extra_show(&reading->shown, value);
	length = reading->shown.length < APPLE_REJECT_MAX ? reading->shown.length : (size_t)APPLE_REJECT_MAX;
	while (length > 0 && !text_is_utf8((struct text){ reading->shown.bytes, length })) {
		length--;
	}
	buffer_add(&reading->page->rejected_records, reading->shown.bytes, length);
	return (struct text){ NULL, length };
}

static void park(struct page_reading *reading, yyjson_val *value, struct text serial, const char *why)
{
	struct apple_page *page = reading->page;

	if (page->rejects == NULL) {
		page->rejects = allocate_array(APPLE_REJECTS_KEPT, sizeof *page->rejects);
	}
	if (page->rejects_kept < APPLE_REJECTS_KEPT) {
		page->rejects[page->rejects_kept++] = (struct apple_rejected){ printable_part(serial), keep_rejected(reading, value), why };
	}
	page->rejected++;
}

// Leaves the length alone in record.extra: page->extras still grows and moves.
static void keep_extra(struct page_reading *reading, struct device_record *record)
{
	struct buffer *extras = &reading->page->extras;

	buffer_clear(&reading->extra);
	if (!apple_extra_write(&reading->extra, &reading->device.extra) ||
		reading->extra.length > extras->limit - extras->length) {
		reading->page->extras_dropped++;
		return;
	}
	buffer_add_text(extras, buffer_text(&reading->extra));
	record->extra.length = reading->extra.length;
}

static void take_device(struct page_reading *reading, yyjson_val *value, struct text key)
{
	struct apple_page *page = reading->page;
	struct apple_device_reading *device = &reading->device;
	const char *why = apple_device_read(device, &reading->json, value, key);

	if (why != NULL) {
		park(reading, value, device->refused_serial, why);
		return;
	}
	keep_extra(reading, &device->record);
	page->fields_ignored += device->fields_ignored;
	page->devices[page->count++] = device->record;
}

static void finish_devices(struct apple_page *page)
{
	size_t at = 0;

	for (size_t i = 0; i < page->count; i++) {
		struct device_record *record = &page->devices[i];

		if (record->extra.length > 0) {
			record->extra.bytes = page->extras.bytes + at;
			at += record->extra.length;
		}
		device_fingerprint(record);
	}
	at = 0;
	for (size_t i = 0; i < page->rejects_kept; i++) {
		page->rejects[i].record.bytes = page->rejected_records.bytes + at;
		at += page->rejects[i].record.length;
	}
}

static enum err make_room(struct apple_page *page, size_t count, struct fault *fault)
{
	if (count > APPLE_PAGE_RECORDS_MAX) {
		return fault_set(fault, ERR_BUDGET, "Apple's answer has %zu devices, at most %d are taken", count,
			(int)APPLE_PAGE_RECORDS_MAX);
	}
	page->devices = count > 0 ? allocate_array(count, sizeof *page->devices) : NULL;
	return OK;
}

// A generation is complete, and devices may be computed as gone, because of these members: nothing about them is guessed.
static enum err read_position(struct apple_page *page, yyjson_val *root, struct fault *fault)
{
	yyjson_val *cursor;
	yyjson_val *more;
	yyjson_val *until;

	if (!apple_json_member(&cursor, root, "cursor") || !apple_json_member(&more, root, "more_to_follow") ||
		!apple_json_member(&until, root, "fetched_until")) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's page has a member twice");
	}
	if (yyjson_is_str(cursor) && yyjson_get_len(cursor) > APPLE_CURSOR_MAX) {
		return fault_set(fault, ERR_BUDGET, "Apple's cursor has more than %d bytes", (int)APPLE_CURSOR_MAX);
	}
	if (!apple_json_text(&page->cursor, cursor, APPLE_CURSOR_MAX) || page->cursor.length == 0) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's page has no usable cursor");
	}
	if (!yyjson_is_bool(more)) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's page does not say whether more follows");
	}
	page->more_to_follow = yyjson_is_true(more);
	page->fields_ignored += apple_json_instant(&page->fetched_until_us, until) ? 0 : 1;
	return OK;
}

static enum err read_page(struct page_reading *reading, struct fault *fault)
{
	struct apple_page *page = reading->page;
	yyjson_val *devices;
	yyjson_val *value;

	TRY(read_position(page, reading->json.root, fault));
	if (!apple_json_member(&devices, reading->json.root, "devices") ||
		(!yyjson_is_arr(devices) && devices != NULL && !yyjson_is_null(devices))) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's page has no list of devices");
	}
	TRY(make_room(page, yyjson_arr_size(devices), fault));
	yyjson_arr_iter list = yyjson_arr_iter_with(devices);

	while ((value = yyjson_arr_iter_next(&list)) != NULL) {
		take_device(reading, value, TEXT_NONE);
	}
	return OK;
}

static enum err read_details(struct page_reading *reading, struct fault *fault)
{
	struct apple_page *page = reading->page;
	yyjson_val *devices;
	yyjson_val *key;

	if (!apple_json_member(&devices, reading->json.root, "devices") || !yyjson_is_obj(devices)) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's answer has no devices by serial number");
	}
	TRY(make_room(page, yyjson_obj_size(devices), fault));
	yyjson_obj_iter members = yyjson_obj_iter_with(devices);

	while ((key = yyjson_obj_iter_next(&members)) != NULL) {
		take_device(reading, yyjson_obj_iter_get_val(key), apple_json_string(key));
	}
	return OK;
}

static enum err parse(struct apple_page *page, char *bytes, size_t length,
	enum err (*read)(struct page_reading *reading, struct fault *fault), struct fault *fault)
{
	struct page_reading reading = { .page = page, .extra = BUFFER(APPLE_EXTRA_MAX), .shown = BUFFER(APPLE_EXTRA_MAX) };
	enum err rc = OK;

	*page = (struct apple_page){
		.fetched_until_us = INSTANT_NONE,
		.memory = bytes,
		.extras = BUFFER(EXTRAS_MAX),
		.rejected_records = BUFFER(APPLE_REJECTS_KEPT * APPLE_REJECT_MAX),
		.bytes = length,
	};
	if (length > APPLE_ANSWER_MAX) {
		return fault_set(fault, ERR_BUDGET, "Apple's answer has more than %d bytes", (int)APPLE_ANSWER_MAX);
	}
	rc = apple_json_open(&reading.json, &page->memory, length, fault);
	if (rc == OK) {
		rc = read(&reading, fault);
	}
	apple_json_close(&reading.json);
	buffer_fini(&reading.extra);
	buffer_fini(&reading.shown);
	finish_devices(page);
	return rc;
}

enum err apple_page_parse(struct apple_page *page, char *bytes, size_t length, struct fault *fault)
{
	return parse(page, bytes, length, read_page, fault);
}

enum err apple_details_parse(struct apple_page *page, char *bytes, size_t length, struct fault *fault)
{
	return parse(page, bytes, length, read_details, fault);
}

void apple_page_fini(struct apple_page *page)
{
	free(page->devices);
	free(page->rejects);
	free(page->memory);
	buffer_fini(&page->extras);
	buffer_fini(&page->rejected_records);
	*page = (struct apple_page){ 0 };
}
