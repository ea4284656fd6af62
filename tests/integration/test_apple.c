// SPDX-License-Identifier: Apache-2.0
//
// Calls to Apple over real sockets: sign-in, rotation, renewal, refusals. The script of each test also says how many
// requests there are.
#include "support/apple_script.h"
#include "support/cmocka_all.h"

#include "depbroker/digest.h"
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
	unsigned char digest[SHA256_SIZE];

	(void)state;
	sha256(digest, &(struct digest_part){ PAGE, sizeof PAGE - 1 }, 1);
	APPLE_SCRIPT_OPEN(&script, { "POST /server/devices", 200, PAGE, NULL }, { "POST /devices/sync", 200, EMPTY_PAGE, NULL });
	apple_script_signed_in(&script, "stored");
	script.server.protocol_version = 7;
	(void)snprintf(script.base_url + strlen(script.base_url), 2, "/");
	apple_trial_init(&trial, &script);
	APPLE_TRIAL(&trial, apple_fetch_devices(&trial.call, &script.session, TEXT_NONE, 200, NULL, &page));
	apple_trial_wait(&trial);
	assert_int_equal(trial.call.op.rc, OK);
	assert_int_equal(page.count, 1);
	assert_true(page.more_to_follow && text_equal_string(page.cursor, "c2"));
	assert_memory_equal(page.digest, digest, sizeof digest); // of what was received
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
	APPLE_TRIAL(trial, apple_fetch_devices(&trial->call, &script->session, TEXT("c1"), 1000, NULL, &page));
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
		cmocka_unit_test(an_answer_beyond_the_limit_is_not_taken),
		cmocka_unit_test(retry_after_and_date_are_passed_on),
		cmocka_unit_test(a_peer_that_echoes_secrets_does_not_get_them_into_a_fault),
		cmocka_unit_test(a_session_is_wiped_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
