// SPDX-License-Identifier: Apache-2.0
#include "worker/fenced_write.h"

#include "depbroker/clock.h"
#include "worker/tenant.h"

enum { FIRST_WAIT_MS = 100, LAST_WAIT_MS = 2000 };

static void step(struct fenced_write *write);

static void on_transaction(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct fenced_write, transaction));
}

static void on_pause(struct delay *delay)
{
	step(CONTAINER_OF(delay, struct fenced_write, pause));
}

static void send_write(struct fenced_write *write)
{
	struct tenant *tenant = write->tenant;
	const struct stream_fence fence = tenant_fence(tenant);

	pg_transaction_init(&write->transaction, store_worker(fence.tenant_id), on_transaction);
	if (write->finish) {
		store_commit_lazily(&write->transaction); // lost, the run is made once more, and finds what this one found
	}
	if (write->finish && write->status != NULL) {
		store_stream_finish_quietly(&write->transaction, &fence, write->next, write->due_at_us, tenant->due.wake, write->status,
			write->load_changes);
	} else if (write->finish) {
		store_stream_finish(&write->transaction, &fence, write->next, write->due_at_us, tenant->due.wake);
	} else {
		store_stream_advance(&write->transaction, &fence, write->events, write->next);
	}
	if (write->build != NULL) {
		write->build(write, &write->transaction);
	}
	pg_start(&write->transaction, tenant->process->pool, STORE_TIMEOUT_MS);
}

static void read_back(struct fenced_write *write)
{
	pg_transaction_init(&write->transaction, store_worker(write->tenant->due.tenant_id), on_transaction);
	(void)store_stream_select(&write->transaction, write->tenant->due.tenant_id);
	pg_start(&write->transaction, write->tenant->process->pool, STORE_TIMEOUT_MS);
}

static void wait_a_while(struct fenced_write *write)
{
	write->state = FENCED_WRITE_PAUSED;
	delay_start(&write->pause, write->wait_ms);
	write->wait_ms = write->wait_ms * 2 < LAST_WAIT_MS ? write->wait_ms * 2 : LAST_WAIT_MS;
}

static void give_answer(struct fenced_write *write, enum err rc, const struct fault *fault)
{
	if (rc != OK) {
		write->op.fault = *fault;
	}
	write->state = FENCED_WRITE_IDLE;
	op_done(&write->op, rc);
}

static void end(struct fenced_write *write, enum err rc)
{
	const struct fault fault = write->transaction.op.fault;

	pg_transaction_fini(&write->transaction);
	give_answer(write, rc, &fault);
}

// The database holds what was sent: so does the tenant now.
static void take(struct fenced_write *write)
{
	struct stream_row *stream = &write->tenant->stream;
	const int64_t write_seq = stream->write_seq + 1;
	const int64_t event_seq = stream->event_seq + write->events;

	if (write->next != NULL && write->next != stream) {
		tenant_take_stream(write->tenant, write->next);
	}
	stream->write_seq = write_seq;
	stream->event_seq = event_seq;
}

enum written { WRITTEN, NOT_WRITTEN, FENCED };

static enum written read_outcome(const struct fenced_write *write)
{
	const struct stream_fence fence = tenant_fence(write->tenant);
	struct stream_row row;

	if (pg_row_count(&write->transaction, 0) != 1) {
		return FENCED;
	}
	store_stream_read(&write->transaction, 0, 0, &row);
	if (row.epoch != fence.epoch) {
		return FENCED;
	}
	if (row.write_seq == fence.write_seq + 1 && row.event_seq == fence.event_seq + write->events) {
		return WRITTEN;
	}
	return row.write_seq == fence.write_seq && text_equal(row.owner, fence.node_id) ? NOT_WRITTEN : FENCED;
}

static bool may_wait(const struct fenced_write *write)
{
	return clock_monotonic_ms() < write->give_up_at_ms && !write->tenant->process->stopping;
}

static bool is_passing(enum err rc)
{
	return rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_UNKNOWN;
}

static void wait_and_read(struct fenced_write *write, enum err rc)
{
	if (is_passing(rc) && may_wait(write)) {
		pg_transaction_fini(&write->transaction);
		wait_a_while(write);
	} else {
		end(write, rc);
	}
}

static void on_read_back(struct fenced_write *write)
{
	switch (read_outcome(write)) {
	case WRITTEN:
		take(write);
		end(write, OK);
		break;
	case NOT_WRITTEN:
		pg_transaction_fini(&write->transaction);
		write->state = FENCED_WRITE_SENT;
		send_write(write);
		break;
	case FENCED:
		end(write, ERR_FENCED);
		break;
	}
}

static void step(struct fenced_write *write)
{
	const enum err rc = write->transaction.op.rc;

	switch (write->state) {
	case FENCED_WRITE_SENT:
		if (rc == OK) {
			take(write);
			end(write, OK);
		} else {
			wait_and_read(write, rc); // whether it was made is read, whatever the failure seems to say
		}
		break;
	case FENCED_WRITE_PAUSED:
		write->state = FENCED_WRITE_READING;
		read_back(write);
		break;
	case FENCED_WRITE_READING:
		if (rc == OK) {
			on_read_back(write);
		} else {
			wait_and_read(write, rc);
		}
		break;
	case FENCED_WRITE_GATHERED:
	case FENCED_WRITE_IDLE: break;
	}
}

void fenced_write_init(struct fenced_write *write, struct tenant *tenant)
{
	*write = (struct fenced_write){ .tenant = tenant };
	delay_init(&write->pause, &tenant->process->loop, on_pause);
}

void fenced_write_prepare(struct fenced_write *write, void *owner)
{
	write->owner = owner;
	write->build = NULL;
	write->events = 0;
	write->next = NULL;
	write->finish = false;
	write->due_at_us = INSTANT_NONE;
	write->status = NULL;
	write->load_changes = true;
	write->gathers = false;
}

void fenced_write_start(struct fenced_write *write, void (*done)(struct op *op))
{
	op_init(&write->op, done);
	write->give_up_at_ms = clock_monotonic_ms() + FENCED_WRITE_PATIENCE_MS;
	write->wait_ms = FIRST_WAIT_MS;
	if (write->gathers) {
		write->state = FENCED_WRITE_GATHERED;
		quiet_ends_add(&write->tenant->process->ends, write);
	} else {
		write->state = FENCED_WRITE_SENT;
		send_write(write);
	}
}

// What fails may be another one's fault: whether this one was made is read, and it is written alone if not.
void fenced_write_gathered(struct fenced_write *write, bool made, const struct op *of)
{
	if (made) {
		take(write);
		give_answer(write, OK, NULL);
	} else if (of->rc == OK) {
		write->state = FENCED_WRITE_SENT;
		send_write(write);
	} else if (may_wait(write)) {
		wait_a_while(write);
	} else {
		give_answer(write, of->rc, &of->fault);
	}
}

static void on_pause_closed(struct delay *delay)
{
	struct fenced_write *write = CONTAINER_OF(delay, struct fenced_write, pause);

	write->closed(write);
}

void fenced_write_close(struct fenced_write *write, void (*closed)(struct fenced_write *write))
{
	write->closed = closed;
	delay_close(&write->pause, on_pause_closed);
}
