// SPDX-License-Identifier: Apache-2.0
//
// fair_queue.h - whose page is next: a weighted fair queue over clients, by what their pages have cost so far.
//
//   fair_queue_wait -> fair_queue_next gives the turn -> fair_queue_leave says what it cost
//
// Ownership  the caller embeds struct fair_turn and keeps it while it waits or has a turn.
// Laws       1. at most `limit` have a turn at a time
//            2. who comes anew, or after a pause, is served before all who have had more than their share since; it gets no credit for
//               the time in which it did not ask
//            3. two who always want to go on get turns in the ratio of their weights, by cost; so between two pages of one client there
//               is at most one page of each other, unless those are cheaper
#pragma once

#include "depbroker/list.h"

#include <stdint.h>

enum { FAIR_WEIGHT = 1, FAIR_WEIGHT_ASKED_FOR = 4 }; // the latter when a person waits for it

struct fair_queue {
	struct list waiting; // earliest first
	uint64_t now;        // virtual: the cost served to a client of weight 1
	unsigned limit;
	unsigned running;
};

struct fair_turn {
	struct list link; // linked: it waits
	uint64_t begins, ended; // virtual
	unsigned weight;
	bool has_turn;
};

void fair_queue_init(struct fair_queue *queue, unsigned limit);
void fair_turn_init(struct fair_turn *turn, unsigned weight);
void fair_queue_wait(struct fair_queue *queue, struct fair_turn *turn);
struct fair_turn *fair_queue_next(struct fair_queue *queue); // whose turn it is from now on; NULL: nobody's
void fair_queue_leave(struct fair_queue *queue, struct fair_turn *turn, uint64_t cost); // who waits, or has a turn; harmless otherwise
