// SPDX-License-Identifier: Apache-2.0
#include "tenants/assign.h"

#include <assert.h>

#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)

#define CONFIRM_AFTER_US    (5 * MINUTE_US) // Apple shows an assignment some time after it was accepted
#define NOT_SHOWN_WAIT_US   HOUR_US
#define VERIFY_WAIT_US      (5 * MINUTE_US) // doubled with each attempt
#define THROTTLE_MIN_US     (10 * SECOND_US)
#define RETRY_AFTER_MAX_S   (30 * DAY_S)

static bool is_settled(const struct assign_view *view)
{
	if (view->gone || view->wanted_profile_uuid.length == 0) {
		return true;
	}
	return text_equal_ignoring_case(view->observed_profile_uuid, view->wanted_profile_uuid) &&
		(text_equal_string(view->observed_status, "assigned") || text_equal_string(view->observed_status, "pushed"));
}

static bool is_waiting(const struct assign_view *view, int64_t now_us)
{
	return view->next_attempt_at_us != INSTANT_NONE && view->next_attempt_at_us > now_us;
}

static bool is_cooling_down(const struct assign_view *view, int64_t now_us)
{
	return (view->state == ASSIGN_THROTTLED || view->state == ASSIGN_FAILED) && is_waiting(view, now_us);
}

enum assign_need assign_need(const struct assign_view *view, int64_t now_us)
{
	if (is_settled(view)) {
		return ASSIGN_NEED_NOTHING;
	}
	if (is_waiting(view, now_us)) {
		return ASSIGN_NEED_TIME;
	}
	return view->state == ASSIGN_CONFIRMING || view->state == ASSIGN_VERIFYING ? ASSIGN_NEED_READ : ASSIGN_NEED_CALL;
}

struct assign_next assign_after_record(const struct assign_view *view, int64_t now_us)
{
	if (is_cooling_down(view, now_us)) {
		return (struct assign_next){ view->state, view->next_attempt_at_us };
	}
	if (is_settled(view)) {
		return (struct assign_next){ ASSIGN_SETTLED, INSTANT_NONE };
	}
	if (is_waiting(view, now_us)) { // the record may be older than what is waited for
		return (struct assign_next){ view->state, view->next_attempt_at_us };
	}
	if (view->state == ASSIGN_CONFIRMING) { // accepted, and still not there: not again at once, for ever
		return (struct assign_next){ ASSIGN_PENDING, now_us + NOT_SHOWN_WAIT_US };
	}
	return (struct assign_next){ ASSIGN_PENDING, INSTANT_NONE };
}

// `base`, doubled `times` times up to a day, but never less than `base`; and up to a tenth more.
static int64_t grown(int64_t base_us, int times, uint64_t random)
{
	int64_t wait_us = base_us;

	for (int i = 0; i < times && wait_us < DAY_US; i++) {
		wait_us = wait_us * 2 < DAY_US ? wait_us * 2 : DAY_US;
	}
	return wait_us + (int64_t)(random % (uint64_t)(wait_us / 10 + 1));
}

static int64_t throttle_us(int attempts, int64_t retry_after_s, uint64_t random)
{
	if (retry_after_s < 0) {
		return grown(DAY_US, 0, random);
	}
	const int64_t asked_us = (retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S) * SECOND_US;

	return grown(asked_us > THROTTLE_MIN_US ? asked_us : THROTTLE_MIN_US, attempts, random);
}

struct assign_next assign_after_result(enum assign_result result, int attempts, int64_t retry_after_s, int64_t now_us,
	uint64_t random)
{
	assert(attempts >= 0);
	switch (result) {
	case ASSIGN_RESULT_SUCCESS:
		return (struct assign_next){ ASSIGN_CONFIRMING, now_us + grown(CONFIRM_AFTER_US, 0, random) };
	case ASSIGN_RESULT_THROTTLED:
		return (struct assign_next){ ASSIGN_THROTTLED, now_us + throttle_us(attempts, retry_after_s, random) };
	case ASSIGN_RESULT_NOT_ACCESSIBLE:
	case ASSIGN_RESULT_MISSING:
		return (struct assign_next){ ASSIGN_VERIFYING,
			attempts == 0 ? INSTANT_NONE : now_us + grown(VERIFY_WAIT_US, attempts - 1, random) };
	case ASSIGN_RESULT_FAILED: break;
	}
	return (struct assign_next){ ASSIGN_FAILED, now_us + grown(DAY_US, 0, random) };
}

static const char *const result_names[] = {
	[ASSIGN_RESULT_SUCCESS] = "SUCCESS",
	[ASSIGN_RESULT_NOT_ACCESSIBLE] = "NOT_ACCESSIBLE",
	[ASSIGN_RESULT_FAILED] = "FAILED",
	[ASSIGN_RESULT_THROTTLED] = "THROTTLED",
	[ASSIGN_RESULT_MISSING] = "MISSING",
};

enum assign_result assign_result_parse(struct text word)
{
	for (size_t i = 0; i < sizeof result_names / sizeof *result_names; i++) {
		if (i != ASSIGN_RESULT_MISSING && text_equal_string(word, result_names[i])) {
			return (enum assign_result)i;
		}
	}
	return ASSIGN_RESULT_FAILED;
}

const char *assign_result_name(enum assign_result result)
{
	assert((size_t)result < sizeof result_names / sizeof *result_names);
	return result_names[result];
}

const char *assign_state_name(enum assign_state state)
{
	static const char *const names[] = {
		[ASSIGN_SETTLED] = "settled",
		[ASSIGN_PENDING] = "pending",
		[ASSIGN_CONFIRMING] = "confirming",
		[ASSIGN_THROTTLED] = "throttled",
		[ASSIGN_FAILED] = "failed",
		[ASSIGN_VERIFYING] = "verifying",
	};

	assert((size_t)state < sizeof names / sizeof *names);
	return names[state];
}
