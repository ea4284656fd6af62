// SPDX-License-Identifier: Apache-2.0
//
// delivery.h - reads on in a client's log and sends its events to the endpoints, eight lanes an endpoint.
//
// Ownership  embedded in the run; delivery_fini, when it is not busy, before the tenant is cleared.
// Laws       1. within a lane an event is sent when the one before it is settled, so events of one device arrive in order
//            2. a position moves only after the endpoint said 2xx; a failure waits as retry.h says, and nothing is dropped
//            3. what becomes of an event that is not taken, and of its endpoint: tenants/endpoint_health.h. One that is disabled keeps its positions
//            4. an endpoint of an instance sees only events that concern this instance; each signs with its own secrets
//            5. an endpoint in trouble gets one request at a time; no client has more than its share of requests under way
#pragma once

#include "worker/tenant.h"

struct delivery_lane;
struct delivery_endpoint;

struct delivery {
	struct tenant *tenant;
	void (*idle)(struct delivery *delivery); // called later, whenever the last busy lane has come to rest
	void *owner;
	uint64_t delivered, failed; // since the start
	// Inside
	struct delivery_endpoint *endpoints;
	size_t endpoint_count;
	struct delivery_lane *lanes;
	size_t lane_count;
	size_t busy; // lanes that read, send or settle
	bool stopping;
	struct deferred notice;
};

void delivery_init(struct delivery *delivery, struct tenant *tenant, void (*idle)(struct delivery *delivery), void *owner);
void delivery_fini(struct delivery *delivery);
void delivery_begin(struct delivery *delivery); // with what was pending when the client was loaded, or waits and may be tried again
// These events are stored now: their lanes read on.
void delivery_poke(struct delivery *delivery, const struct stored_event *events, size_t count);
void delivery_stop(struct delivery *delivery); // nothing new is sent
bool delivery_is_busy(const struct delivery *delivery);
int64_t delivery_next_try_us(const struct delivery *delivery); // INSTANT_NONE: no lane waits to try again, or was left to the next run
