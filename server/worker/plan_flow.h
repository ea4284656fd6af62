// SPDX-License-Identifier: Apache-2.0
//
// plan_flow.h - after rules, pins, instances or profiles have changed: every present device is decided about again, or those that something
// new is known about.
//
// Ownership  see flow.h; plan_flow_fini in the end.
// Law        stream.profile_needed is taken back only after every device was looked at, in a write that proves that no configuration
//            changed meanwhile; a device's reroute, in the write that follows from it
#pragma once

#include "worker/flow.h"

struct plan_flow {
	struct flow flow;

	// Inside
	enum plan_flow_state {
		PLAN_IDLE, PLAN_READING, PLAN_WRITING, PLAN_WRITING_DONE, PLAN_READING_REROUTES, PLAN_READING_REROUTED, PLAN_WRITING_REROUTED,
	} state;
	struct arena texts;
	struct text *serials; // in `texts`: devices that are looked at once more
	size_t serial_count;
};

bool plan_must_run(const struct tenant *tenant);
void plan_flow_init(struct plan_flow *plan, struct tenant *tenant);
void plan_flow_fini(struct plan_flow *plan);
