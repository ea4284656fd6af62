// SPDX-License-Identifier: Apache-2.0
//
// The supervisor with a real embedded PostgreSQL. This program plays `serve`, and stands in for migrate, api and worker.
// Everything that a supervisor starts inherits the write end of one pipe: members say there that they run, and when the pipe
// ends, nothing of it is left.
#include "supervisor/supervisor.h"

#include "depbroker/process.h"
#include "loop/child.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "supervisor/internal_exec.h"
#include "supervisor/postgres_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 60000, LINE_SIZE = 1024 };

extern char **environ;

struct running {
	pid_t pid;
	int from_members;
};

struct plan { // how a supervisor is started, and how its members behave
	const char *state_dir;
	const char *database_url; // NULL: embedded
	const char *user;         // NULL: as the test
	const char *migrate_exit; // NULL: 0
	const char *mode;         // of api and workers: NULL or "stubborn"
};

static void set(const char *name, const char *value)
{
	if ((value != NULL ? setenv(name, value, 1) : unsetenv(name)) != 0) {
		_exit(99);
	}
}

static void become(const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (user == NULL || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
		_exit(98);
	}
}

static struct running serve(const struct plan *plan)
{
	struct running running;
	char number[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_not_equal(fcntl(ends[0], F_SETFD, FD_CLOEXEC), -1);
	(void)snprintf(number, sizeof number, "%d", ends[1]);
	running.from_members = ends[0];
	running.pid = fork();
	if (running.pid == 0) {
		set("DEPBROKER_STATE_DIR", plan->state_dir);
		set("DEPBROKER_DATABASE_URL", plan->database_url);
		set("DEPBROKER_WORKERS", "2");
		set("MEMBER_PIPE", number);
		set("MEMBER_MODE", plan->mode);
		set("MIGRATE_EXIT", plan->migrate_exit);
		if (plan->user != NULL) {
			become(plan->user);
		}
		(void)execl("/proc/self/exe", "depbroker", "serve", (char *)NULL);
		_exit(97);
	}
	(void)close(ends[1]);
	return running;
}

// The next line of a member: "worker 123 0 host-0123 host-4567\n", without its end. False when the pipe has ended.
static bool next_line(const struct running *running, char line[LINE_SIZE])
{
	size_t length = 0;

	while (length + 1 < LINE_SIZE) {
		struct pollfd readable = { .fd = running->from_members, .events = POLLIN };

		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		if (read(running->from_members, line + length, 1) != 1) {
			assert_int_equal(length, 0);
			return false;
		}
		if (line[length] == '\n') {
			break;
		}
		length++;
	}
	line[length] = '\0';
	return true;
}

static void expect_line(const struct running *running, const char *start, char line[LINE_SIZE])
{
	assert_true(next_line(running, line));
	if (strncmp(line, start, strlen(start)) != 0) {
		fail_msg("expected \"%s...\", got \"%s\"", start, line);
	}
}

static void expect_nothing_is_left(struct running *running)
{
	char line[LINE_SIZE];

	while (next_line(running, line)) {
	}
	(void)close(running->from_members);
}

static int exit_code_of(const struct running *running)
{
	int status;

	assert_int_equal(waitpid(running->pid, &status, 0), running->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// api and both workers, in any order; the first worker's line if it is wanted.
static void expect_members(const struct running *running, char *first_worker)
{
	bool seen[3] = { false, false, false };

	for (int i = 0; i < 3; i++) {
		char line[LINE_SIZE];
		int index = -1;

		assert_true(next_line(running, line));
		if (strncmp(line, "api ", 4) == 0) {
			index = 0;
		} else if (sscanf(line, "worker %*d %d", &index) == 1) {
			index++;
		}
		assert_in_range(index, 0, 2);
		assert_false(seen[index]);
		seen[index] = true;
		if (index == 1 && first_worker != NULL) {
			(void)snprintf(first_worker, LINE_SIZE, "%s", line);
		}
	}
}

static void expect_database(const char *url)
{
	PGconn *connection = PQconnectdb(url);
	PGresult *result = PQexec(connection, "select current_database() || ' ' || current_setting('data_checksums') || ' ' || "
		"current_setting('server_encoding') || ' ' || current_setting('listen_addresses')");

	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		fail_msg("%s", PQerrorMessage(connection));
	}
	assert_string_equal(PQgetvalue(result, 0, 0), "depbroker on UTF8 ");
	PQclear(result);
	PQfinish(connection);
}

// Brings one up, and gives what its migrate was told about the database.
static struct running serve_until_up(const struct plan *plan, char url[LINE_SIZE])
{
	struct running running = serve(plan);
	char line[LINE_SIZE];

	expect_line(&running, "migrate ", line);
	(void)snprintf(url, LINE_SIZE, "%s", line + strlen("migrate "));
	expect_members(&running, NULL);
	return running;
}

static char *state_directory(void)
{
	char *path = temporary_directory();

	assert_int_equal(chmod(path, 0711), 0); // as root, PostgreSQL's user must pass
	return path;
}

static void drop(char *directory)
{
	remove_tree(directory);
	free(directory);
}

static void write_file(const char *directory, const char *name, const char *content)
{
	char path[LINE_SIZE];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void a_first_start_makes_a_database_and_a_second_one_finds_it(void **state)
{
	char *directory = state_directory();
	const struct plan plan = { .state_dir = directory };
	char left_over[LINE_SIZE];
	char url[LINE_SIZE];

	(void)state;
	// As an interrupted first start leaves it.
	(void)snprintf(left_over, sizeof left_over, "%s/postgres.new", directory);
	assert_int_equal(mkdir(left_over, 0700), 0);
	write_file(left_over, "PG_VERSION", "15\n");
	if (geteuid() == 0) {
		struct postgres_user user;

		assert_int_equal(postgres_user_find(&user, NULL), OK);
		assert_int_equal(chown(left_over, user.uid, user.gid), 0);
	}
	for (int start = 0; start < 2; start++) {
		struct running running = serve_until_up(&plan, url);

		expect_database(url);
		assert_int_equal(kill(running.pid, SIGTERM), 0);
		expect_nothing_is_left(&running);
		assert_int_equal(exit_code_of(&running), 0);
	}
	drop(directory);
}

static void nothing_outlives_a_killed_supervisor_and_the_next_one_starts(void **state)
{
	char *directory = state_directory();
	const struct plan plan = { .state_dir = directory };
	char url[LINE_SIZE];
	struct running running = serve_until_up(&plan, url);
	struct running next;

	(void)state;
	assert_int_equal(kill(running.pid, SIGKILL), 0);
	assert_int_equal(exit_code_of(&running), 128 + SIGKILL);
	next = serve_until_up(&plan, url); // at once, while the old PostgreSQL may still be on its way out
	expect_nothing_is_left(&running);
	expect_database(url);
	assert_int_equal(kill(next.pid, SIGINT), 0);
	expect_nothing_is_left(&next);
	assert_int_equal(exit_code_of(&next), 0);
	drop(directory);
}

static void one_state_directory_has_one_supervisor(void **state)
{
	char *directory = state_directory();
	const struct plan plan = { .state_dir = directory };
	char url[LINE_SIZE];
	struct running running = serve_until_up(&plan, url);
	struct running second = serve(&plan);

	(void)state;
	expect_nothing_is_left(&second);
	assert_int_equal(exit_code_of(&second), 1);
	assert_int_equal(kill(running.pid, SIGTERM), 0);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 0);
	drop(directory);
}

static void it_works_for_an_ordinary_user_below_a_very_long_path(void **state)
{
	char *directory = state_directory();
	struct buffer path CLEANUP(buffer_fini) = BUFFER(LINE_SIZE);
	char url[LINE_SIZE];
	const char *socket_dir;

	(void)state;
	if (geteuid() != 0) {
		free(directory);
		skip();
	}
	const struct passwd *nobody = getpwnam("nobody");

	assert_non_null(nobody);
	assert_int_equal(chown(directory, nobody->pw_uid, nobody->pw_gid), 0);
	buffer_add_format(&path, "%s/%0100d", directory, 0);
	const struct plan plan = { .state_dir = path.bytes, .user = "nobody" };
	struct running running = serve_until_up(&plan, url);

	expect_database(url);
	assert_int_equal(kill(running.pid, SIGTERM), 0);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 0);
	socket_dir = strstr(url, "host=/tmp/depbroker-");
	assert_non_null(socket_dir);
	assert_int_equal(access(socket_dir + strlen("host="), F_OK), -1);
	drop(directory);
}

static void a_directory_that_postgres_cannot_reach_is_refused_with_the_way_out(void **state)
{
	char *directory = temporary_directory(); // mode 0700
	char *absolute;
	struct postgres_user user;
	struct fault fault = { "" };

	(void)state;
	if (geteuid() != 0) {
		drop(directory);
		skip();
	}
	assert_int_equal(postgres_user_find(&user, NULL), OK);
	assert_int_equal(state_directory_open(&absolute, directory, &user, &fault), ERR_SYSTEM);
	assert_non_null(strstr(fault.text, "chmod o+x /tmp/depbroker-test-"));
	const struct plan plan = { .state_dir = directory };
	struct running running = serve(&plan);

	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 1);
	drop(directory);
}

static void a_cluster_of_another_version_is_refused_with_what_to_install(void **state)
{
	char *directory = temporary_directory();
	struct postgres_user user = { .uid = geteuid(), .gid = getegid() };
	struct fault fault = { "" };
	char *binaries;
	bool exists;

	(void)state;
	assert_int_equal(cluster_check(&exists, directory, &user, &fault), ERR_SYSTEM); // there, but no cluster
	write_file(directory, "PG_VERSION", "9\n");
	assert_int_equal(cluster_check(&exists, directory, &user, &fault), OK);
	assert_true(exists);
	assert_int_equal(postgres_binaries_find(&binaries, directory, &fault), ERR_SYSTEM);
	assert_non_null(strstr(fault.text, "install postgresql-9"));
	user.uid++;
	assert_int_equal(cluster_check(&exists, directory, &user, &fault), ERR_SYSTEM);
	assert_int_equal(private_directory(directory, &user, &fault), ERR_SYSTEM);
	drop(directory);
}

static const struct plan configured = { .state_dir = "/nonexistent/state", .database_url = "postgresql:///elsewhere" };

static void a_worker_that_died_is_replaced_by_one_that_says_so(void **state)
{
	struct running running = serve(&configured);
	char line[LINE_SIZE];
	char node[LINE_SIZE];
	char replaces[LINE_SIZE] = "";
	char successor[LINE_SIZE];
	int pid;
	int index;

	(void)state;
	expect_line(&running, "migrate postgresql:///elsewhere", line);
	expect_members(&running, line);
	assert_int_equal(sscanf(line, "worker %d %d %s %s", &pid, &index, node, replaces), 4);
	assert_string_equal(replaces, "-");
	assert_int_equal(kill(pid, SIGKILL), 0);
	expect_line(&running, "worker ", line);
	assert_int_equal(sscanf(line, "worker %d %d %s %s", &pid, &index, successor, replaces), 4);
	assert_int_equal(index, 0);
	assert_string_equal(replaces, node);
	assert_string_not_equal(successor, node);
	assert_int_equal(kill(running.pid, SIGTERM), 0);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 0);
}

static void a_newer_schema_ends_it_and_any_other_failure_is_tried_again(void **state)
{
	struct plan plan = configured;
	struct running running;
	char line[LINE_SIZE];

	(void)state;
	plan.migrate_exit = "3";
	running = serve(&plan);
	expect_line(&running, "migrate ", line);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 1);

	plan.migrate_exit = "1";
	running = serve(&plan);
	for (int i = 0; i < 3; i++) {
		expect_line(&running, "migrate ", line);
	}
	assert_int_equal(kill(running.pid, SIGTERM), 0);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 0);
}

static void a_second_signal_kills_what_does_not_stop(void **state)
{
	struct plan plan = configured;
	struct running running;
	char line[LINE_SIZE];

	(void)state;
	plan.mode = "stubborn";
	running = serve(&plan);
	expect_line(&running, "migrate ", line);
	expect_members(&running, NULL);
	assert_int_equal(kill(running.pid, SIGTERM), 0);
	expect_line(&running, "asked", line); // one of them has been told: the first signal has arrived
	assert_int_equal(kill(running.pid, SIGINT), 0);
	expect_nothing_is_left(&running);
	assert_int_equal(exit_code_of(&running), 0);
}

// --- what the supervisor starts ---

static int member_pipe;

static void say(const char *text)
{
	const size_t length = strlen(text);

	if (write(member_pipe, text, length) != (ssize_t)length) {
		_exit(96);
	}
}

static void on_asked(int number)
{
	(void)number;
	say("asked\n");
}

static int play_member(const char *role)
{
	struct config config;
	struct fault fault;
	char line[LINE_SIZE];

	member_pipe = (int)strtol(getenv("MEMBER_PIPE"), NULL, 10);
	if (config_load(&config, (const char *const *)environ, &fault) != OK) {
		say(fault.text);
		say("\n");
		return 2;
	}
	child_tie_to_parent(SIGTERM, (pid_t)config.parent_pid);
	if (getenv("MEMBER_MODE") != NULL) {
		(void)signal(SIGTERM, on_asked);
	}
	if (strcmp(role, "migrate") == 0) {
		(void)snprintf(line, sizeof line, "migrate %s\n", config.database_url);
	} else {
		(void)snprintf(line, sizeof line, "%s %d %d %s %s\n", role, (int)getpid(), (int)config.worker_index,
			config.node_id != NULL ? config.node_id : "-", config.replaces_node != NULL ? config.replaces_node : "-");
	}
	config_fini(&config);
	say(line);
	if (strcmp(role, "migrate") == 0) {
		return getenv("MIGRATE_EXIT") != NULL ? (int)strtol(getenv("MIGRATE_EXIT"), NULL, 10) : 0;
	}
	for (;;) {
		(void)pause();
	}
}

static int play_serve(void)
{
	struct config config;
	int code;

	process_harden();
	if (config_load(&config, (const char *const *)environ, NULL) != OK) {
		return 2;
	}
	code = serve_main(&config, "/proc/self/exe");
	config_fini(&config);
	return code;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_start_makes_a_database_and_a_second_one_finds_it),
		cmocka_unit_test(nothing_outlives_a_killed_supervisor_and_the_next_one_starts),
		cmocka_unit_test(one_state_directory_has_one_supervisor),
		cmocka_unit_test(it_works_for_an_ordinary_user_below_a_very_long_path),
		cmocka_unit_test(a_directory_that_postgres_cannot_reach_is_refused_with_the_way_out),
		cmocka_unit_test(a_cluster_of_another_version_is_refused_with_what_to_install),
		cmocka_unit_test(a_worker_that_died_is_replaced_by_one_that_says_so),
		cmocka_unit_test(a_newer_schema_ends_it_and_any_other_failure_is_tried_again),
		cmocka_unit_test(a_second_signal_kills_what_does_not_stop),
	};

	if (argc > 1 && strcmp(argv[1], "serve") == 0) {
		return play_serve();
	}
	if (argc > 1 && strcmp(argv[1], "internal-exec") == 0) {
		return internal_exec_main(argc - 1, argv + 1);
	}
	if (argc > 1) {
		return play_member(argv[1]);
	}
	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
