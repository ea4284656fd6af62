// SPDX-License-Identifier: Apache-2.0
//
// supervisor.h - `depbroker serve`: brings everything up in order, keeps it running, and takes it down in the opposite order.
//
//   up:    embedded PostgreSQL, when no database is configured -> depbroker migrate -> depbroker api, depbroker worker x N
//   down:  SIGTERM to api and workers (20 s, then SIGKILL) -> PostgreSQL's fast shutdown
//
// Laws  1. it parses nothing that comes from outside and never talks to a database: it must not be able to crash by input
//       2. a child that dies is started again; a worker gets a new node id and the id of the one it replaces
//       3. nothing that it started outlives it, not even when it is killed
//       4. the first SIGTERM or SIGINT drains, a second one kills
//
// What it says to its children by environment (see config.h): DEPBROKER_DATABASE_URL of the embedded PostgreSQL,
// DEPBROKER_PARENT_PID, and to workers DEPBROKER_WORKER_INDEX, DEPBROKER_NODE_ID, DEPBROKER_REPLACES_NODE.
#pragma once

#include "depbroker/config.h"

// What `depbroker migrate` exits with when the database's schema is not one of this program: a newer one wrote it, or an applied
// migration has another content. Trying again would not help.
enum { EXIT_SCHEMA_IS_FOREIGN = 3 };

// `program` is this program's path. Returns the exit code.
MUST_USE int serve_main(const struct config *config, const char *program);
