// SPDX-License-Identifier: Apache-2.0
//
// job_step.h - what is done next of a job: which slice of its rows comes, and, when job.h has decided about these, what is written.
//
// Laws  1. pure
//       2. what was approved is looked at as a whole before its first row is carried out, and once more when anything was changed meanwhile;
//          a device that would go elsewhere than was shown ends the approval
//       3. what nobody else agreed to is on the client's account (blast.h): a slice for which nothing is left is costed again, and asks
#pragma once

#include "tenants/job.h"

#include "depbroker/text.h"

enum job_state { JOB_COSTING, JOB_SCHEDULED, JOB_RUNNING, JOB_RESTS }; // the last one: nothing is to be done of it now
enum job_state job_state_of(struct text name);

struct job_case {
	enum job_kind kind;
	enum job_state state;
	bool is_approved;
	int64_t row_count, costed, checked, position; // rows
	int64_t checked_against, change_count;        // of the client's configuration: when the check began, and now
	int64_t moved, allowed;                       // devices
	int64_t spent, limit;                         // the client's account
	// Of the slice
	int64_t moves;
	int64_t strays; // would go elsewhere than was costed
	// Of JOB_RETIRE, which is done at once
	int64_t in_use;   // devices that are at the instance,
	int64_t unlisted; // and of these, those that nobody was asked about
};

// Rows before those of the next slice.
int64_t job_rows_done(const struct job_case *job);

enum job_step {
	JOB_STEP_COST,         // the slice; with the last one: job_costed_next
	JOB_STEP_BEGIN,
	JOB_STEP_CHECK,        // the slice is as it was approved
	JOB_STEP_CHECK_ANEW,   // from the first row on
	JOB_STEP_VOID,         // the approval ends, the job is costed again
	JOB_STEP_CARRY_OUT,    // the slice
	JOB_STEP_RETIRE,       // all of it
	JOB_STEP_COST_AGAIN,   // from this slice on
	JOB_STEP_RETIRE_AGAIN, // costed as a whole
};
enum job_step job_step_next(const struct job_case *job); // which does not rest

enum job_costed { JOB_COSTED_PREVIEWED, JOB_COSTED_SCHEDULED, JOB_COSTED_WAITING };
// `allowed`: devices that it may move without (more) approval.
enum job_costed job_costed_next(enum job_kind kind, bool dry_run, const struct blast_limits *limits, const struct blast_cost *cost, int64_t *allowed);
