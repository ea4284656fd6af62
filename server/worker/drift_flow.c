// SPDX-License-Identifier: Apache-2.0
#include "worker/drift_flow.h"

#include "depbroker/log.h"
#include "tenants/profile_diff.h"
#include "tenants/profile_render.h"
#include "worker/wanted_profile.h"

enum { DRIFT_MAX = 262144 };

int64_t drift_compare_at_us(const struct tenant *tenant)
{
	const int64_t looked_at_us = tenant->profile_looked_at_us;

	return looked_at_us == INSTANT_NONE ? INSTANT_NONE : looked_at_us + tenant->process->config->profile_check_s * SECOND_US;
}

bool drift_must_compare(const struct tenant *tenant)
{
	const int64_t at_us = drift_compare_at_us(tenant);

	return at_us != INSTANT_NONE && at_us <= tenant_now_us(tenant);
}

static void read_next(struct drift_flow *drift)
{
	struct flow *flow = &drift->flow;
	const struct tenant *tenant = flow->tenant;

	flow_begin_read(flow);
	(void)store_profile_to_check(&flow->read, tenant->due.tenant_id,
		tenant_now_us(tenant) - tenant->process->config->profile_check_s * SECOND_US);
	(void)store_profile_next_check(&flow->read, tenant->due.tenant_id);
	flow_start_read(flow);
}

// False: there is none left.
static bool take_next(struct drift_flow *drift)
{
	const struct flow *flow = &drift->flow;

	flow->tenant->profile_looked_at_us = store_profile_next_check_read(&flow->read, 1);
	if (pg_row_count(&flow->read, 0) == 0) {
		return false;
	}
	store_profile_to_check_read(&flow->read, 0, &drift->profile, &drift->in_use);
	drift->result = (struct profile_check_result){ .profile_uuid = drift->profile.profile_uuid };
	return true;
}

static void ask(struct drift_flow *drift)
{
	struct flow *flow = &drift->flow;

	buffer_clear(&drift->found);
	apple_get_profile(&flow->call, &flow->tenant->session, drift->profile.profile_uuid, &drift->found);
}

static void write_difference(struct buffer *out, const struct profile_difference *difference)
{
	buffer_add_string(out, "{\"key\":");
	buffer_add_json(out, difference->name);
	buffer_add_format(out, ",\"difference\":\"%s\",\"meant\":%.*s,\"found\":%.*s,\"counts\":%s}", profile_difference_name(difference->kind),
		TEXT_ARGS(difference->meant.length > 0 ? difference->meant : TEXT("null")),
		TEXT_ARGS(difference->found.length > 0 ? difference->found : TEXT("null")), difference->is_drift ? "true" : "false");
}

static void write_differences(struct buffer *out, const struct profile_differences *differences)
{
	buffer_clear(out);
	buffer_add_string(out, "[");
	for (size_t i = 0; i < differences->count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		write_difference(out, &differences->items[i]);
	}
	buffer_add_string(out, "]");
}

// Only a profile that is wanted is worth mending: devices leave the others.
static bool must_mend(const struct drift_flow *drift)
{
	const struct tenant *tenant = drift->flow.tenant;

	return tenant->mends_profiles && drift->profile.mended_at_us == INSTANT_NONE &&
		wanted_profile_with(tenant, drift->profile.profile_uuid) != NULL;
}

static void compare(struct drift_flow *drift)
{
	struct tenant *tenant = drift->flow.tenant;
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_differences differences;
	struct fault fault;

	if (profile_diff(&differences, drift->profile.content, buffer_text(&drift->found), &arena, &fault) != OK) {
		log_event(LOG_WARNING, "profile.not_compared", LOG_STRING("tenant", tenant->slug),
			LOG_TEXT("profile_uuid", drift->profile.profile_uuid), LOG_STRING("reason", fault.text));
		return;
	}
	if (differences.count > 0) {
		write_differences(&drift->drift, &differences);
		drift->result.drift = drift->drift.overflow ? TEXT_NONE : buffer_text(&drift->drift);
	}
	drift->result.drift_count = (int64_t)differences.drift_count;
	drift->result.mend = differences.drift_count > 0 && must_mend(drift);
	if (differences.drift_count > 0) {
		log_event(LOG_WARNING, "profile.drifted", LOG_STRING("tenant", tenant->slug), LOG_TEXT("profile_uuid", drift->profile.profile_uuid),
			LOG_INT("differences", (int64_t)differences.drift_count), LOG_STRING("mended", drift->result.mend ? "yes" : "no"));
	}
}

// What Apple does not know any more is defined again, as after an assignment that says so.
static bool is_gone(const struct drift_flow *drift)
{
	return drift->in_use && drift->flow.call.op.rc == ERR_PROFILE_GONE;
}

static bool must_define(const struct drift_flow *drift)
{
	return is_gone(drift) || drift->result.mend;
}

static void build_result(struct fenced_write *write, struct pg_transaction *t)
{
	const struct drift_flow *drift = CONTAINER_OF((struct flow *)write->owner, struct drift_flow, flow);

	if (is_gone(drift)) {
		(void)store_profile_forget(t, write->tenant->due.tenant_id, drift->profile.profile_uuid);
		write->tenant->must_count = true;
		(void)store_due_request(t, write->tenant->due.tenant_id, DUE_WAKE);
	} else {
		store_profile_checked(t, write->tenant->due.tenant_id, &drift->result);
	}
}

// Every device that has it is to get the next one.
static void write_result(struct drift_flow *drift)
{
	struct flow *flow = &drift->flow;

	flow->next = flow->tenant->stream;
	flow->next.profile_needed = flow->next.profile_needed || must_define(drift);
	flow_write(flow, build_result, &flow->next);
}

static void take_result(const struct drift_flow *drift)
{
	const struct tenant *tenant = drift->flow.tenant;
	struct wanted_profile *wanted = wanted_profile_with(tenant, drift->profile.profile_uuid);

	if (wanted != NULL) {
		wanted->drifts = drift->result.drift_count > 0;
		if (must_define(drift)) {
			wanted->uuid[0] = '\0';
		}
	}
}

static void end(struct drift_flow *drift, enum err rc)
{
	drift->state = DRIFT_IDLE;
	flow_end(&drift->flow, rc);
}

static void step(struct flow *flow)
{
	struct drift_flow *drift = CONTAINER_OF(flow, struct drift_flow, flow);

	switch (drift->state) {
	case DRIFT_IDLE:
		while (!flow_must_stop(flow)) {
			AWAIT(drift, DRIFT_READING, read_next(drift));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			if (!take_next(drift)) {
				break;
			}
			if (drift->in_use) {
				AWAIT(drift, DRIFT_ASKING, ask(drift));
				if (flow_has_lost_session(flow)) {
					break;
				}
				if (flow->call.op.rc == OK) {
					compare(drift);
				} else if (!is_gone(drift)) {
					flow_note_failure(flow, flow->call.op.rc, "profile.not_read");
					break;
				}
			}
			AWAIT(drift, DRIFT_WRITING, write_result(drift));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
			take_result(drift);
		}
		end(drift, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(drift, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(drift, flow_written(flow));
}

void drift_flow_init(struct drift_flow *drift, struct tenant *tenant)
{
	*drift = (struct drift_flow){ .state = DRIFT_IDLE, .found = BUFFER(DRIFT_MAX), .drift = BUFFER(DRIFT_MAX) };
	flow_init(&drift->flow, tenant, step);
	drift->flow.call.keeps_session = true;
}

void drift_flow_fini(struct drift_flow *drift)
{
	buffer_fini(&drift->found);
	buffer_fini(&drift->drift);
	flow_fini(&drift->flow);
}
