// SPDX-License-Identifier: Apache-2.0
//
// How calls of the HTTP client end otherwise than by an answer: deadlines, cancellation in every state, closing.
#include "support/canned_peer.h"
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include <stdio.h>
#include <string.h>

static const struct http_client_config plain = { .allow_plain_http = true };

static void the_deadline_is_absolute(void **state)
{
	static const char *const paths[] = {
		"/hang", "/hang-in-head", "/hang-in-body", "/drip-head", "/drip-body", "/drip-interim",
	};
	struct http_trial trials[sizeof paths / sizeof *paths];
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		http_trial_init(&trials[i], &world, paths[i]);
		trials[i].call.lane_key = (int64_t)i;
		trials[i].call.timeout_ms = 150;
		http_trial_start(&trials[i]);
	}
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		HTTP_WAIT_UNTIL(&world, trials[i].completions > 0);
		assert_int_equal(trials[i].call.op.rc, ERR_TIMEOUT);
		assert_string_equal(trials[i].call.op.fault.text, "no answer within 150 ms");
		assert_true(trials[i].call.took_ms >= 149 && trials[i].call.took_ms < 5000);
		assert_int_equal(trials[i].call.answer.length, 0);
		http_trial_fini(&trials[i]);
	}
	http_world_close(&world);
}

static void the_deadline_counts_waiting(void **state)
{
	struct http_client_config config = plain;
	struct http_trial blocking;
	struct http_trial waiting;
	struct http_world world;

	(void)state;
	config.in_flight = 1;
	http_world_open(&world, config, canned_answer);
	http_trial_init(&blocking, &world, "/hang");
	http_trial_init(&waiting, &world, "/ok");
	waiting.call.timeout_ms = 50;
	http_trial_start(&blocking);
	http_trial_start(&waiting);
	http_trial_wait(&waiting);
	assert_int_equal(waiting.call.op.rc, ERR_TIMEOUT);
	assert_non_null(strstr(waiting.call.op.fault.text, "its turn did not come within 50 ms"));
	assert_int_equal(waiting.call.sent_at_us, 0);
	assert_int_equal(blocking.completions, 0);
	assert_int_equal(world.peer.requests, 1);
	http_trial_cancel(&blocking);
	http_trial_wait(&blocking);
	http_trial_fini(&blocking);
	http_trial_fini(&waiting);
	http_world_close(&world);
}

static void cancel_and_expect(struct http_trial *trial)
{
	http_trial_cancel(trial);
	http_trial_cancel(trial); // twice is harmless
	assert_int_equal(trial->completions, 0);
	http_trial_wait(trial);
	assert_int_equal(trial->call.op.rc, ERR_CANCELLED);
	http_trial_cancel(trial);
	http_trial_fini(trial);
	http_trial_cancel(trial);
}

static void a_call_can_be_cancelled_in_every_state(void **state)
{
	struct http_client_config config = plain;
	struct http_world world;
	struct http_trial trial;
	struct http_trial waiting;

	(void)state;
	config.in_flight = 1;
	http_world_open(&world, config, canned_answer);

	http_trial_init(&trial, &world, "/ok"); // before the start
	http_trial_cancel(&trial);
	assert_int_equal(http_trial_run(&trial), OK);
	http_trial_fini(&trial);

	http_trial_init(&trial, &world, "/ok"); // at once after the start
	http_trial_start(&trial);
	cancel_and_expect(&trial);
	assert_int_equal(world.peer.requests, 1);

	http_trial_init(&trial, &world, "/ok"); // handed to curl, nothing sent yet
	http_trial_start(&trial);
	HTTP_WAIT_UNTIL(&world, http_client_counters(world.client).in_flight == 1);
	cancel_and_expect(&trial);

	http_trial_init(&trial, &world, "/hang"); // waiting for the answer, and in the lane behind it
	http_trial_init(&waiting, &world, "/ok");
	http_trial_start(&trial);
	http_trial_start(&waiting);
	canned_hanging = 0;
	HTTP_WAIT_UNTIL(&world, canned_hanging == 1);
	assert_int_equal(http_client_counters(world.client).waiting, 1);
	cancel_and_expect(&waiting);
	cancel_and_expect(&trial);
	assert_int_equal(http_client_counters(world.client).waiting, 0);
	assert_int_equal(http_client_counters(world.client).in_flight, 0);

	http_trial_init(&trial, &world, "/drip-body"); // amid the answer
	http_trial_start(&trial);
	HTTP_WAIT_UNTIL(&world, trial.call.answer.length > 2);
	cancel_and_expect(&trial);
	assert_int_equal(http_outcome(&world, "/ok"), OK);
	http_world_close(&world);
}

static void cancel_in_the_hook(struct http_call *call)
{
	http_call_cancel(call);
}

static void a_call_can_be_cancelled_while_it_is_about_to_be_sent(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/ok");
	http_call_on_sending(&trial.call, cancel_in_the_hook);
	assert_int_equal(http_trial_run(&trial), ERR_CANCELLED);
	assert_int_equal(world.peer.requests, 0);
	http_trial_fini(&trial);
	http_world_close(&world);
}

static void cancel_the_next(struct http_trial *trial)
{
	http_trial_cancel(trial + 1);
}

static void a_completion_may_cancel_another_call(void **state)
{
	struct http_world world;
	struct http_trial trials[2];

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trials[0], &world, "/ok");
	http_trial_init(&trials[1], &world, "/hang");
	trials[0].done = cancel_the_next;
	http_trial_start(&trials[0]);
	http_trial_start(&trials[1]);
	http_trial_wait(&trials[1]);
	assert_int_equal(trials[0].call.op.rc, OK);
	assert_int_equal(trials[1].call.op.rc, ERR_CANCELLED);
	http_trial_fini(&trials[0]);
	http_trial_fini(&trials[1]);
	http_world_close(&world);
}

static char signature[64];

static void sign(struct http_call *call)
{
	assert_true(call->sent_at_us > 0);
	(void)snprintf(signature, sizeof signature, "X-Signature: %lld", (long long)call->sent_at_us);
	call->headers[0] = signature;
}

static void a_request_is_signed_after_it_has_waited(void **state)
{
	struct http_client_config config = plain;
	struct http_trial first;
	struct http_trial second;
	struct http_world world;

	(void)state;
	config.in_flight_per_key = 1;
	http_world_open(&world, config, canned_answer);
	signature[0] = '\0';
	http_trial_init(&first, &world, "/hang");
	http_trial_init(&second, &world, "/echo");
	http_call_on_sending(&second.call, sign);
	http_trial_start(&first);
	http_trial_start(&second);
	HTTP_WAIT_UNTIL(&world, world.peer.requests == 1);
	assert_string_equal(signature, "");
	http_trial_cancel(&first);
	http_trial_wait(&second);
	assert_true(strlen(signature) > 20);
	assert_non_null(strstr(second.call.answer.bytes, signature));
	http_trial_fini(&first);
	http_trial_fini(&second);
	http_world_close(&world);
}

static void closing_cancels_everything(void **state)
{
	enum { CALLS = 12 };
	static const char *const paths[] = { "/hang", "/drip-body" };
	struct http_trial trials[CALLS];
	struct http_client_config config = plain;
	struct http_world world;

	(void)state;
	config.in_flight = 4;
	http_world_open(&world, config, canned_answer);
	for (size_t i = 0; i < CALLS; i++) {
		http_trial_init(&trials[i], &world, paths[i % 2]);
		trials[i].call.lane_key = (int64_t)i / 2;
		http_trial_start(&trials[i]);
	}
	HTTP_WAIT_UNTIL(&world, world.peer.requests == 4);
	http_world_close_client(&world);
	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(trials[i].completions, 1);
		assert_int_equal(trials[i].call.op.rc, ERR_CANCELLED);
		http_trial_fini(&trials[i]);
	}
	http_world_close(&world);
}

static void start_again(struct http_trial *trial)
{
	if (trial->completions == 1) {
		http_trial_start(trial);
	}
}

static void a_call_started_while_the_client_closes_is_cancelled(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	http_trial_init(&trial, &world, "/hang");
	trial.done = start_again;
	http_trial_start(&trial);
	HTTP_WAIT_UNTIL(&world, world.peer.requests == 1);
	http_world_close_client(&world);
	assert_int_equal(trial.completions, 2);
	assert_int_equal(trial.call.op.rc, ERR_CANCELLED);
	http_trial_fini(&trial);
	http_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_deadline_is_absolute),
		cmocka_unit_test(the_deadline_counts_waiting),
		cmocka_unit_test(a_call_can_be_cancelled_in_every_state),
		cmocka_unit_test(a_call_can_be_cancelled_while_it_is_about_to_be_sent),
		cmocka_unit_test(a_completion_may_cancel_another_call),
		cmocka_unit_test(a_request_is_signed_after_it_has_waited),
		cmocka_unit_test(closing_cancels_everything),
		cmocka_unit_test(a_call_started_while_the_client_closes_is_cancelled),
	};

	return cmocka_run_group_tests_name("http_ends", tests, NULL, NULL);
}
