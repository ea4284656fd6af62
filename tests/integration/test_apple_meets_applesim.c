// SPDX-License-Identifier: Apache-2.0
//
// Our client of Apple's service against applesim: two programs written after the same documents must understand each other.
#include "support/apple_laws.h"
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include "crypto/envelope.h"
#include "crypto/key_pair.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	pid_t pid;
	char apple[64];
	char control[64];
} sim;

static struct key_pair pair;

static void become_applesim(const int output, pid_t parent)
{
	char number[16];

	(void)snprintf(number, sizeof number, "%d", (int)parent);
	(void)dup2(output, STDOUT_FILENO);
	(void)execl(BUILD_DIRECTORY "/applesim", "applesim", "--seed", "3", "--parent", number, (char *)NULL);
	_exit(127);
}

static int start_applesim(void **state)
{
	char line[256] = "";
	const pid_t parent = getpid();
	struct fault fault;
	int ends[2];

	(void)state;
	if (pipe(ends) != 0 || key_pair_make(&pair, TEXT("acme"), clock_wall_us(), 2, &fault) != OK) {
		return -1;
	}
	sim.pid = fork();
	if (sim.pid == 0) {
		become_applesim(ends[1], parent);
	}
	(void)close(ends[1]);
	const ssize_t length = sim.pid > 0 ? read(ends[0], line, sizeof line - 1) : -1; // one line is one write

	(void)close(ends[0]);
	return length > 0 && sscanf(line, "{\"apple\":\"%63[^\"]\",\"control\":\"%63[^\"]\"}", sim.apple, sim.control) == 2 ? 0 : -1;
}

static int stop_applesim(void **state)
{
	int status = -1;

	(void)state;
	key_pair_fini(&pair);
	(void)kill(sim.pid, SIGTERM);
	(void)waitpid(sim.pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct meeting {
	struct http_world http;
	long tenant;
	struct server_token token;
	struct apple_server server;
	struct apple_session session;
	struct apple_call call;
	unsigned completions;
};

// Asks the control listener. The answer is the caller's to free.
static char *control(struct meeting *meeting, const char *method, const char *path, struct text body)
{
	struct http_trial trial;
	char url[256];
	char *answer;

	(void)snprintf(url, sizeof url, "%s%s", sim.control, path);
	http_trial_init(&trial, &meeting->http, url);
	trial.call.method = method;
	trial.call.body = body;
	assert_int_equal(http_trial_run(&trial), OK);
	if (trial.call.status >= 300) {
		fail_msg("%s %s: %u %s", method, path, trial.call.status, trial.call.answer.bytes);
	}
	answer = duplicate(buffer_text(&trial.call.answer));
	http_trial_fini(&trial);
	return answer;
}

static void tell(struct meeting *meeting, const char *method, const char *path, const char *body)
{
	free(control(meeting, method, path, text_of(body)));
}

static void on_done(struct op *op)
{
	struct meeting *meeting = CONTAINER_OF(op, struct meeting, call.op);

	meeting->completions++;
}

static void no_request(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	(void)connection;
	fail_msg("nobody asks this peer");
}

// The way of a token: certificate to Apple, .p7m back, opened.
static void take_token(struct meeting *meeting)
{
	struct buffer cms CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
	struct fault fault;
	char path[64];
	char *file;

	(void)snprintf(path, sizeof path, "/tenants/%ld/token", meeting->tenant);
	file = control(meeting, "POST", path, text_of(pair.certificate_pem));
	enum token_mistake mistake;

	assert_int_equal(token_file_read(&cms, text_of(file), &mistake, &fault), OK);
	assert_int_equal(envelope_open(&plain, buffer_text(&cms), buffer_text(&pair.private_key_der), text_of(pair.certificate_pem),
						 &fault), OK);
	assert_int_equal(token_parse(&meeting->token, buffer_text(&plain), &fault), OK);
	free(file);
}

static void meet(struct meeting *meeting, unsigned devices)
{
	char body[64];
	char *answer;

	*meeting = (struct meeting){ 0 };
	http_world_open(&meeting->http, (struct http_client_config){ .allow_plain_http = true }, no_request);
	(void)snprintf(body, sizeof body, "{\"devices\":%u,\"org_name\":\"Acme\"}", devices);
	answer = control(meeting, "POST", "/tenants", text_of(body));
	assert_int_equal(sscanf(answer, "{\"id\":%ld,", &meeting->tenant), 1);
	free(answer);
	take_token(meeting);
	meeting->server = (struct apple_server){
		.loop = &meeting->http.loop, .client = meeting->http.client, .base_url = sim.apple, .lane_key = 1,
	};
	apple_session_init(&meeting->session, &meeting->server, &meeting->token);
	apple_call_init(&meeting->call, on_done);
}

static void part(struct meeting *meeting)
{
	tell(meeting, "DELETE", "/faults", "");
	apple_call_fini(&meeting->call);
	apple_session_fini(&meeting->session);
	server_token_fini(&meeting->token);
	http_world_close(&meeting->http);
}

static enum err outcome(struct meeting *meeting)
{
	HTTP_WAIT_UNTIL(&meeting->http, meeting->completions > 0);
	assert_int_equal(meeting->completions, 1);
	meeting->completions = 0;
	return meeting->call.op.rc;
}

static enum err fetch(struct meeting *meeting, struct apple_page *page, struct text cursor, unsigned limit)
{
	apple_fetch_devices(&meeting->call, &meeting->session, cursor, limit, NULL, page);
	return outcome(meeting);
}

static enum err sync_changes(struct meeting *meeting, struct apple_page *page, struct text cursor, unsigned limit)
{
	apple_sync_devices(&meeting->call, &meeting->session, cursor, limit, page);
	return outcome(meeting);
}

// Reads the list to its end; the cursor is the caller's to free.
static char *read_list(struct meeting *meeting, size_t *devices, char serial[65])
{
	char *cursor = duplicate(TEXT(""));
	bool more = true;

	*devices = 0;
	while (more) {
		struct apple_page page;

		assert_int_equal(fetch(meeting, &page, text_of(cursor), 10), OK);
		apple_check_laws(&page);
		assert_int_equal(page.rejected + page.fields_ignored + page.extras_dropped, 0);
		*devices += page.count;
		if (page.count > 0) {
			(void)snprintf(serial, 65, "%.*s", TEXT_ARGS(page.devices[0].serial_number));
			assert_true(text_equal_string(page.devices[0].profile_status, "empty"));
		}
		more = page.more_to_follow;
		free(cursor);
		cursor = duplicate(page.cursor);
		apple_page_fini(&page);
	}
	return cursor;
}

static void the_account_is_the_one_of_the_token(void **state)
{
	struct meeting meeting;
	struct apple_account account;

	(void)state;
	meet(&meeting, 0);
	apple_account(&meeting.call, &meeting.session, &account);
	assert_int_equal(outcome(&meeting), OK);
	assert_true(text_equal_string(account.org_name, "Acme"));
	assert_int_equal(account.server_uuid.length, 32);
	assert_int_equal(account.fetch_limit, 1000);
	apple_account_fini(&account);
	part(&meeting);
}

static void a_list_is_read_in_pages_and_then_its_changes(void **state)
{
	struct meeting meeting;
	struct apple_page page;
	size_t devices;
	char serial[65];
	char path[128];

	(void)state;
	meet(&meeting, 25);
	char *cursor = read_list(&meeting, &devices, serial);

	assert_int_equal(devices, 25);
	(void)snprintf(path, sizeof path, "/tenants/%ld/devices", meeting.tenant);
	tell(&meeting, "POST", path, "{\"devices\":[{\"serial_number\":\"NEW0000001\",\"color\":\"PURPLE\",\"later\":[1]}]}");
	(void)snprintf(path, sizeof path, "/tenants/%ld/devices/%s", meeting.tenant, serial);
	tell(&meeting, "DELETE", path, "");
	assert_int_equal(sync_changes(&meeting, &page, text_of(cursor), 100), OK);
	apple_check_laws(&page);
	assert_int_equal(page.count, 2);
	assert_true(text_equal_string(page.devices[0].color, "PURPLE"));
	assert_non_null(strstr(page.devices[0].extra.bytes, "\"later\":[1]"));
	assert_int_equal(page.devices[0].operation, DEVICE_ADDED);
	assert_true(text_equal_string(page.devices[1].serial_number, serial));
	assert_int_equal(page.devices[1].operation, DEVICE_DELETED);
	apple_page_fini(&page);
	free(cursor);
	part(&meeting);
}

static void a_lost_session_is_renewed_unnoticed(void **state)
{
	struct meeting meeting;
	size_t devices;
	char serial[65];

	(void)state;
	meet(&meeting, 3);
	free(read_list(&meeting, &devices, serial));
	const unsigned generation = meeting.session.generation;

	tell(&meeting, "DELETE", "/sessions", "");
	free(read_list(&meeting, &devices, serial));
	assert_int_equal(devices, 3);
	assert_int_equal(meeting.session.generation, generation + 1);
	part(&meeting);
}

static void a_profile_is_defined_and_assigned_device_by_device(void **state)
{
	struct meeting meeting;
	struct apple_assignment assignment;
	char uuid[APPLE_PROFILE_UUID_MAX + 1];
	char serial[65];
	char fault[256];
	size_t devices;

	(void)state;
	meet(&meeting, 1);
	free(read_list(&meeting, &devices, serial));
	apple_define_profile(&meeting.call, &meeting.session,
		TEXT("{\"profile_name\":\"main\",\"url\":\"https://mdm.example.com/enroll\"}"), uuid);
	assert_int_equal(outcome(&meeting), OK);
	const struct text serials[] = { TEXT("ELSEWHERE"), text_of(serial) };

	apple_assign_profile(&meeting.call, &meeting.session, text_of(uuid), serials, 2, &assignment);
	assert_int_equal(outcome(&meeting), OK);
	assert_int_equal(assignment.results[0], ASSIGN_RESULT_NOT_ACCESSIBLE);
	assert_int_equal(assignment.results[1], ASSIGN_RESULT_SUCCESS);
	apple_assignment_fini(&assignment);
	(void)snprintf(fault, sizeof fault, "{\"tenant\":%ld,\"throttle\":{\"serials\":[\"%s\"],\"retry_after_seconds\":600}}",
		meeting.tenant, serial);
	tell(&meeting, "POST", "/faults", fault);
	apple_assign_profile(&meeting.call, &meeting.session, text_of(uuid), serials, 2, &assignment);
	assert_int_equal(outcome(&meeting), OK);
	assert_int_equal(assignment.results[1], ASSIGN_RESULT_THROTTLED);
	assert_int_equal(assignment.retry_after_s, 600);
	apple_assignment_fini(&assignment);
	apple_assign_profile(&meeting.call, &meeting.session, TEXT("00000000000000000000000000000000"), serials, 2, &assignment);
	assert_int_equal(outcome(&meeting), ERR_PROFILE_GONE);
	apple_remove_profile(&meeting.call, &meeting.session, serials, 2, &assignment);
	assert_int_equal(outcome(&meeting), OK);
	assert_int_equal(assignment.results[1], ASSIGN_RESULT_SUCCESS);
	apple_assignment_fini(&assignment);
	part(&meeting);
}

// Of an Apple TV Apple says that it cannot be locked.
static enum apple_lock lock_one_that_can_be(struct meeting *meeting, struct text key, char serial[65])
{
	enum apple_lock result = APPLE_LOCK_DEVICE_NOT_SUPPORTED;

	for (int i = 0; i < 20 && result == APPLE_LOCK_DEVICE_NOT_SUPPORTED; i++) {
		char path[64];
		char body[128];

		(void)snprintf(serial, 65, "LOCK%06d", i);
		(void)snprintf(path, sizeof path, "/tenants/%ld/devices", meeting->tenant);
		(void)snprintf(body, sizeof body, "{\"devices\":[{\"serial_number\":\"%s\"}]}", serial);
		tell(meeting, "POST", path, body);
		apple_activation_lock(&meeting->call, &meeting->session, text_of(serial), key, TEXT("Ring \"Acme\""), &result);
		assert_int_equal(outcome(meeting), OK);
	}
	return result;
}

static void a_device_is_locked_once_and_only_by_its_organisation(void **state)
{
	const struct text key = TEXT("6ab40d5eabe7218ec04182f461005600c7e3426bddd82cdb405bde9a1e0014b5");
	struct meeting meeting;
	enum apple_lock result;
	char serial[65];

	(void)state;
	meet(&meeting, 0);
	assert_int_equal(lock_one_that_can_be(&meeting, key, serial), APPLE_LOCK_SUCCESS);
	apple_activation_lock(&meeting.call, &meeting.session, text_of(serial), key, TEXT_NONE, &result);
	assert_int_equal(outcome(&meeting), OK);
	assert_string_equal(apple_lock_word(result), "DEVICE_ALREADY_LOCKED");
	apple_activation_lock(&meeting.call, &meeting.session, TEXT("ELSEWHERE"), key, TEXT_NONE, &result);
	assert_int_equal(outcome(&meeting), OK);
	assert_int_equal(result, APPLE_LOCK_NOT_ACCESSIBLE);
	apple_activation_lock(&meeting.call, &meeting.session, text_of(serial), TEXT("12"), TEXT_NONE, &result);
	assert_int_equal(outcome(&meeting), ERR_REFUSED);
	part(&meeting);
}

static void an_answer_that_does_not_say_whether_it_is_locked_is_none(void **state)
{
	static const char *const bodies[] = { "{}", "{\\\"serial_number\\\":\\\"OTHER\\\",\\\"response_status\\\":\\\"SUCCESS\\\"}",
		"{\\\"serial_number\\\":\\\"MINE\\\",\\\"response_status\\\":\\\"PERHAPS\\\"}", "[]" };
	struct meeting meeting;

	(void)state;
	meet(&meeting, 0);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		enum apple_lock result;
		char fault[256];

		(void)snprintf(fault, sizeof fault, "{\"endpoint\":\"/device/activationlock\",\"status\":200,\"body\":\"%s\"}", bodies[i]);
		tell(&meeting, "POST", "/faults", fault);
		apple_activation_lock(&meeting.call, &meeting.session, TEXT("MINE"), TEXT("00"), TEXT_NONE, &result);
		assert_int_equal(outcome(&meeting), ERR_BAD_ANSWER);
		tell(&meeting, "DELETE", "/faults", "");
	}
	part(&meeting);
}

static void what_cursors_may_not_do_has_its_own_code(void **state)
{
	struct meeting meeting;
	struct apple_page page;
	size_t devices;
	char serial[65];

	(void)state;
	meet(&meeting, 1);
	char *cursor = read_list(&meeting, &devices, serial);

	assert_int_equal(fetch(&meeting, &page, text_of(cursor), 10), ERR_CURSOR_END);
	apple_page_fini(&page);
	assert_int_equal(sync_changes(&meeting, &page, TEXT("abc"), 10), ERR_CURSOR_LOST);
	apple_page_fini(&page);
	tell(&meeting, "POST", "/clock", "{\"advance_s\":604801}");
	assert_int_equal(sync_changes(&meeting, &page, text_of(cursor), 10), ERR_CURSOR_LOST);
	assert_string_equal(meeting.call.apple_error, "EXPIRED_CURSOR");
	apple_page_fini(&page);
	free(cursor);
	part(&meeting);
}

static void refusals_of_the_whole_tenant_have_their_own_codes(void **state)
{
	static const struct {
		const char *fault; // its members
		enum err rc;
	} refusals[] = {
		{ "\"terms_unsigned\":true", ERR_TERMS },
		{ "\"token_rejected\":true", ERR_TOKEN_DEAD },
		{ "\"status\":503,\"body\":\"<html>\"", ERR_UNAVAILABLE },
		{ "\"status\":429,\"body\":\"TOO_MANY_REQUESTS\"", ERR_THROTTLED },
		{ "\"cut_after_bytes\":5", ERR_NETWORK },
	};
	struct meeting meeting;

	(void)state;
	meet(&meeting, 1);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct apple_page page;
		char fault[256];

		(void)snprintf(fault, sizeof fault, "{\"tenant\":%ld,%s,\"times\":0}", meeting.tenant, refusals[i].fault);
		tell(&meeting, "POST", "/faults", fault);
		assert_int_equal(fetch(&meeting, &page, TEXT_NONE, 10), refusals[i].rc);
		apple_page_fini(&page);
		tell(&meeting, "DELETE", "/faults", "");
		assert_int_equal(fetch(&meeting, &page, TEXT_NONE, 10), OK);
		apple_page_fini(&page);
	}
	part(&meeting);
}

static void a_newer_token_is_the_death_of_the_older_one(void **state)
{
	struct meeting meeting;
	struct apple_page page;
	struct server_token old;

	(void)state;
	meet(&meeting, 1);
	old = meeting.token;
	take_token(&meeting); // into meeting.token; the session still has its address
	assert_int_equal(fetch(&meeting, &page, TEXT_NONE, 10), OK);
	apple_page_fini(&page);
	tell(&meeting, "DELETE", "/sessions", "");
	meeting.session.server_token = &old;
	assert_int_equal(fetch(&meeting, &page, TEXT_NONE, 10), ERR_TOKEN_DEAD);
	apple_page_fini(&page);
	server_token_fini(&old);
	part(&meeting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_account_is_the_one_of_the_token),
		cmocka_unit_test(a_list_is_read_in_pages_and_then_its_changes),
		cmocka_unit_test(a_lost_session_is_renewed_unnoticed),
		cmocka_unit_test(a_profile_is_defined_and_assigned_device_by_device),
		cmocka_unit_test(a_device_is_locked_once_and_only_by_its_organisation),
		cmocka_unit_test(an_answer_that_does_not_say_whether_it_is_locked_is_none),
		cmocka_unit_test(what_cursors_may_not_do_has_its_own_code),
		cmocka_unit_test(refusals_of_the_whole_tenant_have_their_own_codes),
		cmocka_unit_test(a_newer_token_is_the_death_of_the_older_one),
	};

	return cmocka_run_group_tests(tests, start_applesim, stop_applesim);
}
