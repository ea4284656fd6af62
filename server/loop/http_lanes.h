// SPDX-License-Identifier: Apache-2.0
//
// http_lanes.h - a fair queue: a lane for each key, first come first served within it, round robin over the lanes.
//
// Ownership  the caller embeds struct http_place; a lane lives while somebody is in it.
// Laws       1. at most `limit` are on their way at a time, at most `limit_per_lane` of one lane
//            2. a lane that may send gets its turn after at most one call of each other lane
#pragma once

#include "depbroker/list.h"

#include <stdint.h>

enum { HTTP_LANE_BUCKETS = 256 };

struct http_lane;

struct http_lanes {
	struct list buckets[HTTP_LANE_BUCKETS]; // lanes by key
	struct list ready;                      // lanes that have somebody waiting and may send, whose turn comes first ahead
	unsigned limit;
	unsigned limit_per_lane;
	unsigned waiting;
	unsigned on_their_way;
};

struct http_place {
	struct http_lane *lane; // NULL: in no lane
	struct list link;       // among the waiting; not linked: on its way
};

void http_lanes_init(struct http_lanes *lanes, unsigned limit, unsigned limit_per_lane);
void http_lanes_wait(struct http_lanes *lanes, struct http_place *place, int64_t key);
struct http_place *http_lanes_next(struct http_lanes *lanes); // who is on the way now; NULL: nobody may go
void http_lanes_leave(struct http_lanes *lanes, struct http_place *place); // waiting, or on its way
