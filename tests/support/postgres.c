// SPDX-License-Identifier: Apache-2.0
#include "support/postgres.h"

#include "depbroker/clock.h"
#include "depbroker/text.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <libpq-fe.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_LIMIT = 4096, WAIT_MS = 60000, LOOK_AGAIN_MS = 5, CHILDREN_MAX = 256 };

static char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text_format(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	assert_true(vasprintf(&text, format, arguments) >= 0);
	va_end(arguments);
	return text;
}

static void show_log(const struct test_postgres *postgres)
{
	char *path = text_format("%s/server.log", postgres->directory);

	if (access(path, R_OK) == 0) {
		char *content = file_read(path, NULL);

		(void)fprintf(stderr, "%s", content);
		free(content);
	}
	free(path);
}

// --- processes ---

static void become(const struct postgres_user *user)
{
	if (user->name != NULL &&
		(initgroups(user->name, user->gid) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0)) {
		_exit(126);
	}
}

// In the child, before a program starts: as the right user, in the right place, and not without us.
static void prepare_child(const struct test_postgres *postgres, int death_signal, pid_t parent)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s/server.log", postgres->directory);
	const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (log < 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
		dup2(log, STDERR_FILENO) < 0 || chdir(postgres->directory) != 0) {
		_exit(125);
	}
	(void)setsid(); // a key press on our terminal is not meant for it
	become(&postgres->user);
	if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0 || getppid() != parent) {
		_exit(124);
	}
}

static pid_t start_program(const struct test_postgres *postgres, int death_signal, const char *const *arguments)
{
	char *copies[64] = { NULL };
	const pid_t parent = getpid();
	pid_t pid;

	for (size_t i = 0; arguments[i] != NULL; i++) {
		assert_true(i + 1 < sizeof copies / sizeof *copies);
		copies[i] = duplicate(text_of(arguments[i]));
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prepare_child(postgres, death_signal, parent);
		(void)execvp(copies[0], copies);
		_exit(127);
	}
	for (size_t i = 0; copies[i] != NULL; i++) {
		free(copies[i]);
	}
	return pid;
}

// False when it still runs after `timeout_ms`.
static bool ends_within(int process, int timeout_ms)
{
	struct pollfd end = { .fd = process, .events = POLLIN };
	int result;

	do {
		result = poll(&end, 1, timeout_ms);
	} while (result < 0 && errno == EINTR);
	return result == 1;
}

static void run_program(const struct test_postgres *postgres, const char *const *arguments)
{
	const pid_t pid = start_program(postgres, SIGKILL, arguments);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0) {
		show_log(postgres);
		fail_msg("%s failed (wait status %d)", arguments[0], status);
	}
}

// --- the guardian ---

static void stop_left_server(const char *data_dir)
{
	const struct postmaster left = postmaster_read(data_dir);
	int process;

	if (!postmaster_is_alive(&left, data_dir)) {
		return;
	}
	process = pidfd_open(left.pid, 0);
	(void)kill(left.pid, SIGQUIT);
	if (process >= 0 && !ends_within(process, WAIT_MS)) {
		(void)kill(left.pid, SIGKILL);
		(void)ends_within(process, WAIT_MS);
	}
}

// Waits for the end of the test program, whatever kind of end it is, and then cleans up.
static void guard(const struct test_postgres *postgres, int from_test)
{
	const int nothing = open("/dev/null", O_RDWR);
	char byte;

	(void)setsid();
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 ||
		dup2(nothing, STDERR_FILENO) < 0 || dup2(from_test, 3) < 0 || close_range(4, ~0U, 0) != 0) {
		_exit(1);
	}
	while (read(3, &byte, 1) < 0 && errno == EINTR) {
	}
	stop_left_server(postgres->data_dir);
	remove_tree(postgres->directory);
	_exit(0);
}

static void start_guardian(struct test_postgres *postgres)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	postgres->guardian = fork();
	assert_true(postgres->guardian >= 0);
	if (postgres->guardian == 0) {
		(void)close(ends[1]);
		guard(postgres, ends[0]);
	}
	(void)close(ends[0]);
	postgres->guardian_pipe = ends[1];
}

// --- the cluster ---

// Not from the range that the kernel gives to whoever does not ask for a port, so that it is still free after a restart.
static uint16_t free_port(void)
{
	for (int tries = 0; tries < 1000; tries++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		uint16_t port;
		int result;
		const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		random_bytes(&port, sizeof port);
		port = (uint16_t)(20000 + port % 10000);
		address.sin_port = htons(port);
		result = bind(probe, (const struct sockaddr *)&address, sizeof address);
		(void)close(probe);
		if (result == 0) {
			return port;
		}
	}
	fail_msg("no port is free");
	return 0;
}

static char *template_path(const struct test_postgres *postgres)
{
	char program[PATH_MAX] = "";
	const char *version = postgres->binaries + strlen("/usr/lib/postgresql/");

	assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
	return text_format("%s/postgres-template-%.*s", dirname(program), (int)strcspn(version, "/"), version);
}

static void copy_tree(const char *from, const char *to)
{
	const pid_t pid = fork(); // as ourselves, who may read and write both
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)execlp("cp", "cp", "-a", "--reflink=auto", from, to, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

// Several programs may do so at once: each makes its own copy, and the first to rename has made the template.
static void keep_as_template(const char *data_dir, const char *template)
{
	char *copy = text_format("%s.%d", template, (int)getpid());

	copy_tree(data_dir, copy);
	if (rename(copy, template) != 0) {
		assert_true(errno == ENOTEMPTY || errno == EEXIST);
		remove_tree(copy);
	}
	free(copy);
}

static void make_cluster(const struct test_postgres *postgres)
{
	char *template = template_path(postgres);
	struct stat status;

	if (stat(template, &status) == 0 && status.st_uid == postgres->user.uid) {
		copy_tree(template, postgres->data_dir);
	} else {
		char *initdb = text_format("%s/initdb", postgres->binaries);

		run_program(postgres, (const char *[]){ initdb, "-D", postgres->data_dir, "--username=postgres",
			"--auth-local=trust", "--auth-host=scram-sha-256", "--no-locale", "--encoding=UTF8", "--no-sync",
			"--no-instructions", NULL });
		keep_as_template(postgres->data_dir, template);
		free(initdb);
	}
	free(template);
}

// --- the server ---

static void wait_until_ready(struct test_postgres *postgres)
{
	const int process = pidfd_open(postgres->pid, 0);
	const int64_t give_up_at_ms = clock_monotonic_ms() + WAIT_MS;

	assert_true(process >= 0);
	for (;;) {
		const struct postmaster now = postmaster_read(postgres->data_dir);

		if (now.pid == postgres->pid && now.ready) {
			break;
		}
		if (ends_within(process, LOOK_AGAIN_MS) || clock_monotonic_ms() > give_up_at_ms) {
			show_log(postgres);
			fail_msg("the server does not start");
		}
	}
	(void)close(process);
}

void test_postgres_start(struct test_postgres *postgres)
{
	char *program = text_format("%s/postgres", postgres->binaries);
	char *port = text_format("port=%d", postgres->port);
	char *sockets = text_format("unix_socket_directories=%s", postgres->directory);

	assert_int_equal(postgres->pid, 0);
	postgres->pid = start_program(postgres, SIGQUIT, (const char *[]){ program, "-D", postgres->data_dir, "-c", port,
		"-c", sockets, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "shared_buffers=16MB", "-c", "max_connections=60", "-c", "autovacuum=off", "-c", "max_wal_senders=0",
		"-c", "wal_level=minimal", "-c", "timezone=UTC", "-c", "logging_collector=off", NULL });
	wait_until_ready(postgres);
	free(program);
	free(port);
	free(sockets);
}

static void wait_for_end(struct test_postgres *postgres)
{
	int status;
	const int process = pidfd_open(postgres->pid, 0);

	if (process < 0 || !ends_within(process, WAIT_MS)) {
		show_log(postgres);
		fail_msg("the server does not end");
	}
	(void)close(process);
	assert_int_equal(waitpid(postgres->pid, &status, 0), postgres->pid);
	postgres->pid = 0;
}

void test_postgres_stop(struct test_postgres *postgres)
{
	assert_int_not_equal(postgres->pid, 0);
	assert_int_equal(kill(postgres->pid, SIGINT), 0);
	wait_for_end(postgres);
}

static pid_t parent_of(const char *process)
{
	char path[64];
	char line[512];
	const char *after_name;
	int parent = 0;
	ssize_t got;

	(void)snprintf(path, sizeof path, "/proc/%.20s/stat", process);
	const int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0) {
		return 0;
	}
	got = read(file, line, sizeof line - 1);
	(void)close(file);
	line[got > 0 ? got : 0] = '\0';
	after_name = strrchr(line, ')');
	return after_name != NULL && sscanf(after_name, ") %*c %d", &parent) == 1 ? parent : 0;
}

// Their pidfds, so that a number that is used again cannot deceive us.
static size_t children_of(pid_t parent, int children[CHILDREN_MAX])
{
	const struct dirent *entry;
	size_t count = 0;
	DIR *processes = opendir("/proc");

	assert_non_null(processes);
	while ((entry = readdir(processes)) != NULL) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && parent_of(entry->d_name) == parent) {
			const int child = pidfd_open((pid_t)strtol(entry->d_name, NULL, 10), 0);

			if (child >= 0) {
				assert_true(count < CHILDREN_MAX);
				children[count++] = child;
			}
		}
	}
	(void)closedir(processes);
	return count;
}

void test_postgres_kill(struct test_postgres *postgres)
{
	int children[CHILDREN_MAX];
	size_t count;

	assert_int_not_equal(postgres->pid, 0);
	assert_int_equal(kill(postgres->pid, SIGSTOP), 0); // so that it starts no more of them
	count = children_of(postgres->pid, children);
	assert_int_equal(kill(postgres->pid, SIGKILL), 0);
	for (size_t i = 0; i < count; i++) {
		(void)pidfd_send_signal(children[i], SIGKILL, NULL, 0);
	}
	for (size_t i = 0; i < count; i++) {
		assert_true(ends_within(children[i], WAIT_MS));
		(void)close(children[i]);
	}
	wait_for_end(postgres);
}

// --- from outside ---

char *test_postgres_url(const struct test_postgres *postgres, const char *user, const char *database)
{
	return text_format("postgresql:///%s?user=%s&host=%s&port=%d", database, user, postgres->directory, postgres->port);
}

struct test_postgres *test_postgres_new(void)
{
	struct test_postgres *postgres = allocate(sizeof *postgres);
	struct fault fault = { "" };

	if (postgres_user_find(&postgres->user, &fault) != OK ||
		postgres_binaries_find(&postgres->binaries, "", &fault) != OK) {
		fail_msg("%s", fault.text);
	}
	postgres->directory = temporary_directory();
	postgres->data_dir = text_format("%s/data", postgres->directory);
	start_guardian(postgres);
	if (postgres->user.name != NULL) {
		assert_int_equal(chown(postgres->directory, postgres->user.uid, postgres->user.gid), 0);
	}
	make_cluster(postgres);
	postgres->port = free_port();
	postgres->url = test_postgres_url(postgres, "postgres", "postgres");
	test_postgres_start(postgres);
	return postgres;
}

void test_postgres_free(struct test_postgres *postgres)
{
	int status;

	if (postgres == NULL) {
		return;
	}
	if (postgres->pid != 0) {
		test_postgres_stop(postgres);
	}
	(void)close(postgres->guardian_pipe); // it removes the directory
	assert_int_equal(waitpid(postgres->guardian, &status, 0), postgres->guardian);
	assert_int_equal(access(postgres->directory, F_OK), -1);
	free(postgres->url);
	free(postgres->directory);
	free(postgres->data_dir);
	free(postgres->binaries);
	free(postgres);
}

char *test_postgres_ask(const struct test_postgres *postgres, const char *sql)
{
	PGconn *connection = PQconnectdb(postgres->url);
	PGresult *result = PQexec(connection, sql);
	const ExecStatusType status = PQresultStatus(result);
	char *value = NULL;

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		fail_msg("%s: %s", sql, PQerrorMessage(connection));
	}
	if (PQntuples(result) > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0)) {
		value = duplicate(text_of(PQgetvalue(result, 0, 0)));
	}
	PQclear(result);
	PQfinish(connection);
	return value;
}

void test_postgres_run(const struct test_postgres *postgres, const char *sql)
{
	free(test_postgres_ask(postgres, sql));
}
