// SPDX-License-Identifier: Apache-2.0
#include "worker/enrolment_flow.h"

#include "depbroker/log.h"

#include <assert.h>

enum { TEXTS_BYTES = 512 << 10 };

// --- a batch ---

enum { HEARD, TO_SETTLE }; // the statements

static void read_batch(struct enrolment_flow *enrolment)
{
	struct flow *flow = &enrolment->flow;

	flow_begin_read(flow);
	(void)store_enrolment_heard(&flow->read, flow->tenant->due.tenant_id, ENROLMENT_BATCH);
	(void)store_enrolment_to_settle(&flow->read, flow->tenant->due.tenant_id, ENROLMENT_BATCH);
	flow_start_read(flow);
}

static void *take(struct enrolment_flow *enrolment, size_t count, size_t size)
{
	void *memory = arena_take(&enrolment->texts, (count + 1) * size);

	assert(memory != NULL); // TEXTS_BYTES has room for a batch
	return memory;
}

static void keep(struct enrolment_flow *enrolment, struct text *text)
{
	const char *copy = arena_copy(&enrolment->texts, *text);

	assert(copy != NULL);
	*text = (struct text){ copy, text->length };
}

static void take_item(struct enrolment_flow *enrolment, struct heard_row *item)
{
	keep(enrolment, &item->message.enrolment_id);
	keep(enrolment, &item->message.serial_number);
	item->known.instance = TEXT_NONE;
	enrolment->serials[enrolment->item_count] = item->message.serial_number;
	enrolment->items[enrolment->item_count++] = *item;
}

static void take_settled(struct enrolment_flow *enrolment, size_t at)
{
	struct heard_row item = { .is_known = true };

	store_enrolment_read(&enrolment->flow.read, TO_SETTLE, at, &item.known);
	item.message = (struct enrolment_message){
		.instance_id = item.known.instance_id, .enrolment_id = item.known.enrolment_id, .serial_number = item.known.serial_number,
		.awaiting = item.known.awaiting,
	};
	take_item(enrolment, &item);
}

// One of them has messages that may say something else: it is looked at again afterwards.
static void take_batch(struct enrolment_flow *enrolment)
{
	const struct flow *flow = &enrolment->flow;
	const size_t heard = pg_row_count(&flow->read, HEARD);
	const size_t count = heard > 0 ? heard : pg_row_count(&flow->read, TO_SETTLE);

	arena_reset(&enrolment->texts);
	enrolment->items = take(enrolment, count, sizeof *enrolment->items);
	enrolment->serials = take(enrolment, count, sizeof *enrolment->serials);
	enrolment->message_ids = take(enrolment, count, sizeof *enrolment->message_ids);
	enrolment->rows = take(enrolment, count, sizeof *enrolment->rows);
	enrolment->sole = take(enrolment, count, sizeof *enrolment->sole);
	enrolment->item_count = enrolment->message_count = enrolment->row_count = enrolment->sole_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct heard_row item;

		if (heard == 0) {
			take_settled(enrolment, i);
		} else {
			store_enrolment_heard_read(&flow->read, HEARD, i, &item);
			take_item(enrolment, &item);
		}
	}
}

// --- what it changes ---

static void read_devices(struct enrolment_flow *enrolment)
{
	struct flow *flow = &enrolment->flow;

	flow_begin_read(flow);
	(void)store_device_by_serials(&flow->read, flow->tenant->due.tenant_id, enrolment->serials, enrolment->item_count);
	flow_start_read(flow);
}

static const struct device_row *device_of(const struct flow *flow, struct text serial)
{
	for (size_t i = 0; i < flow->row_count; i++) {
		if (text_equal(flow->rows[i].apple.serial_number, serial)) {
			return &flow->rows[i];
		}
	}
	return NULL;
}

static struct enrolment_row row_after(const struct tenant *tenant, const struct heard_row *item, const struct enrolment *next)
{
	const struct tenant_instance *instance = tenant_instance_by_id(tenant, item->message.instance_id);

	return (struct enrolment_row){
		.instance_id = item->message.instance_id,
		.instance = instance != NULL ? instance->name : TEXT_NONE,
		.enrolment_id = item->message.enrolment_id,
		.serial_number = item->message.serial_number,
		.enrolment = *next,
		.awaiting = item->message.awaiting,
	};
}

static void take_outcome(struct enrolment_flow *enrolment, const struct heard_row *item, const struct device_row *device,
	const struct enrolment_outcome *outcome)
{
	struct flow *flow = &enrolment->flow;
	struct enrolment_row *row = &enrolment->rows[enrolment->row_count];

	if (!outcome->write) {
		return;
	}
	*row = row_after(flow->tenant, item, &outcome->next);
	enrolment->row_count++;
	flow->tenant->enrolments.unsettled = flow->tenant->enrolments.unsettled || outcome->next.is_orphan;
	if (outcome->is_sole && row->serial_number.length > 0) {
		enrolment->sole[enrolment->sole_count++] = *row;
	}
	for (size_t i = 0; i < outcome->event_count; i++) {
		changes_add_enrolment(&flow->changes, device, outcome->events[i], row, outcome->again);
		log_event(outcome->events[i] == EVENT_DEVICE_MISROUTED ? LOG_WARNING : LOG_INFO, event_type_name(outcome->events[i]),
			LOG_STRING("tenant", flow->tenant->slug), LOG_TEXT("serial_number", row->serial_number), LOG_TEXT("instance", row->instance));
	}
}

static void decide(struct enrolment_flow *enrolment, const struct heard_row *item)
{
	const struct device_row *device = device_of(&enrolment->flow, item->message.serial_number);
	const bool is_present = device != NULL && device->gone_at_us == INSTANT_NONE;
	const struct enrolment_place place = {
		.instance_id = item->message.instance_id, .is_present = is_present, .wanted_id = is_present ? device->instance_id : 0,
	};
	const struct enrolment_news news = { item->message.word, item->message.at_us };
	const bool has_news = item->message.message_id > 0;
	struct enrolment_outcome outcome;

	enrolment_decide(&outcome, item->is_known ? &item->known.enrolment : NULL, has_news ? &news : NULL, &place);
	take_outcome(enrolment, item, device, &outcome);
	if (has_news) {
		enrolment->message_ids[enrolment->message_count++] = item->message.message_id;
	}
}

static void decide_all(struct enrolment_flow *enrolment)
{
	flow_take_rows(&enrolment->flow);
	for (size_t i = 0; i < enrolment->item_count; i++) {
		decide(enrolment, &enrolment->items[i]);
	}
}

static void build(struct fenced_write *write, struct pg_transaction *t)
{
	const struct enrolment_flow *enrolment = CONTAINER_OF((struct flow *)write->owner, struct enrolment_flow, flow);
	const int64_t tenant_id = write->tenant->due.tenant_id;

	store_enrolment_put(t, tenant_id, enrolment->rows, enrolment->row_count);
	store_enrolment_supersede(t, tenant_id, enrolment->sole, enrolment->sole_count);
	store_enrolment_done(t, tenant_id, enrolment->message_ids, enrolment->message_count);
	changes_build(&enrolment->flow.changes, t, &enrolment->flow.entry);
	store_enrolment_review(t, tenant_id);
}

static void write_outcome(struct enrolment_flow *enrolment)
{
	struct flow *flow = &enrolment->flow;

	flow_write_with(flow, build, (struct ledger_entry){
		.kind = "enrolment", .generation = flow->tenant->stream.sync.generation, .records = (int)enrolment->item_count,
	});
}

// --- the flow ---

static void end(struct enrolment_flow *enrolment, enum err rc)
{
	enrolment->state = ENROLMENT_IDLE;
	flow_end(&enrolment->flow, rc);
}

static void step(struct flow *flow)
{
	struct enrolment_flow *enrolment = CONTAINER_OF(flow, struct enrolment_flow, flow);

	switch (enrolment->state) {
	case ENROLMENT_IDLE:
		flow->tenant->enrolments.heard = false;
		do {
			AWAIT(enrolment, ENROLMENT_READING, read_batch(enrolment));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			take_batch(enrolment);
			if (enrolment->item_count == 0) {
				break;
			}
			AWAIT(enrolment, ENROLMENT_READING_DEVICES, read_devices(enrolment));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			decide_all(enrolment);
			AWAIT(enrolment, ENROLMENT_WRITING, write_outcome(enrolment));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
			if (flow->progress != NULL) {
				flow->progress(flow);
			}
		} while ((enrolment->message_count > 0 || enrolment->row_count > 0) && !flow_must_stop(flow));
		end(enrolment, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(enrolment, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(enrolment, flow_written(flow));
}

void enrolment_flow_init(struct enrolment_flow *enrolment, struct tenant *tenant)
{
	*enrolment = (struct enrolment_flow){ .state = ENROLMENT_IDLE, .texts = ARENA(TEXTS_BYTES) };
	flow_init(&enrolment->flow, tenant, step);
}

void enrolment_flow_fini(struct enrolment_flow *enrolment)
{
	arena_fini(&enrolment->texts);
	flow_fini(&enrolment->flow);
}
