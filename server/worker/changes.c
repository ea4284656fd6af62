// SPDX-License-Identifier: Apache-2.0
#include "worker/changes.h"

#include "tenants/device.h"
#include "tenants/seen.h"

#include <assert.h>
#include <stdlib.h>

enum { JSON_LIMIT = 128 * 1024 }; // apple.h bounds each text and `extra`: escaped, they stay below it

void changes_init(struct changes *changes, struct tenant *tenant)
{
	*changes = (struct changes){ .tenant = tenant, .json = BUFFER(JSON_LIMIT) };
}

void changes_reset(struct changes *changes)
{
	changes->row_count = 0;
	changes->event_count = 0;
	changes->news_count = 0;
}

void changes_fini(struct changes *changes)
{
	free(changes->rows);
	free(changes->events);
	buffer_fini(&changes->json);
	changes->rows = NULL;
	changes->events = NULL;
}

// Fixed: an event stays in the lane that it was stored with.
static int lane_of(struct text serial)
{
	static const uint64_t key[2] = { UINT64_C(0x6c616e6573206f66), UINT64_C(0x206465706272), };

	return (int)(keyed_hash(key, serial) % EVENT_LANES);
}

static void *grow(void *memory, size_t count, size_t *room, size_t size)
{
	if (count < *room) {
		return memory;
	}
	*room = *room > 0 ? *room * 2 : 256;
	return reallocate(memory, *room * size);
}

static struct text device_json(struct changes *changes, const struct device_row *row)
{
	buffer_clear(&changes->json);
	device_json_write(&changes->json, &row->apple);
	assert(!changes->json.overflow);
	return (struct text){ tenant_scratch_copy(changes->tenant, buffer_text(&changes->json)), changes->json.length };
}

static void add_event(struct changes *changes, const struct device_row *row, const struct route_event *event, struct text json,
	int64_t now_us)
{
	changes->events = grow(changes->events, changes->event_count, &changes->event_room, sizeof *changes->events);
	changes->events[changes->event_count] = (struct stored_event){
		.event = {
			.seq = changes->tenant->stream.event_seq + 1 + (int64_t)changes->event_count,
			.at_us = now_us,
			.type = event->type,
			.serial_number = row->apple.serial_number,
			.device_json = json,
		},
		.instance_id = event->instance_id,
		.lane = lane_of(row->apple.serial_number),
	};
	changes->event_count++;
}

void changes_add(struct changes *changes, const struct reconcile_outcome *outcome, int64_t now_us)
{
	struct text json = TEXT_NONE;

	if (!outcome->write) {
		return;
	}
	changes->rows = grow(changes->rows, changes->row_count, &changes->row_room, sizeof *changes->rows);
	changes->rows[changes->row_count++] = outcome->next;
	if (outcome->event_count > 0) {
		changes->news_count++;
		json = device_json(changes, &outcome->next);
	}
	for (size_t i = 0; i < outcome->event_count; i++) {
		add_event(changes, &outcome->next, &outcome->events[i], json, now_us);
	}
}

void changes_build(const struct changes *changes, struct pg_transaction *t, const struct ledger_entry *entry)
{
	const struct tenant *tenant = changes->tenant;
	const struct stream_fence fence = tenant_fence(tenant);
	struct ledger_entry line = *entry;

	if (changes->row_count == 0) {
		return;
	}
	(void)store_device_put(t, fence.tenant_id, changes->rows, changes->row_count);
	if (changes->event_count > 0) {
		(void)store_event_insert(t, fence.tenant_id, changes->events, changes->event_count);
	}
	if (changes->missed && changes->news_count > 0) {
		store_tenant_status_missed(t, fence.tenant_id, (int64_t)changes->news_count);
	}
	line.devices_changed = (int)changes->row_count;
	(void)store_ledger_insert(t, &fence, (int64_t)changes->event_count, &line);
}
