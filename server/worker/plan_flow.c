// SPDX-License-Identifier: Apache-2.0
#include "worker/plan_flow.h"

#include "store/templates.h"
#include "worker/routing.h"

#include <assert.h>

enum { REROUTED_DEVICES, REROUTED_FACTS, REROUTED_GUARDS }; // the statements
enum { TEXTS_BYTES = 256 * 1024 }; // STORE_LIST_MAX serial numbers

bool plan_must_run(const struct tenant *tenant)
{
	return !routing_is_current(tenant);
}

static struct ledger_entry entry_of(const struct plan_flow *plan)
{
	const struct flow *flow = &plan->flow;

	return (struct ledger_entry){ .kind = "route", .generation = flow->tenant->stream.sync.generation, .records = (int)flow->row_count };
}

static void reconcile_rows(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;
	struct reconcile_outcome outcome;

	flow_take_rows(flow);
	if (flow->tenant->has_facts) {
		routing_take_facts(flow->tenant, &flow->read, 1);
	}
	for (size_t i = 0; i < flow->row_count; i++) {
		const struct device_row *row = &flow->rows[i];
		const bool gone = row->gone_at_us != INSTANT_NONE;
		const struct reconcile_settings settings = gone ? routing_of_gone(flow->tenant) : routing_decide(flow->tenant, &row->apple, row);

		reconcile_again(&outcome, &settings, row);
		changes_add(&flow->changes, &outcome);
	}
}

// --- all devices ---

static void read_present(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	flow_begin_read(flow);
	(void)store_device_list(&flow->read, flow->tenant->due.tenant_id, text_of(flow->after), false, -1, STORE_LIST_MAX);
	if (flow->tenant->has_facts) {
		(void)store_fact_list(&flow->read, flow->tenant->due.tenant_id, text_of(flow->after), STORE_LIST_MAX);
	}
	flow_start_read(flow);
}

static void build_done(struct fenced_write *write, struct pg_transaction *t)
{
	store_template_done(t, write->tenant->due.tenant_id, write->tenant->template_version);
}

static void write_done(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	flow->next = flow->tenant->stream;
	flow->next.profile_needed = false;
	flow_write(flow, build_done, &flow->next);
}

// --- single ones ---

static void read_reroutes(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	flow_begin_read(flow);
	(void)store_reroute_list(&flow->read, flow->tenant->due.tenant_id, STORE_LIST_MAX);
	flow_start_read(flow);
}

static void take_reroutes(struct plan_flow *plan)
{
	const struct flow *flow = &plan->flow;

	arena_reset(&plan->texts);
	plan->serial_count = pg_row_count(&flow->read, 0);
	plan->serials = arena_take(&plan->texts, (plan->serial_count + 1) * sizeof *plan->serials);
	assert(plan->serials != NULL);
	for (size_t i = 0; i < plan->serial_count; i++) {
		const struct text serial = store_reroute_read(&flow->read, 0, i);
		const char *copy = arena_copy(&plan->texts, serial);

		assert(copy != NULL);
		plan->serials[i] = (struct text){ copy, serial.length };
	}
}

static void read_rerouted(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;
	const int64_t tenant_id = flow->tenant->due.tenant_id;

	flow->tenant->has_facts = true; // there may be new ones
	flow_begin_read(flow);
	(void)store_device_by_serials(&flow->read, tenant_id, plan->serials, plan->serial_count);
	(void)store_fact_by_serials(&flow->read, tenant_id, plan->serials, plan->serial_count);
	(void)store_guard_by_serials(&flow->read, tenant_id, plan->serials, NULL, plan->serial_count);
	flow_start_read(flow);
}

static void build_rerouted(struct fenced_write *write, struct pg_transaction *t)
{
	const struct plan_flow *plan = CONTAINER_OF((struct flow *)write->owner, struct plan_flow, flow);

	store_reroute_delete(t, write->tenant->due.tenant_id, plan->serials, plan->serial_count);
	changes_build(&plan->flow.changes, t, &plan->flow.entry);
}

// --- the flow ---

static void end(struct plan_flow *plan, enum err rc)
{
	plan->state = PLAN_IDLE;
	flow_end(&plan->flow, rc);
}

static void step(struct flow *flow)
{
	struct plan_flow *plan = CONTAINER_OF(flow, struct plan_flow, flow);

	switch (plan->state) {
	case PLAN_IDLE:
		flow->after[0] = '\0';
		while (flow->tenant->stream.profile_needed && !flow_must_stop(flow)) {
			AWAIT(plan, PLAN_READING, read_present(plan));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			reconcile_rows(plan);
			if (flow->changes.row_count > 0) {
				AWAIT(plan, PLAN_WRITING, flow_write_changes(flow, entry_of(plan), NULL));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
			}
			if (flow_read_all(flow)) {
				AWAIT(plan, PLAN_WRITING_DONE, write_done(plan));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
			}
		}
		while (flow->tenant->has_reroutes && !flow_must_stop(flow)) {
			AWAIT(plan, PLAN_READING_REROUTES, read_reroutes(plan));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			take_reroutes(plan);
			if (plan->serial_count == 0) {
				flow->tenant->has_reroutes = false;
				break;
			}
			AWAIT(plan, PLAN_READING_REROUTED, read_rerouted(plan));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			routing_take_guards(flow->tenant, &flow->read, REROUTED_GUARDS);
			reconcile_rows(plan);
			AWAIT(plan, PLAN_WRITING_REROUTED, flow_write_with(flow, build_rerouted, entry_of(plan)));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
		}
		end(plan, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(plan, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(plan, flow_written(flow));
}

void plan_flow_init(struct plan_flow *plan, struct tenant *tenant)
{
	*plan = (struct plan_flow){ .state = PLAN_IDLE, .texts = ARENA(TEXTS_BYTES) };
	flow_init(&plan->flow, tenant, step);
}

void plan_flow_fini(struct plan_flow *plan)
{
	arena_fini(&plan->texts);
	flow_fini(&plan->flow);
}
