// SPDX-License-Identifier: Apache-2.0
#include "worker/quiet_ends.h"

#include "worker/fenced_write.h"
#include "worker/tenant.h"

enum { GATHER_MS = 50 };

static void on_transaction(struct op *op);

static struct quiet_end end_of(const struct fenced_write *write)
{
	return (struct quiet_end){
		.fence = tenant_fence(write->tenant),
		.next = write->next,
		.due_at_us = write->due_at_us,
		.wake = write->tenant->due.wake,
		.tells_token = write->status->token_state.length > 0,
		.profile_unusable = write->status->profile_unusable,
	};
}

static void send_gathered(struct quiet_ends *ends)
{
	struct quiet_end rows[QUIET_ENDS_MAX];

	delay_stop(&ends->timer);
	ends->runs = true;
	ends->sent_count = 0;
	while (!list_is_empty(&ends->waiting) && ends->sent_count < QUIET_ENDS_MAX) {
		struct fenced_write *write = LIST_FIRST(&ends->waiting, struct fenced_write, link);

		list_remove(&write->link);
		ends->count--;
		rows[ends->sent_count] = end_of(write);
		ends->sent[ends->sent_count++] = write;
	}
	pg_transaction_init(&ends->transaction, store_directory(), on_transaction);
	(void)store_streams_end_quietly(&ends->transaction, text_of(ends->process->node_id), rows, ends->sent_count);
	store_commit_lazily(&ends->transaction); // as any end of a run
	pg_start(&ends->transaction, ends->process->pool, STORE_TIMEOUT_MS);
}

// The runs that wait for webhook endpoints, or read long lists, will not be among them soon.
static bool nobody_else_comes(const struct quiet_ends *ends)
{
	const struct worker_process *process = ends->process;

	return ends->count + process->long_count + process->telling_count >= process->run_count;
}

static void on_time(struct delay *timer)
{
	struct quiet_ends *ends = CONTAINER_OF(timer, struct quiet_ends, timer);

	if (!ends->runs && ends->count > 0) {
		send_gathered(ends);
	}
}

static bool is_ended(const struct quiet_ends *ends, const struct fenced_write *write)
{
	const size_t count = ends->transaction.op.rc == OK ? pg_row_count(&ends->transaction, 0) : 0;

	for (size_t row = 0; row < count; row++) {
		if (store_stream_ended_client(&ends->transaction, 0, row) == write->tenant->due.tenant_id) {
			return true;
		}
	}
	return false;
}

// What a run does next may add another end.
static void on_transaction(struct op *op)
{
	struct quiet_ends *ends = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct quiet_ends, transaction);
	const size_t count = ends->sent_count;
	const struct op done = *op;
	struct fenced_write *sent[QUIET_ENDS_MAX];
	bool ended[QUIET_ENDS_MAX];

	for (size_t i = 0; i < count; i++) {
		sent[i] = ends->sent[i];
		ended[i] = is_ended(ends, sent[i]);
	}
	pg_transaction_fini(&ends->transaction);
	ends->runs = false;
	if (ends->count > 0) {
		delay_start(&ends->timer, 0); // they have waited long enough
	}
	for (size_t i = 0; i < count; i++) {
		fenced_write_gathered(sent[i], ended[i], &done);
	}
}

void quiet_ends_init(struct quiet_ends *ends, struct worker_process *process)
{
	*ends = (struct quiet_ends){ .process = process };
	list_init(&ends->waiting);
	delay_init(&ends->timer, &process->loop, on_time);
}

void quiet_ends_add(struct quiet_ends *ends, struct fenced_write *write)
{
	list_add_last(&ends->waiting, &write->link);
	ends->count++;
	if (ends->count == QUIET_ENDS_MAX || nobody_else_comes(ends)) {
		quiet_ends_hurry(ends);
	} else if (ends->count == 1) {
		delay_start(&ends->timer, GATHER_MS);
	}
}

void quiet_ends_hurry(struct quiet_ends *ends)
{
	if (ends->count > 0) {
		delay_start(&ends->timer, 0);
	}
}

void quiet_ends_close(struct quiet_ends *ends, void (*closed)(struct delay *timer))
{
	delay_close(&ends->timer, closed);
}
