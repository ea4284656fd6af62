// SPDX-License-Identifier: Apache-2.0
//
// sim_outage.c - Apple as a whole goes away and comes back, in a world with enough clients for the breaker (tenants/breaker.h) to tell that
// from one client's trouble: what all processes together offer meanwhile, and afterwards.
#include "sim/sim.h"

enum { WARM_S = 240, BEFORE_S = 420, OUTAGE_S = 600, AFTER_S = 300, SECONDS = BEFORE_S + OUTAGE_S + AFTER_S };

static int64_t begun_us;
static unsigned *offered; // [second]

static void go_away(void *argument)
{
	(void)argument;
	sim.apple_away_until_us = sim.now_us + OUTAGE_S * SECOND_US;
	sim_trace("away", OUTAGE_S, 0, 0);
}

// Everybody wants everything at once: while Apple is away, and when the probes of all processes have found it back.
static void press_sync_now(void *argument)
{
	(void)argument;
	for (int i = 0; i < sim.shape->tenants; i++) {
		sim_rows_fault(FAULT_SYNC_NOW, &sim.tenants[i]);
	}
}

static void begin(void)
{
	begun_us = sim.now_us;
	offered = sim_take(SECONDS * sizeof *offered);
	sim_at(begun_us + BEFORE_S * SECOND_US, NULL, go_away, NULL);
	for (int second = BEFORE_S + 100; second < BEFORE_S + OUTAGE_S; second += 100) {
		sim_at(begun_us + second * SECOND_US, NULL, press_sync_now, NULL);
	}
	sim_at(begun_us + (BEFORE_S + OUTAGE_S + 35) * SECOND_US, NULL, press_sync_now, NULL);
}

void sim_outage_note(void)
{
	const int64_t second = (sim.now_us - begun_us) / SECOND_US;

	if (sim.shape == &sim_shape_outage && second < SECONDS) {
		offered[second]++;
	}
}

static unsigned sum(int from, int to)
{
	unsigned total = 0;

	for (int i = from; i < to; i++) {
		total += offered[i];
	}
	return total;
}

static void check(void)
{
	const unsigned steady = sum(WARM_S, BEFORE_S); // in BEFORE_S - WARM_S seconds
	const unsigned meanwhile = sum(BEFORE_S, BEFORE_S + OUTAGE_S);

	LAW(steady > BEFORE_S - WARM_S, "only %u requests in %d s", steady, BEFORE_S - WARM_S);
	LAW(meanwhile * 10 * (BEFORE_S - WARM_S) <= steady * OUTAGE_S, "%u requests to a service that is out in %d s; %u in %d s before",
		meanwhile, OUTAGE_S, steady, BEFORE_S - WARM_S);
	for (int i = BEFORE_S + OUTAGE_S; i < SECONDS; i++) {
		LAW(offered[i] * (BEFORE_S - WARM_S) <= 2 * steady, "%u requests in second %d after the outage; %u in %d s before", offered[i],
			i - BEFORE_S - OUTAGE_S, steady, BEFORE_S - WARM_S);
	}
	LAW(sum(SECONDS - 60, SECONDS) * (BEFORE_S - WARM_S) * 10 >= steady * 60 * 9, "it does not come back: %u requests in the last minute; %u in %d s before",
		sum(SECONDS - 60, SECONDS), steady, BEFORE_S - WARM_S);
}

const struct sim_shape sim_shape_outage = {
	.name = "outage", .tenants = 400, .interval_s = 10, .pages_at_once = 32, .duration_us = SECONDS * SECOND_US, .begin = begin, .check = check, .worlds = 2000,
};
