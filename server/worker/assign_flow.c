// SPDX-License-Identifier: Apache-2.0
#include "worker/assign_flow.h"

#include "depbroker/log.h"
#include "store/definitions.h"
#include "store/dep_profiles.h"
#include "tenants/device.h"
#include "tenants/profile_render.h"
#include "tenants/retry.h"
#include "worker/routing.h"
#include "worker/wanted_profile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { DEFINITION_REFUSALS_COUNTED = 3 }; // the waits after more of them are like that after so many (retry.h)

// --- who needs what ---

// Law 3: what this client was loaded with may be older than this read.
static void read_due(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const struct stream_fence fence = tenant_fence(flow->tenant);
	const int64_t now_us = tenant_now_us(flow->tenant);

	flow_begin_read(flow);
	(void)store_device_to_assign(&flow->read, flow->tenant->due.tenant_id, now_us, APPLE_SERIALS_MAX);
	if (flow->tenant->has_facts) { // for what is read back
		(void)store_fact_to_assign(&flow->read, flow->tenant->due.tenant_id, now_us, APPLE_SERIALS_MAX);
	}
	store_stream_require(&flow->read, &fence);
	flow_start_read(flow);
}

// The rules that lead to the profile, and that of the device for which it is looked for.
static size_t rules_of(const struct assign_flow *assign, struct text own, struct text *out)
{
	const struct tenant *tenant = assign->flow.tenant;
	size_t count = 0;

	out[count++] = own;
	if (assign->profile->override.length == 0) {
		out[count++] = TEXT("");
	}
	for (size_t i = 0; i <= ruleset_count(tenant->rules); i++) {
		const struct text id = ruleset_id(tenant->rules, i);

		if (text_equal(ruleset_profile(tenant->rules, id), assign->profile->override)) {
			out[count++] = id;
		}
	}
	return count;
}

// Among all that are due there may be more of the profile than among those that were read.
static void read_alike(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const struct stream_fence fence = tenant_fence(flow->tenant);
	struct text rules[RULESET_RULES_MAX + 3];
	char own[RULESET_TEXT_MAX + 1]; // the row goes with the read
	const int length = snprintf(own, sizeof own, "%.*s", TEXT_ARGS(flow->rows[assign->at].rule_id));
	const size_t count = rules_of(assign, (struct text){ own, (size_t)length }, rules);

	flow_begin_read(flow);
	(void)store_device_to_assign_alike(&flow->read, flow->tenant->due.tenant_id, tenant_now_us(flow->tenant), APPLE_SERIALS_MAX,
		assign->profile->instance->instance_id, rules, count);
	store_stream_require(&flow->read, &fence);
	flow_start_read(flow);
}

static void take_rows(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	flow_take_rows(flow);
	assign->serials = tenant_scratch(flow->tenant, (flow->row_count + 1) * sizeof *assign->serials);
	assign->picked = tenant_scratch(flow->tenant, (flow->row_count + 1) * sizeof *assign->picked);
}

static void take_due(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	take_rows(assign);
	if (flow->tenant->has_facts) {
		routing_take_facts(flow->tenant, &flow->read, 1);
	}
	assign->is_alike = false;
	assign->batch++;
	assign->at = 0;
}

// The next profile is looked for among what is due then.
static void take_alike(struct assign_flow *assign)
{
	take_rows(assign);
	assign->is_alike = true;
	assign->at = assign->flow.row_count;
}

static enum assign_need need_of(struct tenant *tenant, const struct device_row *row)
{
	const struct reconcile_settings settings = routing_as_decided(tenant, row);
	const struct assign_view view = reconcile_assign_view(&settings, row);

	return assign_need(&view, settings.now_us);
}

// Those that need the same; `profile` NULL: of any profile.
static size_t pick(struct assign_flow *assign, enum assign_need need, const struct wanted_profile *profile)
{
	struct flow *flow = &assign->flow;

	changes_reset(&flow->changes);
	assign->picked_count = 0;
	for (size_t i = 0; i < flow->row_count; i++) {
		const struct device_row *row = &flow->rows[i];

		if (need_of(flow->tenant, row) == need && (profile == NULL || routing_profile(flow->tenant, row) == profile)) {
			assign->serials[assign->picked_count] = row->apple.serial_number;
			assign->picked[assign->picked_count++] = i;
		}
	}
	return assign->picked_count;
}

// The next profile of the batch that devices wait for, in their order; NULL: there is none.
static struct wanted_profile *next_profile(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	for (; assign->at < flow->row_count; assign->at++) {
		struct wanted_profile *profile = routing_profile(flow->tenant, &flow->rows[assign->at]);

		if (profile != NULL && profile->batch != assign->batch && need_of(flow->tenant, &flow->rows[assign->at]) == ASSIGN_NEED_CALL) {
			profile->batch = assign->batch;
			return profile;
		}
	}
	return NULL;
}

static void write_changes(struct assign_flow *assign, const char *kind)
{
	struct flow *flow = &assign->flow;
	const struct ledger_entry entry = {
		.kind = kind, .generation = flow->tenant->stream.sync.generation, .records = (int)flow->changes.row_count,
	};

	flow_write_changes(flow, entry, NULL);
}

static bool is_not_yet(const struct tenant *tenant, const struct wanted_profile *profile)
{
	return profile != NULL && profile->uuid[0] == '\0' && wanted_profile_define_at_us(profile) > tenant_now_us(tenant);
}

// Those that need nothing any more leave the queue, and those whose profile cannot be defined yet come back when it can.
static void settle_others(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	struct reconcile_outcome outcome;

	for (size_t i = 0; i < flow->row_count; i++) {
		const struct device_row *row = &flow->rows[i];
		const struct reconcile_settings settings = routing_as_decided(flow->tenant, row);
		const struct wanted_profile *profile = routing_profile(flow->tenant, row);
		const enum assign_need need = need_of(flow->tenant, row);

		if (need == ASSIGN_NEED_NOTHING || need == ASSIGN_NEED_TIME) {
			reconcile_again(&outcome, &settings, row);
			changes_add(&flow->changes, &outcome);
		} else if (need == ASSIGN_NEED_CALL && is_not_yet(flow->tenant, profile)) {
			reconcile_wait(&outcome, row, wanted_profile_define_at_us(profile));
			changes_add(&flow->changes, &outcome);
		}
	}
}

// --- defining ---

static struct text digest_of(const struct assign_flow *assign)
{
	return (struct text){ (const char *)assign->profile->digest, sizeof assign->profile->digest };
}

static const struct assign_flow *assign_of(const struct fenced_write *write)
{
	return CONTAINER_OF((struct flow *)write->owner, struct assign_flow, flow);
}

static void build_note(struct fenced_write *write, struct pg_transaction *t)
{
	const struct assign_flow *assign = assign_of(write);

	store_definition_begin(t, write->tenant->due.tenant_id, assign->profile->instance->instance_id, digest_of(assign));
}

static void is_noted(const struct assign_flow *assign)
{
	assign->profile->attempts++;
	assign->profile->last_at_us = tenant_now_us(assign->flow.tenant);
}

static void define(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);

	buffer_clear(&assign->content);
	buffer_add_text(&assign->content, wanted_profile_content(flow->tenant, assign->profile, &arena));
	apple_define_profile(&flow->call, &flow->tenant->session, buffer_text(&assign->content), assign->defined_uuid);
}

// Whether Apple may have done it all the same.
static bool answer_was_lost(const struct assign_flow *assign)
{
	const enum err rc = assign->flow.call.op.rc;

	return rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_BAD_ANSWER || rc == ERR_CANCELLED;
}

// Without a session, or while Apple is left alone, nothing was asked: it is, as soon as there is one.
static int64_t refusal_wait_until_us(const struct assign_flow *assign)
{
	const struct flow *flow = &assign->flow;
	const int64_t refusals = assign->profile->refusals + 1;
	uint64_t random;

	if (flow->session_lost || flow->call.op.rc == ERR_HELD_BACK) {
		return INSTANT_NONE;
	}
	random_bytes(&random, sizeof random);
	return tenant_now_us(flow->tenant) + 1000 * retry_delay_ms(refusals < DEFINITION_REFUSALS_COUNTED ? (int)refusals
		: DEFINITION_REFUSALS_COUNTED, random, flow->call.retry_after_s);
}

static void build_failure(struct fenced_write *write, struct pg_transaction *t)
{
	const struct assign_flow *assign = assign_of(write);

	if (answer_was_lost(assign)) {
		store_definition_lost(t, write->tenant->due.tenant_id);
	} else {
		store_definition_withdraw(t, write->tenant->due.tenant_id, assign->profile->instance->instance_id, digest_of(assign),
			assign->wait_until_us);
	}
}

static bool was_refused(const struct assign_flow *assign)
{
	return assign->flow.call.op.rc == ERR_REFUSED;
}

static void build_profile(struct fenced_write *write, struct pg_transaction *t)
{
	const struct assign_flow *assign = assign_of(write);
	const struct apple_call *call = &assign->flow.call;
	const struct profile_row row = {
		.instance_id = assign->profile->instance->instance_id,
		.content_digest = digest_of(assign),
		.content = buffer_text(&assign->content),
		.profile_uuid = was_refused(assign) ? TEXT_NONE : text_of(assign->defined_uuid),
		.refused = was_refused(assign) ? text_of(call->apple_error[0] != '\0' ? call->apple_error : "refused") : TEXT_NONE,
		.token_id = write->tenant->token_id,
	};

	(void)store_profile_put(t, write->tenant->due.tenant_id, &row);
	write->tenant->must_count = true;
	store_definition_taken(t, write->tenant->due.tenant_id, row.instance_id, row.content_digest);
}

static void profile_is_written(struct assign_flow *assign)
{
	struct wanted_profile *profile = assign->profile;

	profile->is_refused = was_refused(assign);
	profile->refusals = 0;
	profile->drifts = false;
	if (profile->is_refused) {
		(void)snprintf(profile->why, sizeof profile->why, "Apple refuses the profile (%s).", assign->flow.call.apple_error);
	} else {
		(void)snprintf(profile->uuid, sizeof profile->uuid, "%s", assign->defined_uuid);
		log_event(LOG_INFO, "profile.defined", LOG_STRING("tenant", assign->flow.tenant->slug),
			LOG_TEXT("instance", profile->instance->name), LOG_STRING("profile_uuid", profile->uuid));
	}
}

// Trouble with one definition says nothing about anything else; it is tried again later.
static void definition_failed(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;
	const enum err rc = flow->call.op.rc;

	flow_note_failure(flow, rc, "profile.failed");
	assign->definition_failed = true;
	if (rc == ERR_REFUSED || rc == ERR_UNAVAILABLE || answer_was_lost(assign)) {
		flow->failure = OK;
	}
}

static void write_failure(struct assign_flow *assign)
{
	assign->wait_until_us = refusal_wait_until_us(assign);
	flow_write(&assign->flow, build_failure, NULL);
}

static void failure_is_written(const struct assign_flow *assign)
{
	struct wanted_profile *profile = assign->profile;

	if (!answer_was_lost(assign)) {
		profile->attempts--;
		profile->wait_until_us = assign->wait_until_us;
		profile->refusals += assign->wait_until_us != INSTANT_NONE;
	}
}

static void build_no_waits(struct fenced_write *write, struct pg_transaction *t)
{
	store_definition_end_waits(t, write->tenant->due.tenant_id, tenant_now_us(write->tenant));
}

// --- assigning ---

static void assign_picked(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	apple_assignment_fini(&assign->assignment);
	(void)snprintf(assign->asked_uuid, sizeof assign->asked_uuid, "%s", assign->profile->uuid);
	apple_assign_profile(&flow->call, &flow->tenant->session, text_of(assign->asked_uuid), assign->serials, assign->picked_count,
		&assign->assignment);
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
	const bool lost = answer_was_lost(assign);
	const int64_t retry_after_s = lost ? -1 : assign->assignment.retry_after_s;
	int64_t by_result[ASSIGN_RESULT_MISSING + 1] = { 0 };
	struct reconcile_outcome outcome;
	uint64_t random;

	random_bytes(&random, sizeof random);
	for (size_t i = 0; i < assign->picked_count; i++) {
		const enum assign_result result = lost ? ASSIGN_RESULT_MISSING : assign->assignment.results[i];
		const struct device_row *row = &flow->rows[assign->picked[i]];
		const struct reconcile_settings settings = routing_as_decided(flow->tenant, row);

		reconcile_assigned(&outcome, &settings, row, text_of(assign->asked_uuid), result, retry_after_s,
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
	assign->flow.tenant->must_count = true;
	store_dep_profile_lose(t, assign->flow.tenant->due.tenant_id, text_of(assign->asked_uuid));
}

// Every device that has it is to get the next one.
static void forget_profile(struct assign_flow *assign)
{
	struct flow *flow = &assign->flow;

	flow->next = flow->tenant->stream;
	flow->next.profile_needed = true;
	flow_write(flow, build_forget, &flow->next);
}

static void profile_is_forgotten(struct assign_flow *assign)
{
	struct tenant *tenant = assign->flow.tenant;

	log_event(LOG_WARNING, "profile.lost", LOG_STRING("tenant", tenant->slug), LOG_STRING("profile_uuid", assign->asked_uuid));
	assign->profile->is_lost = assign->profile->is_of_server;
	if (!assign->profile->is_lost) {
		assign->profile->uuid[0] = '\0';
	}
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
	struct reconcile_outcome outcome;
	uint64_t random;

	random_bytes(&random, sizeof random);
	for (size_t i = 0; i < assign->picked_count; i++) {
		const struct device_row *row = &flow->rows[assign->picked[i]];
		struct device_record *record = record_of(flow, row->apple.serial_number);
		struct reconcile_settings settings = routing_as_decided(flow->tenant, row);

		if (record == NULL) {
			reconcile_assigned(&outcome, &settings, row, reconcile_assign_view(&settings, row).wanted_profile_uuid, ASSIGN_RESULT_MISSING, -1, random + i);
		} else if (text_equal_string(record->response_status, "NOT_ACCESSIBLE")) {
			settings = routing_of_gone(flow->tenant);
			reconcile_unseen(&outcome, &settings, row, REMOVAL_INACCESSIBLE);
		} else {
			settings = routing_decide(flow->tenant, record, row);
			reconcile_record(&outcome, &settings, row, record, false);
		}
		changes_add(&flow->changes, &outcome);
	}
}

// --- the flow ---

static bool may_go_on(const struct assign_flow *assign)
{
	const struct flow *flow = &assign->flow;

	return flow->tenant->has_token && routing_is_current(flow->tenant) && flow->failure == OK && !flow_must_stop(flow);
}

// Only writes of this run change when devices are to be assigned, for as long as it owns the client.
static bool may_be_due(const struct assign_flow *assign)
{
	const struct tenant *tenant = assign->flow.tenant;

	return tenant->stream.write_seq != tenant->next_assign_seq ||
		(tenant->next_assign_us != INSTANT_NONE && tenant->next_assign_us <= tenant_now_us(tenant));
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
		assign->definition_failed = false;
		if (assign->asks_at_once && may_go_on(assign) && wanted_profile_any_waits(flow->tenant)) {
			AWAIT(assign, ASSIGN_ENDING_WAITS, flow_write(flow, build_no_waits, NULL));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
			wanted_profile_end_waits(flow->tenant);
		}
		assign->asks_at_once = false;
		while (may_go_on(assign) && may_be_due(assign)) {
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
			while (may_go_on(assign) && (assign->profile = next_profile(assign)) != NULL) {
				if (is_not_yet(flow->tenant, assign->profile)) {
					continue;
				}
				if (assign->profile->uuid[0] == '\0') {
					AWAIT(assign, ASSIGN_NOTING, flow_write(flow, build_note, NULL));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					is_noted(assign);
					AWAIT(assign, ASSIGN_DEFINING, define(assign));
					if (flow->call.op.rc != OK && !flow_has_lost_session(flow)) {
						definition_failed(assign);
					}
					if (flow->call.op.rc != OK && !was_refused(assign)) {
						AWAIT(assign, ASSIGN_WRITING_FAILURE, write_failure(assign));
						if (flow_written(flow) != OK) {
							goto write_failed;
						}
						failure_is_written(assign);
					} else {
						AWAIT(assign, ASSIGN_WRITING_PROFILE, flow_write(flow, build_profile, NULL));
						if (flow_written(flow) != OK) {
							goto write_failed;
						}
						profile_is_written(assign);
					}
					if (flow->session_lost) {
						break;
					}
					if (assign->profile->uuid[0] == '\0') {
						continue;
					}
				}
				if (!flow_read_all(flow) && assign->profile->instance->instance_id != flow->tenant->parking_instance_id) {
					AWAIT(assign, ASSIGN_READING_ALIKE, read_alike(assign));
					if (flow->read.op.rc != OK) {
						goto read_failed;
					}
					take_alike(assign);
				}
				if (pick(assign, ASSIGN_NEED_CALL, assign->profile) == 0) {
					if (!assign->is_alike) {
						continue;
					}
					settle_others(assign); // so that others are read next time
					if (flow->changes.row_count == 0) {
						end(assign, OK);
						return;
					}
					AWAIT(assign, ASSIGN_WRITING_ALIKE_SETTLED, write_changes(assign, "assign"));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					continue;
				}
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
					AWAIT(assign, ASSIGN_FORGETTING_PROFILE, forget_profile(assign));
					if (flow_written(flow) != OK) {
						goto write_failed;
					}
					profile_is_forgotten(assign);
				}
			}
			if (flow->session_lost) {
				break;
			}
			if (flow->failure == OK && !assign->is_alike && pick(assign, ASSIGN_NEED_READ, NULL) > 0) {
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
	*assign = (struct assign_flow){ .state = ASSIGN_IDLE, .content = BUFFER(PROFILE_SIZE_MAX) };
	flow_init(&assign->flow, tenant, step);
	assign->flow.call.keeps_session = true;
}

void assign_flow_fini(struct assign_flow *assign)
{
	apple_assignment_fini(&assign->assignment);
	buffer_fini(&assign->content);
	flow_fini(&assign->flow);
}
