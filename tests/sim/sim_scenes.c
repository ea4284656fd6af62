// SPDX-License-Identifier: Apache-2.0
//
// sim_scenes.c - worlds in which one thing happens, to one client, and nothing else: what must come of it can be said exactly.
#include "sim/sim.h"

static struct sim_tenant *victim;

// --- a client whose pages crash whoever reads them ---

enum { POISON_INTERVAL_S = 10, LATE_S = 40 };

static void poison(void *argument)
{
	(void)argument;
	victim->poison = 1000;
}

static void look_at_the_others(void *argument)
{
	(void)argument;
	for (int i = 0; i < sim.shape->tenants; i++) {
		const struct sim_tenant *tenant = &sim.tenants[i];

		LAW(tenant == victim || tenant->crash_count <= 1, "client %lld was in flight at %zu crashes of another one's making",
			(long long)tenant->id, tenant->crash_count);
		LAW(tenant == victim || (tenant->active && sim.now_us - tenant->stream.synced_at_us < LATE_S * SECOND_US),
			"client %lld suffers from another one's pages: it is %lld s late", (long long)tenant->id,
			(long long)((sim.now_us - tenant->stream.synced_at_us) / SECOND_US));
	}
	sim_at(sim.now_us + 10 * SECOND_US, NULL, look_at_the_others, NULL);
}

static void poison_begin(void)
{
	victim = &sim.tenants[sim_between(0, sim.shape->tenants - 1)];
	sim_at(sim.now_us + 10 * MINUTE_US, NULL, poison, NULL);
	sim_at(sim.now_us + 5 * MINUTE_US, NULL, look_at_the_others, NULL);
}

static void poison_check(void)
{
	LAW(victim->quarantined && victim->crash_count == CRASHES_MAX && sim.crashes == CRASHES_MAX,
		"client %lld crashes %llu workers", (long long)victim->id, (unsigned long long)sim.crashes);
	LAW(victim->alerts[ALERT_QUARANTINED], "client %lld is quarantined, and nobody is told", (long long)victim->id);
}

const struct sim_shape sim_shape_poison = {
	.name = "poison", .tenants = 60, .interval_s = POISON_INTERVAL_S, .duration_us = HOUR_US / 2, .begin = poison_begin,
	.check = poison_check, .worlds = 200,
};

// --- a client whose next list lacks most of its devices ---

static int64_t present, vanished;
static struct sim_tenant *loser_of_few;

static int64_t count_present(const struct sim_tenant *tenant)
{
	int64_t count = 0;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		count += tenant->devices[i].used && tenant->devices[i].row.gone_at_us == INSTANT_NONE;
	}
	return count;
}

static struct sim_tenant *largest(const struct sim_tenant *but)
{
	struct sim_tenant *largest = NULL;

	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (tenant != but && (largest == NULL || count_present(tenant) > count_present(largest))) {
			largest = tenant;
		}
	}
	return largest;
}

static void lose_devices(void *argument)
{
	int64_t least;

	(void)argument;
	victim = largest(NULL);
	loser_of_few = largest(victim);
	present = count_present(victim);
	least = present * SIM_BRAKE_PERCENT / 100 > SIM_BRAKE_DEVICES ? present * SIM_BRAKE_PERCENT / 100 : SIM_BRAKE_DEVICES;
	vanished = sim_apple_vanish(victim, sim_between(least + 1, present));
	(void)sim_apple_vanish(loser_of_few, 1);
	sim_rows_fault(FAULT_VANISHED, victim);
	sim_rows_fault(FAULT_VANISHED, loser_of_few);
}

static void look_at_the_brake(void *argument)
{
	(void)argument;
	LAW(count_present(victim) == present && victim->stream.removals_held == vanished,
		"client %lld had %lld devices, has lost %lld, has %lld, and %lld are held", (long long)victim->id, (long long)present,
		(long long)vanished, (long long)count_present(victim), (long long)victim->stream.removals_held);
	LAW(loser_of_few->stream.removals_held == 0 && loser_of_few->list_removals == 1, "client %lld has lost one device, and %lld are held",
		(long long)loser_of_few->id, (long long)loser_of_few->stream.removals_held);
}

static void allow(void *argument)
{
	look_at_the_brake(argument);
	sim_allow_removals(victim);
}

static void brake_begin(void)
{
	sim_at(sim.now_us + HOUR_US, NULL, lose_devices, NULL);
	for (int minutes = 75; minutes <= 3 * 60; minutes += 15) {
		sim_at(sim.now_us + minutes * MINUTE_US, NULL, look_at_the_brake, NULL);
	}
	sim_at(sim.now_us + 3 * HOUR_US + MINUTE_US, NULL, allow, NULL);
}

static void brake_check(void)
{
	LAW(count_present(victim) == present - vanished && victim->stream.removals_held == 0 && victim->list_removals == vanished,
		"client %lld had %lld devices, is allowed to lose %lld, has %lld, and %lld are held", (long long)victim->id, (long long)present,
		(long long)vanished, (long long)count_present(victim), (long long)victim->stream.removals_held);
}

const struct sim_shape sim_shape_brake = {
	.name = "brake", .tenants = 6, .interval_s = 900, .duration_us = 4 * HOUR_US, .begin = brake_begin, .check = brake_check, .worlds = 100,
};

// --- a client that Apple refuses again and again ---

enum { FAILURES = 10 };

static int failed_before, tries;

static void refuse(void *argument)
{
	(void)argument;
	failed_before = victim->failures_heard;
	for (int i = 0; i < FAILURES; i++) {
		victim->armed[sim_chance(50) ? FAULT_APPLE_5XX : FAULT_APPLE_429]++;
	}
}

void sim_scene_note(const struct sim_tenant *tenant)
{
	const int failures = tenant->failures_heard - failed_before;
	const struct sim_failure *last = &tenant->last_failure;

	if (sim.shape != &sim_shape_backoff || tenant != victim || sim.quiet || failures == 0 || failures == tries) {
		return;
	}

	const int64_t least_us = sim_wait_least_us(failures, last->retry_after_s), wait_us = sim.now_us - last->at_us;

	LAW(wait_us >= least_us && wait_us <= least_us + least_us / 2 + 2 * SECOND_US, "client %lld asks again %lld s after failure %d",
		(long long)tenant->id, (long long)(wait_us / SECOND_US), failures);
	tries = failures;
}

static void backoff_begin(void)
{
	failed_before = 0;
	tries = 0;
	victim = &sim.tenants[sim_between(0, sim.shape->tenants - 1)];
	sim_at(sim.now_us + HOUR_US, NULL, refuse, NULL);
}

static void backoff_check(void)
{
	LAW(tries == FAILURES, "client %lld has failed and asked again %d times", (long long)victim->id, tries);
	LAW(victim->stream.sync.failures == 0, "client %lld works again, and counts %d failures", (long long)victim->id,
		victim->stream.sync.failures);
}

const struct sim_shape sim_shape_backoff = {
	.name = "backoff", .tenants = 6, .interval_s = 900, .duration_us = 12 * HOUR_US, .begin = backoff_begin, .check = backoff_check,
	.worlds = 100,
};

// --- a client that is wished for again and again: hints, claims by the clock and ends of runs meet in all ways ---

enum { WISH_GAP_MS = 700, ACTED_ON_S = 5, REST_MS = 8000 };

static int64_t wishes;

static void look_at_a_wish(void *argument)
{
	const int64_t *wish = argument;

	LAW(victim->stream.sync_requests_done >= *wish, "client %lld was wished for %d s ago, and nobody has acted on it",
		(long long)victim->id, ACTED_ON_S);
}

static void wish(void *argument)
{
	int64_t *number = sim_take(sizeof *number);

	(void)argument;
	sim_rows_fault(FAULT_SYNC_NOW, victim);
	*number = victim->sync_requests;
	wishes++;
	if (sim_chance(90)) {
		sim_hint(victim->id);
	}
	sim_at(sim.now_us + ACTED_ON_S * SECOND_US, NULL, look_at_a_wish, number);
	// While a run of the last one goes on or ends; or after a rest, in which no other wish makes up for one that is lost.
	sim_at(sim.now_us + (sim_chance(50) ? sim_between(0, WISH_GAP_MS) : sim_between(ACTED_ON_S * 1000, REST_MS)) * SECOND_US / 1000, NULL, wish,
		NULL);
}

static void hints_begin(void)
{
	wishes = 0;
	victim = &sim.tenants[sim_between(0, sim.shape->tenants - 1)];
	sim_at(sim.now_us + 10 * MINUTE_US, NULL, wish, NULL);
}

static void hints_check(void)
{
	LAW(wishes > 200, "client %lld was wished for %lld times", (long long)victim->id, (long long)wishes);
}

const struct sim_shape sim_shape_hints = {
	.name = "hints", .tenants = 6, .interval_s = 900, .hints = true, .duration_us = HOUR_US / 2, .begin = hints_begin, .check = hints_check,
	.worlds = 100,
};

// --- calm clients whose polls coincide, so that they are taken, and end, together: and now and then everything that can happen to them ---

static void polls_check(void)
{
	LAW(4 * sim.gathered_ends > sim.quiet_ends, "%llu quiet runs have ended together, %llu alone", (unsigned long long)sim.gathered_ends,
		(unsigned long long)sim.quiet_ends);
}

const struct sim_shape sim_shape_polls = {
	.name = "polls", .tenants = 12, .interval_s = 300, .faults = 40, .changes = 10, .duration_us = 6 * HOUR_US, .check = polls_check,
	.worlds = 50,
};
