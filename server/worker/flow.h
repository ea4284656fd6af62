// SPDX-License-Identifier: Apache-2.0
//
// flow.h - what the flows of a run (sync, plan, assign) have in common: a call to Apple, a read, a fenced write, at most one at a time.
//
// Ownership  embedded first in a flow's struct, which the run embeds. flow_start, op.done once, then it may be started again;
//            flow_fini in the end, not while it runs.
// Laws       1. op.rc OK: done as far as it goes now; `failure` is what Apple's service said against it, if anything, and its fault is with
//               the tenant. Otherwise the database did not take a write or give a read: the run must begin anew
//            2. texts of rows that were read live until the next flow_begin_read
#pragma once

#include "worker/changes.h"
#include "worker/fenced_write.h"

struct flow {
	struct op op;
	struct tenant *tenant;
	bool stop;                            // set by the run: end after the present step
	void (*progress)(struct flow *flow);  // after each write that made events, which are in `changes`; may be NULL
	void *owner;
	enum err failure;
	bool session_lost;     // Apple does not know the session any more: to be started again with another one
	int64_t retry_after_s; // -1: not asked for

	// Inside
	void (*step)(struct flow *flow);
	struct deferred start;
	struct apple_call call;
	struct apple_page page;
	struct pg_transaction read;
	bool read_is_open;
	struct changes changes;
	struct ledger_entry entry;
	struct stream_row next;
	struct device_row *rows; // that were read, in scratch
	size_t row_count;
	char after[65]; // the serial number that was looked at last
};

void flow_init(struct flow *flow, struct tenant *tenant, void (*step)(struct flow *flow)); // which is zeroed already: a run is large
void flow_start(struct flow *flow, void (*done)(struct op *op)); // the first step is taken later
void flow_fini(struct flow *flow);
void flow_let_go(struct flow *flow); // of the page, its rows and what follows from them: the run may go on for long, and others do their part
void flow_end(struct flow *flow, enum err rc);
bool flow_must_stop(const struct flow *flow);

// A read: begin, add statements to flow->read, start. What the step before collected is gone.
void flow_begin_read(struct flow *flow);
void flow_start_read(struct flow *flow);
bool flow_read_all(const struct flow *flow); // of a list of at most STORE_LIST_MAX rows: those were the last ones
void flow_take_rows(struct flow *flow);    // rows of the first statement; flow->after becomes the last one's serial number

// A write of flow->changes with a line in the ledger; `next` NULL: the stream stays as it is.
void flow_write_changes(struct flow *flow, struct ledger_entry entry, const struct stream_row *next);
// The same, and whatever else `build` adds: it calls changes_build itself, with flow->entry.
void flow_write_with(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), struct ledger_entry entry);
void flow_write_next_with(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), struct ledger_entry entry,
	const struct stream_row *next);
// A write of what `build` adds.
void flow_write(struct flow *flow, void (*build)(struct fenced_write *write, struct pg_transaction *t), const struct stream_row *next);
enum err flow_written(const struct flow *flow);

bool flow_has_lost_session(struct flow *flow); // of a call that keeps its session: notes it
void flow_note_failure(struct flow *flow, enum err rc, const char *event);
