// SPDX-License-Identifier: Apache-2.0
//
// page_turn.h - a run's turn to ask Apple for a page and to apply it, among all runs of this process.
//
// Ownership  embedded in a flow; page_turn_fini in the end, not while it waits.
// Laws       1. turns are given as fair_queue.h says, config->pages_at_once at a time
//            2. a run that has had PAGES_BEFORE_LONG turns is a long one: it does not count against those that a process runs
//               at a time, up to RUNS_LONG_MAX of them, so that long lists do not keep short ones from being claimed
#pragma once

#include "tenants/fair_queue.h"
#include "worker/process.h"

enum { PAGES_BEFORE_LONG = 8 };

struct page_turn {
	struct op op;
	struct worker_process *process;
	struct fair_turn turn;
	struct deferred given;
	unsigned pages;
};

void page_turn_init(struct page_turn *turn, struct worker_process *process, unsigned weight);
void page_turn_start(struct page_turn *turn, void (*done)(struct op *op)); // op.done: it is ours
void page_turn_end(struct page_turn *turn, size_t devices);               // harmless when it is not ours
void page_turn_fini(struct page_turn *turn);
