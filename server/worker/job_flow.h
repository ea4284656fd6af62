// SPDX-License-Identifier: Apache-2.0
//
// job_flow.h - what jobs ask Apple for, a batch at a time: profiles to be taken away from devices that are held, and devices to be released
// from the organisation. That the planner does not want it otherwise, and that somebody agreed, was seen to before (store/jobs.h).
//
// Ownership  see flow.h; job_flow_fini in the end.
// Laws       1. each device's result is walked and stored, in one fenced write with what follows from it
//            2. a profile is taken only from a device that is held as it is stored now
//            3. after an answer that was lost the same is asked again, in another run: it cannot be done twice
#pragma once

#include "store/jobs.h"
#include "worker/flow.h"

struct job_flow {
	struct flow flow;

	// Inside
	enum job_flow_state { JOB_IDLE, JOB_READING, JOB_READING_DEVICES, JOB_ASKING, JOB_WRITING } state;
	struct arena texts;
	struct job_asked_row *asked; // in `texts`, as the next three
	struct text *serials;
	struct job_answer *answers;
	const struct device_row **devices; // of `asked`; NULL: there is none
	size_t asked_count, answer_count;
	struct text *picked; // serial numbers of the call
	size_t *picked_rows; // their places in `asked`
	size_t picked_count;
	struct apple_assignment assignment;
};

void job_flow_init(struct job_flow *job, struct tenant *tenant);
void job_flow_fini(struct job_flow *job);
