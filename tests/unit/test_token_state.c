// SPDX-License-Identifier: Apache-2.0
//
// How a server token is, whose it is, and what people are told about it.
#include "support/cmocka_all.h"
#include "tenants/alert.h"
#include "tenants/identity.h"

#include <string.h>

#define NOW (INT64_C(1795525200) * SECOND_US) // 2026-11-24T13:00:00Z
#define DAYS(n) ((n) * DAY_S * SECOND_US)

static struct token_facts good_token(int64_t days_left)
{
	return (struct token_facts){ .has_token = true, .expires_at_us = NOW + DAYS(days_left), .word = TOKEN_WORD_GOOD,
		.word_since_us = NOW - DAYS(100), .pending_since_us = INSTANT_NONE, .quarantined_at_us = INSTANT_NONE };
}

static void expect_state(struct token_facts facts, enum token_state state, int64_t since_us)
{
	const struct token_view view = token_view(&facts, NOW);

	assert_string_equal(token_state_name(view.state), token_state_name(state));
	assert_int_equal(view.since_us, since_us);
}

static void each_state_has_its_facts(void **state)
{
	struct token_facts none = { .expires_at_us = INSTANT_NONE, .word_since_us = NOW - 9, .pending_since_us = INSTANT_NONE,
		.quarantined_at_us = INSTANT_NONE };
	struct token_facts facts = good_token(100);

	(void)state;
	expect_state(none, TOKEN_STATE_NONE, NOW - 9);
	none.pending_since_us = NOW - 5;
	expect_state(none, TOKEN_STATE_PENDING, NOW - 5);
	expect_state(facts, TOKEN_STATE_ACTIVE, NOW - DAYS(100));
	facts.pending_since_us = NOW - 5; // the live one goes on
	expect_state(facts, TOKEN_STATE_ACTIVE, NOW - DAYS(100));
	facts.expires_at_us = INSTANT_NONE;
	expect_state(facts, TOKEN_STATE_ACTIVE, NOW - DAYS(100));
	expect_state(good_token(60), TOKEN_STATE_EXPIRING, NOW);
	expect_state(good_token(59), TOKEN_STATE_EXPIRING, NOW - DAYS(1));
	expect_state(good_token(0), TOKEN_STATE_EXPIRED, NOW);
	facts = good_token(10);
	facts.word = TOKEN_WORD_REJECTED;
	expect_state(facts, TOKEN_STATE_REJECTED, NOW - DAYS(100));
	facts.word = TOKEN_WORD_TERMS;
	expect_state(facts, TOKEN_STATE_TERMS_UNSIGNED, NOW - DAYS(100));
	facts.quarantined_at_us = NOW - 3;
	expect_state(facts, TOKEN_STATE_QUARANTINED, NOW - 3);
}

static void only_what_apple_says_of_the_token_is_a_word(void **state)
{
	enum token_word word = TOKEN_WORD_NONE;

	(void)state;
	assert_true(token_word_of(OK, &word) && word == TOKEN_WORD_GOOD);
	assert_true(token_word_of(ERR_TOKEN_DEAD, &word) && word == TOKEN_WORD_REJECTED);
	assert_true(token_word_of(ERR_TERMS, &word) && word == TOKEN_WORD_TERMS);
	assert_false(token_word_of(ERR_SESSION, &word) || token_word_of(ERR_TIMEOUT, &word) || token_word_of(ERR_UNAVAILABLE, &word) ||
		token_word_of(ERR_THROTTLED, &word) || token_word_of(ERR_REFUSED, &word) || token_word_of(ERR_IDENTITY, &word));
	assert_int_equal(word, TOKEN_WORD_TERMS);
}

static void thresholds_are_reached_in_their_order(void **state)
{
	static const struct { int64_t left_us; int threshold; int64_t next_days; } cases[] = {
		{ DAYS(61), 0, 60 }, { DAYS(60) + 1, 0, 60 }, { DAYS(60), 60, 30 }, { DAYS(30), 30, 14 }, { DAYS(29), 30, 14 },
		{ DAYS(2), 3, 1 }, { DAYS(1), 1, 0 }, { 1, 1, 0 },
	};
	struct token_facts facts = good_token(0);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		facts.expires_at_us = NOW + cases[i].left_us;
		assert_int_equal(token_threshold(&facts, NOW), cases[i].threshold);
		assert_int_equal(token_next_threshold_us(&facts, NOW), facts.expires_at_us - DAYS(cases[i].next_days));
	}
	facts.expires_at_us = NOW;
	assert_int_equal(token_threshold(&facts, NOW), 0);
	assert_int_equal(token_next_threshold_us(&facts, NOW), INSTANT_NONE);
	facts = good_token(89);
	facts.thresholds = (struct token_thresholds){ .days = { 5, 90 }, .count = 2 };
	assert_int_equal(token_threshold(&facts, NOW), 90);
	assert_int_equal(token_next_threshold_us(&facts, NOW), facts.expires_at_us - DAYS(5));
	assert_int_equal(token_days_left(NOW + DAYS(2) - 1, NOW), 1);
	assert_int_equal(token_days_left(NOW - 1, NOW), -1);
}

static void an_identity_differs_field_by_field(void **state)
{
	const struct identity pinned = { TEXT("U"), TEXT("1"), TEXT("h"), TEXT("org") };
	struct identity given = pinned;
	struct identity_difference found[IDENTITY_FIELDS];

	(void)state;
	assert_int_equal(identity_compare(found, &pinned, &given), 0);
	given.org_type = TEXT("edu");
	given.org_id_hash = TEXT_NONE;
	assert_int_equal(identity_compare(found, &pinned, &given), 2);
	assert_string_equal(found[0].field, "org_id_hash");
	assert_string_equal(found[1].field, "org_type");
	assert_int_equal(identity_compare(found, &(const struct identity){ 0 }, &given), 0);
}

// --- alerts ---

static unsigned raised(const struct alert_outcome *outcome)
{
	unsigned kinds = 0;

	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		kinds |= outcome->raise[kind] ? 1u << kind : 0;
	}
	return kinds;
}

static unsigned cleared(const struct alert_outcome *outcome)
{
	unsigned kinds = 0;

	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		kinds |= outcome->clear[kind] ? 1u << kind : 0;
	}
	return kinds;
}

static void expect(struct alert_told *told, struct alert_facts facts, unsigned raise, unsigned clear)
{
	struct alert_outcome outcome;

	alert_decide(&outcome, &facts, told);
	assert_int_equal(raised(&outcome), raise);
	assert_int_equal(cleared(&outcome), clear);
	*told = outcome.next;
	alert_decide(&outcome, &(struct alert_facts){ .state = facts.state, .threshold = facts.threshold, .token_id = facts.token_id,
		.renewed_by_link = facts.renewed_by_link, .admin_id = facts.admin_id, .sync_fails = facts.sync_fails }, told);
	assert_int_equal(raised(&outcome) | cleared(&outcome), 0); // told once more: nothing
	assert_false(outcome.changed);
}

#define BIT(kind) (1u << (kind))

static void each_threshold_is_told_once_and_again_for_the_next_token(void **state)
{
	struct alert_told told = { 0 };
	struct alert_facts facts = { .state = TOKEN_STATE_ACTIVE, .token_id = 1 };

	(void)state;
	expect(&told, facts, 0, 0);
	facts.state = TOKEN_STATE_EXPIRING;
	facts.threshold = 60;
	expect(&told, facts, BIT(ALERT_TOKEN_EXPIRING), 0);
	facts.threshold = 7; // 30 and 14 passed unseen
	expect(&told, facts, BIT(ALERT_TOKEN_EXPIRING), 0);
	facts.state = TOKEN_STATE_EXPIRED;
	facts.threshold = 0;
	expect(&told, facts, BIT(ALERT_TOKEN_EXPIRED), BIT(ALERT_TOKEN_EXPIRING));
	facts.state = TOKEN_STATE_ACTIVE;
	facts.token_id = 2;
	expect(&told, facts, 0, BIT(ALERT_TOKEN_EXPIRED));
	facts.threshold = 60;
	facts.state = TOKEN_STATE_EXPIRING;
	expect(&told, facts, BIT(ALERT_TOKEN_EXPIRING), 0);
}

static void conditions_are_kept_apart_and_end_by_themselves(void **state)
{
	struct alert_told told = { .token_id = 1 };

	(void)state;
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_REJECTED, .token_id = 1 }, BIT(ALERT_TOKEN_REJECTED), 0);
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_TERMS_UNSIGNED, .token_id = 1 }, BIT(ALERT_TERMS_UNSIGNED),
		BIT(ALERT_TOKEN_REJECTED));
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_QUARANTINED, .token_id = 1, .sync_fails = true },
		BIT(ALERT_QUARANTINED) | BIT(ALERT_SYNC_FAILING), BIT(ALERT_TERMS_UNSIGNED));
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 1 }, 0, BIT(ALERT_QUARANTINED) | BIT(ALERT_SYNC_FAILING));
}

static void another_administrator_and_a_renewal_are_told(void **state)
{
	struct alert_told told = { 0 };

	(void)state;
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 1, .admin_id = TEXT("a") }, 0, 0);
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 1, .admin_id = TEXT("b") }, BIT(ALERT_ADMIN_CHANGED), 0);
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 1 }, 0, 0);
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 2, .renewed_by_link = true }, BIT(ALERT_TOKEN_RENEWED), 0);
	expect(&told, (struct alert_facts){ .state = TOKEN_STATE_ACTIVE, .token_id = 2, .pending_refused = true }, BIT(ALERT_TOKEN_REFUSED), 0);
}

static void every_alert_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		enum alert_kind found;

		assert_true(alert_of(text_of(alert_name(kind)), &found) && found == kind);
		assert_true(event_is_of_client(alert_event(kind)));
	}
	assert_false(event_is_of_client(EVENT_PING));
}

static void every_kind_has_a_place_of_its_own_also_in_an_event(void **state)
{
	static const char *const of_statements[] = { "device.misrouted", "device.overdue", "device.unexpected", "device.held" };
	uint64_t places = 0;

	(void)state;
	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		places |= UINT64_C(1) << alert_place_of(text_of(alert_name(kind)));
	}
	for (size_t i = 0; i < sizeof of_statements / sizeof *of_statements; i++) {
		places |= UINT64_C(1) << alert_place_of(text_of(of_statements[i]));
	}
	assert_true(places == (UINT64_C(1) << ALERT_KINDS_IN_ALL) - 1);
	assert_int_equal(alert_place_of(TEXT("device.added")), -1);
	assert_int_equal(alert_place_of(TEXT_NONE), -1);
	assert_int_equal(alert_place_of_event(TEXT("{\"id\": \"1\", \"kind\": \"token.expired\", \"detail\": \"\\\"kind\\\": \\\"device.held\\\"\"}")),
		ALERT_TOKEN_EXPIRED);
	assert_int_equal(alert_place_of_event(TEXT("{\"detail\": \"token.expired\"}")), -1);
	assert_int_equal(alert_place_of_event(TEXT("{\"kind\": \"token.expired\"")), -1);
	assert_int_equal(alert_place_of_event(TEXT_NONE), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_has_its_facts),
		cmocka_unit_test(only_what_apple_says_of_the_token_is_a_word),
		cmocka_unit_test(thresholds_are_reached_in_their_order),
		cmocka_unit_test(an_identity_differs_field_by_field),
		cmocka_unit_test(each_threshold_is_told_once_and_again_for_the_next_token),
		cmocka_unit_test(conditions_are_kept_apart_and_end_by_themselves),
		cmocka_unit_test(another_administrator_and_a_renewal_are_told),
		cmocka_unit_test(every_alert_has_a_name_of_its_own),
		cmocka_unit_test(every_kind_has_a_place_of_its_own_also_in_an_event),
	};

	return cmocka_run_group_tests_name("token state", tests, NULL, NULL);
}
