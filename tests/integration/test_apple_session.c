// SPDX-License-Identifier: Apache-2.0
//
// Calls to Apple that share a session, are cancelled in every state, or get no answer.
#include "support/apple_script.h"
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define SESSION(token) "{\"auth_session_token\":\"" token "\"}"
#define PAGE           "{\"devices\":[{\"serial_number\":\"C02X\"}],\"cursor\":\"c2\",\"more_to_follow\":true}"

struct pair {
	struct apple_script script;
	struct apple_trial trials[2];
	struct apple_page pages[2];
};

static void pair_start(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		apple_trial_init(&pair->trials[i], &pair->script);
		APPLE_TRIAL(&pair->trials[i], apple_fetch_devices(&pair->trials[i].call, &pair->script.session, TEXT_NONE, 1000, NULL,
			&pair->pages[i]));
	}
}

static void pair_end(struct pair *pair, enum err first, enum err second)
{
	apple_trial_wait(&pair->trials[0]);
	apple_trial_wait(&pair->trials[1]);
	assert_int_equal(pair->trials[0].call.op.rc, first);
	assert_int_equal(pair->trials[1].call.op.rc, second);
	for (int i = 0; i < 2; i++) {
		apple_page_fini(&pair->pages[i]);
		apple_trial_fini(&pair->trials[i]);
	}
	apple_script_close(&pair->script);
}

static void two_calls_without_a_session_sign_in_once(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "GET /session", 200, SESSION("S1"), NULL },
		{ "POST /server/devices", 200, PAGE, NULL }, { "POST /server/devices", 200, PAGE, NULL });
	pair_start(&pair);
	pair_end(&pair, OK, OK);
}

static void two_calls_that_share_a_refused_session_renew_it_once(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "POST /server/devices", 0, NULL, NULL }, { "POST /server/devices", 0, NULL, NULL },
		{ "GET /session", 200, SESSION("new"), NULL }, { "POST /server/devices", 200, PAGE, NULL },
		{ "POST /server/devices", 200, PAGE, NULL });
	apple_script_signed_in(&pair.script, "old");
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 1);
	apple_script_answer(&pair.script, 0, 401, NULL, NULL);
	apple_script_answer(&pair.script, 1, 401, NULL, NULL);
	pair_end(&pair, OK, OK);
}

static void a_call_whose_session_was_renewed_meanwhile_just_asks_again(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "POST /server/devices", 0, NULL, NULL }, { "POST /server/devices", 0, NULL, NULL },
		{ "GET /session", 200, SESSION("new"), NULL }, { "POST /server/devices", 200, PAGE, NULL },
		{ "POST /server/devices", 200, PAGE, NULL });
	apple_script_signed_in(&pair.script, "old");
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 1);
	apple_script_answer(&pair.script, 0, 401, NULL, NULL);
	apple_script_wait_for_step(&pair.script, 3); // renewed, and the first one asks again
	apple_script_answer(&pair.script, 1, 401, NULL, NULL);
	apple_script_wait_for_step(&pair.script, 4);
	apple_script_check_header(&pair.script, 4, "X-ADM-Auth-Session", "new");
	pair_end(&pair, OK, OK);
}

static void a_late_answer_does_not_bring_an_older_session_back(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "POST /server/devices", 0, NULL, NULL }, { "POST /server/devices", 0, NULL, NULL },
		{ "GET /session", 200, SESSION("new"), NULL }, { "POST /server/devices", 0, NULL, NULL });
	apple_script_signed_in(&pair.script, "old");
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 1);
	apple_script_answer(&pair.script, 0, 401, NULL, NULL);
	apple_script_wait_for_step(&pair.script, 3);
	apple_script_answer(&pair.script, 1, 200, PAGE, "X-ADM-Auth-Session: old\r\n");
	HTTP_WAIT_UNTIL(&pair.script.http, pair.trials[0].completions + pair.trials[1].completions == 1);
	assert_string_equal(pair.script.session.token, "new");
	apple_script_answer(&pair.script, 3, 200, PAGE, NULL);
	pair_end(&pair, OK, OK);
}

static void a_failed_sign_in_fails_all_that_waited_for_it(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "GET /session", 403, "T_C_NOT_SIGNED", "Retry-After: 7\r\n" });
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 0);
	HTTP_WAIT_UNTIL(&pair.script.http, pair.trials[0].completions + pair.trials[1].completions == 2);
	assert_string_equal(pair.trials[1].call.apple_error, "T_C_NOT_SIGNED");
	assert_int_equal(pair.trials[1].call.status, 403);
	assert_int_equal(pair.trials[1].call.retry_after_s, 7);
	assert_string_equal(pair.trials[0].call.op.fault.text, pair.trials[1].call.op.fault.text);
	pair_end(&pair, ERR_TERMS, ERR_TERMS);
}

static void a_waiting_call_takes_over_when_the_one_that_signs_in_is_cancelled(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "GET /session", 0, NULL, NULL }, { "GET /session", 200, SESSION("S2"), NULL },
		{ "POST /server/devices", 200, PAGE, NULL });
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 0);
	apple_trial_cancel(&pair.trials[0]);
	pair_end(&pair, ERR_CANCELLED, OK);
}

static void an_explicit_sign_in_joins_one_that_is_out(void **state)
{
	struct apple_script script;
	struct apple_trial trials[2];

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, SESSION("S1"), NULL });
	for (int i = 0; i < 2; i++) {
		apple_trial_init(&trials[i], &script);
		APPLE_TRIAL(&trials[i], apple_sign_in(&trials[i].call, &script.session));
	}
	for (int i = 0; i < 2; i++) {
		apple_trial_wait(&trials[i]);
		assert_int_equal(trials[i].call.op.rc, OK);
		apple_trial_fini(&trials[i]);
	}
	apple_script_close(&script);
}

// Ends that are not answers

static void a_call_can_be_cancelled_while_it_signs_in_and_while_it_asks(void **state)
{
	(void)state;
	for (int signed_in = 0; signed_in < 2; signed_in++) {
		struct apple_script script;
		struct apple_trial trial;
		struct apple_page page;

		APPLE_SCRIPT_OPEN(&script, { signed_in ? "POST /devices/sync" : "GET /session", 0, NULL, NULL });
		apple_script_signed_in(&script, signed_in ? "stored" : "");
		apple_trial_init(&trial, &script);
		apple_trial_cancel(&trial); // idle: harmless
		APPLE_TRIAL(&trial, apple_sync_devices(&trial.call, &script.session, TEXT("c"), 1, &page));
		apple_script_wait_for_step(&script, 0);
		apple_trial_cancel(&trial);
		apple_trial_cancel(&trial);
		assert_true(apple_call_is_running(&trial.call));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, ERR_CANCELLED);
		assert_null(script.session.signing_in);
		apple_page_fini(&page);
		apple_trial_fini(&trial);
		apple_script_close(&script);
	}
}

static void a_call_can_be_cancelled_right_after_it_was_started(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;

	(void)state;
	apple_script_open(&script, NULL, 0);
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_sync_devices(&trial.call, &script.session, TEXT("c"), 1, &page));
	apple_trial_cancel(&trial);
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_CANCELLED);
	apple_page_fini(&page);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void a_call_can_be_cancelled_while_it_waits_for_anothers_session(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "GET /session", 0, NULL, NULL }, { "POST /server/devices", 200, PAGE, NULL });
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 0);
	assert_int_equal(pair.trials[1].call.state, APPLE_WAITING);
	apple_trial_cancel(&pair.trials[1]);
	apple_script_answer(&pair.script, 0, 200, SESSION("S1"), NULL);
	pair_end(&pair, OK, ERR_CANCELLED);
}

static void a_call_that_is_about_to_fail_can_be_cancelled(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	struct apple_assignment assignment;

	(void)state;
	apple_script_open(&script, NULL, 0);
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_remove_profile(&trial.call, &script.session, NULL, 0, &assignment));
	apple_trial_cancel(&trial);
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_CANCELLED);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void silence_is_a_timeout_and_a_closed_connection_a_network_error(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 0, NULL, NULL }, { "POST /server/devices", 0, NULL, NULL });
	apple_script_signed_in(&script, "SECRET");
	apple_trial_init(&trial, &script);
	trial.call.timeout_ms = 50;
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 1, NULL, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_TIMEOUT);
	assert_int_equal(trial.call.status, 0);
	assert_non_null(strstr(trial.call.op.fault.text, "POST /server/devices"));
	assert_string_equal(script.session.token, "SECRET");

	trial.call.timeout_ms = 20000;
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 1, NULL, &page));
	apple_script_wait_for_step(&script, 1);
	raw_finish(script.seen[1].connection);
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_NETWORK);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

// The owner may start the next call, or end everything, from inside op.done.
static void start_again(struct apple_trial *trial)
{
	static struct apple_page page;

	apple_page_fini(&page);
	if (trial->completions < 3) {
		apple_sync_devices(&trial->call, &trial->script->session, TEXT("c"), 1, &page);
	}
}

static void the_next_call_may_start_from_inside_the_completion(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, SESSION("S1"), NULL }, { "POST /devices/sync", 200, PAGE, NULL },
		{ "POST /devices/sync", 400, "EXHAUSTED_CURSOR", NULL });
	apple_trial_init(&trial, &script);
	trial.done = start_again;
	APPLE_TRIAL(&trial, apple_sign_in(&trial.call, &script.session));
	HTTP_WAIT_UNTIL(&script.http, trial.completions == 3);
	assert_int_equal(trial.call.op.rc, ERR_CURSOR_END);
	trial.completions = 0;
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void closing_the_client_cancels_a_call_and_those_that_wait_for_it(void **state)
{
	struct pair pair;

	(void)state;
	APPLE_SCRIPT_OPEN(&pair.script, { "GET /session", 0, NULL, NULL });
	pair_start(&pair);
	apple_script_wait_for_step(&pair.script, 0);
	http_world_close_client(&pair.script.http);
	pair_end(&pair, ERR_CANCELLED, ERR_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_calls_without_a_session_sign_in_once),
		cmocka_unit_test(two_calls_that_share_a_refused_session_renew_it_once),
		cmocka_unit_test(a_call_whose_session_was_renewed_meanwhile_just_asks_again),
		cmocka_unit_test(a_late_answer_does_not_bring_an_older_session_back),
		cmocka_unit_test(a_failed_sign_in_fails_all_that_waited_for_it),
		cmocka_unit_test(a_waiting_call_takes_over_when_the_one_that_signs_in_is_cancelled),
		cmocka_unit_test(an_explicit_sign_in_joins_one_that_is_out),
		cmocka_unit_test(a_call_can_be_cancelled_while_it_signs_in_and_while_it_asks),
		cmocka_unit_test(a_call_can_be_cancelled_right_after_it_was_started),
		cmocka_unit_test(a_call_can_be_cancelled_while_it_waits_for_anothers_session),
		cmocka_unit_test(a_call_that_is_about_to_fail_can_be_cancelled),
		cmocka_unit_test(silence_is_a_timeout_and_a_closed_connection_a_network_error),
		cmocka_unit_test(the_next_call_may_start_from_inside_the_completion),
		cmocka_unit_test(closing_the_client_cancels_a_call_and_those_that_wait_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
