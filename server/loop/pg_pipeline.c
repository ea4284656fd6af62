// SPDX-License-Identifier: Apache-2.0
//
// A transaction is one pipeline, which ends in one sync:
//
//   begin | the settings | the tenant | the statements | commit | sync
//
// After an error the server skips the rest up to the sync. It then still is inside the failed transaction, because it has
// skipped the commit, too; so a rollback follows, after the transaction's owner has been told.
#include "loop/pg_inner.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID_TEXT            25
#define ROLLBACK_TIMEOUT_MS 5000
// TLS takes whole records of up to 16 KiB from the socket; libpq takes from TLS what fits into its buffer, and does not say
// whether anything is left. If so, the socket does not become readable again; so we look again after a while.
#define LOOK_AGAIN_MS       5

// All in one statement, valid until the end of the transaction. Role and time-out are parameters, so nothing needs to be quoted.
// Three decide how results look as text, whatever the role, the database or the server prefer. The last four keep plans from
// depending on statistics, which lag while a table is being filled, and from the values that the first transaction happened to
// have: every statement of ours follows an index in its order, and a planner that takes a client's 100,000 rows for 40 would read
// the table or collect and sort them all for each page instead, or compile code for it.
#define SETTINGS "select pg_catalog.set_config('role', $1, true), " \
	"pg_catalog.set_config('statement_timeout', $2, true), " \
	"pg_catalog.set_config('datestyle', 'ISO', true), pg_catalog.set_config('timezone', 'UTC', true), " \
	"pg_catalog.set_config('bytea_output', 'hex', true), " \
	"pg_catalog.set_config('enable_bitmapscan', 'off', true), pg_catalog.set_config('enable_seqscan', 'off', true), " \
	"pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true), pg_catalog.set_config('jit', 'off', true)"
#define SETTINGS_OF_LAZY SETTINGS ", pg_catalog.set_config('synchronous_commit', 'off', true)"

static void expect(struct pg_connection *connection, enum pg_expected_kind kind, int statement, struct pg_prepared *prepared)
{
	assert(connection->expected_count < PG_EXPECTED_MAX);
	connection->expected[connection->expected_count++] = (struct pg_expected){ .kind = kind, .statement = statement, .prepared = prepared };
}

struct values { // of a statement's parameters
	int count;
	const Oid *types;
	const char *const *values;
	const int *lengths;
	const int *formats; // NULL: text
};

// By its name when it has one; what gets its name now is parsed right before, inside of the transaction: under its role.
static bool send_one(struct pg_connection *connection, const char *role, const char *sql, const struct values *values,
	enum pg_expected_kind kind, int statement)
{
	PGconn *pg = connection->pg;
	struct pg_prepared *prepared = connection->pool->is_nameless ? NULL
		: pg_prepared_look(&connection->prepared, role, sql, values->types, (size_t)values->count);
	char name[PG_PREPARED_NAME_SIZE];

	if (prepared == NULL) {
		expect(connection, kind, statement, NULL);
		return PQsendQueryParams(pg, sql, values->count, values->types, values->values, values->lengths, values->formats, 0) == 1;
	}
	pg_prepared_name(name, prepared);
	if (!prepared->is_there && !prepared->is_sent) {
		prepared->is_sent = true;
		expect(connection, PG_OF_PREPARING, statement, prepared);
		if (PQsendPrepare(pg, name, sql, values->count, values->types) != 1) {
			return false;
		}
	}
	expect(connection, kind, statement, NULL);
	return PQsendQueryPrepared(pg, name, values->count, values->values, values->lengths, values->formats, 0) == 1;
}

static bool send_frame(struct pg_connection *connection, const char *sql)
{
	return send_one(connection, "", sql, &(struct values){ 0 }, PG_OF_FRAME, -1);
}

// The server's limit on each statement ends a little before our deadline, so that what takes too long is usually ended by the
// server, which tells that nothing was done, and not by us, who would not know.
static int64_t statement_timeout_ms(const struct pg_inner *transaction)
{
	const int64_t configured_ms = transaction->pool->statement_timeout_ms;
	const int64_t left_ms = transaction->deadline_ms - clock_monotonic_ms();
	const int64_t most_ms = left_ms - left_ms / 10;
	const int64_t timeout_ms = most_ms < configured_ms ? most_ms : configured_ms;

	return timeout_ms > 1 ? timeout_ms : 1; // 0 would be no limit
}

static bool send_settings(struct pg_connection *connection, const struct pg_inner *transaction)
{
	char timeout[32];
	const Oid types[] = { OID_TEXT, OID_TEXT };
	const char *const values[] = { transaction->scope.role, timeout };

	(void)snprintf(timeout, sizeof timeout, "%" PRId64, statement_timeout_ms(transaction));
	return send_one(connection, "", transaction->commits_lazily ? SETTINGS_OF_LAZY : SETTINGS,
		&(struct values){ .count = 2, .types = types, .values = values }, PG_OF_FRAME, -1);
}

// SET LOCAL and not set_config(): Citus hands only the former on to the nodes that hold the rows. It takes no parameters, but
// an integer needs none. The directory's scope sets it, too: to a text that is no number, so that whoever reads the tenant
// there gets an error, also when the role or the URL give the setting a value.
static bool send_tenant(struct pg_connection *connection, const struct pg_scope *scope)
{
	char sql[64] = "set local depbroker.tenant = ''";

	if (!scope->directory) {
		(void)snprintf(sql, sizeof sql, "set local depbroker.tenant = '%" PRId64 "'", scope->tenant_id);
	}
	expect(connection, PG_OF_FRAME, -1, NULL);
	return PQsendQueryParams(connection->pg, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool send_statement(struct pg_connection *connection, const struct pg_inner *transaction, int index)
{
	const struct pg_statement *statement = &transaction->statements[index];
	Oid *types = allocate_array(statement->count, sizeof *types);
	const char **values = allocate_array(statement->count, sizeof *values);
	int *lengths = allocate_array(statement->count, sizeof *lengths);
	int *formats = allocate_array(statement->count, sizeof *formats);
	bool sent;

	for (size_t i = 0; i < statement->count; i++) {
		const struct pg_parameter *parameter = &statement->parameters[i];

		types[i] = parameter->type;
		values[i] = parameter->is_null ? NULL : statement->encoded.bytes + parameter->offset;
		lengths[i] = (int)parameter->length;
		formats[i] = 1;
	}
	sent = send_one(connection, transaction->scope.role, statement->sql,
		&(struct values){ (int)statement->count, types, values, lengths, formats }, PG_OF_STATEMENT, index);
	free(types);
	free(values);
	free(lengths);
	free(formats);
	return sent;
}

static bool send_all(struct pg_connection *connection, const struct pg_inner *transaction)
{
	if (!send_frame(connection, "begin") || !send_settings(connection, transaction) || !send_tenant(connection, &transaction->scope)) {
		return false;
	}
	for (unsigned i = 0; i < transaction->count; i++) {
		if (!send_statement(connection, transaction, (int)i)) {
			return false;
		}
	}
	return send_one(connection, "", "commit", &(struct values){ 0 }, PG_OF_COMMIT, (int)transaction->count) &&
		PQpipelineSync(connection->pg) == 1;
}

// False: broken.
static bool flush(struct pg_connection *connection)
{
	const int left = PQflush(connection->pg);

	if (left < 0) {
		pg_connection_break(connection, PQerrorMessage(connection->pg));
		return false;
	}
	pg_connection_want_writable(connection, left > 0);
	if (connection->is_tls && pg_connection_is_working(connection)) {
		delay_start(&connection->timer, LOOK_AGAIN_MS);
	}
	return true;
}

static void start_rollback(struct pg_connection *connection)
{
	connection->state = PG_ROLLING_BACK;
	connection->deadline_ms = clock_monotonic_ms() + ROLLBACK_TIMEOUT_MS;
	pg_pool_watch_deadline(connection->pool, connection->deadline_ms);
	connection->results = 0;
	connection->expected_count = 0;
	if (!send_frame(connection, "rollback") || PQpipelineSync(connection->pg) != 1) {
		pg_connection_break(connection, PQerrorMessage(connection->pg));
		return;
	}
	(void)flush(connection);
}

// What the next result belongs to. A server that sends more than was asked for is found out by take_results.
static struct pg_expected next_expected(struct pg_connection *connection)
{
	const unsigned index = connection->results++;

	return index < connection->expected_count ? connection->expected[index] : (struct pg_expected){ .kind = PG_OF_FRAME, .statement = -1 };
}

// A result that tells of success; kept when it is a statement's.
static void take_success(struct pg_connection *connection, PGresult *result)
{
	struct pg_inner *transaction = connection->transaction;
	const struct pg_expected expected = next_expected(connection);

	if (expected.kind == PG_OF_PREPARING) {
		expected.prepared->is_there = true;
	} else if (transaction != NULL && expected.kind == PG_OF_COMMIT) {
		// The tag of a commit that could not commit says ROLLBACK.
		transaction->is_committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
		if (!transaction->is_committed && transaction->failed == OK) {
			transaction->failed = fault_set(&transaction->outer->op.fault, ERR_DATABASE,
				"the server rolled back instead of committing");
		}
	} else if (transaction != NULL && expected.kind == PG_OF_STATEMENT) {
		transaction->statements[expected.statement].result = result;
		return;
	}
	pg_result_free(result);
}

static void note_missing_name(struct pg_connection *connection)
{
	if (!connection->pool->is_nameless) {
		connection->pool->is_nameless = true;
		log_event(LOG_INFO, "database.no_prepared_statements",
			LOG_STRING("reason", "a pooler is between, so statements are sent whole"));
	}
	if (connection->transaction != NULL) {
		connection->transaction->lacks_names = true;
	}
}

// False: broken.
static bool take_error(struct pg_connection *connection, PGresult *result)
{
	struct pg_inner *transaction = connection->transaction;
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const struct pg_expected expected = next_expected(connection);

	// libpq's own, about the connection; or the server's last words.
	if (sqlstate == NULL || pg_error_leaves_unknown(sqlstate)) {
		pg_connection_break(connection, sqlstate == NULL ? PQresultErrorMessage(result) :
			PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		PQclear(result);
		return false;
	}
	connection->is_bad = connection->is_bad || pg_error_breaks_connection(sqlstate);
	if (pg_prepared_is_missing(sqlstate)) {
		note_missing_name(connection);
	}
	if (transaction != NULL && transaction->failed == OK) {
		transaction->failed = pg_error_take(transaction, result, expected.statement);
	}
	PQclear(result);
	return true;
}

// What the server skipped was not prepared.
static void end_preparing(struct pg_connection *connection)
{
	for (unsigned i = 0; i < connection->expected_count; i++) {
		if (connection->expected[i].kind == PG_OF_PREPARING) {
			connection->expected[i].prepared->is_sent = false;
		}
	}
}

// It failed before anything was done, and is rolled back: the first error of a pipeline is the only one, and COMMIT was skipped.
static void send_again(struct pg_connection *connection, struct pg_inner *transaction)
{
	for (unsigned i = 0; i < transaction->count; i++) {
		pg_result_free(transaction->statements[i].result);
		transaction->statements[i].result = NULL;
	}
	transaction->lacks_names = false;
	transaction->failed = OK;
	transaction->outer->op.fault = (struct fault){ 0 };
	transaction->outer->sqlstate[0] = '\0';
	transaction->outer->constraint[0] = '\0';
	pg_pool_take_back(connection->pool, transaction);
}

static void end_transaction(struct pg_connection *connection, struct pg_inner *transaction)
{
	assert(transaction->is_committed || transaction->failed != OK);
	connection->transaction = NULL;
	if (transaction->lacks_names) {
		send_again(connection, transaction);
	} else {
		pg_finish(transaction, transaction->failed);
	}
}

// The sync: the pipeline is over.
static void take_end(struct pg_connection *connection)
{
	const PGTransactionStatusType status = PQtransactionStatus(connection->pg);

	end_preparing(connection);
	if (connection->state == PG_BUSY && connection->transaction != NULL) {
		end_transaction(connection, connection->transaction);
	}
	if (connection->is_bad) {
		pg_connection_break(connection, "this server does not take changes any more");
	} else if (status == PQTRANS_IDLE) {
		connection->state = PG_FREE;
		list_add_first(&connection->pool->free, &connection->link); // the last used is the one with the warmest caches
		pg_pool_serve(connection->pool);
	} else if (connection->state == PG_BUSY) {
		start_rollback(connection);
	} else {
		pg_connection_break(connection, "the server does not end a transaction");
	}
}

// False: broken.
static bool take_result(struct pg_connection *connection, PGresult *result)
{
	const ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
		take_success(connection, result);
		return true;
	}
	if (status == PGRES_FATAL_ERROR) {
		return take_error(connection, result);
	}
	PQclear(result);
	if (status == PGRES_PIPELINE_ABORTED) {
		connection->results++; // the consequence of an error that was taken already
	} else if (status == PGRES_PIPELINE_SYNC) {
		take_end(connection);
	} else {
		pg_connection_break(connection, "the server sent an answer that no statement asks for");
		return false;
	}
	return true;
}

static void take_results(struct pg_connection *connection)
{
	bool after_null = false;

	// The state may change with each result: to free, to broken, or on to the next transaction.
	while (pg_connection_is_working(connection) && PQisBusy(connection->pg) == 0) {
		PGresult *result = PQgetResult(connection->pg);

		if (result == NULL && after_null) { // one NULL ends a statement's results; two would be no end
			pg_connection_break(connection, "the server's answers do not fit the statements");
			return;
		}
		after_null = result == NULL;
		if (result != NULL && !take_result(connection, result)) {
			return;
		}
	}
}

// Reads what the server has to say. False: broken.
static bool hear(struct pg_connection *connection)
{
	const bool is_alive = PQconsumeInput(connection->pg) == 1;

	take_results(connection); // also what came right before the end
	if (!pg_connection_is_connected(connection)) {
		return false;
	}
	(void)PQisBusy(connection->pg); // reads notices and changed settings while nothing else is expected
	if (!is_alive || PQstatus(connection->pg) != CONNECTION_OK) {
		pg_connection_break(connection, PQerrorMessage(connection->pg));
		return false;
	}
	if (connection->state == PG_FREE && connection->is_bad) {
		pg_connection_break(connection, "the server is shutting down");
		return false;
	}
	return true;
}

void pg_pipeline_work(struct pg_connection *connection)
{
	delay_stop(&connection->timer);
	if (hear(connection)) {
		(void)flush(connection);
	}
}

bool pg_pipeline_prepare(struct pg_connection *connection)
{
	// A server that went away while we were not looking: better to know now than to wonder later what it did.
	return hear(connection);
}

void pg_pipeline_send(struct pg_connection *connection, struct pg_inner *transaction)
{
	connection->state = PG_BUSY;
	connection->transaction = transaction;
	connection->results = 0;
	connection->expected_count = 0;
	connection->deadline_ms = transaction->deadline_ms;
	connection->is_bad = false;
	transaction->stage = PG_SENT;
	transaction->connection = connection;
	if (!send_all(connection, transaction)) {
		pg_connection_break(connection, PQerrorMessage(connection->pg));
		return;
	}
	(void)flush(connection);
}
