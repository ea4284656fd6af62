// SPDX-License-Identifier: Apache-2.0
#include "database.h"

#include "store/store.h"
#include "supervisor/embedded_postgres.h"

#include <stdlib.h>
#include <string.h>

enum err database_open(struct database *database, const struct config *config, struct fault *fault)
{
	struct pg_pool_config pool = { .url = config->database_url, .application_name = "depbroker/command", .size = 1 };

	*database = (struct database){ 0 };
	if (pool.url == NULL) {
		TRY(embedded_postgres_running_url(&database->embedded_url, config->state_dir, fault));
		pool.url = database->embedded_url;
	}
	loop_init(&database->loop);
	const enum err rc = pg_pool_open(&database->pool, &database->loop, &pool, fault);

	if (rc != OK) {
		loop_run(&database->loop);
		loop_fini(&database->loop);
		free(database->embedded_url);
	}
	return rc;
}

static void on_done(struct op *op)
{
	struct pg_transaction *transaction = CONTAINER_OF(op, struct pg_transaction, op);
	struct database_transaction *own = CONTAINER_OF(transaction, struct database_transaction, pg);

	own->database->is_done = true;
}

struct pg_transaction *database_begin(struct database *database, struct database_transaction *transaction,
	struct pg_scope scope)
{
	transaction->database = database;
	pg_transaction_init(&transaction->pg, scope, on_done);
	return &transaction->pg;
}

void database_wait(struct database *database)
{
	while (!database->is_done) {
		(void)uv_run(&database->loop.uv, UV_RUN_ONCE);
	}
	database->is_done = false;
}

// What a person makes of a database that is there and is not ours yet.
static bool has_no_schema(const struct pg_transaction *transaction)
{
	static const char *const states[] = { "3F000", "42P01", "42501", "22023" }; // schema, table, right or role missing

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		if (strcmp(transaction->sqlstate, states[i]) == 0) {
			return true;
		}
	}
	return false;
}

enum err database_run(struct database_transaction *transaction, struct fault *fault)
{
	const struct op *op = &transaction->pg.op;

	pg_start(&transaction->pg, transaction->database->pool, STORE_TIMEOUT_MS);
	database_wait(transaction->database);
	*fault = op->fault;
	if (op->rc != OK && has_no_schema(&transaction->pg)) {
		return fault_wrap(fault, op->rc, "the database is not set up for depbroker: run depbroker serve or depbroker migrate "
			"first");
	}
	return op->rc;
}

void database_close(struct database *database)
{
	pg_pool_close(database->pool, NULL, NULL);
	loop_run(&database->loop);
	loop_fini(&database->loop);
	free(database->embedded_url);
}
