// SPDX-License-Identifier: Apache-2.0
#include "worker/flow.h"

#include "depbroker/log.h"
#include "worker/routing.h"

#include <stdio.h>

static void on_start(struct deferred *start)
{
	struct flow *flow = CONTAINER_OF(start, struct flow, start);

	flow->step(flow);
}

static void on_call(struct op *op)
{
	struct flow *flow = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct flow, call);

	flow->step(flow);
}

static void on_read(struct op *op)
{
	struct flow *flow = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct flow, read);

	flow->step(flow);
}

static void on_write(struct op *op)
{
	const struct fenced_write *write = CONTAINER_OF(op, struct fenced_write, op);
	struct flow *flow = write->owner;

	if (op->rc == OK && write->events > 0 && flow->progress != NULL) {
		flow->progress(flow);
	}
	flow->step(flow);
}

void flow_init(struct flow *flow, struct tenant *tenant, void (*step)(struct flow *flow))
{
	flow->tenant = tenant;
	flow->step = step;
	flow->retry_after_s = -1;
	apple_call_init(&flow->call, on_call);
	changes_init(&flow->changes, tenant);
}

void flow_start(struct flow *flow, void (*done)(struct op *op))
{
	op_init(&flow->op, done);
	flow->failure = OK;
	flow->session_lost = false;
	flow->retry_after_s = -1;
	flow->start.run = on_start;
	loop_defer(&flow->tenant->process->loop, &flow->start);
}

void flow_fini(struct flow *flow)
{
	apple_page_fini(&flow->page);
	changes_fini(&flow->changes);
	if (flow->read_is_open) {
		pg_transaction_fini(&flow->read);
	}
	apple_call_fini(&flow->call);
}

void flow_let_go(struct flow *flow)
{
	const bool missed = flow->changes.missed;

	apple_page_fini(&flow->page);
	changes_fini(&flow->changes);
	changes_init(&flow->changes, flow->tenant);
	flow->changes.missed = missed;
	if (flow->read_is_open) {
		flow->read_is_open = false;
		pg_transaction_fini(&flow->read);
	}
	flow->rows = NULL;
	flow->row_count = 0;
	arena_reset(&flow->tenant->scratch);
	routing_no_facts(flow->tenant);
}

void flow_end(struct flow *flow, enum err rc)
{
	op_done(&flow->op, rc);
}

bool flow_must_stop(const struct flow *flow)
{
	return flow->stop || flow->tenant->process->stopping;
}

void flow_begin_read(struct flow *flow)
{
	if (flow->read_is_open) {
		pg_transaction_fini(&flow->read);
	}
	flow->read_is_open = true;
	flow->rows = NULL;
	flow->row_count = 0;
	changes_reset(&flow->changes);
	arena_reset(&flow->tenant->scratch);
	routing_no_facts(flow->tenant);
	pg_transaction_init(&flow->read, store_worker(flow->tenant->due.tenant_id), on_read);
}

void flow_start_read(struct flow *flow)
{
	pg_start(&flow->read, flow->tenant->process->pool, STORE_TIMEOUT_MS);
}

bool flow_read_all(const struct flow *flow)
{
	return flow->row_count < STORE_LIST_MAX;
}

void flow_take_rows(struct flow *flow)
{
	flow->row_count = pg_row_count(&flow->read, 0);
	flow->rows = tenant_scratch(flow->tenant, (flow->row_count + 1) * sizeof *flow->rows);
	for (size_t i = 0; i < flow->row_count; i++) {
		store_device_read(&flow->read, 0, i, &flow->rows[i]);
	}
	if (flow->row_count > 0) {
		text_put(flow->after, sizeof flow->after, flow->rows[flow->row_count - 1].apple.serial_number);
	}
}

void flow_write(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), const struct stream_row *next)
{
	struct fenced_write *write = flow->tenant->write;

	fenced_write_prepare(write, flow);
	write->build = build;
	write->next = next;
	fenced_write_start(write, on_write);
}

static void build_changes(struct fenced_write *write, struct pg_transaction *t)
{
	const struct flow *flow = write->owner;

	changes_build(&flow->changes, t, &flow->entry);
}

// Devices that say that they are replacements are asked about in this run.
static const struct stream_row *next_with_replacements(struct flow *flow, const struct stream_row *next)
{
	if (flow->changes.replacement_count == 0) {
		return next;
	}
	if (next == NULL) {
		flow->next = flow->tenant->stream;
	} else if (next != &flow->next) {
		flow->next = *next;
	}
	flow->next.replacement_due_us = tenant_now_us(flow->tenant);
	return &flow->next;
}

static void write_changes(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), struct ledger_entry entry,
	const struct stream_row *next)
{
	struct fenced_write *write = flow->tenant->write;

	flow->entry = entry;
	flow->tenant->counts_changed = flow->tenant->counts_changed || flow->changes.row_count > 0;
	fenced_write_prepare(write, flow);
	write->build = build;
	write->events = (int64_t)flow->changes.event_count;
	write->next = next_with_replacements(flow, next);
	fenced_write_start(write, on_write);
}

void flow_write_changes(struct flow *flow, struct ledger_entry entry, const struct stream_row *next)
{
	write_changes(flow, build_changes, entry, next);
}

void flow_write_with(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), struct ledger_entry entry)
{
	write_changes(flow, build, entry, NULL);
}

void flow_write_next_with(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), struct ledger_entry entry,
	const struct stream_row *next)
{
	write_changes(flow, build, entry, next);
}

enum err flow_written(const struct flow *flow)
{
	return flow->tenant->write->op.rc;
}

bool flow_has_lost_session(struct flow *flow)
{
	flow->session_lost = flow->call.keeps_session && flow->call.op.rc == ERR_SESSION;
	return flow->session_lost;
}

void flow_note_failure(struct flow *flow, enum err rc, const char *event)
{
	struct tenant *tenant = flow->tenant;

	flow->failure = rc;
	flow->retry_after_s = flow->call.retry_after_s;
	tenant_note_error(tenant, &flow->call.op.fault, flow->call.apple_error);
	log_event(rc == ERR_HELD_BACK ? LOG_DEBUG : LOG_WARNING, event, LOG_STRING("tenant", tenant->slug), LOG_STRING("error", err_name(rc)),
		LOG_STRING("reason", flow->call.op.fault.text), LOG_STRING("apple_error", flow->call.apple_error),
		LOG_INT("status", flow->call.status));
}
