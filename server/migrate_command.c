// SPDX-License-Identifier: Apache-2.0
//
// depbroker migrate: brings the schema up to date and ends. A database that is away is waited for.
#include "command.h"
#include "database.h"
#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "store/migrate.h"
#include "supervisor/supervisor.h"

enum { PATIENCE_MS = 60000 };

struct run {
	struct migration migration;
	struct database *database;
};

static void on_migrated(struct op *op)
{
	struct run *run = CONTAINER_OF(CONTAINER_OF(op, struct migration, op), struct run, migration);

	run->database->is_done = true;
}

static bool is_worth_another_try(const struct op *op, int64_t started_ms)
{
	return err_class(op->rc) == ERR_CLASS_RETRY && clock_monotonic_ms() - started_ms < PATIENCE_MS;
}

int migrate_command(const struct config *config)
{
	const int64_t started_ms = clock_monotonic_ms();
	struct database database;
	struct run run = { .database = &database };
	const struct op *op = &run.migration.op;
	struct fault fault;

	if (database_open(&database, config, &fault) != OK) {
		log_event(LOG_ERROR, "migrate.failed", LOG_STRING("reason", fault.text));
		return EXIT_FAILED;
	}
	do {
		migration_start(&run.migration, database.pool, on_migrated);
		database_wait(&database);
	} while (is_worth_another_try(op, started_ms));
	database_close(&database);
	if (op->rc == OK) {
		log_event(LOG_INFO, "migrate.done", LOG_INT("applied", run.migration.applied),
			LOG_INT("version", store_schema_expected()));
		return EXIT_OK;
	}
	log_event(LOG_ERROR, "migrate.failed", LOG_STRING("error", err_name(op->rc)), LOG_STRING("reason", op->fault.text));
	return run.migration.is_foreign ? EXIT_SCHEMA_IS_FOREIGN : EXIT_FAILED;
}
