// SPDX-License-Identifier: Apache-2.0
#include "worker/page_turn.h"

enum { PAGE_COST = 50 }; // of a page without devices, in devices

static void on_given(struct deferred *given)
{
	struct page_turn *turn = CONTAINER_OF(given, struct page_turn, given);

	op_done(&turn->op, OK);
}

static void give_turns(struct worker_process *process)
{
	for (struct fair_turn *next = fair_queue_next(&process->pages); next != NULL; next = fair_queue_next(&process->pages)) {
		loop_defer(&process->loop, &CONTAINER_OF(next, struct page_turn, turn)->given);
	}
}

void page_turn_init(struct page_turn *turn, struct worker_process *process, unsigned weight)
{
	*turn = (struct page_turn){ .process = process, .given = { .run = on_given } };
	fair_turn_init(&turn->turn, weight);
}

void page_turn_start(struct page_turn *turn, void (*done)(struct op *op))
{
	op_init(&turn->op, done);
	fair_queue_wait(&turn->process->pages, &turn->turn);
	give_turns(turn->process);
}

void page_turn_end(struct page_turn *turn, size_t devices)
{
	if (!turn->turn.has_turn) {
		return;
	}
	fair_queue_leave(&turn->process->pages, &turn->turn, PAGE_COST + devices);
	turn->process->long_count += ++turn->pages == PAGES_BEFORE_LONG ? 1 : 0;
	give_turns(turn->process);
}

void page_turn_fini(struct page_turn *turn)
{
	page_turn_end(turn, 0);
	turn->process->long_count -= turn->pages >= PAGES_BEFORE_LONG ? 1 : 0;
	turn->pages = 0;
}
