// SPDX-License-Identifier: Apache-2.0
#include "worker/assign_flow.h"

#include "depbroker/log.h"
#include "tenants/device.h"

#include <stdio.h>
#include <string.h>

// --- who needs what ---

static void read_due(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	flow_begin_read(flow);
	(void)store_device_to_assign(&flow->read, flow->tenant->due.tenant_id, tenant_now_us(flow->tenant), APPLE_SERIALS_MAX);
	flow_start_read(flow);
}

static void take_due(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	flow_take_rows(flow);
	assign->serials = tenant_scratch(flow->tenant, (flow->row_count + 1) * sizeof *assign->serials);
	assign->picked = tenant_scratch(flow->tenant, (flow->row_count + 1) * sizeof *assign->picked);
}

static enum assign_need need_of(const struct device_row *row, const struct reconcile_settings *settings)
{
	const struct assign_view view = reconcile_assign_view(settings, row);

	return assign_need(&view, settings->now_us);
}

static size_t pick(struct assign_flow *assign, enum assign_need need)
{
	struct flow *flow = &assign->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);

	changes_reset(&flow->changes);
	assign->picked_count = 0;
	for (size_t i = 0; i < flow->row_count; i++) {
		if (need_of(&flow->rows[i], &settings) == need) {
			assign->serials[assign->picked_count] = flow->rows[i].apple.serial_number;
			assign->picked[assign->picked_count++] = i;
		}
	}
	return assign->picked_count;
}

static void write_changes(struct assign_flow *assign, const char *kind)
{
	struct flow *flow = &assign->flow;
	const struct ledger_entry entry = {
		.kind = kind, .generation = flow->tenant->stream.sync.generation, .records = (int)flow->changes.row_count,
	};

	flow_write_changes(flow, entry, NULL);
}

// Those that need nothing any more leave the queue.
static void settle_others(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	struct reconcile_outcome outcome;

	for (size_t i = 0; i < flow->row_count; i++) {
		const enum assign_need need = need_of(&flow->rows[i], &settings);

		if (need == ASSIGN_NEED_NOTHING || need == ASSIGN_NEED_TIME) {
			reconcile_again(&outcome, &settings, &flow->rows[i]);
			changes_add(&flow->changes, &outcome);
		}
	}
}

// --- assigning ---

static void assign_picked(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	apple_assignment_fini(&assign->assignment);
	(void)snprintf(assign->asked_uuid, sizeof assign->asked_uuid, "%s", flow->tenant->profile_uuid);
	apple_assign_profile(&flow->call, &flow->tenant->session, text_of(assign->asked_uuid), assign->serials, assign->picked_count,
		&assign->assignment);
}

static bool answer_was_lost(const struct assign_flow *assign)
{
	const enum err rc = assign->flow.call.op.rc;

	return rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_BAD_ANSWER || rc == ERR_CANCELLED;
}

static void log_batch(const struct assign_flow *assign, const int64_t by_result[])
{
	log_event(LOG_INFO, "assign.batch", LOG_STRING("tenant", assign->flow.tenant->slug), LOG_STRING("profile_uuid", assign->asked_uuid),
		LOG_INT("devices", (int64_t)assign->picked_count), LOG_INT("success", by_result[ASSIGN_RESULT_SUCCESS]),
		LOG_INT("not_accessible", by_result[ASSIGN_RESULT_NOT_ACCESSIBLE]), LOG_INT("failed", by_result[ASSIGN_RESULT_FAILED]),
		LOG_INT("throttled", by_result[ASSIGN_RESULT_THROTTLED]), LOG_INT("unknown", by_result[ASSIGN_RESULT_MISSING]));
}

// Law 3: after a lost answer each device counts as one that the answer does not name, and is read back first.
static void take_results(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	const bool lost = answer_was_lost(assign);
	const int64_t retry_after_s = lost ? -1 : assign->assignment.retry_after_s;
	int64_t by_result[ASSIGN_RESULT_MISSING + 1] = { 0 };
	struct reconcile_outcome outcome;
	uint64_t random;

	random_bytes(&random, sizeof random);
	for (size_t i = 0; i < assign->picked_count; i++) {
		const enum assign_result result = lost ? ASSIGN_RESULT_MISSING : assign->assignment.results[i];

		reconcile_assigned(&outcome, &settings, &flow->rows[assign->picked[i]], text_of(assign->asked_uuid), result, retry_after_s,
			random + i);
		changes_add(&flow->changes, &outcome);
		by_result[result]++;
	}
	log_batch(assign, by_result);
}

static void build_forget(struct fenced_write *write, struct pg_transaction *t)
{
	const struct assign_flow *assign = CONTAINER_OF((struct flow *)write->owner, struct assign_flow, flow);

	(void)store_profile_forget(t, assign->flow.tenant->due.tenant_id, text_of(assign->asked_uuid));
}

static void profile_is_forgotten(struct assign_flow *assign)
{
	struct tenant *tenant = assign->flow.tenant;

	log_event(LOG_WARNING, "profile.lost", LOG_STRING("tenant", tenant->slug), LOG_STRING("profile_uuid", assign->asked_uuid));
	tenant->profile_uuid[0] = '\0';
	assign->profile_lost = true;
}

// --- reading back ---

static void read_back_picked(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	apple_page_fini(&flow->page);
	apple_device_details(&flow->call, &flow->tenant->session, assign->serials, assign->picked_count, &flow->page);
}

static struct device_record *record_of(struct flow *flow, struct text serial)
{
	for (size_t i = 0; i < flow->page.count; i++) {
		if (text_equal(flow->page.devices[i].serial_number, serial)) {
			return &flow->page.devices[i];
		}
	}
	return NULL;
}

// What Apple shows counts. A device that is not accessible to us is gone; one that the answer leaves out is asked for later.
static void take_read_back(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const struct reconcile_settings settings = tenant_reconcile_settings(flow->tenant);
	struct reconcile_outcome outcome;
	uint64_t random;

	random_bytes(&random, sizeof random);
	for (size_t i = 0; i < assign->picked_count; i++) {
		const struct device_row *row = &flow->rows[assign->picked[i]];
		struct device_record *record = record_of(flow, row->apple.serial_number);

		if (record == NULL) {
			reconcile_assigned(&outcome, &settings, row, text_of(flow->tenant->profile_uuid), ASSIGN_RESULT_MISSING, -1, random + i);
		} else if (text_equal_string(record->response_status, "NOT_ACCESSIBLE")) {
			reconcile_unseen(&outcome, &settings, row, REMOVAL_INACCESSIBLE);
		} else {
			device_fingerprint(record);
			reconcile_record(&outcome, &settings, row, record, false);
		}
		changes_add(&flow->changes, &outcome);
	}
}

// --- the flow ---

static bool may_go_on(const struct assign_flow *assign)
{
	const struct flow *flow = &assign->flow;

	return flow->tenant->has_token && flow->tenant->profile_uuid[0] != '\0' && flow->failure == OK && !flow_must_stop(flow);
}

static void end(struct assign_flow *assign, enum err rc)
{
	assign->state = ASSIGN_IDLE;
	flow_end(&assign->flow, rc);
}

static void step(struct flow *flow)
{
	struct assign_flow *assign = CONTAINER_OF(flow, struct assign_flow, flow);

	switch (assign->state) {
	case ASSIGN_IDLE:
		assign->profile_lost = false;
		while (may_go_on(assign)) {
			AWAIT(assign, ASSIGN_READING_DUE, read_due(assign));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			take_due(assign);
			if (flow->row_count == 0) {
				break;
			}
			settle_others(assign);
			if (flow->changes.row_count > 0) {
				AWAIT(assign, ASSIGN_WRITING_SETTLED, write_changes(assign, "assign"));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
			}
			if (pick(assign, ASSIGN_NEED_CALL) > 0) {
				AWAIT(assign, ASSIGN_ASKING, assign_picked(assign));
				if (flow_has_lost_session(flow)) {
					break;
				}
				if (flow->call.op.rc != OK) {
					flow_note_failure(flow, flow->call.op.rc, "assign.failed");
				}
				if (flow->call.op.rc == OK || answer_was_lost(assign)) {
					take_results(assign);
					AWAIT(assign, ASSIGN_WRITING_RESULTS, write_changes(assign, "assign"));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
				} else if (flow->call.op.rc == ERR_PROFILE_GONE) {
					AWAIT(assign, ASSIGN_FORGETTING_PROFILE, flow_write(flow, build_forget, NULL));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					profile_is_forgotten(assign);
				}
			}
			if (flow->failure == OK && pick(assign, ASSIGN_NEED_READ) > 0) {
				AWAIT(assign, ASSIGN_READING_BACK, read_back_picked(assign));
				if (flow_has_lost_session(flow)) {
					break;
				}
				if (flow->call.op.rc != OK) {
					flow_note_failure(flow, flow->call.op.rc, "assign.failed");
					break;
				}
				take_read_back(assign);
				AWAIT(assign, ASSIGN_WRITING_READ_BACK, write_changes(assign, "details"));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
			}
		}
		end(assign, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(assign, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(assign, flow_written(flow));
}

void assign_flow_init(struct assign_flow *assign, struct tenant *tenant)
{
	*assign = (struct assign_flow){ .state = ASSIGN_IDLE };
	flow_init(&assign->flow, tenant, step);
	assign->flow.call.keeps_session = true;
}

void assign_flow_fini(struct assign_flow *assign)
{
	apple_assignment_fini(&assign->assignment);
	flow_fini(&assign->flow);
}
