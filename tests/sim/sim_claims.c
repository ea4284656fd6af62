// SPDX-License-Identifier: Apache-2.0
//
// sim_claims.c - the rows of the directory: worker processes and their heart-beats, clients that are due, who has claimed them, and who was in
// flight when a process crashed.
#include "sim/sim_transaction.h"

#include <assert.h>
#include <string.h>

enum { STRUCK_WAITS_S = 2, NODE_ROWS = 4096 };

static struct node_row {
	struct text id;
	int64_t alive_until_us;
} *node_rows;
static size_t node_count;

// --- nodes ---

static struct node_row *node_row_of(struct text id)
{
	for (size_t i = node_count; i > 0; i--) {
		if (text_equal(node_rows[i - 1].id, id)) {
			return &node_rows[i - 1];
		}
	}
	return NULL;
}

bool sim_is_alive(struct text id)
{
	const struct node_row *row = id.length > 0 ? node_row_of(id) : NULL;

	return row != NULL && row->alive_until_us > sim.now_us;
}

static void beat(struct text id)
{
	struct node_row *row = node_row_of(id);

	if (row == NULL) {
		assert(node_count < NODE_ROWS);
		row = &node_rows[node_count++];
		row->id = id;
	}
	row->alive_until_us = sim.now_us + NODE_ALIVE_S * SECOND_US;
	sim_due_changed();
}

// Heart-beats that were left out since nothing could come between them.
void sim_keep_alive(struct text node_id, int64_t until_us)
{
	struct node_row *row = node_row_of(node_id);

	if (row != NULL && row->alive_until_us < until_us) {
		row->alive_until_us = until_us;
		sim_due_changed();
	}
}

static void forget_node(struct text id)
{
	struct node_row *row = node_row_of(id);

	sim_due_changed();
	if (row != NULL) {
		*row = node_rows[--node_count];
	}
}

static void release_node(struct text id)
{
	forget_node(id);
	for (int i = 0; i < sim.shape->tenants; i++) {
		if (text_equal(sim.tenants[i].claimed_by, id) && id.length > 0) {
			sim.tenants[i].claimed_by = TEXT_NONE;
			sim.tenants[i].due_at_us = sim.now_us;
		}
	}
}

// --- due clients ---

int64_t sim_earliest_due_us(struct text node_id, int64_t before_us)
{
	int64_t earliest_us = before_us;

	for (int i = 0; i < sim.shape->tenants; i++) {
		const struct sim_tenant *tenant = &sim.tenants[i];

		if (tenant->due_at_us < earliest_us && tenant->crash_count < CRASHES_MAX) {
			const struct node_row *other = tenant->claimed_by.length == 0 || text_equal(tenant->claimed_by, node_id) ? NULL :
				node_row_of(tenant->claimed_by);
			const int64_t free_us = other != NULL ? other->alive_until_us : INSTANT_NONE;
			const int64_t at_us = tenant->due_at_us > free_us ? tenant->due_at_us : free_us;

			earliest_us = at_us < earliest_us ? at_us : earliest_us;
		}
	}
	return earliest_us;
}

static bool is_suspect(const struct sim_tenant *tenant)
{
	return tenant->crash_count > 0 && tenant->crashes_us[0] > sim.now_us - HOUR_US;
}

static struct due_row due_row_of(const struct sim_tenant *tenant)
{
	return (struct due_row){
		.tenant_id = tenant->id,
		.slug = text_of(tenant->slug),
		.wake = tenant->wake,
		.sync_requests = tenant->sync_requests,
		.full_requests = tenant->full_requests,
		.is_suspect = is_suspect(tenant),
		.removals_allowed = tenant->removals_allowed,
		.removals_allowed_for = tenant->removals_allowed_for,
	};
}

static struct sim_tenant *first_claimable(struct text node_id, bool suspect, const bool claimed[])
{
	struct sim_tenant *first = NULL;

	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (!claimed[i] && tenant->due_at_us <= sim.now_us && (first == NULL || tenant->due_at_us < first->due_at_us) &&
			(text_equal(tenant->claimed_by, node_id) || !sim_is_alive(tenant->claimed_by)) && is_suspect(tenant) == suspect &&
			tenant->crash_count < CRASHES_MAX) {
			first = tenant;
		}
	}
	return first;
}

static bool is_among(int64_t number, const int64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == number) {
			return true;
		}
	}
	return false;
}

static void claim(struct sim_life *life, struct sim_op *op)
{
	struct due_row *rows = sim_answer_rows(op, (size_t)sim.shape->tenants, sizeof *rows);
	bool claimed[SIM_TENANTS_MAX] = { false }, wants_suspect = op->other != 0;

	for (int i = 0; i < sim.shape->tenants; i++) {
		claimed[i] = op->in_count > 0 && !is_among(i + 1, op->in, op->in_count); // of no interest
	}
	op->out_count = 0;
	sim_due_changed();
	while ((int64_t)op->out_count < op->number) {
		struct sim_tenant *first = first_claimable(op->text, wants_suspect, claimed);

		if (first != NULL) {
			claimed[first - sim.tenants] = true;
			life->loaded[first - sim.tenants].claimed_at_us = sim.now_us;
			first->claimed_by = op->text;
			first->due_at_us = sim.now_us + FORGOTTEN_AFTER_S * SECOND_US;
			rows[op->out_count++] = due_row_of(first);
		} else if (!wants_suspect) {
			break;
		}
		wants_suspect = false;
	}
}

// --- crashes ---

// It was in flight when its node crashed.
static bool strike(struct sim_tenant *tenant)
{
	size_t kept = 0;

	while (kept < tenant->crash_count && tenant->crashes_us[kept] > sim.now_us - HOUR_US) {
		kept++;
	}
	assert(kept < sizeof tenant->crashes_us / sizeof *tenant->crashes_us);
	memmove(tenant->crashes_us + 1, tenant->crashes_us, kept * sizeof *tenant->crashes_us);
	tenant->crashes_us[0] = sim.now_us;
	tenant->crash_count = kept + 1;
	tenant->claimed_by = TEXT_NONE;
	tenant->due_at_us = sim.now_us + STRUCK_WAITS_S * SECOND_US;
	sim_trace("struck", tenant->id, (int64_t)tenant->crash_count, 0);
	if (tenant->crash_count < CRASHES_MAX || tenant->quarantined) {
		return false;
	}
	tenant->active = false;
	tenant->quarantined = true;
	tenant->has_news = true;
	tenant->alerts[ALERT_QUARANTINED] = true;
	if (sim.shape->faults > 0) {
		sim_at(sim.now_us + sim_between(5, 90) * MINUTE_US, NULL, sim_release_struck, tenant);
	}
	return true;
}

static void strike_clients(struct sim_op *op)
{
	struct struck_row *rows = sim_answer_rows(op, (size_t)sim.shape->tenants, sizeof *rows);

	op->out_count = 0;
	forget_node(op->text);
	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (text_equal(tenant->claimed_by, op->text)) {
			const bool quarantined = strike(tenant);

			rows[op->out_count++] = (struct struck_row){ text_of(tenant->slug), (int64_t)tenant->crash_count, quarantined };
		}
	}
}

// --- what else there is to be done ---

void sim_read_due(struct sim_op *op, const struct sim_tenant *tenant)
{
	const struct due_row row = due_row_of(tenant);

	sim_answer_row(op, &row, sizeof row);
}

void sim_hand_over(const struct sim_op *op, struct sim_tenant *tenant)
{
	if (text_equal(tenant->claimed_by, op->text) && !text_equal(tenant->stream.owner, op->text)) {
		tenant->claimed_by = sim_is_alive(tenant->stream.owner) ? tenant->stream.owner : TEXT_NONE;
		tenant->due_at_us = sim.now_us;
		sim_due_changed();
	}
}

void sim_claims_execute(struct sim_life *life, struct sim_op *op)
{
	if (op->kind == OP_NODE_BEAT) {
		beat(op->text);
	} else if (op->kind == OP_NODE_RELEASE) {
		release_node(op->text);
	} else if (op->kind == OP_DUE_CLAIM) {
		claim(life, op);
	} else if (op->kind == OP_NODE_CRASHED) {
		strike_clients(op);
	}
}

void sim_claims_begin(void)
{
	node_rows = sim_take_unset(NODE_ROWS * sizeof *node_rows);
	node_count = 0;
}
