// SPDX-License-Identifier: Apache-2.0
#include "worker/plan_flow.h"

#include "depbroker/log.h"

#include <stdio.h>

bool plan_must_define(const struct tenant *tenant)
{
	return tenant->has_token && tenant->profile_uuid[0] == '\0' && !tenant->profile_refused &&
		tenant_instance_by_id(tenant, tenant->default_instance_id) != NULL;
}

static void define_profile(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	apple_define_profile(&flow->call, &flow->tenant->session, buffer_text(&flow->tenant->profile_content), plan->defined_uuid);
}

static bool was_refused(const struct plan_flow *plan)
{
	return plan->flow.call.op.rc == ERR_REFUSED;
}

static void build_profile(struct fenced_write *write, struct pg_transaction *t)
{
	const struct plan_flow *plan = CONTAINER_OF((struct flow *)write->owner, struct plan_flow, flow);
	const struct flow *flow = &plan->flow;
	const struct tenant *tenant = flow->tenant;
	const struct profile_row profile = {
		.instance_id = tenant->default_instance_id,
		.content_digest = { (const char *)tenant->profile_digest, sizeof tenant->profile_digest },
		.content = buffer_text(&tenant->profile_content),
		.profile_uuid = was_refused(plan) ? TEXT_NONE : text_of(plan->defined_uuid),
		.refused = was_refused(plan) ? text_of(flow->call.apple_error[0] != '\0' ? flow->call.apple_error : "refused") : TEXT_NONE,
		.token_id = tenant->token_id,
	};

	(void)store_profile_put(t, tenant->due.tenant_id, &profile);
}

static void write_profile(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	flow->next = flow->tenant->stream;
	flow->next.profile_needed = true;
	flow_write(flow, build_profile, &flow->next);
}

static void profile_is_written(struct plan_flow *plan)
{
	struct tenant *tenant = plan->flow.tenant;

	tenant->profile_refused = was_refused(plan);
	if (!tenant->profile_refused) {
		(void)snprintf(tenant->profile_uuid, sizeof tenant->profile_uuid, "%s", plan->defined_uuid);
		log_event(LOG_INFO, "profile.defined", LOG_STRING("tenant", tenant->slug), LOG_STRING("profile_uuid", tenant->profile_uuid));
	}
}

static void reconcile_rows(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	struct reconcile_outcome outcome;

	flow_take_rows(flow);
	for (size_t i = 0; i < flow->row_count; i++) {
		reconcile_again(&outcome, &settings, &flow->rows[i]);
		changes_add(&flow->changes, &outcome);
	}
}

static void write_rows(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;
	const struct ledger_entry entry = {
		.kind = "route", .generation = flow->tenant->stream.sync.generation, .records = (int)flow->row_count,
	};

	flow_write_changes(flow, entry, NULL);
}

static void write_done(struct plan_flow *plan)
{
	struct flow *flow = &plan->flow;

	flow->next = flow->tenant->stream;
	flow->next.profile_needed = false;
	flow_write(flow, NULL, &flow->next);
}

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
		if (plan->may_define && plan_must_define(flow->tenant)) {
			AWAIT(plan, PLAN_DEFINING, define_profile(plan));
			if (flow->call.op.rc != OK && !flow_has_lost_session(flow)) {
				flow_note_failure(flow, flow->call.op.rc, "profile.failed");
			}
			if (flow->call.op.rc == OK || was_refused(plan)) {
				AWAIT(plan, PLAN_WRITING_PROFILE, write_profile(plan));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
				profile_is_written(plan);
			}
		}
		flow->after[0] = '\0';
		while (flow->tenant->stream.profile_needed && !flow_must_stop(flow)) {
			AWAIT(plan, PLAN_READING, flow_read_present(flow));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			reconcile_rows(plan);
			if (flow->changes.row_count > 0) {
				AWAIT(plan, PLAN_WRITING, write_rows(plan));
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
	*plan = (struct plan_flow){ .state = PLAN_IDLE };
	flow_init(&plan->flow, tenant, step);
	plan->flow.call.keeps_session = true;
}

void plan_flow_fini(struct plan_flow *plan)
{
	flow_fini(&plan->flow);
}
