// SPDX-License-Identifier: Apache-2.0
//
// database.h - the database as commands use it: one connection, one transaction after the other, waited for.
//
// Ownership  the caller embeds struct database; database_close only after database_open gave OK.
#pragma once

#include "depbroker/config.h"
#include "loop/pg.h"

struct database {
	struct loop loop;
	struct pg_pool *pool;
	char *embedded_url; // NULL: the configured one is used
	bool is_done;
};

struct database_transaction {
	struct pg_transaction pg;
	struct database *database;
};

// The configured database; without one the embedded PostgreSQL of a depbroker serve that runs on the same state directory.
MUST_USE enum err database_open(struct database *database, const struct config *config, struct fault *fault);
struct pg_transaction *database_begin(struct database *database, struct database_transaction *transaction,
	struct pg_scope scope);
// Starts it and returns when it is over; then pg_transaction_fini(&transaction->pg) is due.
MUST_USE enum err database_run(struct database_transaction *transaction, struct fault *fault);
void database_wait(struct database *database); // until is_done, which it resets
void database_close(struct database *database);
