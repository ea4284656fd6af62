// SPDX-License-Identifier: Apache-2.0
#include "loop/hint.h"
#include "support/cmocka_all.h"

#include "depbroker/clock.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { HEARD_MAX = 4096, WAIT_MS = 10000 };

struct world {
	struct loop loop;
	struct hint_pair pair;
	struct hint_listener listener;
	struct delay patience;
	int64_t heard[HEARD_MAX];
	size_t count, times;
	int64_t until; // this number ends the wait
};

static void stop(struct world *world)
{
	delay_stop(&world->patience);
	uv_stop(&world->loop.uv);
}

static void on_heard(struct hint_listener *listener, const int64_t *numbers, size_t count)
{
	struct world *world = listener->owner;

	world->times++;
	for (size_t i = 0; i < count; i++) {
		assert_true(world->count < HEARD_MAX);
		world->heard[world->count++] = numbers[i];
		if (numbers[i] == world->until) {
			stop(world);
		}
	}
}

static void on_patience(struct delay *delay)
{
	struct world *world = CONTAINER_OF(delay, struct world, patience);

	world->until = 0;
	stop(world);
}

static int open_world(void **state)
{
	struct world *world = allocate(sizeof *world);

	loop_init(&world->loop);
	assert_int_equal(hint_pair_open(&world->pair, NULL), OK);
	world->listener = (struct hint_listener){ .heard = on_heard, .owner = world };
	hint_listener_open(&world->listener, &world->loop, world->pair.hears);
	delay_init(&world->patience, &world->loop, on_patience);
	*state = world;
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	hint_listener_close(&world->listener, NULL);
	delay_close(&world->patience, NULL);
	loop_run(&world->loop);
	loop_fini(&world->loop);
	hint_pair_close(&world->pair);
	free(world);
	return 0;
}

static void wait_for(struct world *world, int64_t number)
{
	world->until = number;
	delay_start(&world->patience, WAIT_MS);
	loop_run(&world->loop);
	assert_int_equal(world->until, number);
}

static void say_raw(const struct world *world, const void *bytes, size_t length)
{
	(void)send(world->pair.says, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void a_hint_is_heard_once_however_often_it_was_said(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 20; i++) {
		hint_say(world->pair.says, 7);
	}
	hint_say(world->pair.says, 8);
	wait_for(world, 8);
	assert_int_equal(world->count, 2);
	assert_int_equal(world->heard[0], 7);
	assert_int_equal(world->times, 1);
}

static void what_was_said_before_anybody_listened_is_heard(void **state)
{
	struct world *world = *state;

	hint_say(world->pair.says, INT64_MAX);
	wait_for(world, INT64_MAX);
	hint_say(world->pair.says, 3);
	wait_for(world, 3);
}

static void what_is_no_hint_is_passed_over(void **state)
{
	struct world *world = *state;
	struct {
		char mark[8];
		int64_t number;
		char more;
	} made_up = { "depbhint", 5, 1 };

	say_raw(world, &made_up, 17); // longer
	say_raw(world, &made_up, 15); // shorter
	say_raw(world, "x", 1);
	made_up.mark[0] = 'D';
	say_raw(world, &made_up, 16);
	made_up.mark[0] = 'd';
	made_up.number = 0;
	say_raw(world, &made_up, 16);
	made_up.number = -5;
	say_raw(world, &made_up, 16);
	hint_say(world->pair.says, 9);
	wait_for(world, 9);
	assert_int_equal(world->count, 1);
	assert_int_equal(world->listener.malformed, 6);
}

// Law 2, and 3: nobody waits, and what is heard comes in batches with a rest in between.
static void a_flood_waits_for_nobody_and_costs_little(void **state)
{
	struct world *world = *state;
	const int64_t began_ms = clock_monotonic_ms();
	size_t before;

	for (int64_t number = 1; number <= 100000; number++) {
		hint_say(world->pair.says, number);
	}
	world->until = -1;
	delay_start(&world->patience, 20 * HINT_REST_MS);
	before = world->count;
	loop_run(&world->loop); // until the patience ends
	assert_true(world->count - before <= (size_t)HINT_BATCH * world->times);
	assert_true((int64_t)(world->times - 1) * HINT_REST_MS <= clock_monotonic_ms() - began_ms);
	assert_true(world->count < HEARD_MAX);
	hint_say(world->pair.says, 200000);
	wait_for(world, 200000);
}

// Nobody is left who could say anything: no spinning.
static void the_end_of_all_who_say_hints_is_silence(void **state)
{
	struct world *world = *state;
	const struct hint_pair pair = world->pair;

	assert_int_equal(shutdown(pair.says, SHUT_RDWR), 0);
	world->until = -1;
	delay_start(&world->patience, 20 * HINT_REST_MS);
	uv_update_time(&world->loop.uv);
	loop_run(&world->loop);
	assert_int_equal(world->count, 0);
	assert_false(uv_is_active((const uv_handle_t *)&world->listener.poll));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_hint_is_heard_once_however_often_it_was_said, open_world, close_world),
		cmocka_unit_test_setup_teardown(what_was_said_before_anybody_listened_is_heard, open_world, close_world),
		cmocka_unit_test_setup_teardown(what_is_no_hint_is_passed_over, open_world, close_world),
		cmocka_unit_test_setup_teardown(a_flood_waits_for_nobody_and_costs_little, open_world, close_world),
		cmocka_unit_test_setup_teardown(the_end_of_all_who_say_hints_is_silence, open_world, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
