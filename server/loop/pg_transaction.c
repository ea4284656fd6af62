// SPDX-License-Identifier: Apache-2.0
#include "loop/pg_inner.h"

#include "depbroker/clock.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ENCODED_LIMIT_MIB 256   // of one transaction's values
#define ENCODED_LIMIT     ((size_t)ENCODED_LIMIT_MIB << 20)
#define PARAMETERS_MAX    65535 // of the protocol

#define LOGIN "none" // SET ROLE's word for: whoever has connected

static bool is_role(const char *role)
{
	return role != NULL && role[strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0' && role[0] != '\0' &&
		strlen(role) < 64 && strcmp(role, LOGIN) != 0;
}

struct pg_scope pg_scope_tenant(const char *role, int64_t tenant_id)
{
	assert(is_role(role) && tenant_id > 0);
	return (struct pg_scope){ .role = role, .tenant_id = tenant_id };
}

struct pg_scope pg_scope_directory(const char *role)
{
	assert(is_role(role));
	return (struct pg_scope){ .role = role, .directory = true };
}

struct pg_scope pg_scope_login(void)
{
	return (struct pg_scope){ .role = LOGIN, .directory = true };
}

static void free_results(struct pg_inner *inner)
{
	for (unsigned i = 0; i < inner->count; i++) {
		pg_result_free(inner->statements[i].result);
		inner->statements[i].result = NULL;
	}
}

static void on_finished(struct deferred *deferred)
{
	struct pg_inner *inner = CONTAINER_OF(deferred, struct pg_inner, deferred);
	struct pg_transaction *outer = inner->outer;

	inner->stage = PG_DONE;
	pg_pool_transaction_done(inner->pool);
	inner->pool = NULL;
	op_done(&outer->op, outer->op.rc);
}

void pg_transaction_init(struct pg_transaction *transaction, struct pg_scope scope, void (*done)(struct op *op))
{
	struct pg_inner *inner = allocate(sizeof *inner);

	assert((scope.tenant_id > 0) != scope.directory); // made by one of the above
	assert(is_role(scope.role) || (scope.directory && strcmp(scope.role, LOGIN) == 0));
	*inner = (struct pg_inner){ .outer = transaction, .scope = scope,
		.deferred = { .run = on_finished } };
	list_init(&inner->link);
	op_init(&transaction->op, done);
	transaction->sqlstate[0] = '\0';
	transaction->constraint[0] = '\0';
	transaction->inner = inner;
}

// At most: an element has its length, and a number at most eight bytes.
static size_t encoded_size(const struct pg_value *values, size_t count)
{
	enum { HEAD = 20, ELEMENT = 12 };
	size_t size = 0;

	for (size_t i = 0; i < count; i++) {
		size += HEAD + ELEMENT + values[i].text.length + values[i].count * ELEMENT;
		for (size_t j = 0; values[i].texts != NULL && j < values[i].count; j++) {
			size += values[i].texts[j].length;
		}
	}
	return size;
}

unsigned pg_add(struct pg_transaction *transaction, const char *sql, const struct pg_value *values, size_t count)
{
	struct pg_inner *inner = transaction->inner;
	struct pg_statement *statement = &inner->statements[inner->count];
	struct fault *fault = &transaction->op.fault;

	assert(inner->stage == PG_DRAFT && inner->count < PG_STATEMENTS_MAX && count <= PARAMETERS_MAX);
	*statement = (struct pg_statement){ .sql = sql, .count = count, .encoded = BUFFER(ENCODED_LIMIT - inner->encoded_bytes) };
	buffer_reserve(&statement->encoded, encoded_size(values, count));
	statement->parameters = allocate_array(count, sizeof *statement->parameters);
	for (size_t i = 0; i < count; i++) {
		if (!pg_value_encode(&statement->encoded, &statement->parameters[i], &values[i]) && inner->refused == OK) {
			inner->refused = statement->encoded.overflow ?
				fault_set(fault, ERR_BAD_INPUT, "the values are larger than %d MiB", ENCODED_LIMIT_MIB) :
				fault_set(fault, ERR_BAD_INPUT, "statement %u: value %zu is out of its type's range", inner->count,
					i + 1);
		}
	}
	inner->encoded_bytes += statement->encoded.length;
	return inner->count++;
}

void pg_commit_lazily(struct pg_transaction *transaction)
{
	struct pg_inner *inner = transaction->inner;

	assert(inner->stage == PG_DRAFT);
	inner->commits_lazily = true;
}

void pg_start(struct pg_transaction *transaction, struct pg_pool *pool, int64_t timeout_ms)
{
	struct pg_inner *inner = transaction->inner;

	assert(inner->stage == PG_DRAFT);
	inner->pool = pool;
	inner->stage = PG_WAITING;
	inner->deadline_ms = clock_monotonic_ms() + timeout_ms;
	if (inner->refused == OK) {
		pg_pool_accept(pool, inner);
	} else {
		pg_pool_refuse(pool, inner, inner->refused);
	}
}

void pg_finish(struct pg_inner *inner, enum err rc)
{
	assert(inner->stage == PG_WAITING || inner->stage == PG_SENT);
	if (rc != OK) {
		free_results(inner);
		inner->pool->counters.failed++;
	}
	inner->outer->op.rc = rc;
	inner->connection = NULL;
	inner->stage = PG_FINISHED;
	loop_defer(inner->pool->loop, &inner->deferred);
}

// What was sent goes on without anybody waiting for it: its connection reads the answers to the end, and stays usable.
void pg_cancel(struct pg_transaction *transaction)
{
	struct pg_inner *inner = transaction->inner;

	if (inner->stage == PG_WAITING) {
		pg_pool_forget(inner->pool, inner);
	} else if (inner->stage == PG_SENT) {
		inner->connection->transaction = NULL;
	} else {
		return;
	}
	pg_finish(inner, ERR_CANCELLED);
}

void pg_transaction_fini(struct pg_transaction *transaction)
{
	struct pg_inner *inner = transaction->inner;

	if (inner == NULL) {
		return;
	}
	assert(inner->stage == PG_DRAFT || inner->stage == PG_DONE);
	free_results(inner);
	for (unsigned i = 0; i < inner->count; i++) {
		free(inner->statements[i].parameters);
		buffer_fini_wiped(&inner->statements[i].encoded);
	}
	free(inner);
	transaction->inner = NULL;
}
