// SPDX-License-Identifier: Apache-2.0
//
// endpoint_health.h - whether a webhook endpoint is at work, and what becomes of an event that it does not take.
//
//   well --(ENDPOINT_PROBES_AFTER failures in a row)--> in trouble: one request at a time, one in ENDPOINT_PROBE_EVERY_S --(2xx)--> well
//
// Ownership  a plain value, one an endpoint and run.
// Laws       1. pure: time is given
//            2. an event is parked only when it failed during the whole schedule while the endpoint took others
//            3. an endpoint is given up only when it took nothing for ENDPOINT_DEAD_AFTER_S, or says itself that it is gone
#pragma once

#include "tenants/retry.h"

enum { ENDPOINT_PROBES_AFTER = 4, ENDPOINT_PROBE_EVERY_S = 30, ENDPOINT_DEAD_AFTER_S = 5 * DAY_S };

struct endpoint_health {
	int failures;            // in a row
	int64_t next_probe_us;   // in trouble
	int64_t not_before_us;   // it asked to slow down
	int64_t succeeded_at_us; // INSTANT_NONE: not known
};

bool endpoint_is_in_trouble(const struct endpoint_health *health);
int64_t endpoint_not_before_us(const struct endpoint_health *health); // INSTANT_NONE: at once
void endpoint_took(struct endpoint_health *health, int64_t now_us);
void endpoint_failed(struct endpoint_health *health, int64_t now_us);

enum endpoint_verdict {
	ENDPOINT_TRY_AGAIN, // the event, later
	ENDPOINT_PARK,      // the event
	ENDPOINT_GIVE_UP,   // the endpoint
};

// After `attempts` failed attempts of an event, the first one at `first_failed_us`, and the last one just now.
enum endpoint_verdict endpoint_judge(const struct endpoint_health *health, enum retry_outcome outcome, int attempts, int64_t first_failed_us,
	int64_t now_us);
