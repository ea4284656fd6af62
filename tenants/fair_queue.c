// SPDX-License-Identifier: Apache-2.0
#include "tenants/fair_queue.h"

#include <assert.h>

enum { UNIT = 64 }; // of virtual time, so that a division by a weight leaves something

void fair_queue_init(struct fair_queue *queue, unsigned limit)
{
	assert(limit > 0);
	*queue = (struct fair_queue){ .limit = limit };
	list_init(&queue->waiting);
}

void fair_turn_init(struct fair_turn *turn, unsigned weight)
{
	assert(weight > 0);
	*turn = (struct fair_turn){ .weight = weight };
	list_init(&turn->link);
}

// Behind those that begin at the same time: first come, first served.
void fair_queue_wait(struct fair_queue *queue, struct fair_turn *turn)
{
	struct list *before = queue->waiting.previous;

	assert(!turn->has_turn && !list_is_linked(&turn->link));
	turn->begins = turn->ended > queue->now ? turn->ended : queue->now;
	while (before != &queue->waiting && CONTAINER_OF(before, struct fair_turn, link)->begins > turn->begins) {
		before = before->previous;
	}
	list_add_first(before, &turn->link);
}

struct fair_turn *fair_queue_next(struct fair_queue *queue)
{
	struct fair_turn *turn = LIST_FIRST(&queue->waiting, struct fair_turn, link);

	if (turn == NULL || queue->running >= queue->limit) {
		return NULL;
	}
	list_remove(&turn->link);
	turn->has_turn = true;
	queue->running++;
	queue->now = turn->begins > queue->now ? turn->begins : queue->now;
	return turn;
}

void fair_queue_leave(struct fair_queue *queue, struct fair_turn *turn, uint64_t cost)
{
	list_remove(&turn->link);
	if (turn->has_turn) {
		turn->has_turn = false;
		turn->ended = turn->begins + cost * UNIT / turn->weight;
		queue->running--;
	}
}
