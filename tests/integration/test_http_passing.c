// SPDX-License-Identifier: Apache-2.0
//
// Calls of the HTTP client whose bodies come in parts, and whose answers pass by.
#include "support/canned_peer.h"
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_SIZE = 500000, PART = 7000, TAKE_LIMIT = 1 << 20 };

static const struct http_client_config plain = { .allow_plain_http = true };

struct passing_trial {
	struct http_trial trial;
	struct deferred next; // what was put off may go on
	bool may_pass;        // once
	size_t given;
	size_t breaks_at; // of the body; 0: it does not
	unsigned begun;
	int64_t announced;
	bool collects;
	bool refuses;
	unsigned put_off;
	struct buffer taken;
};

static struct passing_trial *trial_of(struct http_call *call)
{
	return CONTAINER_OF(CONTAINER_OF(call, struct http_trial, call), struct passing_trial, trial);
}

// Each part is put off once, to the next round.
static bool is_put_off(struct passing_trial *trial)
{
	if (trial->may_pass) {
		trial->may_pass = false;
		return false;
	}
	trial->put_off++;
	loop_defer(&trial->trial.world->loop, &trial->next);
	return true;
}

static void on_next(struct deferred *next)
{
	struct passing_trial *trial = CONTAINER_OF(next, struct passing_trial, next);

	trial->may_pass = true;
	http_call_go_on(&trial->trial.call);
}

static char byte_at(size_t i)
{
	return (char)('a' + i * i % 23);
}

static ptrdiff_t give(struct http_call *call, char *to, size_t space)
{
	struct passing_trial *trial = trial_of(call);
	size_t length = 0;

	if (trial->breaks_at > 0 && trial->given >= trial->breaks_at) {
		return HTTP_GIVE_BROKEN;
	}
	if (is_put_off(trial)) {
		return HTTP_GIVE_LATER;
	}
	for (; length < space && length < PART && trial->given < BODY_SIZE; length++) {
		to[length] = byte_at(trial->given++);
	}
	return (ptrdiff_t)length;
}

static bool give_again(struct http_call *call)
{
	trial_of(call)->given = 0;
	return true;
}

static bool begins(struct http_call *call, int64_t length)
{
	struct passing_trial *trial = trial_of(call);

	trial->begun++;
	trial->announced = length;
	assert_int_equal(call->status, 200);
	return !trial->collects;
}

static enum http_taken take(struct http_call *call, struct text bytes)
{
	struct passing_trial *trial = trial_of(call);

	if (trial->refuses) {
		return HTTP_TAKE_NO_MORE;
	}
	if (is_put_off(trial)) {
		return HTTP_TAKE_LATER;
	}
	buffer_add_text(&trial->taken, bytes);
	return HTTP_TAKEN;
}

static const struct http_passing answers = { .begins = begins, .take = take, .take_limit = TAKE_LIMIT };
static const struct http_passing both = { give, give_again, begins, take, TAKE_LIMIT };

static void trial_init(struct passing_trial *trial, struct http_world *world, const char *path, const struct http_passing *passing)
{
	*trial = (struct passing_trial){ .next = { .run = on_next }, .taken = BUFFER((size_t)2 * TAKE_LIMIT) };
	http_trial_init(&trial->trial, world, path);
	trial->trial.call.passing = passing;
}

static void trial_fini(struct passing_trial *trial)
{
	loop_forget(&trial->next);
	http_trial_fini(&trial->trial);
	buffer_fini(&trial->taken);
}

static void an_answer_passes_by_and_is_put_off_as_often_as_wanted(void **state)
{
	static const struct {
		const char *path;
		int64_t announced;
	} cases[] = { { "/ok", 5 }, { "/chunked", -1 }, { "/until-close", -1 } };
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct passing_trial trial;

		trial_init(&trial, &world, cases[i].path, &answers);
		assert_int_equal(http_trial_run(&trial.trial), OK);
		assert_true(text_equal(buffer_text(&trial.taken), TEXT("hello")));
		assert_int_equal(trial.trial.call.answer.length, 0);
		assert_int_equal(trial.announced, cases[i].announced);
		assert_int_equal(trial.begun, 1);
		assert_true(trial.put_off >= 1);
		trial_fini(&trial);
	}
	http_world_close(&world);
}

static void who_does_not_want_it_to_pass_by_gets_it_collected(void **state)
{
	struct http_world world;
	struct passing_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	trial_init(&trial, &world, "/chunked", &answers);
	trial.collects = true;
	assert_int_equal(http_trial_run(&trial.trial), OK);
	assert_true(text_equal(buffer_text(&trial.trial.call.answer), TEXT("hello")));
	assert_int_equal(trial.taken.length, 0);
	trial_fini(&trial);
	http_world_close(&world);
}

static void what_passes_by_has_a_limit_and_may_break_off(void **state)
{
	static const struct {
		const char *path;
		enum err rc;
	} cases[] = {
		{ "/endless-body", ERR_BUDGET }, { "/endless-chunks", ERR_BUDGET }, { "/cut-in-body", ERR_NETWORK }, { "/cut-in-chunk", ERR_NETWORK },
		{ "/cut-between-chunks", ERR_NETWORK },
	};
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct passing_trial trial;

		trial_init(&trial, &world, cases[i].path, &answers);
		assert_int_equal(http_trial_run(&trial.trial), cases[i].rc);
		assert_true(trial.taken.length <= TAKE_LIMIT);
		assert_int_equal(trial.begun, 1);
		trial_fini(&trial);
	}
	http_world_close(&world);
}

static void who_takes_no_more_ends_the_call(void **state)
{
	struct http_world world;
	struct passing_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	trial_init(&trial, &world, "/endless-body", &answers);
	trial.refuses = true;
	assert_int_equal(http_trial_run(&trial.trial), ERR_NETWORK);
	trial_fini(&trial);
	http_world_close(&world);
}

static void stop_taking(struct deferred *next)
{
	struct passing_trial *trial = CONTAINER_OF(next, struct passing_trial, next);

	trial->refuses = true;
	http_call_go_on(&trial->trial.call);
}

static void who_takes_no_more_of_what_was_put_off_ends_the_call(void **state)
{
	struct http_world world;
	struct passing_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	trial_init(&trial, &world, "/endless-body", &answers);
	trial.next.run = stop_taking;
	assert_int_equal(http_trial_run(&trial.trial), ERR_NETWORK);
	assert_int_equal(trial.put_off, 1);
	trial_fini(&trial);
	http_world_close(&world);
}

static void cancel(struct deferred *next)
{
	struct passing_trial *trial = CONTAINER_OF(next, struct passing_trial, next);

	http_call_go_on(&trial->trial.call);
	http_trial_cancel(&trial->trial);
	http_call_go_on(&trial->trial.call);
}

static void what_was_put_off_can_be_cancelled(void **state)
{
	struct http_world world;
	struct passing_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	trial_init(&trial, &world, "/endless-body", &answers);
	trial.next.run = cancel;
	assert_int_equal(http_trial_run(&trial.trial), ERR_CANCELLED);
	http_call_go_on(&trial.trial.call);
	trial_fini(&trial);
	http_world_close(&world);
}

static bool ends_with_body(const struct buffer *request)
{
	if (request->length < BODY_SIZE) {
		return false;
	}
	for (size_t i = 0; i < BODY_SIZE; i++) {
		if (request->bytes[request->length - BODY_SIZE + i] != byte_at(i)) {
			return false;
		}
	}
	return true;
}

static void a_body_comes_in_parts_with_each_method(void **state)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };
	struct http_world world;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		struct passing_trial trial;

		trial_init(&trial, &world, "/echo", &both);
		trial.trial.call.method = methods[i];
		trial.trial.call.body_length = BODY_SIZE;
		assert_int_equal(http_trial_run(&trial.trial), OK);
		assert_true(text_starts_with(buffer_text(&trial.taken), text_of(methods[i])));
		assert_true(text_contains_ignoring_case(buffer_text(&trial.taken), "\r\nContent-Length: 500000\r\n"));
		assert_false(text_contains_ignoring_case(buffer_text(&trial.taken), "\r\nExpect:"));
		assert_true(ends_with_body(&trial.taken));
		assert_true(trial.put_off > BODY_SIZE / PART);
		trial_fini(&trial);
	}
	http_world_close(&world);
}

static void a_body_that_breaks_off_ends_the_call(void **state)
{
	struct http_world world;
	struct passing_trial trial;

	(void)state;
	http_world_open(&world, plain, canned_answer);
	trial_init(&trial, &world, "/echo", &both);
	trial.trial.call.method = "POST";
	trial.trial.call.body_length = BODY_SIZE;
	trial.breaks_at = BODY_SIZE / 2;
	assert_int_equal(http_trial_run(&trial.trial), ERR_NETWORK);
	assert_int_equal(trial.begun, 0);
	trial_fini(&trial);
	http_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_passes_by_and_is_put_off_as_often_as_wanted),
		cmocka_unit_test(who_does_not_want_it_to_pass_by_gets_it_collected),
		cmocka_unit_test(what_passes_by_has_a_limit_and_may_break_off),
		cmocka_unit_test(who_takes_no_more_ends_the_call),
		cmocka_unit_test(who_takes_no_more_of_what_was_put_off_ends_the_call),
		cmocka_unit_test(what_was_put_off_can_be_cancelled),
		cmocka_unit_test(a_body_comes_in_parts_with_each_method),
		cmocka_unit_test(a_body_that_breaks_off_ends_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
