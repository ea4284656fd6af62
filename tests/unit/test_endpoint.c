// SPDX-License-Identifier: Apache-2.0
//
// What becomes of an event that an endpoint does not take, when an endpoint is in trouble, and which headers an operator may add.
#include "support/cmocka_all.h"
#include "tenants/endpoint_header.h"
#include "tenants/endpoint_health.h"
#include "tenants/webhook.h"

#include <string.h>

#define BEGUN INT64_C(1764158400000000)
#define LATER(seconds) (BEGUN + INT64_C(1) * (seconds) * SECOND_US)

static struct endpoint_health fresh(void)
{
	return (struct endpoint_health){ .next_probe_us = INSTANT_NONE, .not_before_us = INSTANT_NONE, .succeeded_at_us = INSTANT_NONE };
}

static void an_event_is_parked_only_after_the_schedule_and_while_others_are_taken(void **state)
{
	struct endpoint_health health = fresh();

	(void)state;
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, RETRY_ATTEMPTS, BEGUN, LATER(80 * 3600)), ENDPOINT_TRY_AGAIN);
	endpoint_took(&health, BEGUN); // not after it failed first
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, RETRY_ATTEMPTS, BEGUN, LATER(80 * 3600)), ENDPOINT_TRY_AGAIN);
	endpoint_took(&health, LATER(1));
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, RETRY_ATTEMPTS - 1, BEGUN, LATER(80 * 3600)), ENDPOINT_TRY_AGAIN);
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, RETRY_ATTEMPTS, BEGUN, LATER(80 * 3600)), ENDPOINT_PARK);
	assert_int_equal(endpoint_judge(&health, RETRY_SLOW_DOWN, RETRY_ATTEMPTS, BEGUN, LATER(6 * DAY_S)), ENDPOINT_PARK);
}

static void an_endpoint_is_given_up_after_five_days_without_a_success_or_when_it_is_gone(void **state)
{
	struct endpoint_health health = fresh();

	(void)state;
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, 12, BEGUN, LATER(5 * DAY_S) - 1), ENDPOINT_TRY_AGAIN);
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, 12, BEGUN, LATER(5 * DAY_S)), ENDPOINT_GIVE_UP);
	assert_int_equal(endpoint_judge(&health, RETRY_DISABLE, 1, BEGUN, BEGUN), ENDPOINT_GIVE_UP);
	endpoint_took(&health, LATER(DAY_S));
	assert_int_equal(endpoint_judge(&health, RETRY_LATER, 1, BEGUN, LATER(5 * DAY_S)), ENDPOINT_TRY_AGAIN);
}

static void in_trouble_an_endpoint_is_probed_rarely_until_it_takes_something(void **state)
{
	struct endpoint_health health = fresh();

	(void)state;
	for (int i = 1; i < ENDPOINT_PROBES_AFTER; i++) {
		endpoint_failed(&health, BEGUN);
		assert_false(endpoint_is_in_trouble(&health));
		assert_int_equal(endpoint_not_before_us(&health), INSTANT_NONE);
	}
	endpoint_failed(&health, BEGUN);
	assert_true(endpoint_is_in_trouble(&health));
	assert_int_equal(endpoint_not_before_us(&health), LATER(ENDPOINT_PROBE_EVERY_S));
	endpoint_failed(&health, LATER(60));
	assert_int_equal(endpoint_not_before_us(&health), LATER(60 + ENDPOINT_PROBE_EVERY_S));
	health.not_before_us = LATER(600); // it asked for more
	assert_int_equal(endpoint_not_before_us(&health), LATER(600));
	endpoint_took(&health, LATER(700));
	assert_false(endpoint_is_in_trouble(&health));
	assert_int_equal(health.succeeded_at_us, LATER(700));
}

static enum err header(const char *name, const char *value)
{
	struct fault fault;

	return endpoint_header_check(text_of(name), text_of(value), &fault);
}

static void headers_that_would_change_the_request_are_refused(void **state)
{
	static const char *const refused[] = { "Host", "content-length", "Content-Type", "CONTENT-anything", "Transfer-Encoding", "Connection",
		"webhook-id", "Webhook-Signature", "webhook-new", "Authorization", "Proxy-Authorization", "Cookie", "User-Agent", "TE", "", "a b", "a:b", "\xc3\xa4" };
	static const char *const taken[] = { "X-Api-Key", "hosts", "content", "webhook", "authorization2", "x_y" };
	static const char *const values[] = { "", " a", "a ", "a\r\nb: c", "a\nb", "a\tb", "\x7f", "\xc3\xa4" };
	char longest[ENDPOINT_HEADER_VALUE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		assert_int_equal(header(refused[i], "x"), ERR_BAD_INPUT);
	}
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		assert_int_equal(header(taken[i], "a ~!b"), OK);
	}
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		assert_int_equal(header("X", values[i]), ERR_BAD_INPUT);
	}
	memset(longest, 'x', sizeof longest);
	longest[ENDPOINT_HEADER_VALUE_MAX + 1] = '\0';
	assert_int_equal(header("X", longest), ERR_BAD_INPUT);
	longest[ENDPOINT_HEADER_VALUE_MAX] = '\0';
	assert_int_equal(header("X", longest), OK);
	longest[ENDPOINT_HEADER_NAME_MAX + 1] = '\0';
	assert_int_equal(header(longest, "x"), ERR_BAD_INPUT);
	assert_int_equal(endpoint_header_check(TEXT("X"), (struct text){ "a\0b", 3 }, NULL), ERR_BAD_INPUT);
}

static void an_excerpt_is_short_well_formed_and_harmless(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(WEBHOOK_EXCERPT_MAX);
	char many[3 * WEBHOOK_EXCERPT_MAX];

	(void)state;
	webhook_excerpt(&out, (struct text){ "a\0b\x1b[31m\r\n\xff\xc3\xa4\xc2\x85\xf0\x9f\x98", 18 });
	assert_memory_equal(out.bytes, "a b [31m  ?\xc3\xa4 ???", out.length);
	assert_int_equal(out.length, 17);
	buffer_clear(&out);
	for (size_t i = 0; i < sizeof many; i += 3) {
		memcpy(many + i, "\xe2\x82\xac", 3);
	}
	webhook_excerpt(&out, (struct text){ many, sizeof many });
	assert_int_equal(out.length, WEBHOOK_EXCERPT_MAX / 3 * 3);
	assert_true(text_is_utf8(buffer_text(&out)));
	assert_false(out.overflow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_parked_only_after_the_schedule_and_while_others_are_taken),
		cmocka_unit_test(an_endpoint_is_given_up_after_five_days_without_a_success_or_when_it_is_gone),
		cmocka_unit_test(in_trouble_an_endpoint_is_probed_rarely_until_it_takes_something),
		cmocka_unit_test(headers_that_would_change_the_request_are_refused),
		cmocka_unit_test(an_excerpt_is_short_well_formed_and_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
