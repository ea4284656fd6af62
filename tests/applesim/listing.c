// SPDX-License-Identifier: Apache-2.0
//
// listing.c - the device list: POST /server/devices, /devices/sync and /devices (dep-api.md, sections 5.2 to 5.5, and 6).
#include "applesim/apple.h"
#include "applesim/cursor.h"
#include "applesim/device_json.h"

#define CURSOR_LIFE_MS (INT64_C(7) * 24 * 3600 * 1000)

struct page {
	struct cursor cursor; // that it began with
	struct cursor next;
	struct text given; // the cursor as it came
	uint64_t begin;    // in the tenant's slots or changes
	uint64_t end;
	uint64_t limit;
	bool has_more;
};

static bool read_limit(struct call *call, struct page *page)
{
	yyjson_val *limit = yyjson_obj_get(call->body, "limit");
	int64_t wanted = call->tenant->page_default;

	if (limit != NULL && !yyjson_is_null(limit)) {
		if (!yyjson_is_int(limit) || yyjson_get_sint(limit) < 1) {
			answer_word(call, 400, "MALFORMED_REQUEST_BODY");
			return false;
		}
		wanted = yyjson_get_sint(limit);
	}
	page->limit = (uint64_t)(wanted < call->tenant->page_maximum ? wanted : call->tenant->page_maximum);
	return true;
}

static bool read_page(struct call *call, struct page *page)
{
	yyjson_val *cursor = yyjson_obj_get(call->body, "cursor");

	page->given = json_text(call->body, "cursor");
	if (page->given.length > 0 && !cursor_read(&page->cursor, call->tenant, page->given)) {
		answer_word(call, 400, "INVALID_CURSOR");
		return false;
	}
	if (cursor != NULL && !yyjson_is_null(cursor) && !yyjson_is_str(cursor)) {
		answer_word(call, 400, "INVALID_CURSOR");
		return false;
	}
	return read_limit(call, page);
}

// Does a planted fault want this very page? True: it takes the place of the answer.
static bool is_spoilt(struct call *call, const struct page *page)
{
	const struct fault_target target = call_target(call);
	const struct fault_page place = {
		.number = (unsigned)(page->cursor.offset / page->limit) + 1,
		.is_last = !page->has_more,
	};

	if (call->fault == NULL) {
		call->fault = fault_list_take(&call->apple->faults, &target, &place);
	}
	return call->fault != NULL && is_instead_of_running(call->fault);
}

static void add_device(struct call *call, const struct device *device, const struct device_view *view)
{
	struct buffer *body = &call->answer->body;
	const int64_t copies = call->fault != NULL ? 1 + call->fault->duplicates : 1;

	for (int64_t i = 0; i < copies; i++) {
		if (call->devices++ > 0) {
			buffer_add(body, ",", 1);
		}
		device_json(body, device, view);
	}
}

static void end_page(struct call *call, const struct page *page)
{
	struct buffer *body = &call->answer->body;
	const bool is_stuck = call->fault != NULL && call->fault->stuck_cursor;

	buffer_add_string(body, "],\"fetched_until\":\"");
	add_time(body, world_now_s(call->world));
	buffer_add_string(body, is_stuck || page->has_more ? "\",\"more_to_follow\":true,\"cursor\":\""
													   : "\",\"more_to_follow\":false,\"cursor\":\"");
	if (is_stuck && page->given.length > 0) {
		buffer_add_text(body, page->given);
	} else {
		cursor_write(body, call->tenant, is_stuck ? &page->cursor : &page->next);
	}
	buffer_add_string(body, "\"}");
	answer_json(call);
}

// Finds the page's end in the slots, past the gaps that devices left.
static void measure_fetch(const struct tenant *tenant, struct page *page)
{
	uint64_t found = 0;
	uint64_t at = page->cursor.offset;

	page->begin = at;
	while (at < tenant->slot_count && found < page->limit) {
		found += tenant->slots[at++] != NULL;
	}
	page->end = at;
	while (at < tenant->slot_count && tenant->slots[at] == NULL) {
		at++;
	}
	page->has_more = at < tenant->slot_count;
}

static bool start_fetch(struct call *call, struct page *page)
{
	const int64_t now_ms = world_now_ms(call->world);

	if (page->given.length == 0) {
		page->cursor = (struct cursor){ .position = call->tenant->change_count, .from_ms = now_ms, .issued_ms = now_ms };
		return true;
	}
	if (page->cursor.is_complete) {
		answer_word(call, 400, "EXHAUSTED_CURSOR");
		return false;
	}
	if (page->cursor.issued_ms + CURSOR_LIFE_MS < now_ms) {
		answer_word(call, 400, "INVALID_CURSOR");
		return false;
	}
	return true;
}

void handle_fetch(struct call *call)
{
	struct tenant *tenant = call->tenant;
	const struct device_view view = { .tenant = tenant, .version = call->version };
	struct page page = { 0 };

	if (!read_page(call, &page) || !start_fetch(call, &page)) {
		return;
	}
	measure_fetch(tenant, &page);
	if (is_spoilt(call, &page)) {
		return;
	}
	buffer_add_string(&call->answer->body, "{\"devices\":[");
	for (uint64_t at = page.begin; at < page.end; at++) {
		if (tenant->slots[at] != NULL) {
			add_device(call, tenant->slots[at], &view);
		}
	}
	page.next = page.cursor;
	page.next.offset = page.has_more ? page.end : 0;
	page.next.is_complete = !page.has_more;
	page.next.issued_ms = world_now_ms(call->world);
	end_page(call, &page);
	tenant->counters.fetch_pages++;
}

static bool start_sync(struct call *call, const struct page *page)
{
	if (page->given.length == 0) {
		answer_word(call, 400, "CURSOR_REQUIRED");
		return false;
	}
	if (!page->cursor.is_complete) { // the full list was not read to its end
		answer_word(call, 400, "INVALID_CURSOR");
		return false;
	}
	if (page->cursor.issued_ms + CURSOR_LIFE_MS < world_now_ms(call->world)) {
		answer_word(call, 400, "EXPIRED_CURSOR");
		return false;
	}
	return true;
}

void handle_sync(struct call *call)
{
	struct tenant *tenant = call->tenant;
	struct device_view view = { .tenant = tenant, .version = call->version };
	struct page page = { 0 };

	if (!read_page(call, &page) || !start_sync(call, &page)) {
		return;
	}
	page.begin = page.cursor.position;
	page.end = page.begin + page.limit < tenant->change_count ? page.begin + page.limit : tenant->change_count;
	page.has_more = page.end < tenant->change_count;
	if (is_spoilt(call, &page)) {
		return;
	}
	buffer_add_string(&call->answer->body, "{\"devices\":[");
	for (uint64_t at = page.begin; at < page.end; at++) {
		view.change = &tenant->changes[at];
		add_device(call, view.change->device, &view);
	}
	page.next = page.cursor;
	page.next.position = page.end;
	page.next.offset = page.has_more ? page.cursor.offset + (page.end - page.begin) : 0;
	page.next.from_ms = page.cursor.issued_ms;
	page.next.issued_ms = world_now_ms(call->world);
	end_page(call, &page);
	tenant->counters.sync_pages++;
}

yyjson_val *call_devices(struct call *call)
{
	yyjson_val *devices = yyjson_obj_get(call->body, "devices");

	if (yyjson_arr_size(devices) == 0) {
		answer_word(call, 400, "DEVICE_ID_REQUIRED");
		return NULL;
	}
	if (!are_serials(devices)) {
		answer_word(call, 400, "MALFORMED_REQUEST_BODY");
		return NULL;
	}
	return devices;
}

static void add_detail(struct call *call, const char *serial)
{
	const struct device_view view = { .tenant = call->tenant, .version = call->version, .is_detail = true };
	struct buffer *body = &call->answer->body;
	struct device *device = world_device(call->world, text_of(serial));

	buffer_add_string(body, call->devices++ > 0 ? "," : "");
	buffer_add_json(body, text_of(serial));
	buffer_add(body, ":", 1);
	if (device != NULL && device->tenant == call->tenant) {
		device_json(body, device, &view);
		return;
	}
	buffer_add_string(body, "{\"serial_number\":");
	buffer_add_json(body, text_of(serial));
	buffer_add_string(body, ",\"response_status\":\"NOT_ACCESSIBLE\"}");
}

void handle_details(struct call *call)
{
	struct text_index seen = { 0 };
	yyjson_val *devices = call_devices(call);
	yyjson_val *serial;
	size_t index, count;

	if (devices == NULL) {
		return;
	}
	buffer_add_string(&call->answer->body, "{\"devices\":{");
	yyjson_arr_foreach(devices, index, count, serial) {
		const char *text = yyjson_get_str(serial);

		if (text_index_find(&seen, text_of(text)) == NULL) {
			text_index_put(&seen, text, serial);
			add_detail(call, text);
		}
	}
	buffer_add_string(&call->answer->body, "}}");
	answer_json(call);
	text_index_fini(&seen);
}

void add_results(struct call *call, yyjson_val *serials,
	const char *(*one)(struct call *call, const char *serial, struct device *device, size_t place))
{
	struct text_index seen = { 0 };
	struct buffer *body = &call->answer->body;
	yyjson_val *serial;
	size_t index, count;

	buffer_add_string(body, "\"devices\":{");
	yyjson_arr_foreach(serials, index, count, serial) {
		const char *text = yyjson_get_str(serial);
		struct device *device = world_device(call->world, text_of(text));
		const char *result;

		if (text_index_find(&seen, text_of(text)) != NULL) {
			continue;
		}
		text_index_put(&seen, text, serial);
		result = one(call, text, device != NULL && device->tenant == call->tenant ? device : NULL, index);
		if (result != NULL) {
			buffer_add_string(body, call->devices++ > 0 ? "," : "");
			buffer_add_json(body, text_of(text));
			buffer_add_format(body, ":\"%s\"", result);
		}
	}
	buffer_add_string(body, "}");
	text_index_fini(&seen);
}
