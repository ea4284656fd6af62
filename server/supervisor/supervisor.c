// SPDX-License-Identifier: Apache-2.0
#include "supervisor/supervisor.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "loop/child.h"
#include "loop/hint.h"
#include "loop/stop_signal.h"
#include "supervisor/embedded_postgres.h"
#include "supervisor/environment.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODE_ID_SIZE = 96, SETTING_SIZE = 128, SOUND_AFTER_MS = 1000, STOP_TIMEOUT_MS = 20000 };

extern char **environ;

struct supervisor;

// One process that we keep: migrate, api or a worker.
struct member {
	struct supervisor *supervisor;
	struct child child;
	char name[24];
	const char *arguments[3];
	char **environment;
	int worker_index; // -1: not a worker
	char node_id[NODE_ID_SIZE];
	bool crashed; // the last one
	struct hint_pair hints; // of a worker: what it hears outlives it
	int *sockets;           // its ends of such pairs
	size_t socket_count;
};

struct supervisor {
	const struct config *config;
	const char *program;
	struct loop loop;
	struct stop_signals signals;
	struct embedded_postgres postgres;
	bool has_postgres;
	bool is_stopping;
	int exit_code;
	struct member *members; // [0] migrate, [1] api, then workers
	size_t member_count;
	size_t members_left; // to stop
};

static void stop(struct supervisor *supervisor, int exit_code);

// --- environments of the members ---

static void make_node_id(char out[NODE_ID_SIZE])
{
	char host[65] = { 0 };
	unsigned char random[8];
	struct buffer id CLEANUP(buffer_fini) = BUFFER(NODE_ID_SIZE - 1);

	if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
		(void)snprintf(host, sizeof host, "unnamed");
	}
	random_bytes(random, sizeof random);
	buffer_add_format(&id, "%s-", host);
	buffer_add_hex(&id, random, sizeof random);
	(void)snprintf(out, NODE_ID_SIZE, "%s", id.bytes);
}

// Before each start: a worker is another node every time, and says whose place it takes.
static void on_starting(struct child *child)
{
	struct member *member = child->owner;
	const char *const *base = (const char *const *)environ;
	const char *const url = member->supervisor->has_postgres ? embedded_postgres_url(&member->supervisor->postgres) : NULL;
	struct buffer database CLEANUP(buffer_fini_wiped) = BUFFER(16384);
	char parent[SETTING_SIZE];
	char worker[SETTING_SIZE] = "DEPBROKER_WORKER_INDEX";
	char node[SETTING_SIZE] = "DEPBROKER_NODE_ID";
	char replaces[SETTING_SIZE] = "DEPBROKER_REPLACES_NODE";
	char crashed[SETTING_SIZE] = "DEPBROKER_REPLACED_CRASHED";
	char hints[SETTING_SIZE];

	(void)snprintf(parent, sizeof parent, "DEPBROKER_PARENT_PID=%d", (int)getpid());
	if (member->worker_index >= 0) {
		(void)snprintf(worker, sizeof worker, "DEPBROKER_WORKER_INDEX=%d", member->worker_index);
		if (member->node_id[0] != '\0') {
			(void)snprintf(replaces, sizeof replaces, "DEPBROKER_REPLACES_NODE=%s", member->node_id);
			(void)snprintf(crashed, sizeof crashed, "DEPBROKER_REPLACED_CRASHED=%d", member->crashed ? 1 : 0);
		}
		make_node_id(member->node_id);
		(void)snprintf(node, sizeof node, "DEPBROKER_NODE_ID=%s", member->node_id);
	}
	(void)snprintf(hints, sizeof hints, "DEPBROKER_HINT_SOCKETS=%zu", member->socket_count);
	if (url != NULL) {
		buffer_add_format(&database, "DEPBROKER_DATABASE_URL=%s", url);
	}
	const char *const settings[] = { parent, worker, node, replaces, crashed, hints, database.bytes };

	environment_free(member->environment);
	member->environment = environment_with(base, settings, sizeof settings / sizeof *settings - (url != NULL ? 0 : 1));
	child->config.environment = (const char *const *)member->environment;
}

// --- members ---

// By its own doing: an assertion, a wild pointer, a sanitizer. Not when somebody killed it, the kernel's memory guard included.
static bool is_crash(int exit_code, int exit_signal)
{
	switch (exit_signal) {
	case 0: return exit_code != 0;
	case SIGKILL:
	case SIGTERM:
	case SIGINT:
	case SIGHUP: return false;
	default: return true;
	}
}

static void on_ended(struct child *child, int exit_code, int exit_signal)
{
	struct member *member = child->owner;

	member->crashed = is_crash(exit_code, exit_signal);
	log_event(LOG_WARNING, "child.ended", LOG_STRING("child", member->name), LOG_INT("exit_code", exit_code),
		LOG_INT("signal", exit_signal), LOG_INT("restarts", child->restarts));
}

static void start_member(struct supervisor *supervisor, struct member *member,
	void (*ended)(struct child *child, int exit_code, int exit_signal))
{
	const struct child_config config = {
		.name = member->name,
		.program = supervisor->program,
		.arguments = member->arguments,
		.stop_signal = SIGTERM,
		.stop_timeout_ms = STOP_TIMEOUT_MS,
		.restart = true,
		.sockets = member->sockets,
		.socket_count = member->socket_count,
		.sound_after_ms = member->worker_index >= 0 ? SOUND_AFTER_MS : 0,
	};
	struct fault fault;

	member->child.ended = ended;
	member->child.starting = on_starting;
	if (child_start(&member->child, &supervisor->loop, &config, &fault) != OK) {
		log_event(LOG_ERROR, "serve.failed", LOG_STRING("reason", fault.text));
		stop(supervisor, 1);
	}
}

static void make_member(struct supervisor *supervisor, size_t at, const char *command, int worker_index)
{
	struct member *member = &supervisor->members[at];

	member->supervisor = supervisor;
	member->worker_index = worker_index;
	member->arguments[0] = "depbroker";
	member->arguments[1] = command;
	member->child.owner = member;
	if (worker_index >= 0) {
		(void)snprintf(member->name, sizeof member->name, "%s-%d", command, worker_index);
	} else {
		(void)snprintf(member->name, sizeof member->name, "%s", command);
	}
}

// --- up ---

static void on_migrate_stopped(struct child *child)
{
	struct member *member = child->owner;
	struct supervisor *supervisor = member->supervisor;

	log_event(LOG_INFO, "serve.migrated");
	for (size_t i = 1; i < supervisor->member_count && !supervisor->is_stopping; i++) {
		start_member(supervisor, &supervisor->members[i], on_ended);
	}
	if (!supervisor->is_stopping) {
		log_event(LOG_INFO, "serve.started", LOG_INT("workers", supervisor->config->workers));
	}
}

static void on_migrate_ended(struct child *child, int exit_code, int exit_signal)
{
	struct member *member = child->owner;

	if (exit_signal == 0 && exit_code == 0) {
		child_stop(child, on_migrate_stopped);
		return;
	}
	on_ended(child, exit_code, exit_signal);
	if (exit_signal == 0 && exit_code == EXIT_SCHEMA_IS_FOREIGN) {
		log_event(LOG_ERROR, "serve.failed", LOG_STRING("reason", "the database's schema is not one of this depbroker (see "
			"migrate.failed): run the version that wrote it, or restore a backup of before"));
		stop(member->supervisor, 1);
	}
}

static void migrate(struct supervisor *supervisor)
{
	start_member(supervisor, &supervisor->members[0], on_migrate_ended);
}

static void on_postgres_ready(struct embedded_postgres *postgres)
{
	migrate(postgres->owner);
}

static void on_postgres_failed(struct embedded_postgres *postgres, const struct fault *fault)
{
	log_event(LOG_ERROR, "serve.failed", LOG_STRING("reason", fault->text));
	stop(postgres->owner, 1);
}

// --- down ---

static void on_postgres_stopped(struct embedded_postgres *postgres)
{
	struct supervisor *supervisor = postgres->owner;

	log_event(LOG_INFO, "serve.stopped", LOG_INT("exit_code", supervisor->exit_code));
	stop_signals_close(&supervisor->signals);
}

static void on_member_stopped(struct child *child)
{
	struct member *member = child->owner;
	struct supervisor *supervisor = member->supervisor;

	if (--supervisor->members_left > 0) {
		return;
	}
	if (supervisor->has_postgres) {
		embedded_postgres_stop(&supervisor->postgres, on_postgres_stopped);
	} else {
		on_postgres_stopped(&supervisor->postgres);
	}
}

static void stop(struct supervisor *supervisor, int exit_code)
{
	if (supervisor->is_stopping) {
		return;
	}
	supervisor->is_stopping = true;
	supervisor->exit_code = exit_code;
	supervisor->members_left = supervisor->member_count;
	log_event(LOG_INFO, "serve.stopping");
	for (size_t i = 0; i < supervisor->member_count; i++) {
		child_stop(&supervisor->members[i].child, on_member_stopped);
	}
}

static void on_signal(struct stop_signals *signals)
{
	stop(signals->owner, 0);
}

static void on_signal_again(struct stop_signals *signals)
{
	struct supervisor *supervisor = signals->owner;

	stop(supervisor, 0); // when the first came too early to be told
	for (size_t i = 0; i < supervisor->member_count; i++) {
		child_kill(&supervisor->members[i].child);
	}
}

// --- hints: the api says them, each worker hears them ---

static void open_hints(struct supervisor *supervisor)
{
	struct member *api = &supervisor->members[1];
	struct fault fault;

	api->sockets = allocate_array(supervisor->member_count, sizeof *api->sockets);
	for (size_t i = 2; i < supervisor->member_count; i++) {
		struct member *worker = &supervisor->members[i];

		if (hint_pair_open(&worker->hints, &fault) != OK) {
			log_event(LOG_WARNING, "serve.no_hints", LOG_STRING("child", worker->name), LOG_STRING("reason", fault.text));
			continue;
		}
		worker->sockets = &worker->hints.hears;
		worker->socket_count = 1;
		api->sockets[api->socket_count++] = worker->hints.says;
	}
}

static void close_hints(struct supervisor *supervisor)
{
	for (size_t i = 2; i < supervisor->member_count; i++) {
		hint_pair_close(&supervisor->members[i].hints);
	}
	free(supervisor->members[1].sockets);
}

// --- all of it ---

static void supervisor_init(struct supervisor *supervisor, const struct config *config, const char *program)
{
	*supervisor = (struct supervisor){ .config = config, .program = program };
	supervisor->member_count = 2 + (size_t)config->workers;
	supervisor->members = allocate_array(supervisor->member_count, sizeof *supervisor->members);
	make_member(supervisor, 0, "migrate", -1);
	make_member(supervisor, 1, "api", -1);
	for (size_t i = 2; i < supervisor->member_count; i++) {
		make_member(supervisor, i, "worker", (int)(i - 2));
	}
	open_hints(supervisor);
	loop_init(&supervisor->loop);
	supervisor->postgres.owner = supervisor;
	supervisor->postgres.ready = on_postgres_ready;
	supervisor->postgres.failed = on_postgres_failed;
	supervisor->signals = (struct stop_signals){ .stop = on_signal, .again = on_signal_again, .owner = supervisor };
	stop_signals_open(&supervisor->signals, &supervisor->loop);
}

static void supervisor_fini(struct supervisor *supervisor)
{
	loop_fini(&supervisor->loop);
	close_hints(supervisor);
	for (size_t i = 0; i < supervisor->member_count; i++) {
		environment_free(supervisor->members[i].environment);
	}
	free(supervisor->members);
}

static void start(struct supervisor *supervisor)
{
	const struct config *config = supervisor->config;
	struct fault fault;

	if (config->database_url != NULL) {
		(void)mkdir(config->state_dir, 0700); // for the master key; who keeps that elsewhere needs none
		migrate(supervisor);
		return;
	}
	supervisor->has_postgres = true;
	if (embedded_postgres_start(&supervisor->postgres, &supervisor->loop, config->state_dir, supervisor->program, &fault) != OK) {
		supervisor->has_postgres = false;
		log_event(LOG_ERROR, "serve.failed", LOG_STRING("reason", fault.text));
		stop(supervisor, 1);
	}
}

int serve_main(const struct config *config, const char *program)
{
	struct supervisor supervisor;

	supervisor_init(&supervisor, config, program);
	log_event(LOG_INFO, "serve.starting", LOG_STRING("version", DEPBROKER_VERSION),
		LOG_STRING("database", config->database_url != NULL ? "configured" : "embedded"),
		LOG_STRING("state_dir", config->state_dir), LOG_STRING("listen", config->listen),
		LOG_STRING("dep_listen", config->dep_listen), LOG_STRING("admin_listen", config->admin_listen),
		LOG_STRING("apple_url", config->apple_url), LOG_INT("workers", config->workers), LOG_INT("pid", getpid()));
	start(&supervisor);
	loop_run(&supervisor.loop);
	supervisor_fini(&supervisor);
	return supervisor.exit_code;
}
