// SPDX-License-Identifier: Apache-2.0
//
// POST /server/devices and /devices/sync (dep-api.md, sections 5.2, 5.3, 6): the devices of the instance, and from the position in the
// log at which the full list began what happened to them since.
//
// Law  the position is read before what it is a position in: what is committed in between is told twice, never left out
#include "api/dep/dep.h"
#include "api/dep/dep_cursor.h"
#include "api/dep/dep_profile_set.h"
#include "store/devices.h"
#include "store/stream.h"
#include "tenants/device.h"

#include <string.h>

struct listing {
	int64_t limit;
	struct text given; // the cursor as it came; empty: none
	struct dep_cursor cursor;
	struct dep_cursor_owner owner;
	struct dep_cursor next;
	bool is_sync;
	bool has_more;
};

static struct listing *listing_of(struct call *call)
{
	return dep_of(call)->state;
}

// --- what is asked ---

static bool read_limit(struct call *call)
{
	const json_t *limit = json_object_get(call->body, "limit");
	struct listing *listing = listing_of(call);

	listing->limit = DEP_PAGE_MAX;
	if (limit == NULL || json_is_null(limit)) {
		return true;
	}
	if (!json_is_integer(limit) || json_integer_value(limit) < 1) {
		dep_answer_word(call, 400, "MALFORMED_REQUEST_BODY");
		return false;
	}
	if (json_integer_value(limit) < DEP_PAGE_MAX) {
		listing->limit = json_integer_value(limit);
	}
	return true;
}

static bool read_body(struct call *call)
{
	const json_t *cursor = json_object_get(call->body, "cursor");

	if (cursor != NULL && !json_is_null(cursor) && !json_is_string(cursor)) {
		dep_answer_word(call, 400, "INVALID_CURSOR");
		return false;
	}
	listing_of(call)->given = dep_member(call, "cursor");
	return read_limit(call);
}

static bool begin(struct call *call, bool is_sync)
{
	struct listing *listing = dep_state(dep_of(call), sizeof *listing, NULL);

	listing->is_sync = is_sync;
	return read_body(call);
}

// --- the log's state, and the cursor against it ---

enum { INCARNATION, STREAM }; // the statements

static void ask_log(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_incarnation(transaction);
	(void)store_stream_select(transaction, call->tenant.tenant_id);
	call_start(call);
}

static const char *cursor_mistake(const struct listing *listing, int64_t event_seq)
{
	const bool is_old = listing->cursor.issued_us + DEP_CURSOR_LIFE_S * SECOND_US < clock_wall_us();

	if (listing->cursor.position > event_seq) {
		return "INVALID_CURSOR";
	}
	if (listing->is_sync) {
		return !listing->cursor.is_complete ? "INVALID_CURSOR" : is_old ? "EXPIRED_CURSOR" : NULL;
	}
	return listing->cursor.is_complete ? "EXHAUSTED_CURSOR" : is_old ? "INVALID_CURSOR" : NULL;
}

static const char *take_cursor(struct listing *listing, int64_t event_seq)
{
	const int64_t now_us = clock_wall_us();

	if (listing->given.length > 0) {
		return dep_cursor_read(&listing->cursor, &listing->owner, listing->given) ? cursor_mistake(listing, event_seq) : "INVALID_CURSOR";
	}
	listing->cursor = (struct dep_cursor){ .position = event_seq, .from_us = now_us, .issued_us = now_us };
	return listing->is_sync ? "CURSOR_REQUIRED" : NULL;
}

static bool take_log(struct call *call)
{
	struct listing *listing = listing_of(call);
	struct stream_row stream = { .event_seq = 0 };

	if (pg_row_count(&call->transaction, STREAM) == 1) {
		store_stream_read(&call->transaction, STREAM, 0, &stream);
	}
	listing->owner = (struct dep_cursor_owner){ &dep_of(call)->secret, store_incarnation_read(&call->transaction, INCARNATION) };
	const char *word = take_cursor(listing, stream.event_seq);

	if (word != NULL) {
		dep_answer_word(call, 400, word);
		return false;
	}
	listing->next = listing->cursor;
	listing->next.from_us = listing->cursor.issued_us;
	listing->next.issued_us = clock_wall_us();
	if (listing->is_sync) {
		listing->next.position = stream.event_seq;
	}
	return true;
}

// --- the page ---

enum { PROFILES, ROWS }; // the statements

static void ask_page(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	const struct listing *listing = listing_of(call);
	const int64_t tenant_id = call->tenant.tenant_id;
	const int limit = (int)listing->limit + 1;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_dep_profile_uuids(transaction, tenant_id, dep->place.instance_id);
	if (listing->is_sync) {
		(void)store_event_of_instance(transaction, tenant_id, dep->place.instance_id, listing->cursor.position, limit);
	} else {
		(void)store_device_list(transaction, tenant_id, text_of(listing->cursor.serial), false, dep->place.instance_id, limit);
	}
	call_start(call);
}

static void add_device(struct call *call, struct buffer *body, size_t row, struct dep_view *view)
{
	struct buffer object CLEANUP(buffer_fini) = BUFFER(CALL_ANSWER_MAX);
	struct listing *listing = listing_of(call);
	struct device_row device;

	store_device_read(&call->transaction, ROWS, row, &device);
	const struct device_record record = dep_device_by_now(&device);

	device_json_write(&object, &record);
	dep_device_json(body, buffer_text(&object), view);
	listing->next.offset++;
	memcpy(listing->next.serial, device.apple.serial_number.bytes, device.apple.serial_number.length);
	listing->next.serial[device.apple.serial_number.length] = '\0';
}

static void add_change(struct call *call, struct buffer *body, size_t row, struct dep_view *view)
{
	struct listing *listing = listing_of(call);
	struct stored_event stored;

	store_event_read(&call->transaction, ROWS, row, &stored);
	view->has_left = stored.event.type == EVENT_DEVICE_REMOVED;
	view->operation = view->has_left ? "deleted" : stored.event.type == EVENT_DEVICE_ADDED ? "added" : "modified";
	view->operation_at_us = stored.event.at_us;
	dep_device_json(body, stored.event.device_json, view);
	listing->next.offset++;
	if (listing->has_more || stored.event.seq > listing->next.position) {
		listing->next.position = stored.event.seq;
	}
}

static void end_page(struct call *call, struct buffer *body)
{
	struct listing *listing = listing_of(call);
	char now[INSTANT_TEXT_SIZE];

	listing->next.is_complete = listing->is_sync || !listing->has_more;
	if (!listing->has_more) {
		listing->next.offset = 0;
		listing->next.serial[0] = '\0';
	}
	buffer_add_format(body, "],\"fetched_until\":\"%s\",\"more_to_follow\":%s,\"cursor\":\"",
		instant_format(now, listing->next.issued_us, false), listing->has_more ? "true" : "false");
	struct buffer cursor CLEANUP(buffer_fini) = BUFFER(2 * DEP_CURSOR_MAX);

	dep_cursor_write(&cursor, &listing->owner, &listing->next);
	buffer_add_text(body, buffer_text(&cursor));
	buffer_add_string(body, "\"}");
}

static void answer_page(struct call *call)
{
	struct listing *listing = listing_of(call);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct dep_view view = { .version = dep_of(call)->version, .profiles = dep_profile_set_read(call, PROFILES) };
	const size_t found = pg_row_count(&call->transaction, ROWS);
	const size_t shown = found > (size_t)listing->limit ? (size_t)listing->limit : found;

	listing->has_more = shown < found;
	buffer_add_string(&body, "{\"devices\":[");
	for (size_t i = 0; i < shown; i++) {
		buffer_add_string(&body, i > 0 ? "," : "");
		(listing->is_sync ? add_change : add_device)(call, &body, i, &view);
	}
	end_page(call, &body);
	dep_answer_json(call, &body);
}

static void list(struct call *call, bool is_sync)
{
	enum { NEW, READING_LOG, READING_PAGE };

	switch (call->state) {
	case NEW:
		if (!begin(call, is_sync)) {
			return;
		}
		AWAIT(call, READING_LOG, ask_log(call));
		if (call_failed(call) || !take_log(call)) {
			return;
		}
		AWAIT(call, READING_PAGE, ask_page(call));
		if (!call_failed(call)) {
			answer_page(call);
		}
	}
}

void dep_fetch(struct call *call)
{
	list(call, false);
}

void dep_sync(struct call *call)
{
	list(call, true);
}
