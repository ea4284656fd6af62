// SPDX-License-Identifier: Apache-2.0
//
// What the single calls send and make of the answers: profiles, assignments, details, the account.
#include "support/apple_script.h"
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

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

static void a_replacement_names_its_original_or_is_no_answer(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
		enum err rc;
		const char *original, *date;
	} answers[] = {
		{ 200, "{\"serial_number\":\"n w\",\"original_device_serial_number\":\"OLD\"}", ERR_BAD_ANSWER, "", "" },
		{ 200, "{\"serial_number\":\"a&b\",\"original_device_serial_number\":\" old1 \",\"replacement_date\":\"2026-11-24\"}", OK, "OLD1",
			"2026-11-24" },
		{ 200, "{\"serial_number\":\"A&B\",\"original_device_serial_number\":\"OLD1\",\"replacement_date\":\"2026-13-24\"}", OK, "OLD1", "" },
		{ 200, "{\"serial_number\":\"A&B\",\"original_device_serial_number\":\"OLD1\",\"replacement_date\":17}", OK, "OLD1", "" },
		{ 200, "{\"serial_number\":\"A&B\",\"original_device_serial_number\":\"OLD1\"}", OK, "OLD1", "" },
		{ 200, "{\"serial_number\":\"A&B\",\"original_device_serial_number\":\"a&b\"}", ERR_BAD_ANSWER, "", "" },
		{ 200, "{\"serial_number\":\"A&B\",\"original_device_serial_number\":\"O L D\"}", ERR_BAD_ANSWER, "", "" },
		{ 200, "{\"serial_number\":\"A&B\"}", ERR_BAD_ANSWER, "", "" },
		{ 200, "{\"serial_number\":\"OTHER\",\"original_device_serial_number\":\"OLD1\"}", ERR_BAD_ANSWER, "", "" },
		{ 200, "OK", ERR_BAD_ANSWER, "", "" },
		{ 404, "DEVICE_NOT_FOUND", ERR_REFUSED, "", "" },
		{ 400, "DEVICE_ID_REQUIRED", ERR_REFUSED, "", "" },
		{ 503, "", ERR_UNAVAILABLE, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct apple_replacement replacement;
		struct apple_script script;
		struct apple_trial trial;

		APPLE_SCRIPT_OPEN(&script, { "GET /device/replacementDetails?device=A%26B", answers[i].status, answers[i].body, NULL });
		apple_script_signed_in(&script, "stored");
		apple_trial_init(&trial, &script);
		APPLE_TRIAL(&trial, apple_replacement_details(&trial.call, &script.session, TEXT("A&B"), &replacement));
		apple_trial_wait(&trial);
		assert_int_equal(trial.call.op.rc, answers[i].rc);
		assert_string_equal(replacement.original_serial_number, answers[i].original);
		assert_string_equal(replacement.date, answers[i].date);
		apple_trial_fini(&trial);
		apple_script_close(&script);
	}
}

static void what_cannot_be_asked_fails_later_and_sends_nothing(void **state)
{
	struct text *serials = allocate_array(APPLE_SERIALS_MAX + 1, sizeof *serials);
	struct buffer profile CLEANUP(buffer_fini) = BUFFER(100);
	struct apple_script script;
	struct apple_trial trial;
	struct apple_page page;
	struct apple_assignment assignment;
	struct apple_replacement replacement;

	(void)state;
	apple_script_open(&script, NULL, 0);
	apple_trial_init(&trial, &script);
	for (int i = 0; i < 8; i++) {
		const char *name = script.base_url;

		script.server.base_url = i == 7 ? "ftp://nowhere" : name;
		switch (i) {
		case 0: APPLE_TRIAL(&trial, apple_device_details(&trial.call, &script.session, serials, 0, &page)); break;
		case 1: APPLE_TRIAL(&trial, apple_device_details(&trial.call, &script.session, serials, 1001, &page)); break;
		case 2: APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT_NONE, serials, 1, &assignment)); break;
		case 3: APPLE_TRIAL(&trial, apple_assign_profile(&trial.call, &script.session, TEXT("\"}"), serials, 1, &assignment)); break;
		case 4: APPLE_TRIAL(&trial, apple_get_profile(&trial.call, &script.session, TEXT("a&b=c"), &profile)); break;
		case 5: APPLE_TRIAL(&trial, apple_remove_profile(&trial.call, &script.session, serials, 1001, &assignment)); break;
		case 6: APPLE_TRIAL(&trial, apple_replacement_details(&trial.call, &script.session, TEXT_NONE, &replacement)); break;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_is_defined_and_read_back),
		cmocka_unit_test(an_unusable_profile_uuid_is_a_bad_answer),
		cmocka_unit_test(a_profile_that_is_no_object_or_too_large_is_not_taken),
		cmocka_unit_test(each_device_has_its_own_result),
		cmocka_unit_test(put_is_used_where_post_is_not_allowed),
		cmocka_unit_test(a_profile_is_removed_with_a_delete_that_has_a_body),
		cmocka_unit_test(details_are_asked_for_by_serial_number),
		cmocka_unit_test(a_replacement_names_its_original_or_is_no_answer),
		cmocka_unit_test(what_cannot_be_asked_fails_later_and_sends_nothing),
		cmocka_unit_test(an_account_that_cannot_be_read_is_a_bad_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
