// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/enrolment.h"

enum { HERE = 7, ELSEWHERE = 8 };

static const struct enrolment_place at_home = { HERE, true, HERE }, astray = { HERE, true, ELSEWHERE }, held = { HERE, true, 0 },
	unknown = { HERE, false, 0 };

// What is known, as one news after the other is heard.
struct story {
	struct enrolment known;
	bool is_known;
	struct enrolment_outcome last;
};

static void hear(struct story *story, enum enrolment_word word, int64_t at_us, const struct enrolment_place *place)
{
	const struct enrolment_news news = { word, at_us };

	enrolment_decide(&story->last, story->is_known ? &story->known : NULL, word != 0 ? &news : NULL, place);
	if (story->last.write) {
		story->known = story->last.next;
		story->is_known = true;
	} else {
		assert_int_equal(story->last.event_count, 0);
	}
}

static void told(const struct story *story, size_t count, enum event_type first)
{
	assert_int_equal(story->last.event_count, count);
	if (count > 0) {
		assert_int_equal(story->last.events[0], first);
	}
}

static void an_enrolment_goes_through_its_life(void **state)
{
	struct story story = { 0 };

	(void)state;
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 10, &at_home);
	assert_int_equal(story.known.state, ENROLMENT_ENROLLING);
	told(&story, 0, 0);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 20, &at_home);
	assert_int_equal(story.known.state, ENROLMENT_ENROLLED);
	told(&story, 1, EVENT_DEVICE_ENROLLED);
	assert_false(story.last.again);
	assert_true(story.last.is_sole);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 30, &at_home);
	told(&story, 0, 0);
	assert_false(story.last.is_sole);
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 40, &at_home);
	assert_int_equal(story.known.state, ENROLMENT_ENROLLING);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 50, &at_home);
	told(&story, 1, EVENT_DEVICE_ENROLLED);
	assert_true(story.last.again);
	hear(&story, ENROLMENT_WORD_CHECK_OUT, 60, &at_home);
	assert_int_equal(story.known.state, ENROLMENT_UNENROLLED);
	told(&story, 1, EVENT_DEVICE_UNENROLLED);
	hear(&story, ENROLMENT_WORD_CHECK_OUT, 70, &at_home);
	told(&story, 0, 0);
}

static void what_is_not_newer_changes_nothing(void **state)
{
	struct story story = { 0 };

	(void)state;
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 10, &at_home);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 20, &at_home);
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 10, &astray);
	assert_false(story.last.write);
	hear(&story, ENROLMENT_WORD_CHECK_OUT, 20, &at_home);
	assert_false(story.last.write);
	assert_int_equal(story.known.state, ENROLMENT_ENROLLED);
}

static void a_misroute_is_told_once_and_ends_when_it_is_right(void **state)
{
	struct story story = { 0 };

	(void)state;
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 10, &astray);
	told(&story, 1, EVENT_DEVICE_MISROUTED);
	assert_true(story.known.is_misrouted);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 20, &astray);
	told(&story, 1, EVENT_DEVICE_ENROLLED);
	assert_true(story.known.is_misrouted);
	hear(&story, 0, 0, &astray);
	assert_false(story.last.write);
	hear(&story, 0, 0, &at_home);
	assert_true(story.last.write);
	assert_false(story.known.is_misrouted);
	told(&story, 0, 0);
}

static void rules_that_send_an_enrolled_device_elsewhere_are_no_misroute(void **state)
{
	struct story story = { 0 };

	(void)state;
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 10, &at_home);
	hear(&story, 0, 0, &astray);
	assert_false(story.last.write);
	hear(&story, ENROLMENT_WORD_CHECK_OUT, 20, &astray);
	assert_false(story.known.is_misrouted);
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 30, &held); // nobody knows where it is wanted
	assert_false(story.known.is_misrouted);
}

static void an_orphan_is_told_when_its_device_comes(void **state)
{
	struct story story = { 0 };

	(void)state;
	hear(&story, ENROLMENT_WORD_AUTHENTICATE, 10, &unknown);
	hear(&story, ENROLMENT_WORD_TOKEN_UPDATE, 20, &unknown);
	told(&story, 0, 0);
	assert_true(story.known.is_orphan);
	hear(&story, 0, 0, &unknown);
	assert_false(story.last.write);
	hear(&story, 0, 0, &astray);
	assert_int_equal(story.last.event_count, 2);
	told(&story, 2, EVENT_DEVICE_ENROLLED);
	assert_int_equal(story.last.events[1], EVENT_DEVICE_MISROUTED);
	assert_false(story.known.is_orphan);
	hear(&story, 0, 0, &astray);
	assert_false(story.last.write);
}

// Lost, doubled, late: after any order the newest news that was heard decides, and events alone tell whether a present device is enrolled.
static void any_order_ends_with_the_newest_news(void **state)
{
	(void)state;
	for (size_t number = 0; number < 2000; number++) {
		struct story story = { 0 };
		int64_t newest_us = 0;
		enum enrolment_word newest = 0;
		bool is_told = false;

		random_case("test_enrolment", number);
		for (int i = 0; i < 12; i++) {
			const int64_t at_us = 1 + (int64_t)random_below(20);
			const enum enrolment_word word = (enum enrolment_word)(1 + at_us * 7 % 3); // the same time is the same news

			hear(&story, word, at_us, &at_home);
			newest = at_us > newest_us ? word : newest;
			newest_us = at_us > newest_us ? at_us : newest_us;
			for (size_t e = 0; e < story.last.event_count; e++) {
				is_told = story.last.events[e] == EVENT_DEVICE_ENROLLED;
			}
		}
		LAW(story.known.at_us == newest_us);
		LAW(story.known.state == (enum enrolment_state)newest); // their numbers are the same, as it happens
		LAW((story.known.state == ENROLMENT_ENROLLED) <= is_told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_enrolment_goes_through_its_life),
		cmocka_unit_test(what_is_not_newer_changes_nothing),
		cmocka_unit_test(a_misroute_is_told_once_and_ends_when_it_is_right),
		cmocka_unit_test(rules_that_send_an_enrolled_device_elsewhere_are_no_misroute),
		cmocka_unit_test(an_orphan_is_told_when_its_device_comes),
		cmocka_unit_test(any_order_ends_with_the_newest_news),
	};

	return cmocka_run_group_tests_name("enrolment", tests, NULL, NULL);
}
