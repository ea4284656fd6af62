// SPDX-License-Identifier: Apache-2.0
#include "loop/http_lanes.h"

#include "depbroker/text.h"

#include <assert.h>
#include <stdlib.h>

struct http_lane {
	struct list same_bucket;
	struct list turn; // in `ready`
	struct list waiting;
	int64_t key;
	unsigned on_their_way;
};

void http_lanes_init(struct http_lanes *lanes, unsigned limit, unsigned limit_per_lane)
{
	*lanes = (struct http_lanes){ .limit = limit, .limit_per_lane = limit_per_lane };
	list_init(&lanes->ready);
	for (size_t i = 0; i < HTTP_LANE_BUCKETS; i++) {
		list_init(&lanes->buckets[i]);
	}
}

static struct http_lane *lane_of(struct http_lanes *lanes, int64_t key)
{
	struct list *bucket = &lanes->buckets[(uint64_t)key % HTTP_LANE_BUCKETS]; // keys count upwards, so they spread well

	LIST_EACH(at, after, bucket) {
		struct http_lane *lane = CONTAINER_OF(at, struct http_lane, same_bucket);

		if (lane->key == key) {
			return lane;
		}
	}
	struct http_lane *lane = allocate(sizeof *lane);

	lane->key = key;
	list_init(&lane->turn);
	list_init(&lane->waiting);
	list_add_last(bucket, &lane->same_bucket);
	return lane;
}

// After any change of a lane: give it a turn, take it away, or end the lane.
static void settle(struct http_lanes *lanes, struct http_lane *lane)
{
	const bool may_send = !list_is_empty(&lane->waiting) && lane->on_their_way < lanes->limit_per_lane;

	if (!may_send) {
		list_remove(&lane->turn);
	} else if (!list_is_linked(&lane->turn)) {
		list_add_last(&lanes->ready, &lane->turn);
	}
	if (list_is_empty(&lane->waiting) && lane->on_their_way == 0) {
		list_remove(&lane->same_bucket);
		free(lane);
	}
}

void http_lanes_wait(struct http_lanes *lanes, struct http_place *place, int64_t key)
{
	assert(place->lane == NULL);
	place->lane = lane_of(lanes, key);
	list_add_last(&place->lane->waiting, &place->link);
	lanes->waiting++;
	settle(lanes, place->lane);
}

struct http_place *http_lanes_next(struct http_lanes *lanes)
{
	struct http_lane *lane = LIST_FIRST(&lanes->ready, struct http_lane, turn);

	if (lane == NULL || lanes->on_their_way >= lanes->limit) {
		return NULL;
	}
	struct http_place *place = LIST_FIRST(&lane->waiting, struct http_place, link);

	list_remove(&place->link);
	lanes->waiting--;
	lanes->on_their_way++;
	lane->on_their_way++;
	list_remove(&lane->turn); // and behind the others again
	settle(lanes, lane);
	return place;
}

void http_lanes_leave(struct http_lanes *lanes, struct http_place *place)
{
	struct http_lane *lane = place->lane;

	assert(lane != NULL);
	if (list_is_linked(&place->link)) {
		list_remove(&place->link);
		lanes->waiting--;
	} else {
		lanes->on_their_way--;
		lane->on_their_way--;
	}
	place->lane = NULL;
	settle(lanes, lane);
}
