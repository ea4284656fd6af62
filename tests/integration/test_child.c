// SPDX-License-Identifier: Apache-2.0
//
// Child processes: restart with back-off, stop in every state, no orphans, nothing leaked. The children are this program itself.
#include "loop/child.h"
#include "loop/stop_signal.h"

#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDS_MAX = 8, WAIT_MS = 20000 };

struct world {
	struct loop loop;
	struct child child;
	int from_child[2]; // children inherit its write end, and say there that they are ready
	char pipe_number[16];
	int ends;
	int stop_after_ends;
	int64_t ended_at_ms[ENDS_MAX];
	int codes[ENDS_MAX];
	int signals[ENDS_MAX];
	int stopped;
};

static void on_stopped(struct child *child)
{
	struct world *world = child->owner;

	assert_int_equal(child->state, CHILD_STOPPED);
	world->stopped++;
}

static void on_ended(struct child *child, int exit_code, int exit_signal)
{
	struct world *world = child->owner;

	assert_true(world->ends < ENDS_MAX);
	world->ended_at_ms[world->ends] = clock_monotonic_ms();
	world->codes[world->ends] = exit_code;
	world->signals[world->ends] = exit_signal;
	world->ends++;
	if (world->ends == world->stop_after_ends) {
		child_stop(child, on_stopped);
	}
}

static void world_init(struct world *world)
{
	*world = (struct world){ 0 };
	loop_init(&world->loop);
	assert_int_equal(pipe(world->from_child), 0);
	assert_int_not_equal(fcntl(world->from_child[0], F_SETFD, FD_CLOEXEC), -1);
	(void)snprintf(world->pipe_number, sizeof world->pipe_number, "%d", world->from_child[1]);
	world->child.owner = world;
	world->child.ended = on_ended;
}

static void world_fini(struct world *world)
{
	loop_fini(&world->loop);
	(void)close(world->from_child[0]);
	(void)close(world->from_child[1]);
}

static enum err start(struct world *world, struct child_config config, const char **arguments)
{
	config.name = arguments[1];
	config.arguments = arguments;
	return child_start(&world->child, &world->loop, &config, NULL);
}

#define ARGUMENTS(world, mode) ((const char *[]){ "/proc/self/exe", (mode), (world)->pipe_number, NULL })

static void wait_until_ready(const struct world *world)
{
	struct pollfd readable = { .fd = world->from_child[0], .events = POLLIN };
	char byte;

	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	assert_int_equal(read(world->from_child[0], &byte, 1), 1);
}

static void a_child_that_fails_is_restarted_with_growing_delays(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world.stop_after_ends = 4;
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, ARGUMENTS(&world, "fail")), OK);
	loop_run(&world.loop);
	assert_int_equal(world.ends, 4);
	assert_int_equal(world.codes[0], 3);
	assert_int_equal(world.signals[0], 0);
	assert_int_equal(world.child.restarts, 3);
	assert_true(world.ended_at_ms[1] - world.ended_at_ms[0] >= 99);
	assert_true(world.ended_at_ms[2] - world.ended_at_ms[1] >= 199);
	assert_true(world.ended_at_ms[3] - world.ended_at_ms[2] >= 399);
	assert_int_equal(world.stopped, 1);
	world_fini(&world);
}

static void a_child_that_was_sound_is_restarted_at_once(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world.stop_after_ends = 3;
	assert_int_equal(start(&world, (struct child_config){ .restart = true, .sound_after_ms = 1 }, ARGUMENTS(&world, "linger")), OK);
	loop_run(&world.loop);
	assert_int_equal(world.child.restarts, 2);
	assert_int_equal(world.child.backoff_ms, 0);
	world_fini(&world);
}

static void a_killed_child_is_reported_and_restarted(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world.stop_after_ends = 2;
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, ARGUMENTS(&world, "stubborn")), OK);
	wait_until_ready(&world);
	child_kill(&world.child);
	while (world.ends == 0 || world.child.state != CHILD_RUNNING) {
		(void)uv_run(&world.loop.uv, UV_RUN_ONCE);
	}
	wait_until_ready(&world);
	child_kill(&world.child);
	loop_run(&world.loop);
	assert_int_equal(world.signals[0], SIGKILL);
	assert_int_equal(world.ends, 2);
	assert_int_equal(world.child.pid, 0);
	world_fini(&world);
}

static void a_child_without_restart_ends_once_and_is_then_stopped_at_leisure(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ 0 }, ARGUMENTS(&world, "fail")), OK);
	loop_run(&world.loop);
	assert_int_equal(world.ends, 1);
	assert_int_equal(world.child.state, CHILD_IDLE);
	child_stop(&world.child, on_stopped);
	assert_int_equal(world.stopped, 0); // not from inside
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	world_fini(&world);
}

static void a_child_is_asked_to_stop_and_given_the_time_to_do_it(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, ARGUMENTS(&world, "graceful")), OK);
	wait_until_ready(&world);
	child_stop(&world.child, on_stopped);
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	assert_int_equal(world.ends, 0); // it did not end by itself
	assert_int_equal(world.child.exit_code, 7);
	assert_int_equal(world.child.exit_signal, 0);
	world_fini(&world);
}

static void a_child_that_does_not_stop_in_time_is_killed(void **state)
{
	struct world world;
	int64_t asked_at_ms;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ .stop_timeout_ms = 150 }, ARGUMENTS(&world, "stubborn")), OK);
	wait_until_ready(&world);
	asked_at_ms = clock_monotonic_ms();
	child_stop(&world.child, on_stopped);
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	assert_int_equal(world.child.exit_signal, SIGKILL);
	assert_true(clock_monotonic_ms() - asked_at_ms >= 149);
	world_fini(&world);
}

static void a_child_waiting_for_its_restart_is_stopped_without_one(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, ARGUMENTS(&world, "fail")), OK);
	while (world.child.state != CHILD_WAITING_TO_RESTART) {
		(void)uv_run(&world.loop.uv, UV_RUN_ONCE);
	}
	child_stop(&world.child, on_stopped);
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	assert_int_equal(world.child.restarts, 0);
	world_fini(&world);
}

static void a_child_that_is_stopping_or_stopped_may_be_stopped_again(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ 0 }, ARGUMENTS(&world, "graceful")), OK);
	wait_until_ready(&world);
	child_stop(&world.child, on_stopped);
	child_stop(&world.child, on_stopped);
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	child_stop(&world.child, on_stopped);
	assert_int_equal(world.stopped, 2);
	world_fini(&world);
}

static void a_child_that_was_never_started_is_stopped_at_once(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	child_stop(&world.child, on_stopped);
	assert_int_equal(world.stopped, 1);
	world_fini(&world);
}

static void a_program_that_is_not_there_is_a_fault_at_the_start(void **state)
{
	const char *arguments[] = { "/does/not/exist", "missing", NULL };
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, arguments), ERR_SYSTEM);
	assert_int_equal(world.child.state, CHILD_IDLE);
	child_stop(&world.child, on_stopped);
	loop_run(&world.loop);
	assert_int_equal(world.stopped, 1);
	assert_int_equal(world.ends, 0);
	world_fini(&world);
}

static void a_program_that_goes_away_is_tried_again(void **state)
{
	const char *arguments[] = { "/proc/self/exe", "fail", "0", NULL };
	struct world world;

	(void)state;
	world_init(&world);
	world.stop_after_ends = 3;
	assert_int_equal(start(&world, (struct child_config){ .restart = true }, arguments), OK);
	arguments[0] = "/does/not/exist";
	loop_run(&world.loop);
	assert_int_equal(world.codes[0], 3);
	assert_int_equal(world.codes[1], 127);
	assert_int_equal(world.codes[2], 127);
	world_fini(&world);
}

static void a_child_has_a_session_of_its_own(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world.stop_after_ends = 1;
	assert_int_equal(start(&world, (struct child_config){ 0 }, ARGUMENTS(&world, "session")), OK);
	loop_run(&world.loop);
	assert_int_equal(world.codes[0], 0);
	world_fini(&world);
}

static void no_descriptor_stays_open(void **state)
{
	size_t before = 0;

	(void)state;
	for (int round = 0; round < 4; round++) {
		struct world world;

		world_init(&world);
		world.stop_after_ends = 2;
		assert_int_equal(start(&world, (struct child_config){ .restart = true }, ARGUMENTS(&world, "fail")), OK);
		loop_run(&world.loop);
		world_fini(&world);
		if (round == 0) {
			before = count_open_descriptors(); // libuv keeps one pair for signals
		}
	}
	assert_int_equal(count_open_descriptors(), before);
}

// The parent's side of the orphan test: a process of its own, with a tied child, until it is killed.
static void be_parent(void)
{
	char parent_number[16];
	char pipe_number[] = "1";
	const char *arguments[] = { "/proc/self/exe", "tied", pipe_number, parent_number, NULL };
	const struct child_config config = { .name = "tied", .arguments = arguments, .restart = true };
	struct loop loop;
	struct child child = { 0 };

	(void)snprintf(parent_number, sizeof parent_number, "%d", (int)getpid());
	loop_init(&loop);
	if (child_start(&child, &loop, &config, NULL) != OK) {
		_exit(1);
	}
	loop_run(&loop);
	_exit(1);
}

static void a_child_dies_with_its_killed_parent(void **state)
{
	int ends[2];
	pid_t parent;
	pid_t grandchild = 0;
	int status;
	struct pollfd readable;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl("/proc/self/exe", "test_child", "parent", (char *)NULL);
		_exit(1);
	}
	(void)close(ends[1]);
	readable = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	assert_int_equal(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
	assert_int_equal(kill(grandchild, 0), 0);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	// The pipe ends when the last process that holds it is gone: the grandchild, which nobody but the kernel has told.
	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	assert_int_equal(read(ends[0], &grandchild, sizeof grandchild), 0);
	(void)close(ends[0]);
}

struct told {
	struct stop_signals signals;
	struct delay busy; // signals alone do not keep the loop running
	int stops;
	int agains;
};

static void on_too_late(struct delay *delay)
{
	delay_close(delay, NULL);
}

static void on_stop(struct stop_signals *signals)
{
	struct told *told = signals->owner;

	told->stops++;
	assert_int_equal(kill(getpid(), SIGINT), 0);
}

static void on_stop_again(struct stop_signals *signals)
{
	struct told *told = signals->owner;

	told->agains++;
	stop_signals_close(signals);
	delay_close(&told->busy, NULL);
}

static void the_first_signal_asks_to_stop_and_the_next_to_hurry(void **state)
{
	struct told told = { .signals = { .stop = on_stop, .again = on_stop_again } };
	struct loop loop;

	(void)state;
	loop_init(&loop);
	told.signals.owner = &told;
	stop_signals_open(&told.signals, &loop);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	delay_init(&told.busy, &loop, on_too_late);
	delay_start(&told.busy, WAIT_MS);
	loop_run(&loop);
	assert_int_equal(told.stops, 1);
	assert_int_equal(told.agains, 1);
	loop_fini(&loop);
}

static void on_terminate(int number)
{
	(void)number;
	_exit(7);
}

static int be_child(const char *mode, int pipe_end, const char *parent)
{
	if (strcmp(mode, "fail") == 0) {
		_exit(3);
	}
	if (strcmp(mode, "linger") == 0) {
		(void)poll(NULL, 0, 20);
		_exit(3);
	}
	if (strcmp(mode, "session") == 0) {
		_exit(getsid(0) == getpid() ? 0 : 1);
	}
	if (strcmp(mode, "tied") == 0) {
		const pid_t self = getpid();

		child_tie_to_parent(SIGKILL, (pid_t)strtol(parent, NULL, 10));
		if (write(pipe_end, &self, sizeof self) != sizeof self) {
			_exit(1);
		}
	} else {
		(void)signal(SIGTERM, strcmp(mode, "graceful") == 0 ? on_terminate : SIG_IGN);
		if (write(pipe_end, "r", 1) != 1) {
			_exit(1);
		}
	}
	for (;;) {
		(void)pause();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_fails_is_restarted_with_growing_delays),
		cmocka_unit_test(a_child_that_was_sound_is_restarted_at_once),
		cmocka_unit_test(a_killed_child_is_reported_and_restarted),
		cmocka_unit_test(a_child_without_restart_ends_once_and_is_then_stopped_at_leisure),
		cmocka_unit_test(a_child_is_asked_to_stop_and_given_the_time_to_do_it),
		cmocka_unit_test(a_child_that_does_not_stop_in_time_is_killed),
		cmocka_unit_test(a_child_waiting_for_its_restart_is_stopped_without_one),
		cmocka_unit_test(a_child_that_is_stopping_or_stopped_may_be_stopped_again),
		cmocka_unit_test(a_child_that_was_never_started_is_stopped_at_once),
		cmocka_unit_test(a_program_that_is_not_there_is_a_fault_at_the_start),
		cmocka_unit_test(a_program_that_goes_away_is_tried_again),
		cmocka_unit_test(a_child_has_a_session_of_its_own),
		cmocka_unit_test(no_descriptor_stays_open),
		cmocka_unit_test(a_child_dies_with_its_killed_parent),
		cmocka_unit_test(the_first_signal_asks_to_stop_and_the_next_to_hurry),
	};

	if (argc == 2) {
		be_parent();
	}
	if (argc > 2) {
		return be_child(argv[1], (int)strtol(argv[2], NULL, 10), argv[argc - 1]);
	}
	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
