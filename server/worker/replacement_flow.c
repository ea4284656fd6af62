// SPDX-License-Identifier: Apache-2.0
#include "worker/replacement_flow.h"

#include "depbroker/log.h"

#include <assert.h>
#include <string.h>

enum { TEXTS_BYTES = 256 << 10, TROUBLE_WAIT_S = 600 };

static bool knows_replacements(const struct tenant *tenant)
{
	const int version = tenant->apple_server.protocol_version;

	return (version > 0 ? version : APPLE_PROTOCOL_VERSION) >= APPLE_REPLACEMENT_SINCE;
}

bool replacement_must_ask_later(const struct tenant *tenant)
{
	return tenant->stream.replacement_due_us != INSTANT_NONE && knows_replacements(tenant);
}

bool replacement_must_ask(const struct tenant *tenant)
{
	return replacement_must_ask_later(tenant) && tenant->stream.replacement_due_us <= tenant_now_us(tenant);
}

// --- who is asked about ---

static void read_due(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	flow_begin_read(flow);
	(void)store_replacement_due(&flow->read, flow->tenant->due.tenant_id, tenant_now_us(flow->tenant), REPLACEMENT_BATCH);
	flow_start_read(flow);
}

static void take_due(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	arena_reset(&replacement->texts);
	replacement->at = 0;
	replacement->due_count = pg_row_count(&flow->read, 0);
	replacement->due = arena_take(&replacement->texts, (replacement->due_count + 1) * sizeof *replacement->due);
	assert(replacement->due != NULL); // TEXTS_BYTES has room for a batch
	for (size_t i = 0; i < replacement->due_count; i++) {
		struct replacement_row *row = &replacement->due[i];
		const char *serial;

		store_replacement_read(&flow->read, 0, i, row);
		serial = arena_copy(&replacement->texts, row->serial_number);
		assert(serial != NULL);
		*row = (struct replacement_row){
			.serial_number = { serial, row->serial_number.length }, .attempts = row->attempts, .resolved_at_us = INSTANT_NONE,
		};
	}
}

static const struct replacement_row *asked(const struct replacement_flow *replacement)
{
	return &replacement->due[replacement->at];
}

static void ask(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	apple_replacement_details(&flow->call, &flow->tenant->session, asked(replacement)->serial_number, &replacement->answer);
}

// Apple's word about this device, or an answer that nobody can use: others are asked about all the same.
static bool is_about_the_device(const struct flow *flow)
{
	return flow->call.op.rc == OK || flow->call.op.rc == ERR_REFUSED || flow->call.op.rc == ERR_BAD_ANSWER || flow->call.op.rc == ERR_BUDGET;
}

// --- what is written ---

static void read_row(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	flow_begin_read(flow);
	(void)store_device_by_serials(&flow->read, flow->tenant->due.tenant_id, &asked(replacement)->serial_number, 1);
	flow_start_read(flow);
}

static void refused(struct replacement_flow *replacement)
{
	const struct flow *flow = &replacement->flow;
	struct replacement_row *outcome = &replacement->outcome;

	outcome->apple_word = text_of(flow->call.apple_error[0] != '\0' ? flow->call.apple_error : flow->call.op.fault.text);
	outcome->ask_at_us = outcome->attempts < REPLACEMENT_ASKED_MAX ? tenant_now_us(flow->tenant) + DAY_S * SECOND_US : INSTANT_NONE;
	log_event(LOG_WARNING, "replacement.unknown", LOG_STRING("tenant", flow->tenant->slug),
		LOG_TEXT("serial_number", outcome->serial_number), LOG_TEXT("reason", outcome->apple_word), LOG_INT("attempts", outcome->attempts));
}

static void resolved(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;
	struct replacement_row *outcome = &replacement->outcome;

	outcome->original_serial_number = text_of(replacement->answer.original_serial_number);
	outcome->replacement_date = text_of(replacement->answer.date);
	outcome->ask_at_us = INSTANT_NONE;
	outcome->resolved_at_us = tenant_now_us(flow->tenant);
	if (flow->row_count == 1) {
		changes_add_replaced(&flow->changes, &flow->rows[0], outcome);
	}
	log_event(LOG_INFO, "replacement.known", LOG_STRING("tenant", flow->tenant->slug), LOG_TEXT("serial_number", outcome->serial_number),
		LOG_TEXT("original_serial_number", outcome->original_serial_number));
}

static void build(struct fenced_write *write, struct pg_transaction *t)
{
	const struct replacement_flow *replacement = CONTAINER_OF((struct flow *)write->owner, struct replacement_flow, flow);

	store_replacement_put(t, write->tenant->due.tenant_id, &replacement->outcome);
	if (replacement->outcome.ask_at_us == INSTANT_NONE) { // a rule may have waited for it
		store_reroute_insert(t, write->tenant->due.tenant_id, &replacement->outcome.serial_number, 1);
	}
	changes_build(&replacement->flow.changes, t, &replacement->flow.entry);
}

static void write_outcome(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	flow_take_rows(flow);
	replacement->outcome = *asked(replacement);
	replacement->outcome.attempts++;
	if (flow->call.op.rc == OK) {
		resolved(replacement);
	} else {
		refused(replacement);
	}
	flow_write_with(flow, build, (struct ledger_entry){
		.kind = "replacement", .generation = flow->tenant->stream.sync.generation, .records = 1,
	});
}

static void read_next(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;

	flow_begin_read(flow);
	(void)store_replacement_next(&flow->read, flow->tenant->due.tenant_id);
	flow_start_read(flow);
}

// After trouble not at once, whatever is still to be asked.
static void write_next(struct replacement_flow *replacement)
{
	struct flow *flow = &replacement->flow;
	const int64_t wait_s = flow->retry_after_s > TROUBLE_WAIT_S ? flow->retry_after_s : TROUBLE_WAIT_S;
	const int64_t not_before_us = tenant_now_us(flow->tenant) + wait_s * SECOND_US;
	int64_t next_us = store_replacement_next_read(&flow->read, 0);

	if (next_us != INSTANT_NONE && flow->failure != OK && next_us < not_before_us) {
		next_us = not_before_us;
	}
	flow->next = flow->tenant->stream;
	flow->next.replacement_due_us = next_us;
	flow_write(flow, NULL, &flow->next);
}

// --- the flow ---

static void end(struct replacement_flow *replacement, enum err rc)
{
	replacement->state = REPLACEMENT_IDLE;
	flow_end(&replacement->flow, rc);
}

static void step(struct flow *flow)
{
	struct replacement_flow *replacement = CONTAINER_OF(flow, struct replacement_flow, flow);

	switch (replacement->state) {
	case REPLACEMENT_IDLE:
		AWAIT(replacement, REPLACEMENT_READING, read_due(replacement));
		if (flow->read.op.rc != OK) {
			goto read_failed;
		}
		take_due(replacement);
		for (; replacement->at < replacement->due_count && !flow_must_stop(flow); replacement->at++) {
			AWAIT(replacement, REPLACEMENT_ASKING, ask(replacement));
			if (flow_has_lost_session(flow)) {
				break;
			}
			if (!is_about_the_device(flow)) {
				flow_note_failure(flow, flow->call.op.rc, "replacement.failed");
				break;
			}
			AWAIT(replacement, REPLACEMENT_READING_ROW, read_row(replacement));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			AWAIT(replacement, REPLACEMENT_WRITING, write_outcome(replacement));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
			flow->tenant->has_reroutes = flow->tenant->has_reroutes || replacement->outcome.ask_at_us == INSTANT_NONE;
			if (flow->progress != NULL) {
				flow->progress(flow);
			}
		}
		if (!flow->session_lost) {
			AWAIT(replacement, REPLACEMENT_READING_NEXT, read_next(replacement));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			AWAIT(replacement, REPLACEMENT_WRITING_NEXT, write_next(replacement));
			if (flow_written(flow) != OK) {
				goto write_failed;
			}
		}
		end(replacement, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(replacement, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(replacement, flow_written(flow));
}

void replacement_flow_init(struct replacement_flow *replacement, struct tenant *tenant)
{
	*replacement = (struct replacement_flow){ .state = REPLACEMENT_IDLE, .texts = ARENA(TEXTS_BYTES) };
	flow_init(&replacement->flow, tenant, step);
	replacement->flow.call.keeps_session = true;
}

void replacement_flow_fini(struct replacement_flow *replacement)
{
	arena_fini(&replacement->texts);
	flow_fini(&replacement->flow);
}
