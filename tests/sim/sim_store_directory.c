// SPDX-License-Identifier: Apache-2.0
//
// sim_store_directory.c - server/store as worker processes call it: their heart-beats, due clients, and who was in flight at a crash.
#include "sim/sim_transaction.h"

#include "store/audit.h"
#include "store/migrate.h"

#include <string.h>

enum { SCHEMA_VERSION = 1 };

unsigned store_node_beat(struct pg_transaction *t, struct text node_id)
{
	sim_beats();
	sim_add(t, OP_NODE_BEAT)->text = sim_keep(node_id);
	return sim_added(t);
}

void store_node_release(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_NODE_RELEASE)->text = sim_keep(node_id);
}

unsigned store_partitions_ensure(struct pg_transaction *t)
{
	return sim_add_simple(t, OP_NOTHING);
}

void store_webhook_allow_note(struct pg_transaction *t, struct text node_id, struct text ranges)
{
	(void)node_id;
	(void)ranges;
	(void)sim_add_simple(t, OP_NOTHING);
}

unsigned store_schema_select(struct pg_transaction *t)
{
	return sim_add_number(t, SCHEMA_VERSION);
}

int64_t store_schema_version(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement);
}

int64_t store_schema_expected(void)
{
	return SCHEMA_VERSION;
}

unsigned store_lint_select(struct pg_transaction *t)
{
	return sim_add_simple(t, OP_NOTHING);
}

bool store_lint_read(const struct pg_transaction *t, unsigned statement, struct buffer *complaints)
{
	(void)complaints;
	return pg_row_count(t, statement) > 0;
}

unsigned store_due_claim(struct pg_transaction *t, struct text node_id, int limit, bool one_suspect, struct due_share share)
{
	struct sim_op *op = sim_add(t, OP_DUE_CLAIM);

	(void)share;
	sim_claims();
	op->text = sim_keep(node_id);
	op->number = limit;
	op->other = one_suspect;
	return sim_added(t);
}

unsigned store_stream_take_due(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_STREAM_TAKE_DUE)->text = sim_keep(node_id);
	return sim_added(t);
}

unsigned store_stream_take_claimed(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_TAKE_CLAIMED)->text = sim_keep(node_id);
	return sim_added(t);
}

int64_t store_stream_taken_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return ((const struct taken_row *)sim_row_of(t, statement, row))->tenant_id;
}

unsigned store_due_claim_hinted(struct pg_transaction *t, struct text node_id, const int64_t *tenant_ids, size_t count)
{
	struct sim_op *op = sim_add(t, OP_DUE_CLAIM);

	op->text = sim_keep(node_id);
	op->number = (int64_t)count;
	op->in = sim_copy(tenant_ids, count, sizeof *tenant_ids);
	op->in_count = count;
	return sim_added(t);
}

void store_commit_lazily(struct pg_transaction *t)
{
	(void)t;
}

unsigned store_due_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_DUE_SELECT);
}

void store_due_hand_over(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_HAND_OVER)->text = sim_keep(node_id);
}

void store_due_read(const struct pg_transaction *t, unsigned statement, size_t row, struct due_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_node_crashed(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_NODE_CRASHED)->text = sim_keep(node_id);
	return sim_added(t);
}

void store_struck_read(const struct pg_transaction *t, unsigned statement, size_t row, struct struck_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}
