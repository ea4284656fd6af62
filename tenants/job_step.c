// SPDX-License-Identifier: Apache-2.0
#include "tenants/job_step.h"

#include <assert.h>

enum job_state job_state_of(struct text name)
{
	static const char *const names[] = { [JOB_COSTING] = "costing", [JOB_SCHEDULED] = "scheduled", [JOB_RUNNING] = "running" };

	for (enum job_state state = JOB_COSTING; state < JOB_RESTS; state++) {
		if (text_equal_string(name, names[state])) {
			return state;
		}
	}
	return JOB_RESTS;
}

static bool is_being_checked(const struct job_case *job)
{
	return job->state == JOB_RUNNING && job->is_approved && job->position == 0 && job->checked < job->row_count;
}

int64_t job_rows_done(const struct job_case *job)
{
	return job->state == JOB_COSTING ? job->costed : is_being_checked(job) ? job->checked : job->position;
}

static enum job_step check(const struct job_case *job)
{
	if (job->checked > 0 && job->checked_against != job->change_count) {
		return JOB_STEP_CHECK_ANEW;
	}
	return job->strays > 0 ? JOB_STEP_VOID : JOB_STEP_CHECK;
}

static bool may_spend(const struct job_case *job, int64_t moves)
{
	return job->is_approved || moves == 0 || job->spent + moves <= job->limit;
}

static enum job_step retire(const struct job_case *job)
{
	if (job->is_approved && job->unlisted > 0) {
		return JOB_STEP_VOID;
	}
	return job->in_use > job->allowed || !may_spend(job, job->in_use) ? JOB_STEP_RETIRE_AGAIN : JOB_STEP_RETIRE;
}

static enum job_step run(const struct job_case *job)
{
	if (is_being_checked(job)) {
		return check(job);
	}
	if (job->is_approved && job->position == 0 && job->checked_against != job->change_count) {
		return JOB_STEP_CHECK_ANEW;
	}
	if (job->kind == JOB_RETIRE) {
		return retire(job);
	}
	if (job->is_approved && job->strays > 0) {
		return JOB_STEP_VOID;
	}
	return job->moved + job->moves > job->allowed || !may_spend(job, job->moves) ? JOB_STEP_COST_AGAIN : JOB_STEP_CARRY_OUT;
}

enum job_step job_step_next(const struct job_case *job)
{
	assert(job->state != JOB_RESTS);
	if (job->state == JOB_COSTING) {
		return JOB_STEP_COST;
	}
	return job->state == JOB_SCHEDULED ? JOB_STEP_BEGIN : run(job);
}

enum job_costed job_costed_next(enum job_kind kind, bool dry_run, const struct blast_limits *limits, const struct blast_cost *cost, int64_t *allowed)
{
	*allowed = job_allowance(kind, limits, cost);
	if (dry_run) {
		return JOB_COSTED_PREVIEWED;
	}
	if (!job_needs_approval(kind, limits, cost)) {
		return JOB_COSTED_SCHEDULED;
	}
	*allowed = 0;
	return JOB_COSTED_WAITING;
}
