// SPDX-License-Identifier: Apache-2.0
#include "worker/plan_flow.h"

#include "depbroker/log.h"
#include "worker/profile_content.h"

#include <stdio.h>

static bool is_undefined(const struct tenant *tenant)
{
	return tenant->has_token && tenant->profile_uuid[0] == '\0' && !tenant->profile_refused && tenant->profile_content.length > 0;
}

int64_t plan_define_at_us(const struct tenant *tenant)
{
	const int64_t at_us = profile_content_define_at_us(tenant->definitions, tenant->defined_last_us);

	return !is_undefined(tenant) ? INSTANT_NONE : at_us != INSTANT_NONE ? at_us : tenant_now_us(tenant);
}

bool plan_must_define(const struct tenant *tenant)
{
	return is_undefined(tenant) && plan_define_at_us(tenant) <= tenant_now_us(tenant);
}

static struct text digest_of(const struct tenant *tenant)
{
	return (struct text){ (const char *)tenant->profile_digest, sizeof tenant->profile_digest };
}

static void build_note(struct fenced_write *write, struct pg_transaction *t)
{
	const struct tenant *tenant = write->tenant;

	store_definition_begin(t, tenant->due.tenant_id, tenant->default_instance_id, digest_of(tenant));
}

static void is_noted(struct tenant *tenant)
{
	tenant->definitions++;
	tenant->defined_last_us = tenant_now_us(tenant);
}

// Whether Apple may have made a profile all the same.
static bool answer_was_lost(const struct plan_flow *plan)
{
	const enum err rc = plan->flow.call.op.rc;

	return rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_BAD_ANSWER || rc == ERR_CANCELLED;
}

static void build_failure(struct fenced_write *write, struct pg_transaction *t)
{
	const struct plan_flow *plan = CONTAINER_OF((struct flow *)write->owner, struct plan_flow, flow);
	const struct tenant *tenant = write->tenant;

	if (answer_was_lost(plan)) {
		store_definition_lost(t, tenant->due.tenant_id);
	} else {
		store_definition_withdraw(t, tenant->due.tenant_id, tenant->default_instance_id, digest_of(tenant));
	}
}

static void failure_is_written(const struct plan_flow *plan)
{
	struct tenant *tenant = plan->flow.tenant;

	tenant->definitions -= answer_was_lost(plan) ? 0 : 1;
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
		.content_digest = digest_of(tenant),
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
	tenant->profile_drifts = false;
	if (tenant->profile_refused) {
		(void)snprintf(tenant->profile_why, sizeof tenant->profile_why, "Apple refuses the profile (%s).", plan->flow.call.apple_error);
	} else {
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
			AWAIT(plan, PLAN_NOTING, flow_write(flow, build_note, NULL));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
			is_noted(flow->tenant);
			AWAIT(plan, PLAN_DEFINING, define_profile(plan));
			if (flow->call.op.rc != OK && !flow_has_lost_session(flow)) {
				flow_note_failure(flow, flow->call.op.rc, "profile.failed");
			}
			if (flow->call.op.rc != OK && !was_refused(plan)) {
				AWAIT(plan, PLAN_WRITING_FAILURE, flow_write(flow, build_failure, NULL));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
				failure_is_written(plan);
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
