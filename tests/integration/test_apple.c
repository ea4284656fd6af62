// SPDX-License-Identifier: Apache-2.0
//
// Apple's service over real sockets: sign-in, rotation, renewal, refusals, cancelling. The script of each test also says how
// many requests there are.
#include "support/apple_script.h"
#include "support/cmocka_all.h"

#include "depbroker/clock.h"
#include "tenants/oauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSION(token) "{\"auth_session_token\":\"" token "\"}"
#define PAGE           "{\"devices\":[{\"serial_number\":\"C02X\"}],\"cursor\":\"c2\",\"more_to_follow\":true}"
#define EMPTY_PAGE     "{\"devices\":[],\"cursor\":\"c2\",\"more_to_follow\":false}"

// Sign-in and headers

static char *quoted_value(const char *header, const char *name)
{
	const char *at = strstr(header, name);

	assert_non_null(at);
	at = strchr(at, '"') + 1;
	return duplicate((struct text){ at, strcspn(at, "\"") });
}

static int64_t check_signature(const struct apple_script *script, size_t step)
{
	struct buffer expected CLEANUP(buffer_fini) = BUFFER(10000);
	struct buffer url CLEANUP(buffer_fini) = BUFFER(1000);
	char *header = apple_script_header(script, step, "Authorization");
	char *nonce;
	char *timestamp;
	int64_t seconds;

	assert_non_null(header);
	nonce = quoted_value(header, "oauth_nonce");
	timestamp = quoted_value(header, "oauth_timestamp");
	seconds = strtoll(timestamp, NULL, 10);
	buffer_add_format(&url, "%s/session", script->base_url);
	assert_int_equal(strlen(nonce), 32);
	assert_int_equal(oauth_authorization(&expected, &script->token, buffer_text(&url), text_of(nonce), seconds), OK);
	assert_string_equal(header, expected.bytes);
	free(header);
	free(nonce);
	free(timestamp);
	return seconds;
}

static void a_call_without_a_session_gets_one_first_and_carries_every_header(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	struct apple_account account;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, SESSION("S1"), NULL }, { "GET /account", 200,
		"{\"server_name\":\"n\",\"server_uuid\":\"U\",\"org_name\":null,\"urls\":[{\"uri\":\"/server/devices\",\"limit\":"
		"{\"default\":100,\"maximum\":5000}},17,{\"uri\":\"/devices/sync\",\"limit\":{\"maximum\":\"x\"}}]}", NULL });
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_account(&trial.call, &script.session, &account));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_int_equal(trial.call.status, 200);

	assert_in_range(check_signature(&script, 0), time(NULL) - 60, time(NULL) + 60);
	apple_script_check_header(&script, 0, "Content-Type", "application/json;charset=UTF8");
	apple_script_check_header(&script, 0, "X-Server-Protocol-Version", "10");
	apple_script_check_header(&script, 0, "X-ADM-Auth-Session", NULL);
	apple_script_check_header(&script, 0, "User-Agent", "depbroker-test/1");
	apple_script_check_header(&script, 1, "X-ADM-Auth-Session", "S1");
	apple_script_check_header(&script, 1, "X-Server-Protocol-Version", "10");
	apple_script_check_header(&script, 1, "Authorization", NULL);
	apple_script_check_header(&script, 1, "Content-Type", NULL);
	apple_script_check_header(&script, 1, "User-Agent", "depbroker-test/1");

	assert_true(text_equal_string(account.server_name, "n") && text_equal_string(account.server_uuid, "U"));
	assert_int_equal(account.org_name.length, 0);
	assert_int_equal(account.fetch_limit, 5000);
	assert_int_equal(account.sync_limit, 0);
	assert_string_equal(script.session.token, "S1");
	assert_int_equal(script.session.generation, 1);
	assert_true(script.session.signed_in_anew);
	apple_account_fini(&account);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void a_stored_session_is_used_without_signing_in(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 200, PAGE, NULL }, { "POST /devices/sync", 200, EMPTY_PAGE, NULL });
	apple_script_signed_in(&script, "stored");
	script.server.protocol_version = 7;
	(void)snprintf(script.base_url + strlen(script.base_url), 2, "/");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 200, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_int_equal(page.count, 1);
	assert_true(page.more_to_follow && text_equal_string(page.cursor, "c2"));
	assert_string_equal(script.seen[0].body, "{\"limit\":200}");
	apple_script_check_header(&script, 0, "X-ADM-Auth-Session", "stored");
	apple_script_check_header(&script, 0, "X-Server-Protocol-Version", "7");
	apple_script_check_header(&script, 0, "Content-Type", "application/json;charset=UTF8");
	apple_page_fini(&page);

	APPLE_TRIAL(&trial, apple_sync_devices(&trial.call, &script.session, TEXT("a\"b"), 1000, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(script.seen[1].body, "{\"limit\":1000,\"cursor\":\"a\\\"b\"}");
	assert_false(script.session.signed_in_anew);
	apple_page_fini(&page);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void an_explicit_sign_in_asks_for_nothing_else(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, SESSION("S1"), NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_sign_in(&trial.call, &script.session));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(script.session.token, "S1");
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

// Fetches a page and expects this end; the fault never tells the session.
static void fetch(struct apple_script *script, struct apple_trial *trial, enum err expected)
{
	struct apple_page page;

	apple_trial_init(trial, script);
	APPLE_TRIAL(trial, apple_fetch_devices(&trial->call, &script->session, TEXT("c1"), 1000, &page));
	apple_trial_wait(trial);
	if (trial->call.op.rc != expected) {
		fail_msg("%s (%s) and not %s", err_name(trial->call.op.rc), trial->call.op.fault.text, err_name(expected));
	}
	assert_true((expected == OK) == (page.count == 1));
	assert_null(strstr(trial->call.op.fault.text, "SECRET"));
	apple_page_fini(&page);
	apple_trial_fini(trial);
}

static void a_session_that_cannot_be_used_is_a_bad_answer(void **state)
{
	static const char *const answers[] = {
		"", "{}", SESSION(""), "{\"auth_session_token\":null}", "{\"auth_session_token\":17}", "<html></html>",
		SESSION("a\\r\\nX-Evil: 1"), SESSION("a b"), SESSION("\xc3\xa9"), "[]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, answers[i], NULL });
		fetch(&script, &trial, ERR_BAD_ANSWER);
		assert_string_equal(script.session.token, "");
		apple_script_close(&script);
	}
}

// Rotation

static void any_answer_may_bring_a_new_session(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 200, PAGE, "x-adm-auth-session: SECRET2\r\n" },
		{ "POST /server/devices", 400, "MALFORMED_REQUEST_BODY", "X-Adm-Auth-Session: SECRET3\r\n" },
		{ "POST /server/devices", 200, PAGE, "X-ADM-Auth-Session: SECRET3\r\n" });
	apple_script_signed_in(&script, "SECRET1");
	fetch(&script, &trial, OK);
	assert_string_equal(script.session.token, "SECRET2");
	assert_int_equal(script.session.generation, 1);
	fetch(&script, &trial, ERR_REFUSED);
	apple_script_check_header(&script, 1, "X-ADM-Auth-Session", "SECRET2");
	assert_string_equal(script.session.token, "SECRET3");
	fetch(&script, &trial, OK);
	apple_script_check_header(&script, 2, "X-ADM-Auth-Session", "SECRET3");
	assert_int_equal(script.session.generation, 2); // the same one again is no new one
	assert_false(script.session.signed_in_anew);
	apple_script_close(&script);
}

static void an_unusable_session_in_a_header_is_not_taken(void **state)
{
	struct buffer long_one CLEANUP(buffer_fini) = BUFFER(2000);
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	buffer_add_string(&long_one, "X-ADM-Auth-Session: ");
	while (long_one.length < 20 + APPLE_SESSION_TOKEN_MAX + 1) {
		buffer_add_string(&long_one, "x");
	}
	buffer_add_string(&long_one, "\r\n");
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 200, PAGE, "X-ADM-Auth-Session:\r\n" },
		{ "POST /server/devices", 200, PAGE, "X-ADM-Auth-Session: a b\r\n" },
		{ "POST /server/devices", 200, PAGE, long_one.bytes });
	apple_script_signed_in(&script, "stored");
	for (int i = 0; i < 3; i++) {
		fetch(&script, &trial, OK);
		assert_string_equal(script.session.token, "stored");
	}
	apple_script_close(&script);
}

// Renewal

static void a_refused_session_is_renewed_once_and_the_request_repeated(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
	} refusals[] = { { 401, "UNAUTHORIZED" }, { 401, NULL }, { 403, "FORBIDDEN" }, { 403, "\"FORBIDDEN\"" },
		{ 403, "{\"code\":\"forbidden\"}" }, { 403, "token_rejected" } };

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", refusals[i].status, refusals[i].body, NULL },
			{ "GET /session", 200, SESSION("new"), NULL }, { "POST /server/devices", 200, PAGE, NULL });
		apple_script_signed_in(&script, "old");
		fetch(&script, &trial, OK);
		apple_script_check_header(&script, 2, "X-ADM-Auth-Session", "new");
		assert_string_equal(script.seen[0].body, script.seen[2].body);
		assert_true(script.session.signed_in_anew);
		apple_script_close(&script);
	}
}

static void a_session_that_is_refused_twice_ends_the_call(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 401, NULL, NULL }, { "GET /session", 200, SESSION("new"), NULL },
		{ "POST /server/devices", 403, "FORBIDDEN", NULL });
	apple_script_signed_in(&script, "old");
	fetch(&script, &trial, ERR_SESSION);
	assert_int_equal(trial.call.status, 403);
	assert_string_equal(trial.call.apple_error, "FORBIDDEN");
	apple_script_close(&script);
}

static void a_session_got_in_the_same_call_may_be_renewed_once_too(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 200, SESSION("S1"), NULL }, { "POST /server/devices", 401, NULL, NULL },
		{ "GET /session", 200, SESSION("S2"), NULL }, { "POST /server/devices", 401, NULL, NULL });
	fetch(&script, &trial, ERR_SESSION);
	apple_script_close(&script);
}

static void other_refusals_never_lead_to_a_new_session(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
		enum err rc;
	} refusals[] = {
		{ 403, "T_C_NOT_SIGNED", ERR_TERMS }, { 401, "\"T_C_NOT_SIGNED\"", ERR_TERMS },
		{ 403, "{\"code\":\"T_C_NOT_SIGNED\"}", ERR_TERMS }, { 403, "ACCESS_DENIED", ERR_TOKEN_DEAD },
		{ 403, "APPLE_SEED_FOR_IT_TURNED_OFF", ERR_REFUSED }, { 403, NULL, ERR_REFUSED },
		{ 400, "EXPIRED_CURSOR", ERR_CURSOR_LOST }, { 400, "EXHAUSTED_CURSOR", ERR_CURSOR_END },
		{ 400, "USER_AGENT_INVALID", ERR_REFUSED }, { 429, "TOO_MANY_REQUESTS", ERR_THROTTLED },
		{ 500, "INTERNAL_SERVER_ERROR", ERR_UNAVAILABLE }, { 503, "<html>FORBIDDEN</html>", ERR_UNAVAILABLE },
		{ 302, NULL, ERR_BAD_ANSWER }, { 405, NULL, ERR_REFUSED }, { 200, "OK", ERR_BAD_ANSWER }, { 200, NULL, ERR_BAD_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", refusals[i].status, refusals[i].body, NULL });
		apple_script_signed_in(&script, "stored");
		fetch(&script, &trial, refusals[i].rc);
		assert_int_equal(trial.call.status, refusals[i].status);
		assert_string_equal(script.session.token, "stored");
		apple_script_close(&script);
	}
}

static void a_refused_sign_in_is_repeated_once_with_a_fresh_nonce(void **state)
{
	struct apple_script script;
	struct apple_trial trial;
	char *first;
	char *second;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 401, "token_expiredUnauthorized", NULL },
		{ "GET /session", 200, SESSION("S1"), NULL }, { "POST /server/devices", 200, PAGE, NULL });
	fetch(&script, &trial, OK);
	(void)check_signature(&script, 0);
	(void)check_signature(&script, 1);
	first = apple_script_header(&script, 0, "Authorization");
	second = apple_script_header(&script, 1, "Authorization");
	assert_string_not_equal(first, second);
	free(first);
	free(second);
	apple_script_close(&script);
}

static void a_wrong_clock_does_not_make_a_token_look_dead(void **state)
{
	static const char *const dates[] = { "Date: Wed, 01 Jan 2070 00:00:00 GMT\r\n", "Date: 2070-01-01T00:00:00Z\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "GET /session", 401, "token_expired", dates[i] },
			{ "GET /session", 200, SESSION("S1"), NULL }, { "POST /server/devices", 200, PAGE, NULL });
		fetch(&script, &trial, OK);
		assert_in_range(check_signature(&script, 0), time(NULL) - 60, time(NULL) + 60);
		assert_in_range(check_signature(&script, 1), INT64_C(3155760000) - 60, INT64_C(3155760000) + 60);
		apple_script_close(&script);
	}
}

static void a_sign_in_that_is_refused_twice_means_a_dead_token(void **state)
{
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 401, "token_rejected", NULL }, { "GET /session", 401, "token_rejected", NULL });
	fetch(&script, &trial, ERR_TOKEN_DEAD);
	assert_string_equal(trial.call.apple_error, "token_rejected");
	assert_non_null(strstr(trial.call.op.fault.text, "token_rejected"));
	assert_null(script.session.signing_in);
	apple_script_close(&script);
}

static void a_sign_in_that_is_refused_otherwise_is_not_repeated(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
		enum err rc;
	} refusals[] = {
		{ 403, "T_C_NOT_SIGNED", ERR_TERMS }, { 401, "t_c_not_signed", ERR_TERMS }, { 403, "ACCESS_DENIED", ERR_TOKEN_DEAD },
		{ 403, "FORBIDDEN", ERR_TOKEN_DEAD }, { 403, NULL, ERR_TOKEN_DEAD }, { 400, NULL, ERR_REFUSED },
		{ 429, "TOO_MANY_REQUESTS", ERR_THROTTLED }, { 503, NULL, ERR_UNAVAILABLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 401, NULL, NULL },
			{ "GET /session", refusals[i].status, refusals[i].body, NULL });
		apple_script_signed_in(&script, "old");
		fetch(&script, &trial, refusals[i].rc);
		assert_string_equal(script.session.token, ""); // Apple refused it
		apple_script_close(&script);
	}
}

static void the_longest_call_is_six_requests(void **state)
{
	static const struct text serial = TEXT("C02X");
	struct apple_script script;
	struct apple_trial trial;
	struct apple_assignment assignment;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "GET /session", 401, NULL, NULL }, { "GET /session", 200, SESSION("S1"), NULL },
		{ "POST /profile/devices", 405, NULL, NULL }, { "PUT /profile/devices", 401, NULL, NULL },
		{ "GET /session", 200, SESSION("S2"), NULL }, { "PUT /profile/devices", 405, NULL, NULL });
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("ABC"), &serial, 1, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_REFUSED);
	apple_assignment_fini(&assignment);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

// One session for several calls

struct pair {
	struct apple_script script;
	struct apple_trial trials[2];
	struct apple_page pages[2];
};

static void pair_start(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		apple_trial_init(&pair->trials[i], &pair->script);
		APPLE_TRIAL(&pair->trials[i], apple_fetch_devices(&pair->trials[i].call, &pair->script.session, TEXT_NONE, 1000,
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
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 1, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_TIMEOUT);
	assert_int_equal(trial.call.status, 0);
	assert_non_null(strstr(trial.call.op.fault.text, "POST /server/devices"));
	assert_string_equal(script.session.token, "SECRET");

	trial.call.timeout_ms = 20000;
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 1, &page));
	apple_script_wait_for_step(&script, 1);
	raw_finish(script.seen[1].connection);
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_NETWORK);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void an_answer_beyond_the_limit_is_not_taken(void **state)
{
	struct buffer body CLEANUP(buffer_fini) = BUFFER((size_t)APPLE_ANSWER_MAX + 1000);
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	buffer_add_string(&body, PAGE);
	while (body.length <= APPLE_ANSWER_MAX) {
		buffer_add_string(&body, "                                                                                ");
	}
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 200, body.bytes, NULL });
	apple_script_signed_in(&script, "stored");
	fetch(&script, &trial, ERR_BUDGET);
	apple_script_close(&script);
}

// What answers tell besides

static void retry_after_and_date_are_passed_on(void **state)
{
	char in_a_minute[100];
	struct apple_script script;
	struct apple_trial trial;
	const time_t then = time(NULL) + 60;
	struct tm parts;

	(void)state;
	(void)strftime(in_a_minute, sizeof in_a_minute, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&then, &parts));
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 429, NULL, "Retry-After: 120\r\nDate: Wed, 01 Jan 2070 00:00:00 GMT\r\n" },
		{ "POST /server/devices", 503, NULL, in_a_minute }, { "POST /server/devices", 503, NULL, "Date: yesterday\r\n" });
	apple_script_signed_in(&script, "stored");
	fetch(&script, &trial, ERR_THROTTLED);
	assert_int_equal(trial.call.retry_after_s, 120);
	assert_in_range(trial.call.clock_difference_s + time(NULL), INT64_C(3155760000) - 60, INT64_C(3155760000) + 60);
	fetch(&script, &trial, ERR_UNAVAILABLE);
	assert_in_range(trial.call.retry_after_s, 50, 61);
	assert_int_equal(trial.call.clock_difference_s, 0);
	fetch(&script, &trial, ERR_UNAVAILABLE);
	assert_int_equal(trial.call.retry_after_s, -1);
	assert_int_equal(trial.call.clock_difference_s, 0);
	apple_script_close(&script);
}

static void a_peer_that_echoes_secrets_does_not_get_them_into_a_fault(void **state)
{
	static const char *const bodies[] = { "SECRETSESSION", "\"SECRETSESS\"", "CK_0123456789abcdef", "AS_0011223344556677" };

	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 400, bodies[i], NULL });
		apple_script_signed_in(&script, "SECRETSESSION");
		fetch(&script, &trial, ERR_REFUSED);
		assert_string_equal(trial.call.apple_error, "");
		assert_null(strstr(trial.call.op.fault.text, "0123456789"));
		assert_null(strstr(trial.call.op.fault.text, "0011223344"));
		apple_script_close(&script);
	}
}

static void a_session_is_wiped_at_its_end(void **state)
{
	static const char zeros[APPLE_SESSION_TOKEN_MAX + 1];
	struct apple_session session;

	(void)state;
	apple_session_init(&session, NULL, NULL);
	memset(session.token, 'x', sizeof session.token);
	apple_session_fini(&session);
	assert_memory_equal(session.token, zeros, sizeof zeros);
}

// Profiles and assignments

static void a_profile_is_defined_and_read_back(void **state)
{
	char uuid[APPLE_PROFILE_UUID_MAX + 1];
	struct buffer profile CLEANUP(buffer_fini) = BUFFER(1000);
	struct apple_script script;
	struct apple_trial trial;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /profile", 200, "{\"devices\":{},\"profile_uuid\":\"C1F1-23\"}", NULL },
		{ "GET /profile?profile_uuid=C1F1-23", 200, " {\"profile_name\":\"n\", \"x\":1e5}\n", NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_define_profile(&trial.call, &script.session, TEXT("{\"profile_name\" : \"n\"}"), uuid));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(uuid, "C1F1-23");
	assert_string_equal(script.seen[0].body, "{\"profile_name\" : \"n\"}");
	APPLE_TRIAL(&trial, apple_get_profile(&trial.call, &script.session, text_of(uuid), &profile));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(profile.bytes, "{\"profile_name\":\"n\", \"x\":1e5}");
	assert_string_equal(script.seen[1].body, "");
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void an_unusable_profile_uuid_is_a_bad_answer(void **state)
{
	static const char *const answers[] = {
		"{}", "{\"profile_uuid\":\"\"}", "{\"profile_uuid\":\"a/b\"}", "{\"profile_uuid\":17}", "OK",
		"{\"profile_uuid\":\"A\",\"profile_uuid\":\"B\"}",
		"{\"profile_uuid\":\"A2345678901234567890123456789012345678901234567890123456789012345\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		char uuid[APPLE_PROFILE_UUID_MAX + 1];
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "POST /profile", 200, answers[i], NULL });
		apple_script_signed_in(&script, "stored");
		apple_trial_init(&trial, &script);
		APPLE_TRIAL(&trial, apple_define_profile(&trial.call, &script.session, TEXT("{}"), uuid));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, ERR_BAD_ANSWER);
		assert_string_equal(uuid, "");
		apple_trial_fini(&trial);
		apple_script_close(&script);
	}
}

static void a_profile_that_is_no_object_or_too_large_is_not_taken(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
		enum err rc;
	} answers[] = {
		{ 200, "[]", ERR_BAD_ANSWER }, { 200, "", ERR_BAD_ANSWER }, { 200, "{\"a\":\"\xff\"}", ERR_BAD_ANSWER },
		{ 200, "{\"a\":\"0123456789012345678901234567890123456789\"}", ERR_BUDGET }, { 400, "NOT_FOUND", ERR_PROFILE_GONE },
		{ 400, "PROFILE_UUID_REQUIRED", ERR_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct buffer profile CLEANUP(buffer_fini) = BUFFER(32);
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "GET /profile?profile_uuid=A", answers[i].status, answers[i].body, NULL });
		apple_script_signed_in(&script, "stored");
		apple_trial_init(&trial, &script);
		APPLE_TRIAL(&trial, apple_get_profile(&trial.call, &script.session, TEXT("A"), &profile));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, answers[i].rc);
		assert_int_equal(profile.length, 0);
		apple_trial_fini(&trial);
		apple_script_close(&script);
	}
}

// Assigns A, B, C, D and A again; the answer is given.
static void assign(const char *answer, enum err rc, const enum assign_result *expected, int64_t retry_after_s)
{
	static const struct text serials[] = { TEXT("D"), TEXT("A"), TEXT("C"), TEXT("B"), TEXT("A") };
	struct apple_script script;
	struct apple_trial trial;
	struct apple_assignment assignment;

	APPLE_SCRIPT_OPEN(&script, { "POST /profile/devices", 200, answer, NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("P1"), serials, 5, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, rc);
	assert_string_equal(script.seen[0].body, "{\"profile_uuid\":\"P1\",\"devices\":[\"D\",\"A\",\"C\",\"B\",\"A\"]}");
	if (rc == OK) {
		assert_int_equal(assignment.count, 5);
		for (size_t i = 0; i < 5; i++) {
			if (assignment.results[i] != expected[i]) {
				fail_msg("%s: result %zu is %s", answer, i, assign_result_name(assignment.results[i]));
			}
		}
		assert_int_equal(assignment.retry_after_s, retry_after_s);
	}
	apple_assignment_fini(&assignment);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void each_device_has_its_own_result(void **state)
{
	static const enum assign_result mixed[] = { ASSIGN_RESULT_THROTTLED, ASSIGN_RESULT_SUCCESS, ASSIGN_RESULT_NOT_ACCESSIBLE,
		ASSIGN_RESULT_FAILED, ASSIGN_RESULT_SUCCESS };
	static const enum assign_result odd[] = { ASSIGN_RESULT_MISSING, ASSIGN_RESULT_MISSING, ASSIGN_RESULT_SUCCESS,
		ASSIGN_RESULT_MISSING, ASSIGN_RESULT_MISSING };
	static const enum assign_result none[] = { ASSIGN_RESULT_MISSING, ASSIGN_RESULT_MISSING, ASSIGN_RESULT_MISSING,
		ASSIGN_RESULT_MISSING, ASSIGN_RESULT_MISSING };

	(void)state;
	assign("{\"profile_uuid\":\"p1\",\"devices\":{\"A\":\"SUCCESS\",\"B\":\"SOMETHING_NEW\",\"C\":\"NOT_ACCESSIBLE\","
		"\"D\":\"THROTTLED\",\"E\":\"SUCCESS\"},\"retry_after_seconds\":86400}", OK, mixed, 86400);
	// contradicting itself about A, nothing about B and D, C in another spelling
	assign("{\"devices\":{\"A\":\"SUCCESS\",\"a\":\"FAILED\",\"B\":null,\" c\":\"SUCCESS\",\"D\":17},"
		"\"retry_after_seconds\":\"soon\"}", OK, odd, -1);
	assign("{\"profile_uuid\":\"P2\",\"devices\":{\"A\":\"SUCCESS\"}}", OK, none, -1); // about another profile
	assign("{\"devices\":{\"A\":\"SUCCESS\"},\"devices\":{}}", OK, none, -1);
	assign("{\"devices\":[\"A\"]}", OK, none, -1);
	assign("{}", OK, none, -1);
	assign("[]", ERR_BAD_ANSWER, NULL, -1);
	assign("OK", ERR_BAD_ANSWER, NULL, -1);
}

static void put_is_used_where_post_is_not_allowed(void **state)
{
	static const struct text serial = TEXT("C02X");
	struct apple_script script;
	struct apple_trial trial;
	struct apple_assignment assignment;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /profile/devices", 405, NULL, NULL },
		{ "PUT /profile/devices", 200, "{\"devices\":{\"C02X\":\"SUCCESS\"}}", NULL },
		{ "POST /profile/devices", 404, "PROFILE_NOT_FOUND", NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("P1"), &serial, 1, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_int_equal(assignment.results[0], ASSIGN_RESULT_SUCCESS);
	assert_string_equal(script.seen[0].body, script.seen[1].body);
	apple_assignment_fini(&assignment);
	APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("P1"), &serial, 1, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_PROFILE_GONE);
	apple_assignment_fini(&assignment);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void a_profile_is_removed_with_a_delete_that_has_a_body(void **state)
{
	static const struct text serials[] = { TEXT("A"), TEXT("B") };
	struct apple_script script;
	struct apple_trial trial;
	struct apple_assignment assignment;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "DELETE /profile/devices", 200, "{\"devices\":{\"A\":\"SUCCESS\"}}", NULL },
		{ "DELETE /profile/devices", 405, NULL, NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_remove_profile(&trial.call, &script.session, serials, 2, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(script.seen[0].body, "{\"devices\":[\"A\",\"B\"]}");
	apple_script_check_header(&script, 0, "Content-Type", "application/json;charset=UTF8");
	assert_int_equal(assignment.results[0], ASSIGN_RESULT_SUCCESS);
	assert_int_equal(assignment.results[1], ASSIGN_RESULT_MISSING);
	apple_assignment_fini(&assignment);
	APPLE_TRIAL(&trial, apple_remove_profile(&trial.call, &script.session, serials, 2, &assignment));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, ERR_REFUSED);
	apple_assignment_fini(&assignment);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void details_are_asked_for_by_serial_number(void **state)
{
	static const struct text serials[] = { TEXT("A"), TEXT("B") };
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;

	(void)state;
	APPLE_SCRIPT_OPEN(&script, { "POST /devices", 200, "{\"devices\":{\"A\":{\"response_status\":\"SUCCESS\",\"model\":\"iPad\"},"
		"\"B\":{\"response_status\":\"NOT_ACCESSIBLE\"}}}", NULL });
	apple_script_signed_in(&script, "stored");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_device_details(&trial.call, &script.session, serials, 2, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_string_equal(script.seen[0].body, "{\"devices\":[\"A\",\"B\"]}");
	assert_int_equal(page.count, 2);
	assert_true(text_equal_string(page.devices[1].response_status, "NOT_ACCESSIBLE"));
	apple_page_fini(&page);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void what_cannot_be_asked_fails_later_and_sends_nothing(void **state)
{
	struct text *serials = allocate_array(APPLE_SERIALS_MAX + 1, sizeof *serials);
	struct buffer profile CLEANUP(buffer_fini) = BUFFER(100);
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;
	struct apple_assignment assignment;

	(void)state;
	apple_script_open(&script, NULL, 0);
	apple_trial_init(&trial, &script);
	for (int i = 0; i < 7; i++) {
		const char *name = script.base_url;

		script.server.base_url = i == 6 ? "ftp://nowhere" : name;
		switch (i) {
		case 0: APPLE_TRIAL(&trial, apple_device_details(&trial.call, &script.session, serials, 0, &page)); break;
		case 1: APPLE_TRIAL(&trial, apple_device_details(&trial.call, &script.session, serials, 1001, &page)); break;
		case 2: APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT_NONE, serials, 1, &assignment)); break;
		case 3: APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("\"}"), serials, 1, &assignment)); break;
		case 4: APPLE_TRIAL(&trial, apple_get_profile(&trial.call, &script.session, TEXT("a&b=c"), &profile)); break;
		case 5: APPLE_TRIAL(&trial, apple_remove_profile(&trial.call, &script.session, serials, 1001, &assignment)); break;
		default: APPLE_TRIAL(&trial, apple_sign_in(&trial.call, &script.session)); break;
		}
		assert_true(apple_call_is_running(&trial.call));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, ERR_BAD_INPUT);
		assert_true(trial.call.op.fault.text[0] != '\0');
	}
	assert_null(script.session.signing_in);
	free(serials);
	apple_trial_fini(&trial);
	apple_script_close(&script);
}

static void an_account_that_cannot_be_read_is_a_bad_answer(void **state)
{
	static const char *const answers[] = {
		"", "account", "[]", "{\"server_uuid\":17}", "{\"server_uuid\":\"A\",\"server_uuid\":\"B\"}", "{\"org_id\":\"\xff\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct apple_script script;
		struct apple_trial trial;
		struct apple_account account;

		APPLE_SCRIPT_OPEN(&script, { "GET /account", 200, answers[i], NULL });
		apple_script_signed_in(&script, "stored");
		apple_trial_init(&trial, &script);
		APPLE_TRIAL(&trial, apple_account(&trial.call, &script.session, &account));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, ERR_BAD_ANSWER);
		apple_account_fini(&account);
		apple_trial_fini(&trial);
		apple_script_close(&script);
	}
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
		cmocka_unit_test(a_call_without_a_session_gets_one_first_and_carries_every_header),
		cmocka_unit_test(a_stored_session_is_used_without_signing_in),
		cmocka_unit_test(an_explicit_sign_in_asks_for_nothing_else),
		cmocka_unit_test(a_session_that_cannot_be_used_is_a_bad_answer),
		cmocka_unit_test(any_answer_may_bring_a_new_session),
		cmocka_unit_test(an_unusable_session_in_a_header_is_not_taken),
		cmocka_unit_test(a_refused_session_is_renewed_once_and_the_request_repeated),
		cmocka_unit_test(a_session_that_is_refused_twice_ends_the_call),
		cmocka_unit_test(a_session_got_in_the_same_call_may_be_renewed_once_too),
		cmocka_unit_test(other_refusals_never_lead_to_a_new_session),
		cmocka_unit_test(a_refused_sign_in_is_repeated_once_with_a_fresh_nonce),
		cmocka_unit_test(a_wrong_clock_does_not_make_a_token_look_dead),
		cmocka_unit_test(a_sign_in_that_is_refused_twice_means_a_dead_token),
		cmocka_unit_test(a_sign_in_that_is_refused_otherwise_is_not_repeated),
		cmocka_unit_test(the_longest_call_is_six_requests),
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
		cmocka_unit_test(an_answer_beyond_the_limit_is_not_taken),
		cmocka_unit_test(retry_after_and_date_are_passed_on),
		cmocka_unit_test(a_peer_that_echoes_secrets_does_not_get_them_into_a_fault),
		cmocka_unit_test(a_session_is_wiped_at_its_end),
		cmocka_unit_test(a_profile_is_defined_and_read_back),
		cmocka_unit_test(an_unusable_profile_uuid_is_a_bad_answer),
		cmocka_unit_test(a_profile_that_is_no_object_or_too_large_is_not_taken),
		cmocka_unit_test(each_device_has_its_own_result),
		cmocka_unit_test(put_is_used_where_post_is_not_allowed),
		cmocka_unit_test(a_profile_is_removed_with_a_delete_that_has_a_body),
		cmocka_unit_test(details_are_asked_for_by_serial_number),
		cmocka_unit_test(what_cannot_be_asked_fails_later_and_sends_nothing),
		cmocka_unit_test(an_account_that_cannot_be_read_is_a_bad_answer),
		cmocka_unit_test(the_next_call_may_start_from_inside_the_completion),
		cmocka_unit_test(closing_the_client_cancels_a_call_and_those_that_wait_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
