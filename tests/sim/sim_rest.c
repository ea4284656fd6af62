// SPDX-License-Identifier: Apache-2.0
//
// sim_rest.c - whether a client has come to rest: everything has arrived where it should be.
#include "sim/sim_transaction.h"

// Of the content in force; none when it is not defined, or was refused.
static struct text wanted_profile(const struct sim_tenant *tenant, const struct sim_instance *instance)
{
	for (size_t i = 0; i < tenant->profile_count; i++) {
		const struct text uuid = tenant->profiles[i].uuid;

		if (uuid.length > 0 && sim_apple_profile_is(tenant, uuid, instance->id, instance->version)) {
			return uuid;
		}
	}
	return TEXT_NONE;
}

const char *sim_rows_unfinished(struct sim_tenant *tenant)
{
	struct text wanted[SIM_INSTANCES + 1] = { TEXT_NONE };

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		wanted[i + 1] = wanted_profile(tenant, &tenant->instances[i]);
	}
	if (tenant->stream.profile_needed) {
		return "routes are to be looked at";
	}
	if (sim_routes_unfinished(tenant) != NULL) {
		return sim_routes_unfinished(tenant);
	}
	if (sim_enrolments_unfinished(tenant) != NULL) {
		return sim_enrolments_unfinished(tenant);
	}
	if (sim_moves_unfinished(tenant) != NULL) {
		return sim_moves_unfinished(tenant);
	}
	if (sim_jobs_unfinished(tenant) != NULL) {
		return sim_jobs_unfinished(tenant);
	}
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const char *difference = sim_apple_differs(tenant, i, tenant->devices[i].used ? &tenant->devices[i].row : NULL, wanted);

		if (difference != NULL) {
			return difference;
		}
	}
	for (int64_t seq = 1; seq <= tenant->stream.event_seq; seq++) {
		if (tenant->events[seq - 1].instance_id != 0 && !sim_hook_has(tenant, seq)) {
			return "an event is not delivered";
		}
	}
	for (size_t i = 0; i < SIM_LANES; i++) {
		if (sim_has_pending(tenant, &tenant->positions[i])) {
			return "a lane is not settled";
		}
	}
	return NULL;
}
