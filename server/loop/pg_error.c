// SPDX-License-Identifier: Apache-2.0
#include "loop/pg_inner.h"

#include <stdio.h>
#include <string.h>

// The first start that fits decides.
static const struct meaning {
	const char *sqlstate; // or its start
	enum err code;
} meanings[] = {
	{ "23505", ERR_CONFLICT }, // unique_violation
	{ "23P01", ERR_CONFLICT }, // exclusion_violation
	{ "23", ERR_BAD_INPUT },
	{ "22", ERR_BAD_INPUT },
	{ "DB001", ERR_FENCED },      // raised by our schema
	{ "40001", ERR_UNAVAILABLE }, // serialization_failure
	{ "40P01", ERR_UNAVAILABLE }, // deadlock_detected
	{ "57014", ERR_TIMEOUT },     // query_canceled: our statement_timeout
	{ "26000", ERR_UNAVAILABLE }, // invalid_sql_statement_name: pg_prepared.c
	{ "42P05", ERR_UNAVAILABLE }, // duplicate_prepared_statement
	{ "25006", ERR_UNAVAILABLE }, // read_only_sql_transaction: this server is not the primary any more
};

// Servers that are going away, or have stopped to be the primary.
static const char *const breaking[] = { "25006", "57P01", "57P02", "57P03", "08" };
// Not by the server, but perhaps by a pooler between, which does not know how far the server got.
static const char *const unknowing[] = { "57P01", "57P02", "57P03", "08" };

static bool starts_with(const char *sqlstate, const char *start)
{
	return strncmp(sqlstate, start, strlen(start)) == 0;
}

bool pg_error_breaks_connection(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof breaking / sizeof *breaking; i++) {
		if (starts_with(sqlstate, breaking[i])) {
			return true;
		}
	}
	return false;
}

bool pg_error_leaves_unknown(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof unknowing / sizeof *unknowing; i++) {
		if (starts_with(sqlstate, unknowing[i])) {
			return true;
		}
	}
	return false;
}

static enum err code_of(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
		if (starts_with(sqlstate, meanings[i].sqlstate)) {
			return meanings[i].code;
		}
	}
	return ERR_DATABASE;
}

static const char *field(const PGresult *result, int code)
{
	const char *value = PQresultErrorField(result, code);

	return value != NULL ? value : "";
}

// DETAIL, CONTEXT and HINT quote values of rows, so they stay away; so does the message itself in class 22 (a value that its
// type refuses) and XX.
static const char *message_of(const PGresult *result, const char *sqlstate)
{
	return starts_with(sqlstate, "22") ? "a value does not fit its type" :
		starts_with(sqlstate, "XX") ? "internal error of the server" : field(result, PG_DIAG_MESSAGE_PRIMARY);
}

enum err pg_error_take(struct pg_inner *transaction, const PGresult *result, int statement)
{
	struct pg_transaction *outer = transaction->outer;
	const char *sqlstate = field(result, PG_DIAG_SQLSTATE);
	enum err code = code_of(sqlstate);
	char where[32];

	(void)snprintf(outer->sqlstate, sizeof outer->sqlstate, "%s", sqlstate);
	(void)snprintf(outer->constraint, sizeof outer->constraint, "%s", field(result, PG_DIAG_CONSTRAINT_NAME));
	if (statement < 0) {
		(void)snprintf(where, sizeof where, "before the statements");
		code = code == ERR_BAD_INPUT ? ERR_DATABASE : code; // the caller did not write these
	} else if (statement == (int)transaction->count) {
		(void)snprintf(where, sizeof where, "commit"); // a deferred constraint
	} else {
		(void)snprintf(where, sizeof where, "statement %d", statement);
	}
	return fault_set(&outer->op.fault, code, "%s: %.200s (SQLSTATE %s)", where, message_of(result, sqlstate), sqlstate);
}
