// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/job.h"

#include <string.h>

enum { MAIN = 1, SCHOOL = 2, RETIRED = 3, NOWHERE = RULESET_INSTANCE_NONE };

static const struct ruleset_instance instances[] = {
	{ MAIN, TEXT("main"), RULESET_INSTANCE_ACTIVE },
	{ SCHOOL, TEXT("school"), RULESET_INSTANCE_ACTIVE },
	{ RETIRED, TEXT("gone"), RULESET_INSTANCE_RETIRED },
};

static const struct device_record ipad = { .serial_number = TEXT("IPAD"), .device_family = TEXT("iPad"), .device_assigned_date_us = INSTANT_NONE };

static struct ruleset *rules;

static int open_rules(void **state)
{
	(void)state;
	rules = ruleset_read(TEXT("{\"rules\":[{\"when\":{\"device_family\":\"Mac\"},\"then\":{\"instance\":\"main\"}}],"
		"\"otherwise\":{\"instance\":\"main\",\"profile\":{\"department\":\"Office\"}}}"), instances, 3, RULESET_PROPOSED);
	assert_true(ruleset_is_valid(rules));
	return 0;
}

static int close_rules(void **state)
{
	(void)state;
	ruleset_free(rules);
	return 0;
}

static struct job_view of_ipad(enum job_kind kind, int64_t wanted)
{
	return (struct job_view){ .kind = kind, .wanted_instance_id = wanted, .rules = rules, .device = { .apple = &ipad }, .stored_instance_id = MAIN,
		.has_profile = true };
}

static void pinned(struct job_view *view, int64_t instance_id)
{
	view->device.is_pinned = true;
	view->device.pin_instance_id = instance_id;
	view->stored_instance_id = instance_id;
}

static void expect(const struct job_view *view, enum job_result result, bool moves, int64_t to)
{
	const struct job_outcome outcome = job_decide(view);

	assert_string_equal(job_result_name(outcome.result), job_result_name(result));
	assert_int_equal(outcome.moves, moves);
	assert_int_equal(outcome.to_instance_id, to);
}

static void what_goes_elsewhere_moves(void **state)
{
	struct job_view view = of_ipad(JOB_ASSIGN, SCHOOL);

	(void)state;
	expect(&view, JOB_DONE, true, SCHOOL);
	assert_int_equal(job_decide(&view).from_instance_id, MAIN);
	view = of_ipad(JOB_PIN, NOWHERE);
	expect(&view, JOB_DONE, true, NOWHERE);
	view = of_ipad(JOB_UNPIN, NOWHERE);
	pinned(&view, SCHOOL);
	expect(&view, JOB_DONE, true, MAIN);
}

static void another_profile_at_the_same_place_moves_too(void **state)
{
	struct job_view view = of_ipad(JOB_ASSIGN, MAIN); // a pin has no rule's override

	(void)state;
	expect(&view, JOB_DONE, true, MAIN);
	view = of_ipad(JOB_UNPIN, NOWHERE);
	pinned(&view, MAIN);
	expect(&view, JOB_DONE, true, MAIN);
}

static void what_is_so_already_is_unchanged(void **state)
{
	struct job_view view = of_ipad(JOB_ASSIGN, SCHOOL);

	(void)state;
	pinned(&view, SCHOOL);
	expect(&view, JOB_UNCHANGED, false, SCHOOL);
	view = of_ipad(JOB_UNPIN, NOWHERE);
	expect(&view, JOB_UNCHANGED, false, MAIN);
	view = of_ipad(JOB_REROUTE, NOWHERE);
	expect(&view, JOB_DONE, false, MAIN);
}

static void a_device_that_was_not_decided_about_yet_counts_from_where_it_is(void **state)
{
	struct job_view view = of_ipad(JOB_REROUTE, NOWHERE);

	(void)state;
	view.stored_instance_id = SCHOOL; // the rules say main
	expect(&view, JOB_DONE, true, MAIN);
}

static void only_a_pin_may_be_of_a_device_that_is_to_come(void **state)
{
	static const struct {
		enum job_kind kind;
		enum job_result result;
	} cases[] = {
		{ JOB_ASSIGN, JOB_NOT_FOUND }, { JOB_PIN, JOB_DONE }, { JOB_UNPIN, JOB_UNCHANGED }, { JOB_REMOVE_PROFILE, JOB_NOT_FOUND },
		{ JOB_REROUTE, JOB_NOT_FOUND }, { JOB_LABEL, JOB_DONE }, { JOB_RELEASE, JOB_NOT_FOUND },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct job_view view = of_ipad(cases[i].kind, cases[i].kind <= JOB_PIN ? SCHOOL : NOWHERE);

		view.device.apple = NULL;
		view.gives_labels = cases[i].kind == JOB_LABEL;
		expect(&view, cases[i].result, false, NOWHERE);
	}
}

static void labels_decide_by_the_rules(void **state)
{
	static const struct ruleset_label north = { TEXT("site"), TEXT("north") };
	struct ruleset *by_site = ruleset_read(TEXT("{\"rules\":[{\"when\":{\"labels\":{\"site\":\"north\"}},\"then\":{\"instance\":\"school\"}}],"
		"\"otherwise\":{\"instance\":\"main\"}}"), instances, 3, RULESET_PROPOSED);
	struct job_view view = of_ipad(JOB_LABEL, NOWHERE);

	(void)state;
	view.rules = by_site;
	view.gives_labels = true;
	view.labels = &north;
	view.label_count = 1;
	expect(&view, JOB_DONE, true, SCHOOL);
	view.is_labelled = true;
	expect(&view, JOB_UNCHANGED, false, MAIN);
	view = of_ipad(JOB_LABEL, NOWHERE); // taken away
	view.gives_labels = true;
	view.rules = by_site;
	view.device.labels = &north;
	view.device.label_count = 1;
	view.stored_instance_id = SCHOOL;
	expect(&view, JOB_DONE, true, MAIN);
	ruleset_free(by_site);
}

static void a_pin_gives_labels_too(void **state)
{
	static const struct ruleset_label north = { TEXT("site"), TEXT("north") };
	struct job_view view = of_ipad(JOB_PIN, SCHOOL);

	(void)state;
	pinned(&view, SCHOOL);
	view.gives_labels = true;
	view.labels = &north;
	view.label_count = 1;
	expect(&view, JOB_DONE, false, SCHOOL); // another label at the same place
	view.is_labelled = true;
	expect(&view, JOB_UNCHANGED, false, SCHOOL);
}

static void what_went_to_the_retired_instance_goes_to_the_target(void **state)
{
	struct ruleset *after = ruleset_read(TEXT("{\"rules\":[],\"otherwise\":{\"instance\":\"school\"}}"), instances, 3, RULESET_PROPOSED);
	struct job_view view = of_ipad(JOB_RETIRE, NOWHERE);

	(void)state;
	view.rules_after = after;
	view.retired_instance_id = MAIN;
	view.target_instance_id = SCHOOL;
	expect(&view, JOB_DONE, true, SCHOOL); // by the rules
	pinned(&view, MAIN);
	view.rules_after = rules; // which say main
	expect(&view, JOB_DONE, true, SCHOOL); // by its pin
	view.device.apple = NULL;
	expect(&view, JOB_NOT_FOUND, false, NOWHERE);
	ruleset_free(after);
}

static void nothing_goes_to_a_retired_instance(void **state)
{
	const struct job_view view = of_ipad(JOB_ASSIGN, RETIRED);

	(void)state;
	expect(&view, JOB_FAILED, false, MAIN);
}

static void apple_is_asked_to_take_a_profile_that_there_is(void **state)
{
	struct job_view view = of_ipad(JOB_REMOVE_PROFILE, NOWHERE);

	(void)state;
	expect(&view, JOB_ASKED, true, NOWHERE);
	view.has_profile = false;
	expect(&view, JOB_DONE, true, NOWHERE);
}

static void without_rules_everything_stays_held(void **state)
{
	struct job_view view = of_ipad(JOB_ASSIGN, SCHOOL);

	(void)state;
	view.rules = NULL;
	view.stored_instance_id = NOWHERE;
	expect(&view, JOB_DONE, false, NOWHERE);
}

static void a_release_asks_a_second_person_however_small_it_is(void **state)
{
	static const struct blast_limits limits = { -1, -1 };
	const struct blast_cost one = { .present = 1000, .changes = 1 };
	const struct blast_cost agreed = { .present = 1000, .changes = 1, .approved = 1 };

	(void)state;
	expect(&(struct job_view){ .kind = JOB_RELEASE, .rules = rules, .device = { .apple = &ipad }, .stored_instance_id = MAIN }, JOB_ASKED, true,
		NOWHERE);
	expect(&(struct job_view){ .kind = JOB_RELEASE, .wanted_instance_id = MAIN, .device = { .apple = &ipad }, .stored_instance_id = MAIN }, JOB_ASKED,
		true, NOWHERE);
	expect(&(struct job_view){ .kind = JOB_RELEASE, .wanted_instance_id = MAIN, .device = { .apple = &ipad }, .stored_instance_id = SCHOOL },
		JOB_FAILED, false, SCHOOL);
	assert_true(job_needs_approval(JOB_RELEASE, &limits, &one));
	assert_int_equal(job_allowance(JOB_RELEASE, &limits, &one), 0);
	assert_false(job_needs_approval(JOB_RELEASE, &limits, &agreed));
	assert_int_equal(job_allowance(JOB_RELEASE, &limits, &agreed), 1);
}

static void other_jobs_ask_above_the_limit(void **state)
{
	static const struct blast_limits limits = { -1, -1 };

	(void)state;
	assert_false(job_needs_approval(JOB_ASSIGN, &limits, &(struct blast_cost){ .present = 1000, .changes = 100 }));
	assert_true(job_needs_approval(JOB_ASSIGN, &limits, &(struct blast_cost){ .present = 1000, .changes = 101 }));
	assert_false(job_needs_approval(JOB_ASSIGN, &limits, &(struct blast_cost){ .present = 1000, .changes = 101, .approved = 101 }));
	assert_int_equal(job_allowance(JOB_ASSIGN, &limits, &(struct blast_cost){ .present = 1000, .approved = 101 }), 101);
	assert_int_equal(job_allowance(JOB_ASSIGN, &limits, &(struct blast_cost){ .present = 1000, .approved = 5 }), 100);
}

static void only_what_was_shown_is_as_it_was_costed(void **state)
{
	const struct job_outcome stays = { .moves = false, .to_instance_id = MAIN };
	const struct job_outcome goes = { .moves = true, .to_instance_id = SCHOOL };

	(void)state;
	assert_true(job_is_as_costed(&goes, true, SCHOOL));
	assert_true(job_is_as_costed(&stays, true, SCHOOL)); // it is there already
	assert_true(job_is_as_costed(&stays, false, NOWHERE));
	assert_false(job_is_as_costed(&goes, false, SCHOOL));
	assert_false(job_is_as_costed(&goes, true, MAIN));
}

static void names_are_read_as_they_are_written(void **state)
{
	enum job_kind kind;

	(void)state;
	for (int i = 0; i < JOB_KINDS; i++) {
		assert_true(job_kind_parse(text_of(job_kind_name((enum job_kind)i)), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(job_kind_parse(TEXT("sell"), &kind));
	assert_false(job_kind_parse(TEXT_NONE, &kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_elsewhere_moves),
		cmocka_unit_test(another_profile_at_the_same_place_moves_too),
		cmocka_unit_test(what_is_so_already_is_unchanged),
		cmocka_unit_test(a_device_that_was_not_decided_about_yet_counts_from_where_it_is),
		cmocka_unit_test(only_a_pin_may_be_of_a_device_that_is_to_come),
		cmocka_unit_test(labels_decide_by_the_rules),
		cmocka_unit_test(a_pin_gives_labels_too),
		cmocka_unit_test(what_went_to_the_retired_instance_goes_to_the_target),
		cmocka_unit_test(nothing_goes_to_a_retired_instance),
		cmocka_unit_test(apple_is_asked_to_take_a_profile_that_there_is),
		cmocka_unit_test(without_rules_everything_stays_held),
		cmocka_unit_test(a_release_asks_a_second_person_however_small_it_is),
		cmocka_unit_test(other_jobs_ask_above_the_limit),
		cmocka_unit_test(only_what_was_shown_is_as_it_was_costed),
		cmocka_unit_test(names_are_read_as_they_are_written),
	};

	return cmocka_run_group_tests_name("job", tests, open_rules, close_rules);
}
