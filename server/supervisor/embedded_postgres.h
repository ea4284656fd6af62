// SPDX-License-Identifier: Apache-2.0
//
// embedded_postgres.h - a private PostgreSQL for those who configured none: made on first start, run as our child.
//
//   made:    internal-exec initdb (into postgres.new) -> postgres --single: create database -> rename to postgres
//   run:     wait for an older server on the same files to end -> postgres -> its postmaster.pid says ready
//
// Ownership  the caller embeds struct embedded_postgres, zeroed, and keeps it until `stopped`.
// Thread     loop thread only. Starting makes directories and reads small files; waiting is done by the loop.
// Laws       1. $STATE_DIR/postgres is either absent or a whole cluster: an interrupted first start leaves postgres.new only
//            2. it listens on a unix socket alone, in a directory that nobody else can enter
//            3. it never runs as root: then it and its directories belong to the user postgres, or nobody
//            4. it dies with us (SIGINT, its fast shutdown), and one state directory has one supervisor (a lock)
#pragma once

#include "loop/child.h"

enum { EMBEDDED_POSTGRES_ARGUMENTS_MAX = 48 };

struct embedded_postgres {
	// Called once, when it accepts connections.
	void (*ready)(struct embedded_postgres *postgres);
	// Called at most once, before `ready`: it will not work. Then embedded_postgres_stop must still be called.
	void (*failed)(struct embedded_postgres *postgres, const struct fault *fault);
	void *owner;

	struct loop *loop;
	const char *program_path; // of depbroker, for internal-exec
	char *state_dir;          // absolute
	char *data_dir;
	char *new_dir;
	char *socket_dir;
	char *binaries;  // "/usr/lib/postgresql/15/bin"
	char *url;       // for DEPBROKER_DATABASE_URL
	const char *user; // to run as; NULL: as we are
	int lock;
	struct child child;
	struct delay poll;
	bool poll_is_open;
	bool is_ready;
	bool is_stopping;
	int ends;                // of the server before it was ready
	int64_t waiting_since_ms;
	char *arguments[EMBEDDED_POSTGRES_ARGUMENTS_MAX];
	size_t argument_count;
	void (*next)(struct embedded_postgres *postgres); // after the present step
	void (*stopped)(struct embedded_postgres *postgres);
};

// Set `ready`, `failed` and `owner` before. On failure nothing runs and nothing needs to be stopped.
MUST_USE enum err embedded_postgres_start(struct embedded_postgres *postgres, struct loop *loop, const char *state_dir,
	const char *program_path, struct fault *fault);
const char *embedded_postgres_url(const struct embedded_postgres *postgres);
// For other commands: the URL of one that runs on this state directory. ERR_UNAVAILABLE when there is none, or it may not be seen.
MUST_USE enum err embedded_postgres_running_url(char **url, const char *state_dir, struct fault *fault);
void embedded_postgres_stop(struct embedded_postgres *postgres, void (*stopped)(struct embedded_postgres *postgres));
