// SPDX-License-Identifier: Apache-2.0
#include "worker/delivery.h"

#include "depbroker/log.h"
#include "tenants/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BATCH = 32, // events read, and settled, at a time
	TIMEOUT_MS = 15000,
	ANSWER_MAX = 16 * 1024,
	BODY_MAX = 256 * 1024,
	SIGNATURE_MAX = 512,
	REASON_MAX = 300,
};

struct delivery_endpoint { // one instance's webhook
	const struct tenant_instance *instance;
	bool disabled;
	int64_t not_before_us; // it asked to slow down
};

struct delivery_lane {
	struct delivery *delivery;
	struct delivery_endpoint *endpoint;
	struct position_row position; // as the database has it
	enum lane_state { LANE_IDLE, LANE_READING, LANE_SENDING, LANE_SETTLING } state;
	bool dirty;  // there may be something to read
	bool broken; // the database did not let us settle: left to the next run

	struct pg_transaction read;
	bool read_is_open;
	struct pg_transaction settle;
	size_t at, count; // of the events that were read
	struct stored_event event;
	struct position_row next;
	struct attempt_row attempts[BATCH];
	char errors[BATCH][64];
	size_t attempt_count;
	bool has_failed; // the event that was sent last
	bool gives_up;   // the endpoint is to be disabled
	char reason[REASON_MAX];

	struct http_call call;
	struct buffer body;
	char url[2048];
	char id_header[64];
	char timestamp_header[64];
	struct buffer signature_header;
};

static void step(struct delivery_lane *lane);

static void on_read(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct delivery_lane, read));
}

static void on_settled(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct delivery_lane, settle));
}

static void on_sent(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct http_call, op), struct delivery_lane, call));
}

static int64_t now_us(const struct delivery_lane *lane)
{
	return tenant_now_us(lane->delivery->tenant);
}

// --- reading on ---

static void read_events(struct delivery_lane *lane)
{
	const struct tenant *tenant = lane->delivery->tenant;

	if (lane->read_is_open) {
		pg_transaction_fini(&lane->read);
	}
	lane->read_is_open = true;
	lane->dirty = false;
	lane->at = 0;
	lane->count = 0;
	pg_transaction_init(&lane->read, store_worker(tenant->due.tenant_id), on_read);
	(void)store_event_to_deliver(&lane->read, tenant->due.tenant_id, lane->position.instance_id, lane->position.lane,
		lane->position.acked_seq, BATCH);
	pg_start(&lane->read, tenant->process->pool, STORE_TIMEOUT_MS);
}

static void begin_batch(struct delivery_lane *lane)
{
	lane->count = pg_row_count(&lane->read, 0);
	lane->next = lane->position;
	lane->attempt_count = 0;
	lane->has_failed = false;
	lane->gives_up = false;
}

// --- sending ---

// Right before the request leaves: the timestamp is this attempt's, and signed.
static void sign(struct http_call *call)
{
	struct delivery_lane *lane = CONTAINER_OF(call, struct delivery_lane, call);
	const int64_t timestamp_s = clock_wall_us() / SECOND_US;
	const struct text id = { lane->id_header + 12, WEBHOOK_ID_SIZE };

	(void)snprintf(lane->timestamp_header, sizeof lane->timestamp_header, "webhook-timestamp: %lld", (long long)timestamp_s);
	buffer_clear(&lane->signature_header);
	buffer_add_string(&lane->signature_header, "webhook-signature: ");
	webhook_signature(&lane->signature_header, &lane->endpoint->instance->webhook_secret, 1, id, timestamp_s, buffer_text(&lane->body));
	call->headers[0] = "content-type: application/json";
	call->headers[1] = lane->id_header;
	call->headers[2] = lane->timestamp_header;
	call->headers[3] = lane->signature_header.bytes;
	call->headers[4] = NULL;
}

static void send_event(struct delivery_lane *lane)
{
	const struct tenant *tenant = lane->delivery->tenant;
	char id[WEBHOOK_ID_SIZE + 1];

	store_event_read(&lane->read, 0, lane->at, &lane->event);
	buffer_clear(&lane->body);
	event_body_write(&lane->body, tenant->due.slug, tenant->incarnation, &lane->event.event);
	webhook_message_id(id, tenant->due.tenant_id, tenant->incarnation, lane->event.event.seq, buffer_text(&lane->body));
	(void)snprintf(lane->id_header, sizeof lane->id_header, "webhook-id: %s", id);
	http_call_init(&lane->call, on_sent);
	http_call_on_sending(&lane->call, sign);
	lane->call.lane_key = tenant->due.tenant_id;
	lane->call.method = "POST";
	lane->call.url = lane->url;
	lane->call.body = buffer_text(&lane->body);
	lane->call.timeout_ms = TIMEOUT_MS;
	lane->call.answer_limit = ANSWER_MAX;
	http_call_start(&lane->call, tenant->process->webhooks);
}

// An answer with a long body is an answer; what it says beyond its status does not matter.
static int status_of(const struct delivery_lane *lane)
{
	return lane->call.op.rc == OK || lane->call.op.rc == ERR_BUDGET ? (int)lane->call.status : 0;
}

static void note_attempt(struct delivery_lane *lane, int status)
{
	const size_t at = lane->attempt_count++;
	const char *error = lane->call.op.rc == OK ? "" : err_text(lane->call.op.rc);

	(void)snprintf(lane->errors[at], sizeof lane->errors[at], "%s", error);
	lane->attempts[at] = (struct attempt_row){
		.instance_id = lane->position.instance_id,
		.seq = lane->event.event.seq,
		.attempt = lane->next.attempts + 1,
		.at_us = now_us(lane),
		.status = status,
		.error = text_of(lane->errors[at]),
		.took_ms = lane->call.took_ms,
	};
}

static void failed(struct delivery_lane *lane, int status, enum retry_outcome outcome)
{
	const struct tenant *tenant = lane->delivery->tenant;
	const int64_t now = now_us(lane);
	const int64_t asked_s = retry_after_parse(http_call_header(&lane->call, "retry-after"), now);
	int64_t wait_ms;
	uint64_t random;

	random_bytes(&random, sizeof random);
	lane->next.attempts++;
	if (lane->next.first_failed_at_us == INSTANT_NONE) {
		lane->next.first_failed_at_us = now;
	}
	wait_ms = retry_delay_ms(lane->next.attempts, random, asked_s);
	lane->has_failed = true;
	lane->gives_up = outcome == RETRY_DISABLE || wait_ms == RETRY_EXHAUSTED;
	lane->next.next_try_at_us = lane->gives_up ? now : now + wait_ms * 1000;
	if (outcome == RETRY_SLOW_DOWN) {
		lane->endpoint->not_before_us = lane->next.next_try_at_us;
	}
	(void)snprintf(lane->reason, sizeof lane->reason, "%s", outcome == RETRY_DISABLE ? "the endpoint answered 410 Gone" :
		"the endpoint did not take an event during the whole retry schedule");
	lane->delivery->failed++;
	log_event(LOG_WARNING, "webhook.failed", LOG_STRING("tenant", tenant->slug), LOG_TEXT("instance", lane->endpoint->instance->name),
		LOG_INT("seq", lane->event.event.seq), LOG_INT("attempt", lane->next.attempts), LOG_INT("status", status),
		LOG_STRING("reason", lane->call.op.rc == OK ? "" : lane->call.op.fault.text), LOG_INT("wait_ms", lane->gives_up ? -1 : wait_ms));
}

static void take_answer(struct delivery_lane *lane)
{
	const int status = status_of(lane);
	const enum retry_outcome outcome = retry_outcome(status);

	if (lane->call.op.rc == ERR_CANCELLED) { // by us, at the end: not the endpoint's fault
		lane->has_failed = true;
		http_call_fini(&lane->call);
		return;
	}
	note_attempt(lane, status);
	if (outcome == RETRY_DELIVERED) {
		lane->next.acked_seq = lane->event.event.seq;
		lane->next.attempts = 0;
		lane->next.first_failed_at_us = INSTANT_NONE;
		lane->next.next_try_at_us = now_us(lane);
		lane->delivery->delivered++;
		lane->at++;
	} else {
		failed(lane, status, outcome);
	}
	http_call_fini(&lane->call);
}

// --- settling ---

static void settle(struct delivery_lane *lane)
{
	const struct tenant *tenant = lane->delivery->tenant;
	const struct stream_fence fence = tenant_fence(tenant);

	pg_transaction_init(&lane->settle, store_worker(fence.tenant_id), on_settled);
	store_position_settle(&lane->settle, &fence, lane->position.acked_seq, &lane->next);
	(void)store_attempt_insert(&lane->settle, fence.tenant_id, lane->attempts, lane->attempt_count);
	if (lane->gives_up) {
		(void)store_instance_disable(&lane->settle, fence.tenant_id, lane->position.instance_id, text_of(lane->reason));
	}
	pg_start(&lane->settle, tenant->process->pool, STORE_TIMEOUT_MS);
}

static void take_settled(struct delivery_lane *lane)
{
	const enum err rc = lane->settle.op.rc;
	const struct tenant *tenant = lane->delivery->tenant;

	if (rc == OK) {
		lane->position = lane->next;
		if (lane->gives_up) {
			lane->endpoint->disabled = true;
			log_event(LOG_ERROR, "webhook.disabled", LOG_STRING("tenant", tenant->slug),
				LOG_TEXT("instance", lane->endpoint->instance->name), LOG_STRING("reason", lane->reason));
		}
	} else {
		lane->broken = true; // what was delivered is sent once more by whoever goes on, with the same ids
		log_event(LOG_WARNING, "webhook.not_settled", LOG_STRING("tenant", tenant->slug),
			LOG_TEXT("instance", lane->endpoint->instance->name), LOG_STRING("error", err_name(rc)),
			LOG_STRING("reason", lane->settle.op.fault.text));
	}
	pg_transaction_fini(&lane->settle);
}

// --- the lane ---

static int64_t next_try_us(const struct delivery_lane *lane)
{
	const int64_t own = lane->position.attempts > 0 ? lane->position.next_try_at_us : INSTANT_NONE;

	return own > lane->endpoint->not_before_us ? own : lane->endpoint->not_before_us;
}

static bool may_go_on(const struct delivery_lane *lane)
{
	const struct tenant *tenant = lane->delivery->tenant;

	return lane->dirty && !lane->broken && !lane->endpoint->disabled && !lane->delivery->stopping && !tenant->process->stopping &&
		next_try_us(lane) <= now_us(lane);
}

static bool may_send(const struct delivery_lane *lane)
{
	return lane->at < lane->count && !lane->has_failed && !lane->endpoint->disabled && !lane->delivery->stopping &&
		!lane->delivery->tenant->process->stopping;
}

static void on_notice(struct deferred *notice)
{
	struct delivery *delivery = CONTAINER_OF(notice, struct delivery, notice);

	if (delivery->busy == 0) {
		delivery->idle(delivery);
	}
}

static void rest(struct delivery_lane *lane)
{
	struct delivery *delivery = lane->delivery;

	lane->state = LANE_IDLE;
	if (--delivery->busy == 0) {
		loop_forget(&delivery->notice);
		loop_defer(&delivery->tenant->process->loop, &delivery->notice);
	}
}

static void step(struct delivery_lane *lane)
{
	switch (lane->state) {
	case LANE_IDLE:
		while (may_go_on(lane)) {
			AWAIT(lane, LANE_READING, read_events(lane));
			if (lane->read.op.rc != OK) {
				lane->broken = true;
				break;
			}
			begin_batch(lane);
			while (may_send(lane)) {
				AWAIT(lane, LANE_SENDING, send_event(lane));
				take_answer(lane);
			}
			if (lane->attempt_count > 0) {
				AWAIT(lane, LANE_SETTLING, settle(lane));
				take_settled(lane);
			}
			if (lane->has_failed || lane->count == BATCH || lane->at < lane->count) {
				lane->dirty = true; // there is more
			}
		}
		rest(lane);
		return;
	}
}

static void wake(struct delivery_lane *lane)
{
	if (lane->state == LANE_IDLE && may_go_on(lane)) {
		lane->delivery->busy++;
		step(lane);
	}
}

// --- all lanes ---

static void lane_init(struct delivery_lane *lane, struct delivery *delivery, struct delivery_endpoint *endpoint,
	const struct position_row *position)
{
	*lane = (struct delivery_lane){
		.delivery = delivery,
		.endpoint = endpoint,
		.position = *position,
		.dirty = position->pending,
		.body = BUFFER(BODY_MAX),
		.signature_header = BUFFER(SIGNATURE_MAX),
	};
	(void)snprintf(lane->url, sizeof lane->url, "%.*s", TEXT_ARGS(endpoint->instance->webhook_url));
}

void delivery_init(struct delivery *delivery, struct tenant *tenant, void (*idle)(struct delivery *delivery), void *owner)
{
	*delivery = (struct delivery){ .tenant = tenant, .idle = idle, .owner = owner, .notice = { .run = on_notice } };
	delivery->endpoints = allocate_array(tenant->instance_count + 1, sizeof *delivery->endpoints);
	delivery->lanes = allocate_array(tenant->position_count + 1, sizeof *delivery->lanes);
	for (size_t i = 0; i < tenant->instance_count; i++) {
		if (!tenant->instances[i].webhook_enabled) {
			continue;
		}
		struct delivery_endpoint *endpoint = &delivery->endpoints[delivery->endpoint_count++];

		*endpoint = (struct delivery_endpoint){ .instance = &tenant->instances[i], .not_before_us = INSTANT_NONE };
		for (size_t at = 0; at < tenant->position_count; at++) {
			if (tenant->positions[at].instance_id == endpoint->instance->instance_id) {
				lane_init(&delivery->lanes[delivery->lane_count++], delivery, endpoint, &tenant->positions[at]);
			}
		}
	}
}

void delivery_fini(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->lane_count; i++) {
		struct delivery_lane *lane = &delivery->lanes[i];

		if (lane->read_is_open) {
			pg_transaction_fini(&lane->read);
		}
		buffer_fini(&lane->body);
		buffer_fini(&lane->signature_header);
	}
	loop_forget(&delivery->notice);
	free(delivery->lanes);
	free(delivery->endpoints);
	delivery->lanes = NULL;
	delivery->endpoints = NULL;
	delivery->lane_count = 0;
}

void delivery_poke(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->lane_count; i++) {
		delivery->lanes[i].dirty = true;
		wake(&delivery->lanes[i]);
	}
}

void delivery_begin(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->lane_count; i++) {
		wake(&delivery->lanes[i]);
	}
}

void delivery_stop(struct delivery *delivery)
{
	delivery->stopping = true;
}

bool delivery_is_busy(const struct delivery *delivery)
{
	return delivery->busy > 0;
}

int64_t delivery_next_try_us(const struct delivery *delivery)
{
	int64_t earliest = INSTANT_NONE;

	for (size_t i = 0; i < delivery->lane_count; i++) {
		const struct delivery_lane *lane = &delivery->lanes[i];
		const int64_t at = lane->broken ? now_us(lane) : next_try_us(lane);

		if ((lane->dirty || lane->broken) && !lane->endpoint->disabled && at != INSTANT_NONE && (earliest == INSTANT_NONE || at < earliest)) {
			earliest = at;
		}
	}
	return earliest;
}
