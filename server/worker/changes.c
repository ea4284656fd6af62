// SPDX-License-Identifier: Apache-2.0
#include "worker/changes.h"

#include "tenants/device.h"
#include "tenants/history.h"
#include "tenants/seen.h"

#include <assert.h>
#include <stdlib.h>

enum { ROOM_LEAST = 16 };
enum { JSON_LIMIT = 512 * 1024 }; // apple.h bounds each text and `extra`: escaped, and old and new, they stay below it

void changes_init(struct changes *changes, struct tenant *tenant)
{
	*changes = (struct changes){ .tenant = tenant, .json = BUFFER(JSON_LIMIT), .assign_lag_us = -1 };
}

void changes_reset(struct changes *changes)
{
	changes->row_count = 0;
	changes->new_count = 0;
	changes->event_count = 0;
	changes->news_count = 0;
	changes->replacement_count = 0;
	changes->claim_count = 0;
	changes->assign_lag_us = -1;
	changes->parked = NULL;
}

void changes_fini(struct changes *changes)
{
	free(changes->rows);
	free(changes->events);
	free(changes->replacements);
	free(changes->claims);
	buffer_fini(&changes->json);
	changes->rows = NULL;
	changes->events = NULL;
	changes->replacements = NULL;
	changes->claims = NULL;
}

// Fixed: an event stays in the lane that it was stored with.
static int lane_of(struct text serial)
{
	static const uint64_t key[2] = { UINT64_C(0x6c616e6573206f66), UINT64_C(0x206465706272), };

	return (int)(keyed_hash(key, serial) % EVENT_LANES);
}

static void *grow(const struct changes *changes, void *memory, size_t count, size_t *room, size_t size)
{
	if (count < *room) {
		return memory;
	}
	*room = *room > 0 ? *room * 2 : changes->rows_expected > ROOM_LEAST ? changes->rows_expected : ROOM_LEAST;
	return reallocate(memory, *room * size);
}

// What was written into changes->json.
static struct text keep_json(struct changes *changes)
{
	assert(!changes->json.overflow);
	if (changes->json.length == 0) {
		return TEXT_NONE;
	}
	return (struct text){ tenant_scratch_copy(changes->tenant, buffer_text(&changes->json)), changes->json.length };
}

static struct text device_json(struct changes *changes, const struct device_row *row)
{
	buffer_clear(&changes->json);
	device_json_write(&changes->json, &row->apple);
	return keep_json(changes);
}

static struct history_side side_of(const struct changes *changes, const struct device_row *row)
{
	const struct tenant_instance *instance = tenant_instance_by_id(changes->tenant, row->instance_id);

	return (struct history_side){ row, instance != NULL ? instance->name : TEXT_NONE };
}

static struct text changes_json(struct changes *changes, const struct reconcile_outcome *outcome)
{
	if (outcome->stored == NULL) {
		return TEXT_NONE; // everything is new
	}
	const struct history_side before = side_of(changes, outcome->stored);
	const struct history_side after = side_of(changes, &outcome->next);

	buffer_clear(&changes->json);
	history_changes_write(&changes->json, &before, &after);
	return keep_json(changes);
}

static struct text assignment_json(struct changes *changes, const struct reconcile_outcome *outcome)
{
	buffer_clear(&changes->json);
	history_assignment_write(&changes->json, outcome->stored != NULL ? outcome->stored->assigned_profile_uuid : TEXT_NONE,
		outcome->next.assigned_profile_uuid);
	return keep_json(changes);
}

static enum removal_reason reason_of(const struct device_row *row, enum event_type type)
{
	if (type != EVENT_DEVICE_REMOVED) {
		return REMOVAL_NONE;
	}
	return row->gone_at_us != INSTANT_NONE ? row->gone_reason : REMOVAL_REROUTED;
}

struct event_texts {
	struct text device, changes;
};

static int64_t add_event(struct changes *changes, const struct device_row *row, const struct route_event *event, struct event_texts texts,
	int64_t at_us)
{
	const int64_t seq = changes->tenant->stream.event_seq + 1 + (int64_t)changes->event_count;

	changes->events = grow(changes, changes->events, changes->event_count, &changes->event_room, sizeof *changes->events);
	changes->events[changes->event_count] = (struct stored_event){
		.event = {
			.seq = seq,
			.at_us = at_us,
			.type = event->type,
			.serial_number = row->apple.serial_number,
			.device_json = texts.device,
			.reason = reason_of(row, event->type),
			.changes = texts.changes,
		},
		.instance_id = event->instance_id,
		.lane = lane_of(row->apple.serial_number),
	};
	changes->event_count++;
	return seq;
}

static void add_events(struct changes *changes, const struct reconcile_outcome *outcome, struct device_row *row)
{
	const struct text device = device_json(changes, row);
	const struct text changed = changes_json(changes, outcome);

	changes->news_count++;
	for (size_t i = 0; i < outcome->event_count; i++) {
		const struct route_event *event = &outcome->events[i];
		const bool assigned = event->type == EVENT_DEVICE_ASSIGNED;
		const int64_t seq = add_event(changes, row, event,
			(struct event_texts){ device, assigned ? assignment_json(changes, outcome) : changed }, row->changed_at_us);

		if (event->type == EVENT_DEVICE_REMOVED && row->gone_at_us != INSTANT_NONE) {
			row->gone_seq = seq;
		}
	}
}

static void note_replacement(struct changes *changes, const struct device_row *row)
{
	changes->replacements = grow(changes, changes->replacements, changes->replacement_count, &changes->replacement_room,
		sizeof *changes->replacements);
	changes->replacements[changes->replacement_count++] = row->apple.serial_number;
	changes->tenant->has_facts = true;
}

static void note_claim(struct changes *changes, const struct device_row *stored, const struct device_row *row)
{
	const bool gone = row->gone_at_us != INSTANT_NONE;

	if (stored != NULL && (stored->gone_at_us != INSTANT_NONE) == gone &&
		stored->apple.device_assigned_date_us == row->apple.device_assigned_date_us) {
		return;
	}
	changes->claims = grow(changes, changes->claims, changes->claim_count, &changes->claim_room, sizeof *changes->claims);
	struct serial_claim *claim = &changes->claims[changes->claim_count++];

	if (stored == NULL) {
		*claim = changes->claims[changes->new_count - 1];
		claim = &changes->claims[changes->new_count - 1];
	}
	*claim = (struct serial_claim){
		.serial_number = row->apple.serial_number, .assigned_at_us = row->apple.device_assigned_date_us, .gone = gone,
	};
}

// From what made it wanted, which is most often Apple's word that it is there, to Apple's word that it has the profile.
static void note_lag(struct changes *changes, const struct device_row *stored, const struct device_row *row)
{
	if (stored == NULL || stored->assigned_profile_uuid.length > 0 || row->assigned_profile_uuid.length == 0 ||
		stored->instance_id == INSTANCE_NONE || row->gone_at_us != INSTANT_NONE) {
		return;
	}
	const int64_t lag_us = tenant_now_us(changes->tenant) - stored->changed_at_us;

	changes->assign_lag_us = lag_us > changes->assign_lag_us ? lag_us : changes->assign_lag_us;
}

// Of those that are stored the first one makes room for a new one.
static struct device_row *add_row(struct changes *changes, bool new)
{
	changes->rows = grow(changes, changes->rows, changes->row_count, &changes->row_room, sizeof *changes->rows);
	struct device_row *last = &changes->rows[changes->row_count++];

	if (!new) {
		return last;
	}
	struct device_row *row = &changes->rows[changes->new_count++];

	*last = *row;
	return row;
}

// A large client's devices are counted only when the numbers may be others: see store_tenant_status_run.
static bool counts_alike(const struct device_row *a, const struct device_row *b)
{
	return a->gone_at_us == b->gone_at_us && a->instance_id == b->instance_id && a->held_since_us == b->held_since_us &&
		a->assign_state == b->assign_state && text_equal(a->apple.profile_status, b->apple.profile_status) &&
		text_equal(a->apple.profile_uuid, b->apple.profile_uuid);
}

void changes_add(struct changes *changes, const struct reconcile_outcome *outcome)
{
	if (!outcome->write) {
		return;
	}
	struct device_row *row = add_row(changes, outcome->stored == NULL);

	*row = outcome->next;
	if (outcome->stored == NULL || !counts_alike(outcome->stored, row)) {
		changes->tenant->must_count = true;
	}
	if (outcome->event_count > 0) {
		add_events(changes, outcome, row);
	}
	note_claim(changes, outcome->stored, row);
	note_lag(changes, outcome->stored, row);
	if (row->apple.is_replacement && row->gone_at_us == INSTANT_NONE) {
		note_replacement(changes, row);
	}
}

// Apple's names: the device as it is, and what was asked for.
static struct text replaced_json(struct changes *changes, const struct device_row *row, const struct replacement_row *replacement)
{
	buffer_clear(&changes->json);
	device_json_write(&changes->json, &row->apple);
	assert(!changes->json.overflow);
	changes->json.length--; // it has a serial number at least, and ends with a brace
	buffer_add_string(&changes->json, ",\"original_device_serial_number\":");
	buffer_add_json(&changes->json, replacement->original_serial_number);
	if (replacement->replacement_date.length > 0) {
		buffer_add_string(&changes->json, ",\"replacement_date\":");
		buffer_add_json(&changes->json, replacement->replacement_date);
	}
	buffer_add_string(&changes->json, "}");
	return keep_json(changes);
}

void changes_add_replaced(struct changes *changes, const struct device_row *row, const struct replacement_row *replacement)
{
	const struct route_event event = { EVENT_DEVICE_REPLACED, row->instance_id };
	const struct text device = replaced_json(changes, row, replacement);

	buffer_clear(&changes->json);
	buffer_add_string(&changes->json, "{\"original_device_serial_number\":[null,");
	buffer_add_json(&changes->json, replacement->original_serial_number);
	buffer_add_string(&changes->json, "]}");
	(void)add_event(changes, row, &event, (struct event_texts){ device, keep_json(changes) }, replacement->resolved_at_us);
}

static void add_enrolment_json(struct buffer *json, const struct enrolment_row *enrolment, bool again)
{
	char at[INSTANT_TEXT_SIZE];

	buffer_add_string(json, ",\"enrolment\":{\"instance\":");
	buffer_add_json(json, enrolment->instance);
	buffer_add_format(json, ",\"state\":\"%s\",\"udid\":", enrolment_state_name(enrolment->enrolment.state));
	buffer_add_json(json, enrolment->enrolment_id);
	buffer_add_format(json, ",\"at\":\"%s\",\"again\":%s}", instant_format(at, enrolment->enrolment.at_us, false), again ? "true" : "false");
}

// A misroute concerns the instance that misses the device, everything else the one that told of it.
void changes_add_enrolment(struct changes *changes, const struct device_row *row, enum event_type type, const struct enrolment_row *enrolment,
	bool again)
{
	const struct route_event event = { type, type == EVENT_DEVICE_MISROUTED ? row->instance_id : enrolment->instance_id };

	buffer_clear(&changes->json);
	device_json_write(&changes->json, &row->apple);
	assert(!changes->json.overflow);
	changes->json.length--; // as above
	add_enrolment_json(&changes->json, enrolment, again);
	buffer_add_string(&changes->json, "}");
	(void)add_event(changes, row, &event, (struct event_texts){ keep_json(changes), TEXT_NONE }, tenant_now_us(changes->tenant));
}

static void build_parked(const struct changes *changes, struct pg_transaction *t, int64_t tenant_id)
{
	const struct apple_page *page = changes->parked;
	struct parked_row *rows = allocate_array(page->rejects_kept, sizeof *rows);

	for (size_t i = 0; i < page->rejects_kept; i++) {
		rows[i] = (struct parked_row){
			.serial_number = page->rejects[i].serial, .why = text_of(page->rejects[i].why), .record = page->rejects[i].record,
		};
	}
	store_parked_put(t, tenant_id, rows, page->rejects_kept, page->rejected);
	free(rows);
}

// A new row has a claim, and its place is the same.
static void build_rows(const struct changes *changes, struct pg_transaction *t, int64_t tenant_id)
{
	const size_t new = changes->new_count;

	if (new > 0) {
		(void)store_device_insert(t, tenant_id, changes->rows, new);
		store_claims_insert(t, tenant_id, changes->claims, new);
	}
	if (changes->row_count > new) {
		(void)store_device_put(t, tenant_id, changes->rows + new, changes->row_count - new);
	}
	if (changes->claim_count > new) {
		store_claims_put(t, tenant_id, changes->claims + new, changes->claim_count - new);
	}
}

void changes_build(const struct changes *changes, struct pg_transaction *t, const struct ledger_entry *entry)
{
	const struct tenant *tenant = changes->tenant;
	const struct stream_fence fence = tenant_fence(tenant);
	struct ledger_entry line = *entry;

	if (changes->parked != NULL && changes->parked->rejected > 0) {
		build_parked(changes, t, fence.tenant_id);
	}
	if (changes->row_count == 0 && changes->event_count == 0) {
		return;
	}
	build_rows(changes, t, fence.tenant_id);
	if (changes->assign_lag_us >= 0) {
		store_tenant_status_assigned(t, fence.tenant_id, changes->assign_lag_us / 1000);
	}
	if (changes->replacement_count > 0) {
		store_replacement_note(t, fence.tenant_id, changes->replacements, changes->replacement_count);
	}
	if (changes->event_count > 0) {
		(void)store_event_insert(t, fence.tenant_id, changes->events, changes->event_count);
	}
	if (changes->missed && changes->news_count > 0) {
		store_tenant_status_missed(t, fence.tenant_id, (int64_t)changes->news_count);
	}
	line.devices_changed = (int)changes->row_count;
	(void)store_ledger_insert(t, &fence, (int64_t)changes->event_count, &line);
}
