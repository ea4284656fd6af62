// SPDX-License-Identifier: Apache-2.0
//
// sim_people.c - what people do to a client by way of the API: rules, instances, tokens, pauses, and agreeing to what waits for them.
#include "sim/sim_transaction.h"

#include <assert.h>

struct sim_tenant *sim_tenant_of(int64_t tenant_id)
{
	assert(tenant_id >= 1 && tenant_id <= sim.shape->tenants);
	return &sim.tenants[tenant_id - 1];
}

// Everybody who changes what a run reads when it begins, workers apart, wakes the client.
void sim_wake(struct sim_tenant *tenant)
{
	tenant->has_news = true;
	tenant->wake++;
	sim_due_changed();
	tenant->due_at_us = tenant->due_at_us < sim.now_us ? tenant->due_at_us : sim.now_us;
}

void sim_start_over(struct sim_tenant *tenant, bool routes)
{
	tenant->stream.config_version++;
	tenant->change_count++;
	tenant->stream.profile_needed = tenant->stream.profile_needed || routes;
	sim_wake(tenant);
}

static void put_rules(struct sim_tenant *tenant)
{
	const int choice = (int)sim_between(0, SIM_RULES - 1);

	tenant->route.rules = sim.quiet && choice == 0 ? 1 : choice;
	tenant->stream.rules_version++;
	sim_start_over(tenant, true);
}

static void change_instance(struct sim_tenant *tenant)
{
	struct sim_instance *instance = &tenant->instances[sim_between(0, SIM_INSTANCES - 1)];

	(void)snprintf(instance->members, sizeof instance->members, "{\"department\":\"%d\"}", ++instance->version);
	sim_start_over(tenant, true);
}

static void take_token(struct sim_tenant *tenant)
{
	tenant->token_id++;
	tenant->token_state = TEXT("active");
	tenant->session = TEXT_NONE;
	tenant->session_version = 0;
	sim_start_over(tenant, true);
	sim_wake(tenant);
	tenant->sync_requests++;
}

void sim_set_active(struct sim_tenant *tenant, bool active)
{
	tenant->crash_count = tenant->quarantined ? 0 : tenant->crash_count;
	tenant->active = active;
	sim_due_changed();
	sim_start_over(tenant, false);
	if (active) {
		tenant->quarantined = false;
		tenant->sync_requests++;
		sim_wake(tenant);
	}
}

static void activate(void *argument)
{
	struct sim_tenant *tenant = argument;

	if (!tenant->active && !tenant->quarantined) {
		sim_set_active(tenant, true);
	}
}

static void enable_hooks(struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		tenant->instances[i].disabled = false;
		tenant->instances[i].not_before_us = INSTANT_NONE;
	}
	for (size_t i = 0; i < SIM_LANES; i++) {
		tenant->positions[i].attempts = 0;
		tenant->positions[i].next_try_at_us = INSTANT_NONE;
		tenant->positions[i].first_failed_at_us = INSTANT_NONE;
	}
	sim_wake(tenant);
}

static void recover(struct sim_tenant *tenant)
{
	enable_hooks(tenant);
	if (!tenant->active) {
		sim_set_active(tenant, true);
	}
	tenant->sync_requests++;
	sim_wake(tenant);
}

void sim_rows_fault(enum fault_kind kind, struct sim_tenant *tenant)
{
	if (kind == FAULT_KINDS) { // the operator looks after everything when nothing is injected any more
		recover(tenant);
	} else if (kind == FAULT_RULES) {
		put_rules(tenant);
	} else if (kind == FAULT_PIN || kind == FAULT_RETIRES || kind == FAULT_DRAINS) {
		sim_routes_fault(kind, tenant);
	} else if (kind == FAULT_EXPECTS) {
		sim_guards_fault(tenant);
	} else if (kind == FAULT_JOBS) {
		sim_jobs_fault(tenant);
	} else if (kind == FAULT_MOVES) {
		sim_moves_fault(tenant);
	} else if (kind == FAULT_ENROLS) {
		sim_enrolments_fault(tenant);
	} else if (kind == FAULT_INSTANCE) {
		change_instance(tenant);
	} else if (kind == FAULT_TOKEN_NEW) {
		take_token(tenant);
	} else if (kind == FAULT_SYNC_NOW || kind == FAULT_FULL_NOW) {
		tenant->sync_requests += kind == FAULT_SYNC_NOW;
		tenant->full_requests += kind == FAULT_FULL_NOW;
		sim_wake(tenant);
	} else if (kind == FAULT_POISONED) {
		tenant->poison += (unsigned)sim_between(1, 2 * CRASHES_MAX);
	} else if (kind == FAULT_VANISHED) {
		tenant->full_requests++;
		sim_wake(tenant);
	} else if (kind == FAULT_PAUSED && tenant->active) {
		sim_set_active(tenant, false);
		sim_at(sim.now_us + sim_between(1, 30) * MINUTE_US, NULL, activate, tenant);
	}
}

// Of exactly as many as wait for it.
void sim_allow_removals(struct sim_tenant *tenant)
{
	if (tenant->stream.removals_held > 0) {
		tenant->full_requests++;
		tenant->removals_allowed = tenant->stream.removals_held;
		tenant->removals_allowed_for = tenant->full_requests;
		tenant->word = tenant->removals_allowed;
		sim_trace("allow", tenant->id, tenant->word, 0);
		sim_wake(tenant);
	}
}

void sim_removals_allowed(void *tenant)
{
	sim_allow_removals(tenant);
}

void sim_release_struck(void *argument)
{
	struct sim_tenant *tenant = argument;

	if (tenant->quarantined && tenant->crash_count >= CRASHES_MAX) {
		sim_set_active(tenant, true);
	}
}

// What was on its way when the faults ended may still switch something off.
void sim_rows_look_after(struct sim_tenant *tenant)
{
	bool off = !tenant->active;

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		off = off || tenant->instances[i].disabled;
	}
	if (off) {
		recover(tenant);
	}
	sim_allow_removals(tenant);
}
