// SPDX-License-Identifier: Apache-2.0
//
// sim_plan.c - what is done to the world, and when: everything is decided at the beginning, by the seed.
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { FAULTS_MAX = 1000 };

#define SETTLING_US (3 * DAY_S * SECOND_US)

static struct planned {
	int64_t at_us;
	size_t order; // of two at the same time
	bool is_change; // of Apple's; otherwise a fault:
	enum fault_kind kind;
	int64_t tenant_id;
} *plan; // in order of time
static size_t planned_count, planned_next;

static int64_t node_faults_us[FAULTS_MAX]; // in order: what heart-beats may meet
static size_t node_fault_count, node_fault_next;

const char *sim_fault_name(enum fault_kind kind)
{
	static const char *const names[] = {
#define FAULT_NAME(name) #name,
		FAULTS(FAULT_NAME)
#undef FAULT_NAME
	};

	return names[kind];
}

bool sim_meets(struct sim_tenant *tenant, enum fault_kind kind)
{
	if (sim.quiet || tenant->armed[kind] == 0) {
		return false;
	}
	tenant->armed[kind]--;
	sim.met++;
	sim_trace(sim_fault_name(kind), tenant->id, 0, 0);
	return true;
}

static void inject(const struct planned *planned)
{
	struct sim_tenant *tenant = sim_tenant_of(planned->tenant_id);

	sim.injected++;
	sim_trace(sim_fault_name(planned->kind), planned->tenant_id, -1, 0);
	if (planned->kind < FAULT_SESSION_LOST) {
		tenant->armed[planned->kind]++;
	} else if (planned->kind == FAULT_CLAIM_LOST) {
		sim.tenants[0].armed[planned->kind]++;
	} else if (planned->kind == FAULT_DB_AWAY) {
		sim.db_away_until_us = sim.now_us + sim_between(1, 60) * SECOND_US;
	} else if (planned->kind == FAULT_APPLE_AWAY) {
		sim.apple_away_until_us = sim.now_us + sim_between(1, 20) * MINUTE_US;
	} else if (planned->kind > FAULT_DB_AWAY) {
		sim_node_fault(planned->kind);
	} else {
		sim_apple_fault(planned->kind, tenant);
		sim_rows_fault(planned->kind, tenant);
	}
}

int64_t sim_plan_next_node_fault_us(void)
{
	while (node_fault_next < node_fault_count && node_faults_us[node_fault_next] <= sim.now_us) {
		node_fault_next++;
	}
	return node_fault_next < node_fault_count ? node_faults_us[node_fault_next] : sim.now_us + DAY_S * SECOND_US;
}

static void happen(void *argument);

// One of them waits at a time: the events of a world are few at any time.
static void wait_for_next(void)
{
	if (planned_next < planned_count) {
		sim_at(plan[planned_next].at_us, NULL, happen, &plan[planned_next]);
		planned_next++;
	}
}

static void happen(void *argument)
{
	const struct planned *planned = argument;

	if (planned->is_change) {
		sim_apple_change();
	} else {
		inject(planned);
	}
	wait_for_next();
}

static int by_time(const void *a, const void *b)
{
	const struct planned *x = a, *y = b;

	return x->at_us != y->at_us ? (x->at_us > y->at_us) - (x->at_us < y->at_us) : (x->order > y->order) - (x->order < y->order);
}

// Worlds without guards are drawn as they were before there were any.
static enum fault_kind any_kind(void)
{
	const int64_t left_out = sim.shape->guards ? 0 : FAULT_CLAIM_LOST - FAULT_EXPECTS;
	const int64_t kind = sim_between(0, FAULT_KINDS - 1 - left_out);

	return (enum fault_kind)(kind < FAULT_EXPECTS ? kind : kind + left_out);
}

static int64_t any_time_us(void)
{
	return sim.now_us + sim_between(0, sim.shape->duration_us);
}

void sim_plan_begin(void)
{
	const unsigned faults = sim.shape->faults < FAULTS_MAX ? sim.shape->faults : FAULTS_MAX;

	plan = sim_take((faults + sim.shape->changes + 1) * sizeof *plan);
	planned_count = planned_next = 0;
	node_fault_count = 0;
	node_fault_next = 0;
	for (unsigned i = 0; i < faults; i++) {
		plan[planned_count] = (struct planned){
			.at_us = any_time_us(), .order = planned_count, .kind = any_kind(), .tenant_id = sim_between(1, sim.shape->tenants),
		};
		planned_count++;
	}
	for (unsigned i = 0; i < sim.shape->changes; i++) {
		plan[planned_count] = (struct planned){ .at_us = any_time_us(), .order = planned_count, .is_change = true };
		planned_count++;
	}
	qsort(plan, planned_count, sizeof *plan, by_time);
	for (size_t i = 0; i < planned_count; i++) {
		if (!plan[i].is_change && plan[i].kind >= FAULT_DB_AWAY) {
			node_faults_us[node_fault_count++] = plan[i].at_us;
		}
	}
	wait_for_next();
}

static const char *unfinished(struct sim_tenant **tenant)
{
	for (int i = 0; i < sim.shape->tenants; i++) {
		const char *what = sim_rows_unfinished(&sim.tenants[i]);

		if (what != NULL) {
			*tenant = &sim.tenants[i];
			return what;
		}
	}
	return NULL;
}

void sim_settle(void)
{
	const int64_t until_us = sim.now_us + SETTLING_US;
	struct sim_tenant *tenant = NULL;
	const char *what;

	sim.quiet = true;
	for (int i = 0; i < sim.shape->tenants; i++) {
		sim_apple_fault(FAULT_KINDS, &sim.tenants[i]);
		sim_rows_fault(FAULT_KINDS, &sim.tenants[i]);
	}
	do {
		const int64_t look_us = sim.now_us + 10 * MINUTE_US;

		for (int i = 0; i < sim.shape->tenants; i++) {
			sim_rows_look_after(&sim.tenants[i]);
		}
		while (sim_step(look_us)) {
		}
		what = unfinished(&tenant);
	} while (what != NULL && sim.now_us < until_us);
	LAW(what == NULL, "client %lld does not settle: %s", (long long)tenant->id, what);
}
