// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/job_step.h"

enum { ROWS = 2000, SLICE = 1000 };

static struct job_case running(bool is_approved)
{
	return (struct job_case){ .kind = JOB_PIN, .state = JOB_RUNNING, .is_approved = is_approved, .row_count = ROWS, .costed = ROWS,
		.checked_against = -1, .change_count = 7, .allowed = 25, .limit = 25 };
}

static struct job_case checked(void)
{
	struct job_case job = running(true);

	job.checked = ROWS;
	job.checked_against = job.change_count;
	return job;
}

static void a_job_is_costed_before_it_begins(void **state)
{
	struct job_case job = running(false);

	(void)state;
	job.state = JOB_COSTING;
	job.costed = SLICE;
	assert_int_equal(job_rows_done(&job), SLICE);
	assert_int_equal(job_step_next(&job), JOB_STEP_COST);
	job.state = JOB_SCHEDULED;
	assert_int_equal(job_step_next(&job), JOB_STEP_BEGIN);
}

static void what_nobody_approved_is_carried_out_while_something_is_left(void **state)
{
	struct job_case job = running(false);

	(void)state;
	job.position = SLICE;
	assert_int_equal(job_rows_done(&job), SLICE);
	job.moves = job.limit;
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
	job.spent = 1; // by somebody else, since it was costed
	assert_int_equal(job_step_next(&job), JOB_STEP_COST_AGAIN);
	job.moves = 0;
	job.spent = 2 * job.limit; // what moves nothing costs nothing
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
}

static void a_job_moves_no_more_than_it_may(void **state)
{
	struct job_case job = checked();

	(void)state;
	job.moves = job.allowed;
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
	job.moved = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_COST_AGAIN);
}

static void what_was_approved_is_looked_at_as_a_whole_first(void **state)
{
	struct job_case job = running(true);

	(void)state;
	assert_int_equal(job_rows_done(&job), 0);
	assert_int_equal(job_step_next(&job), JOB_STEP_CHECK);
	job.checked = SLICE;
	job.checked_against = job.change_count;
	assert_int_equal(job_rows_done(&job), SLICE);
	assert_int_equal(job_step_next(&job), JOB_STEP_CHECK);
	job.strays = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_VOID);
	job.change_count++; // and so the look begins anew, whatever this slice is like
	assert_int_equal(job_step_next(&job), JOB_STEP_CHECK_ANEW);
}

static void what_was_looked_at_begins_if_nothing_was_changed_since(void **state)
{
	struct job_case job = checked();

	(void)state;
	job.spent = job.limit; // what was approved is on no account
	job.moves = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
	job.change_count++;
	assert_int_equal(job_step_next(&job), JOB_STEP_CHECK_ANEW);
	job.position = SLICE; // it has begun
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
	job.strays = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_VOID);
	job.is_approved = false; // the strays of what nobody has seen are moves like others
	job.spent = 0;
	assert_int_equal(job_step_next(&job), JOB_STEP_CARRY_OUT);
}

static void an_instance_is_retired_at_once_or_costed_again(void **state)
{
	struct job_case job = checked();

	(void)state;
	job.kind = JOB_RETIRE;
	job.in_use = job.allowed;
	assert_int_equal(job_step_next(&job), JOB_STEP_RETIRE);
	job.unlisted = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_VOID);
	job.is_approved = false;
	assert_int_equal(job_step_next(&job), JOB_STEP_RETIRE);
	job.spent = 1;
	assert_int_equal(job_step_next(&job), JOB_STEP_RETIRE_AGAIN);
	job.spent = 0;
	job.in_use++;
	assert_int_equal(job_step_next(&job), JOB_STEP_RETIRE_AGAIN);
}

static void what_was_costed_is_previewed_scheduled_or_waits(void **state)
{
	static const struct blast_limits limits = { 5, 0 };
	struct blast_cost cost = { .present = 100, .changes = 5 };
	int64_t allowed = -1;

	(void)state;
	assert_int_equal(job_costed_next(JOB_PIN, false, &limits, &cost, &allowed), JOB_COSTED_SCHEDULED);
	assert_int_equal(allowed, 5);
	cost.spent = 1;
	assert_int_equal(job_costed_next(JOB_PIN, true, &limits, &cost, &allowed), JOB_COSTED_PREVIEWED);
	assert_int_equal(job_costed_next(JOB_PIN, false, &limits, &cost, &allowed), JOB_COSTED_WAITING);
	assert_int_equal(allowed, 0); // until somebody agrees
}

static void states_are_known_by_their_names(void **state)
{
	(void)state;
	assert_int_equal(job_state_of(TEXT("costing")), JOB_COSTING);
	assert_int_equal(job_state_of(TEXT("scheduled")), JOB_SCHEDULED);
	assert_int_equal(job_state_of(TEXT("running")), JOB_RUNNING);
	assert_int_equal(job_state_of(TEXT("waiting")), JOB_RESTS);
	assert_int_equal(job_state_of(TEXT("")), JOB_RESTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_is_costed_before_it_begins),
		cmocka_unit_test(what_nobody_approved_is_carried_out_while_something_is_left),
		cmocka_unit_test(a_job_moves_no_more_than_it_may),
		cmocka_unit_test(what_was_approved_is_looked_at_as_a_whole_first),
		cmocka_unit_test(what_was_looked_at_begins_if_nothing_was_changed_since),
		cmocka_unit_test(an_instance_is_retired_at_once_or_costed_again),
		cmocka_unit_test(what_was_costed_is_previewed_scheduled_or_waits),
		cmocka_unit_test(states_are_known_by_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
