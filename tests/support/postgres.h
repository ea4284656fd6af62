// SPDX-License-Identifier: Apache-2.0
//
// postgres.h - a private PostgreSQL for a test program: a real server in a directory of its own, gone when the program is.
//
// Ownership  test_postgres_new gives it, test_postgres_free takes it. Texts given out are malloc'ed and the caller's.
// Laws       1. everything blocks until it is done; what cannot be done fails the test
//            2. as root the server runs as the user postgres, or nobody
//            3. the server and its directory go away also when the test program crashes: a guardian process sees to it
//            4. initdb runs once for a build folder; each server starts from a copy of what it made
//            5. fsync is off: the server survives kill -9 of its processes, but not a power cut
//
//   struct test_postgres *postgres = test_postgres_new();
//   test_postgres_run(postgres, "create table t (a int)");
//   ... postgres->url ...
//   test_postgres_free(postgres);
#pragma once

#include "supervisor/postgres_files.h"

#include <stdint.h>

struct test_postgres {
	char *url;       // of the superuser "postgres" in the database "postgres", over the unix socket, without a password
	char *directory; // absolute; the socket is in it, and server.log
	uint16_t port;   // names the socket; on 127.0.0.1, too, where SCRAM passwords are asked for
	pid_t pid;       // of the postmaster; 0: it does not run
	char *data_dir;
	char *binaries; // "/usr/lib/postgresql/15/bin"
	struct postgres_user user;
	pid_t guardian;
	int guardian_pipe;
};

struct test_postgres *test_postgres_new(void); // started
void test_postgres_free(struct test_postgres *postgres); // stopped, when it runs

void test_postgres_stop(struct test_postgres *postgres);  // "fast": open connections are told so and cut
void test_postgres_kill(struct test_postgres *postgres);  // SIGKILL for the postmaster and all its children
void test_postgres_start(struct test_postgres *postgres); // again, on the same port
// Others as it is, over the unix socket: any user, any database.
char *test_postgres_url(const struct test_postgres *postgres, const char *user, const char *database);

// As the superuser: statements, several with semicolons, and the first value of their last answer (NULL when it has none).
void test_postgres_run(const struct test_postgres *postgres, const char *sql);
char *test_postgres_ask(const struct test_postgres *postgres, const char *sql);
