// SPDX-License-Identifier: Apache-2.0
//
// fenced_write.h - one write of the owner of a client: fence first, then what belongs together, all or nothing.
//
// Ownership  one a run, in struct tenant: its flows follow each other. All that `build` refers to is kept until op.done.
// Laws       1. op.rc OK: the write was made, once, and tenant->stream says so. Anything else: it was not made by us, or somebody
//               else has the client; the run must begin anew from what the database holds
//            2. a COMMIT of unknown outcome is resolved by reading write_seq, and the write is repeated only when it was not made
//            3. a database that is away is waited for, up to FENCED_WRITE_PATIENCE_MS
#pragma once

#include "store/stream.h"

struct tenant;

enum { FENCED_WRITE_PATIENCE_MS = 30000 };

struct fenced_write {
	struct op op;
	// Set before the start
	struct tenant *tenant;
	void (*build)(struct fenced_write *write, struct pg_transaction *t); // adds its statements; may be called again. NULL: none
	void *owner;
	int64_t events;                 // that `build` inserts, numbered from tenant->stream.event_seq + 1
	const struct stream_row *next;  // NULL: the stream stays as it is, but for its numbers
	bool finish;                    // the last write of a run
	int64_t due_at_us;              // of the finish
	const struct tenant_status_row *status; // of a finish in which nothing else is written; NULL: `build` writes it
	bool load_changes; // of such a one: what a run reads when it begins is another one from now on
	bool gathers;      // of such a one: it may wait for others like it (quiet_ends.h)
	// Inside
	struct pg_transaction transaction;
	struct list link; // of those that gather
	struct delay pause;
	void (*closed)(struct fenced_write *write);
	int64_t give_up_at_ms;
	int64_t wait_ms;
	enum fenced_write_state { FENCED_WRITE_IDLE, FENCED_WRITE_GATHERED, FENCED_WRITE_SENT, FENCED_WRITE_READING, FENCED_WRITE_PAUSED } state;
};

void fenced_write_init(struct fenced_write *write, struct tenant *tenant);
// Sets what is left of the last write back, for the caller to fill in.
void fenced_write_prepare(struct fenced_write *write, void *owner);
void fenced_write_start(struct fenced_write *write, void (*done)(struct op *op));
// The answer to those that were gathered.
void fenced_write_gathered(struct fenced_write *write, bool made, const struct op *of);
void fenced_write_close(struct fenced_write *write, void (*closed)(struct fenced_write *write)); // not while it runs
