// SPDX-License-Identifier: Apache-2.0
//
// quiet_ends.h - ends of runs that found nothing, gathered for a moment and written in one transaction, whose frame costs more than they do.
//
// Ownership  of the process; quiet_ends_close before the loop ends, when no run is left.
// Laws       1. each end has a fence of its own (store_streams_end_quietly): what is wrong with one of them fails no other one's. One that is
//               not made is written once more, alone, by its fenced_write, which then hears why
//            2. an end waits for GATHER_MS at most, and not at all once all runs of the process wait, or somebody asked for its client
#pragma once

#include "loop/loop.h"
#include "loop/pg.h"
#include "store/stream.h"

struct fenced_write;
struct worker_process;

struct quiet_ends {
	struct worker_process *process;
	struct list waiting; // of fenced_writes
	size_t count;
	struct delay timer;
	struct pg_transaction transaction; // one at a time: meanwhile the others gather
	bool runs;
	struct fenced_write *sent[QUIET_ENDS_MAX];
	size_t sent_count;
};

void quiet_ends_init(struct quiet_ends *ends, struct worker_process *process);
void quiet_ends_add(struct quiet_ends *ends, struct fenced_write *write); // which hears of it by fenced_write_gathered
void quiet_ends_hurry(struct quiet_ends *ends); // what has gathered is written now
void quiet_ends_close(struct quiet_ends *ends, void (*closed)(struct delay *timer));
