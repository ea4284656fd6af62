// SPDX-License-Identifier: Apache-2.0
//
// sim_pg.c - pg.h: each transaction is two events, its effect on the rows and its answer. Between them, and on both ways, everything that a
// network can do may happen. A statement of it is an operation.
#include "sim/sim_transaction.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// --- transactions ---

struct pg_scope store_directory(void)
{
	return (struct pg_scope){ .role = "directory", .directory = true };
}

struct pg_scope store_worker(int64_t tenant_id)
{
	return (struct pg_scope){ .role = "worker", .tenant_id = tenant_id };
}

enum err pg_pool_open(struct pg_pool **out, struct loop *loop, const struct pg_pool_config *config, struct fault *fault)
{
	(void)loop;
	(void)config;
	(void)fault;
	*out = NULL;
	return OK;
}

void pg_pool_close(struct pg_pool *pool, void (*closed)(void *argument), void *argument)
{
	(void)pool;
	sim_at(sim.now_us, sim.life, closed, argument);
}

void pg_transaction_init(struct pg_transaction *transaction, struct pg_scope scope, void (*done)(struct op *op))
{
	struct sim_transaction *inner = reallocate(NULL, sizeof *inner); // what is large in it is zeroed as it is used

	memset(inner, 0, offsetof(struct sim_transaction, ops));
	*transaction = (struct pg_transaction){ .inner = inner };
	op_init(&transaction->op, done);
	inner->life = sim.life;
	inner->tenant_id = scope.tenant_id;
	inner->is_open = true;
}

static void release(struct sim_transaction *inner)
{
	if (inner->is_open || inner->is_out) {
		return;
	}
	for (size_t i = 0; i < inner->count; i++) {
		free(inner->ops[i].out);
	}
	free(inner);
}

void pg_transaction_fini(struct pg_transaction *transaction)
{
	struct sim_transaction *inner = transaction->inner;

	assert(inner != NULL && inner->transaction == NULL); // nobody waits for its answer
	inner->is_open = false;
	transaction->inner = NULL;
	release(inner);
}

static void note_taken(const struct sim_transaction *inner)
{
	const struct sim_op *op = &inner->ops[1];

	for (size_t i = 0; inner->rc == OK && inner->count > 1 && i < op->out_count; i++) {
		const struct taken_row *taken = (const struct taken_row *)op->out + i;

		inner->life->loaded[taken->tenant_id - 1].behind_us = sim.now_us - taken->stream.now_us;
	}
}

static void answer(void *argument)
{
	struct sim_transaction *inner = argument;
	struct pg_transaction *transaction = inner->transaction;

	inner->transaction = NULL;
	if (inner->rc == OK && sim_node_is_cut_off(inner->life)) {
		inner->rc = ERR_UNKNOWN;
	}
	if (inner->tenant_id == 0 && inner->ops[0].kind == OP_DUE_CLAIM) {
		sim_claimed(inner->rc != OK || inner->ops[0].out_count > 0);
		note_taken(inner);
	}
	if (inner->ops[0].kind == OP_NODE_BEAT) {
		sim_beaten(inner->rc == OK);
	}
	if (inner->rc == OK && inner->ops[0].kind == OP_STREAM_TAKE && inner->ops[0].out_count > 0) {
		inner->life->loaded[inner->tenant_id - 1].behind_us = sim.now_us - ((const struct stream_row *)inner->ops[0].out)->now_us;
	}
	sim_trace("answer", inner->tenant_id, inner->rc, 0);
	if (inner->rc != OK) {
		(void)fault_set(&transaction->op.fault, inner->rc, "%s", err_text(inner->rc));
	}
	op_done(&transaction->op, inner->rc);
}

static void answer_after(struct sim_transaction *inner, int64_t wait_us, enum err rc)
{
	inner->rc = rc;
	sim_at(sim.now_us + wait_us, inner->life, answer, inner);
}

static enum err take_effect(struct sim_transaction *inner)
{
	struct sim_life *before = sim.life;
	enum err rc;

	inner->is_out = false;
	if (sim.db_away_until_us > sim.now_us) {
		return sim_chance(50) ? ERR_UNKNOWN : ERR_UNAVAILABLE;
	}
	sim.life = NULL;
	rc = sim_rows_execute(inner);
	sim.life = before;
	sim_trace("effect", inner->tenant_id, rc, (int64_t)inner->count);
	return rc;
}

static void on_effect(void *argument)
{
	struct sim_transaction *inner = argument;
	const enum err rc = take_effect(inner);

	answer_after(inner, sim_between(200, 3000), rc);
}

static void on_unheard_effect(void *argument)
{
	struct sim_transaction *inner = argument;

	(void)take_effect(inner);
	release(inner);
}

static bool meets(struct sim_transaction *inner, enum fault_kind kind)
{
	const struct sim_op *op = &inner->ops[0];
	bool met = inner->tenant_id != 0 && sim_meets(sim_tenant_of(inner->tenant_id), kind);

	for (size_t i = 0; op->kind == OP_END_QUIETLY && i < op->in_count; i++) { // the trouble of one of them is everybody's
		met = sim_meets(sim_tenant_of(((const struct op_end *)op->in)[i].tenant_id), kind) || met;
	}
	return met;
}

static bool claim_is_lost(const struct sim_transaction *inner)
{
	return inner->tenant_id == 0 && inner->ops[0].kind == OP_DUE_CLAIM && sim_meets(&sim.tenants[0], FAULT_CLAIM_LOST);
}

static void effect_after(struct sim_transaction *inner, int64_t wait_us, void (*run)(void *argument))
{
	inner->is_out = true;
	sim_at(sim.now_us + wait_us, NULL, run, inner);
}

// The server may have it, late, after nobody waits for it any more.
void pg_start(struct pg_transaction *transaction, struct pg_pool *pool, int64_t timeout_ms)
{
	struct sim_transaction *inner = transaction->inner;

	(void)pool;
	assert(inner->count > 0);
	inner->transaction = transaction;
	sim.transactions++;
	if (sim.db_away_until_us > sim.now_us || sim_node_is_cut_off(sim.life)) {
		answer_after(inner, sim_between(1, 3000) * MS_US, ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_LOST)) {
		answer_after(inner, sim_between(1, timeout_ms) * MS_US, sim_chance(50) ? ERR_UNKNOWN : ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_REFUSED)) {
		answer_after(inner, sim_between(1, timeout_ms) * MS_US, sim_chance(50) ? ERR_TIMEOUT : ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_ANSWER_LOST) || claim_is_lost(inner)) {
		effect_after(inner, sim_between(200, 3000), on_unheard_effect);
		answer_after(inner, sim_between(4, timeout_ms) * MS_US, ERR_UNKNOWN);
	} else if (meets(inner, FAULT_DB_LATE)) {
		effect_after(inner, sim_between(1, 3 * timeout_ms) * MS_US, on_unheard_effect);
		answer_after(inner, timeout_ms * MS_US, ERR_UNKNOWN);
	} else {
		effect_after(inner, sim_between(200, 3000), on_effect);
	}
}

// What is kept of a transaction: its operations, with copies of their answers.
static struct sim_transaction *kept_of(const struct pg_kept *kept)
{
	return (struct sim_transaction *)(uintptr_t)kept;
}

struct pg_kept *pg_keep(const struct pg_transaction *transaction, unsigned from)
{
	const struct sim_transaction *inner = transaction->inner;
	const size_t size = offsetof(struct sim_transaction, ops) + inner->count * sizeof *inner->ops;
	struct sim_transaction *kept = reallocate(NULL, size);

	memcpy(kept, inner, size);
	for (size_t i = 0; i < kept->count; i++) {
		struct sim_op *op = &kept->ops[i];
		const size_t bytes = i >= from ? op->out_count * op->out_size : 0;

		op->out = bytes > 0 && op->out != NULL ? memcpy(reallocate(NULL, bytes), op->out, bytes) : NULL;
	}
	return (struct pg_kept *)kept;
}

size_t pg_kept_size(const struct pg_kept *kept)
{
	(void)kept;
	return 1;
}

void pg_kept_free(struct pg_kept *kept)
{
	struct sim_transaction *inner = kept_of(kept);

	for (size_t i = 0; i < inner->count; i++) {
		free(inner->ops[i].out);
	}
	free(inner);
}

struct pg_transaction pg_kept_read(const struct pg_kept *kept)
{
	return (struct pg_transaction){ .op.rc = OK, .inner = kept_of(kept), .kept = kept };
}

size_t pg_row_count(const struct pg_transaction *transaction, unsigned statement)
{
	const struct sim_transaction *inner = transaction->inner;

	assert(transaction->op.rc == OK && statement < inner->count);
	return inner->ops[statement].out_count;
}

// --- statements ---

struct sim_op *sim_add(struct pg_transaction *t, enum op_kind kind)
{
	struct sim_transaction *inner = t->inner;
	struct sim_op *op = &inner->ops[inner->count++];

	assert(inner->count <= PG_STATEMENTS_MAX);
	*op = (struct sim_op){ .kind = kind };
	return op;
}

void *sim_copy(const void *items, size_t count, size_t size)
{
	return memcpy(sim_take(count * size), items, count * size);
}

struct text *sim_copy_texts(const struct text *texts, size_t count)
{
	struct text *copies = sim_copy(texts, count, sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		copies[i] = sim_keep(copies[i]);
	}
	return copies;
}

unsigned sim_added(const struct pg_transaction *t)
{
	return (unsigned)((const struct sim_transaction *)t->inner)->count - 1;
}

unsigned sim_add_simple(struct pg_transaction *t, enum op_kind kind)
{
	(void)sim_add(t, kind);
	return sim_added(t);
}

unsigned sim_add_number(struct pg_transaction *t, int64_t number)
{
	sim_add(t, OP_NUMBER)->number = number;
	return sim_added(t);
}

const void *sim_row_of(const struct pg_transaction *t, unsigned statement, size_t row)
{
	const struct sim_transaction *inner = t->inner;
	const struct sim_op *op = &inner->ops[statement];

	assert(t->op.rc == OK && row < op->out_count);
	return (const char *)op->out + row * op->out_size;
}

int64_t sim_number_of(const struct pg_transaction *t, unsigned statement)
{
	return ((const struct sim_transaction *)t->inner)->ops[statement].number;
}
