// SPDX-License-Identifier: Apache-2.0
//
// The PostgreSQL of the tests itself: it survives a kill, and leaves nothing behind, not even when its program is killed.
#include "support/postgres.h"

#include "depbroker/text.h"
#include "support/cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 60000 };

static void what_was_committed_survives_a_kill(void **state)
{
	struct test_postgres *postgres = test_postgres_new();
	char *value;

	(void)state;
	test_postgres_run(postgres, "create table kept (a int); insert into kept values (42)");
	test_postgres_kill(postgres);
	test_postgres_start(postgres);
	value = test_postgres_ask(postgres, "select a from kept");
	assert_string_equal(value, "42");
	free(value);
	test_postgres_stop(postgres);
	test_postgres_free(postgres);
}

// Plays a test program that never gets to clean up; tells where its server is.
static void be_crashing_program(int pipe_end)
{
	const struct test_postgres *postgres = test_postgres_new();

	(void)dprintf(pipe_end, "%d %d %s\n", (int)postgres->pid, (int)postgres->guardian, postgres->directory);
	(void)raise(SIGKILL);
}

static void wait_for_process(pid_t pid)
{
	const int process = pidfd_open(pid, 0);
	struct pollfd end = { .fd = process, .events = POLLIN };

	if (process < 0) {
		assert_int_equal(errno, ESRCH);
		return;
	}
	assert_int_equal(poll(&end, 1, WAIT_MS), 1);
	(void)close(process);
}

static void a_killed_test_program_leaves_nothing_behind(void **state)
{
	char line[512] = "";
	char directory[256];
	int pipe_ends[2];
	int server;
	int guardian;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	pid = fork();
	if (pid == 0) {
		be_crashing_program(pipe_ends[1]);
		_exit(1);
	}
	(void)close(pipe_ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(read(pipe_ends[0], line, sizeof line - 1) > 0);
	(void)close(pipe_ends[0]);
	assert_int_equal(sscanf(line, "%d %d %255s", &server, &guardian, directory), 3);
	wait_for_process(guardian);
	wait_for_process(server);
	assert_int_equal(access(directory, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_survives_a_kill),
		cmocka_unit_test(a_killed_test_program_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("postgres", tests, NULL, NULL);
}
