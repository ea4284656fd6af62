// SPDX-License-Identifier: Apache-2.0
#include "supervisor/embedded_postgres.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "supervisor/postgres_files.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_LIMIT       8192
#define POLL_MS          50
#define OLD_SERVER_MS    60000 // as long as an older server may take to end
#define STOP_TIMEOUT_MS  30000
#define ENDS_BEFORE_READY 5

// What the programs need of an environment; nothing of ours, which may hold secrets.
static const char *const environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", NULL };

static void free_all(struct embedded_postgres *postgres)
{
	char **const texts[] = { &postgres->state_dir, &postgres->data_dir, &postgres->new_dir, &postgres->socket_dir,
		&postgres->binaries, &postgres->url };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
	for (size_t i = 0; i < postgres->argument_count; i++) {
		free(postgres->arguments[i]);
	}
	postgres->argument_count = 0;
	if (postgres->lock >= 0) {
		(void)close(postgres->lock);
		postgres->lock = -1;
	}
}

static void fail(struct embedded_postgres *postgres, const struct fault *fault)
{
	if (!postgres->is_stopping) {
		postgres->failed(postgres, fault);
	}
}

static void add_argument(struct embedded_postgres *postgres, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_argument(struct embedded_postgres *postgres, const char *format, ...)
{
	char *argument = NULL;
	va_list arguments;

	assert(postgres->argument_count + 1 < EMBEDDED_POSTGRES_ARGUMENTS_MAX);
	va_start(arguments, format);
	if (vasprintf(&argument, format, arguments) < 0) {
		abort();
	}
	va_end(arguments);
	postgres->arguments[postgres->argument_count++] = argument;
}

// "depbroker internal-exec ...": as the right user, and not without us.
static void begin_arguments(struct embedded_postgres *postgres, const char *death_signal)
{
	for (size_t i = 0; i < postgres->argument_count; i++) {
		free(postgres->arguments[i]);
		postgres->arguments[i] = NULL;
	}
	postgres->argument_count = 0;
	add_argument(postgres, "depbroker");
	add_argument(postgres, "internal-exec");
	if (postgres->user != NULL) {
		add_argument(postgres, "--user");
		add_argument(postgres, "%s", postgres->user);
	}
	add_argument(postgres, "--parent");
	add_argument(postgres, "%d", (int)getpid());
	add_argument(postgres, "--death-signal");
	add_argument(postgres, "%s", death_signal);
}

static void begin_program(struct embedded_postgres *postgres, const char *program)
{
	add_argument(postgres, "--");
	add_argument(postgres, "%s/%s", postgres->binaries, program);
}

static void run(struct embedded_postgres *postgres, const struct child_config *wanted,
	void (*ended)(struct child *child, int exit_code, int exit_signal))
{
	struct child_config config = *wanted;
	struct fault fault;

	config.program = postgres->program_path;
	config.arguments = (const char *const *)postgres->arguments;
	config.environment = environment;
	postgres->arguments[postgres->argument_count] = NULL;
	postgres->child = (struct child){ .owner = postgres, .ended = ended };
	if (child_start(&postgres->child, postgres->loop, &config, &fault) != OK) {
		fail(postgres, &fault);
	}
}

// A step that ran to its end: its child is put away, then `next` goes on.
static void on_step_stopped(struct child *child)
{
	struct embedded_postgres *postgres = child->owner;

	if (!postgres->is_stopping) {
		postgres->next(postgres);
	}
}

static void step_over(struct embedded_postgres *postgres, const char *program, int exit_code, int exit_signal,
	void (*next)(struct embedded_postgres *postgres))
{
	struct fault fault;

	if (postgres->is_stopping) {
		return;
	}
	if (exit_code == 0 && exit_signal == 0) {
		postgres->next = next;
		child_stop(&postgres->child, on_step_stopped);
		return;
	}
	(void)fault_set(&fault, ERR_SYSTEM, "PostgreSQL's %s could not make a cluster in %.100s (exit code %d, signal %d); its own "
		"message stands above", program, postgres->new_dir, exit_code, exit_signal);
	fail(postgres, &fault);
}

// --- running it ---

static void on_server_ended(struct child *child, int exit_code, int exit_signal)
{
	struct embedded_postgres *postgres = child->owner;
	struct fault fault;

	log_event(LOG_WARNING, "postgres.ended", LOG_INT("exit_code", exit_code), LOG_INT("signal", exit_signal));
	if (!postgres->is_ready && ++postgres->ends == ENDS_BEFORE_READY) {
		(void)fault_set(&fault, ERR_SYSTEM, "the embedded PostgreSQL in %.120s does not start; its own messages stand above",
			postgres->data_dir);
		fail(postgres, &fault);
	}
}

// A value of unix_socket_directories: quoted, so that any path is one entry.
static void add_socket_setting(struct embedded_postgres *postgres)
{
	struct buffer quoted CLEANUP(buffer_fini) = BUFFER(TEXT_LIMIT);

	buffer_add_string(&quoted, "\"");
	for (const char *at = postgres->socket_dir; *at != '\0'; at++) {
		buffer_add(&quoted, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
	}
	buffer_add_string(&quoted, "\"");
	add_argument(postgres, "-c");
	add_argument(postgres, "unix_socket_directories=%s", quoted.bytes);
}

// Most of a page that a list touches first after a checkpoint goes to the log whole. To compress that with PostgreSQL's own method cost up to
// a third of a first list; and with more log between two checkpoints there is less of it.
static void start_server(struct embedded_postgres *postgres)
{
	static const char *const settings[] = { "listen_addresses=", "unix_socket_permissions=0700", "port=5432", "shared_buffers=64MB",
		"max_connections=50", "wal_compression=lz4", "max_wal_size=2GB", "fsync=on", "synchronous_commit=on", "full_page_writes=on",
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=%m postgres[%p] ", "timezone=UTC" };
	const struct child_config config = { .name = "postgres", .stop_signal = SIGINT, .stop_timeout_ms = STOP_TIMEOUT_MS,
		.restart = true };

	begin_arguments(postgres, "SIGINT");
	begin_program(postgres, "postgres");
	add_argument(postgres, "-D");
	add_argument(postgres, "%s", postgres->data_dir);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		add_argument(postgres, "-c");
		add_argument(postgres, "%s", settings[i]);
	}
	add_socket_setting(postgres);
	run(postgres, &config, on_server_ended);
}

static void wait_for_old_server(struct embedded_postgres *postgres, const struct postmaster *old)
{
	struct fault fault;

	if (postgres->waiting_since_ms == 0) {
		postgres->waiting_since_ms = clock_monotonic_ms();
		log_event(LOG_WARNING, "postgres.waiting_for_older", LOG_INT("pid", old->pid), LOG_STRING("directory", postgres->data_dir));
	}
	if (clock_monotonic_ms() - postgres->waiting_since_ms > OLD_SERVER_MS) {
		(void)fault_set(&fault, ERR_SYSTEM, "a PostgreSQL that is not ours (process %d) runs on %.120s: stop it with kill -INT %d",
			(int)old->pid, postgres->data_dir, (int)old->pid);
		fail(postgres, &fault);
		return;
	}
	delay_start(&postgres->poll, POLL_MS);
}

// Looks after the server until it is ready: first that no older one is there, then for the line in the pid file.
static void on_poll(struct delay *poll)
{
	struct embedded_postgres *postgres = CONTAINER_OF(poll, struct embedded_postgres, poll);
	const struct postmaster now = postmaster_read(postgres->data_dir);

	if (postgres->is_stopping) {
		return;
	}
	if (postgres->child.loop == NULL || postgres->child.state == CHILD_STOPPED) {
		if (postmaster_is_alive(&now, postgres->data_dir)) {
			wait_for_old_server(postgres, &now);
			return;
		}
		start_server(postgres);
	} else if (now.ready && now.pid == postgres->child.pid) {
		postgres->is_ready = true;
		log_event(LOG_INFO, "postgres.ready", LOG_INT("pid", now.pid), LOG_STRING("directory", postgres->data_dir));
		postgres->ready(postgres);
		return;
	}
	delay_start(&postgres->poll, POLL_MS);
}

// --- making it ---

static void put_in_place(struct embedded_postgres *postgres)
{
	struct fault fault;
	const int directory = open(postgres->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0 || rename(postgres->new_dir, postgres->data_dir) != 0 || fsync(directory) != 0) {
		(void)fault_set(&fault, ERR_SYSTEM, "the new cluster cannot be moved to %.160s: %m", postgres->data_dir);
		fail(postgres, &fault);
	} else {
		log_event(LOG_INFO, "postgres.made", LOG_STRING("directory", postgres->data_dir));
		delay_start(&postgres->poll, 0);
	}
	if (directory >= 0) {
		(void)close(directory);
	}
}

static void on_database_made(struct child *child, int exit_code, int exit_signal)
{
	step_over(child->owner, "postgres --single", exit_code, exit_signal, put_in_place);
}

static void make_database(struct embedded_postgres *postgres)
{
	const struct child_config config = { .name = "make-database", .stop_signal = SIGTERM, .silent = true };

	begin_arguments(postgres, "SIGTERM");
	add_argument(postgres, "--input");
	add_argument(postgres, "CREATE DATABASE depbroker\n");
	begin_program(postgres, "postgres");
	add_argument(postgres, "--single");
	add_argument(postgres, "-D");
	add_argument(postgres, "%s", postgres->new_dir);
	add_argument(postgres, "-c");
	add_argument(postgres, "exit_on_error=on");
	add_argument(postgres, "postgres");
	run(postgres, &config, on_database_made);
}

static void on_cluster_made(struct child *child, int exit_code, int exit_signal)
{
	step_over(child->owner, "initdb", exit_code, exit_signal, make_database);
}

static enum err make_cluster(struct embedded_postgres *postgres, const struct postgres_user *user, struct fault *fault)
{
	static const char *const options[] = { "--username=depbroker", "--auth-local=trust", "--auth-host=reject", "--data-checksums",
		"--no-locale", "--encoding=UTF8" };
	const struct child_config config = { .name = "initdb", .stop_signal = SIGTERM, .silent = true };

	TRY(private_directory(postgres->new_dir, user, fault));
	begin_arguments(postgres, "SIGTERM");
	add_argument(postgres, "--empty"); // what an interrupted first start left
	add_argument(postgres, "%s", postgres->new_dir);
	begin_program(postgres, "initdb");
	add_argument(postgres, "-D");
	add_argument(postgres, "%s", postgres->new_dir);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		add_argument(postgres, "%s", options[i]);
	}
	run(postgres, &config, on_cluster_made);
	return OK;
}

// --- from outside ---

static char *path_in(const char *directory, const char *name)
{
	struct buffer path = BUFFER(TEXT_LIMIT);

	buffer_add_format(&path, "%s/%s", directory, name);
	return buffer_take(&path);
}

static char *url_of(const char *socket_dir)
{
	struct buffer url = BUFFER(TEXT_LIMIT);

	buffer_add_string(&url, "postgresql:///depbroker?user=depbroker&host=");
	for (const char *at = socket_dir; *at != '\0'; at++) {
		const bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
			strchr("/-_.", *at) != NULL;

		buffer_add_format(&url, plain ? "%c" : "%%%02X", (unsigned char)*at);
	}
	return buffer_take(&url);
}

static enum err prepare(struct embedded_postgres *postgres, const char *state_dir, const struct postgres_user *user, bool *exists,
	struct fault *fault)
{
	postgres->user = user->name;
	TRY(state_directory_open(&postgres->state_dir, state_dir, user, fault));
	TRY(state_directory_lock(&postgres->lock, postgres->state_dir, fault));
	postgres->data_dir = path_in(postgres->state_dir, "postgres");
	postgres->new_dir = path_in(postgres->state_dir, "postgres.new");
	TRY(cluster_check(exists, postgres->data_dir, user, fault));
	TRY(postgres_binaries_find(&postgres->binaries, postgres->data_dir, fault));
	TRY(socket_directory(&postgres->socket_dir, postgres->state_dir, user, fault));
	postgres->url = url_of(postgres->socket_dir);
	return OK;
}

enum err embedded_postgres_start(struct embedded_postgres *postgres, struct loop *loop, const char *state_dir,
	const char *program_path, struct fault *fault)
{
	struct postgres_user user;
	bool exists;
	enum err rc;

	postgres->loop = loop;
	postgres->program_path = program_path;
	postgres->lock = -1;
	TRY(postgres_user_find(&user, fault));
	rc = prepare(postgres, state_dir, &user, &exists, fault);
	if (rc == OK) {
		delay_init(&postgres->poll, loop, on_poll);
		if (exists) {
			delay_start(&postgres->poll, 0);
		} else {
			rc = make_cluster(postgres, &user, fault);
		}
		if (rc != OK) {
			delay_close(&postgres->poll, NULL);
		}
	}
	if (rc != OK) {
		free_all(postgres);
	}
	return rc;
}

const char *embedded_postgres_url(const struct embedded_postgres *postgres)
{
	return postgres->url;
}

enum err embedded_postgres_running_url(char **url, const char *state_dir, struct fault *fault)
{
	char *absolute = realpath(state_dir, NULL);
	char *data_dir = path_in(absolute != NULL ? absolute : state_dir, "postgres");
	const struct postmaster running = postmaster_read(data_dir);
	char *socket_dir = running.ready && postmaster_is_alive(&running, data_dir) ? postmaster_socket_directory(data_dir) : NULL;

	*url = socket_dir != NULL ? url_of(socket_dir) : NULL;
	free(socket_dir);
	free(data_dir);
	free(absolute);
	if (*url == NULL) {
		return fault_set(fault, ERR_UNAVAILABLE, "no embedded PostgreSQL of a depbroker serve is seen in %.120s: start one there, run "
			"this as its user or as root, or set DEPBROKER_DATABASE_URL", state_dir);
	}
	return OK;
}

static void on_poll_closed(struct delay *poll)
{
	struct embedded_postgres *postgres = CONTAINER_OF(poll, struct embedded_postgres, poll);

	(void)rmdir(postgres->socket_dir); // leaves nothing in /tmp
	free_all(postgres);
	postgres->stopped(postgres);
}

static void on_child_stopped(struct child *child)
{
	struct embedded_postgres *postgres = child->owner;

	delay_close(&postgres->poll, on_poll_closed);
}

void embedded_postgres_stop(struct embedded_postgres *postgres, void (*stopped)(struct embedded_postgres *postgres))
{
	postgres->is_stopping = true;
	postgres->stopped = stopped;
	postgres->child.owner = postgres;
	child_stop(&postgres->child, on_child_stopped);
}
