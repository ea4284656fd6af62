// SPDX-License-Identifier: Apache-2.0
//
// sim_store.c - server/store as steps of a run call it: devices, events, what a run writes, and what people are told.
#include "sim/sim_transaction.h"

#include "store/alerts.h"
#include "store/endpoints.h"

#include <assert.h>
#include <string.h>

// Devices and events

struct text sim_keep_nullable(struct text text)
{
	return text.length > 0 ? sim_keep(text) : TEXT_NONE;
}

static void keep_row(struct device_row *row)
{
	struct device_record *apple = &row->apple;
	struct text *const texts[] = {
		&apple->serial_number, &apple->model, &apple->description, &apple->color, &apple->asset_tag, &apple->device_family, &apple->os,
		&apple->profile_status, &apple->profile_uuid, &apple->device_assigned_by, &apple->extra, &row->assigned_profile_uuid, &row->rule_id, &row->hold_reason,
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		*texts[i] = sim_keep_nullable(*texts[i]);
	}
	apple->operation = DEVICE_PRESENT;
	apple->response_status = TEXT_NONE;
	apple->is_replacement = false; // as rows that are read have it
}

static unsigned put_devices(struct pg_transaction *t, const struct device_row *rows, size_t count, bool only_new)
{
	struct sim_op *op = sim_add(t, OP_DEVICE_PUT);
	struct device_row *copies = sim_copy(rows, count, sizeof *rows);

	for (size_t i = 0; i < count; i++) {
		keep_row(&copies[i]);
	}
	op->in = copies;
	op->in_count = count;
	op->number = only_new;
	return sim_added(t);
}

unsigned store_device_put(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	(void)tenant_id;
	return put_devices(t, rows, count, false);
}

unsigned store_device_insert(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	(void)tenant_id;
	return put_devices(t, rows, count, true);
}

unsigned store_device_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	struct sim_op *op = sim_add(t, OP_BY_SERIALS);

	(void)tenant_id;
	op->in = sim_copy_texts(serials, count);
	op->in_count = count;
	return sim_added(t);
}

static unsigned add_list(struct pg_transaction *t, enum op_kind kind, struct text after, int64_t number, int limit)
{
	struct sim_op *op = sim_add(t, kind);

	op->text = sim_keep(after);
	op->number = number;
	op->other = limit;
	return sim_added(t);
}

unsigned store_device_fingerprints(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	(void)tenant_id;
	return add_list(t, OP_FINGERPRINTS, after, 0, limit);
}

void store_device_mark_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_mark *out)
{
	const struct device_row *device = sim_row_of(t, statement, row);

	out->serial_number = device->apple.serial_number;
	memcpy(out->fingerprint, device->apple.fingerprint, sizeof out->fingerprint);
	out->list_hash = device->apple.list_hash;
	out->gone = device->gone_at_us != INSTANT_NONE;
}

void store_device_list_hashes(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *hashes, size_t count)
{
	struct sim_op *op = sim_add(t, OP_LIST_HASHES);
	struct device_mark *copies = sim_take(count * sizeof *copies);

	(void)tenant_id;
	for (size_t i = 0; i < count; i++) {
		copies[i] = (struct device_mark){ .serial_number = sim_keep(serials[i]), .list_hash = (uint64_t)hashes[i] };
	}
	op->in = copies;
	op->in_count = count;
}

unsigned store_device_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool with_gone, int64_t instance_id, int limit)
{
	(void)tenant_id;
	assert(!with_gone && instance_id == -1);
	return add_list(t, OP_DEVICE_LIST, after, 0, limit);
}

unsigned store_device_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	(void)tenant_id;
	return add_list(t, OP_TO_ASSIGN, TEXT_NONE, now_us, limit);
}

unsigned store_device_to_assign_alike(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit, int64_t instance_id,
	const struct text *rule_ids, size_t count)
{
	(void)instance_id;
	(void)rule_ids;
	(void)count;
	return store_device_to_assign(t, tenant_id, now_us, limit); // more than asked for: the flow takes what it needs
}

void store_device_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct stored_event *events, size_t count)
{
	struct sim_op *op = sim_add(t, OP_EVENT_INSERT);
	struct stored_event *copies = sim_copy(events, count, sizeof *events);

	(void)tenant_id;
	for (size_t i = 0; i < count; i++) {
		copies[i].event.serial_number = sim_keep(copies[i].event.serial_number);
		copies[i].event.device_json = sim_keep(copies[i].event.device_json);
		copies[i].event.changes = sim_keep(copies[i].event.changes);
	}
	op->in = copies;
	op->in_count = count;
	return sim_added(t);
}

unsigned store_event_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int lane, int64_t after_seq, int limit)
{
	const int64_t place[] = { instance_id, lane };
	struct sim_op *op = sim_add(t, OP_EVENT_TO_DELIVER);

	(void)tenant_id;
	op->in = sim_copy(place, 2, sizeof *place);
	op->number = after_seq;
	op->other = limit;
	return sim_added(t);
}

// All its endpoints are of the native format.
unsigned store_event_pages_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit)
{
	(void)tenant_id;
	(void)instance_id;
	(void)after_seq;
	(void)limit;
	return sim_add_simple(t, OP_NOTHING);
}

void store_event_page_read(const struct pg_transaction *t, unsigned statement, size_t row, struct event_page *out)
{
	(void)t;
	(void)statement;
	(void)row;
	*out = (struct event_page){ .last_seq = 0 };
}

void store_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stored_event *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

// Writes

static struct op_fence fence_of(const struct stream_fence *fence)
{
	return (struct op_fence){
		.node_id = sim_keep(fence->node_id),
		.epoch = fence->epoch,
		.write_seq = fence->write_seq,
		.event_seq = fence->event_seq,
		.config_version = fence->config_version,
		.load_changes = true,
	};
}

static struct op_fence *add_fence(struct pg_transaction *t, enum op_kind kind, const struct stream_fence *fence)
{
	struct op_fence *copy = sim_take(sizeof *copy);

	*copy = fence_of(fence);
	sim_add(t, kind)->in = copy;
	return copy;
}

static void set_next(struct op_fence *fence, const struct stream_row *next)
{
	if (next != NULL) {
		fence->has_next = true;
		fence->next = *next;
		fence->next.cursor = next->sync.has_cursor ? sim_keep_nullable(next->cursor) : TEXT_NONE;
		fence->next.reason = sim_keep(next->reason);
		fence->next.error_text = sim_keep(next->error_text);
		fence->next.apple_error = sim_keep(next->apple_error);
	}
}

void store_stream_advance(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct stream_row *next)
{
	struct op_fence *copy = add_fence(t, OP_ADVANCE, fence);

	copy->events = events;
	set_next(copy, next);
}

void store_stream_require(struct pg_transaction *t, const struct stream_fence *fence)
{
	(void)add_fence(t, OP_REQUIRE, fence);
}

static struct op_fence *finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next, int64_t due_at_us,
	int64_t wake)
{
	struct op_fence *copy = add_fence(t, OP_ADVANCE, fence);

	copy->finish = true;
	copy->due_at_us = due_at_us;
	copy->wake = wake;
	set_next(copy, next);
	return copy;
}

void store_stream_finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next, int64_t due_at_us,
	int64_t wake)
{
	(void)finish(t, fence, next, due_at_us, wake);
}

void store_stream_finish_quietly(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake, const struct tenant_status_row *status, bool load_changes)
{
	struct op_fence *copy = finish(t, fence, next, due_at_us, wake);

	copy->load_changes = load_changes;
	sim_add(t, OP_QUIET_STATUS)->text = sim_keep(status->token_state);
}

unsigned store_streams_end_quietly(struct pg_transaction *t, struct text node_id, const struct quiet_end *ends, size_t count)
{
	struct op_end *copies = sim_take(count * sizeof *copies);
	struct sim_op *op = sim_add(t, OP_END_QUIETLY);

	op->text = sim_keep(node_id);
	op->in = copies;
	op->in_count = count;
	for (size_t i = 0; i < count; i++) {
		copies[i] = (struct op_end){ ends[i].fence.tenant_id, fence_of(&ends[i].fence) };
		copies[i].fence.finish = true;
		copies[i].fence.load_changes = false;
		copies[i].fence.due_at_us = ends[i].due_at_us;
		copies[i].fence.wake = ends[i].wake;
		set_next(&copies[i].fence, ends[i].next);
	}
	return sim_added(t);
}

int64_t store_stream_ended_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return *(const int64_t *)sim_row_of(t, statement, row);
}

unsigned store_ledger_insert(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct ledger_entry *entry)
{
	struct sim_op *op = sim_add(t, OP_LEDGER);

	(void)entry;
	op->number = fence->write_seq + 1;
	op->other = fence->event_seq + events;
	return sim_added(t);
}

void store_position_settle(struct pg_transaction *t, const struct stream_fence *fence, int64_t was_acked_seq,
	const struct position_row *next)
{
	struct op_fence *copy = add_fence(t, OP_SETTLE, fence);

	copy->was_acked_seq = was_acked_seq;
	copy->position = *next;
}

unsigned store_attempt_insert(struct pg_transaction *t, int64_t tenant_id, const struct attempt_row *attempts, size_t count)
{
	(void)tenant_id;
	(void)attempts;
	(void)count;
	return sim_add_simple(t, OP_NOTHING);
}

unsigned store_profile_put(struct pg_transaction *t, int64_t tenant_id, const struct profile_row *profile)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(64);
	struct sim_profile *copy = sim_take(sizeof *copy);

	(void)tenant_id;
	buffer_add_hex(&hex, profile->content_digest.bytes, profile->content_digest.length);
	*copy = (struct sim_profile){
		.instance_id = profile->instance_id,
		.digest = sim_keep(buffer_text(&hex)),
		.uuid = sim_keep_nullable(profile->profile_uuid),
		.refused = sim_keep_nullable(profile->refused),
		.token_id = profile->token_id,
	};
	sim_add(t, OP_PROFILE_PUT)->in = copy;
	return sim_added(t);
}

unsigned store_profile_forget(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	(void)tenant_id;
	sim_add(t, OP_PROFILE_FORGET)->text = sim_keep(profile_uuid);
	return sim_added(t);
}

unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id, struct text reason)
{
	(void)tenant_id;
	(void)reason;
	return sim_add_simple(t, OP_QUARANTINE);
}

unsigned store_tenant_status_run(struct pg_transaction *t, int64_t tenant_id, const struct tenant_status_row *status, bool count)
{
	(void)tenant_id;
	(void)count;
	sim_add(t, OP_STATUS)->text = sim_keep(status->token_state);
	return sim_added(t);
}

void store_removals_put(struct pg_transaction *t, int64_t tenant_id, int64_t held, int64_t present)
{
	struct sim_op *op = sim_add(t, OP_REMOVALS);

	(void)tenant_id;
	op->number = held;
	op->other = present;
}

void store_tenant_status_missed(struct pg_transaction *t, int64_t tenant_id, int64_t count)
{
	(void)tenant_id;
	(void)count;
	(void)sim_add_simple(t, OP_NOTHING);
}

void store_tenant_status_assigned(struct pg_transaction *t, int64_t tenant_id, int64_t lag_ms)
{
	LAW(lag_ms >= 0, "client %lld assigned a device before it came", (long long)tenant_id);
	(void)sim_add_simple(t, OP_NOTHING);
}

// --- what people are told ---

static unsigned add_alert(struct pg_transaction *t, struct text kind, bool raised)
{
	struct sim_op *op = sim_add(t, OP_ALERT);

	op->text = sim_keep(kind);
	op->other = raised;
	return sim_added(t);
}

unsigned store_alert_raise(struct pg_transaction *t, int64_t tenant_id, struct text kind, struct text detail)
{
	(void)tenant_id;
	(void)detail;
	return add_alert(t, kind, true);
}

unsigned store_alert_clear(struct pg_transaction *t, int64_t tenant_id, struct text kind)
{
	(void)tenant_id;
	return add_alert(t, kind, false);
}

unsigned store_alerts_seen(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NOTHING);
}

unsigned store_tenant_status_told(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, int64_t days, struct text admin_id)
{
	struct sim_op *op = sim_add(t, OP_TOLD);

	(void)tenant_id;
	LAW(admin_id.length == 0, "an administrator, and Apple names none");
	op->number = token_id;
	op->other = days;
	return sim_added(t);
}

struct token_facts store_token_facts(const struct tenant_row *tenant, const struct tenant_status_row *status)
{
	return (struct token_facts){
		.has_token = true,
		.expires_at_us = INSTANT_NONE,
		.word = text_equal_string(status->token_state, "rejected") ? TOKEN_WORD_REJECTED
			: text_equal_string(status->token_state, "terms_unsigned") ? TOKEN_WORD_TERMS : TOKEN_WORD_GOOD,
		.word_since_us = INSTANT_NONE,
		.pending_since_us = INSTANT_NONE,
		.quarantined_at_us = text_equal_string(tenant->state, "quarantined") ? sim.now_us : INSTANT_NONE,
	};
}

unsigned store_secret_delete(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	(void)tenant_id;
	(void)kind;
	(void)object_id;
	return sim_add_simple(t, OP_SECRET_DELETE);
}
