// SPDX-License-Identifier: Apache-2.0
#include "worker/delivery.h"

#include "depbroker/log.h"
#include "tenants/endpoint_health.h"
#include "worker/delivery_request.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUESTS = 32, // that are settled at a time
	BATCHES_AFTER = 2, // failures in a row that a batch may cause
	REASON_MAX = 300,
};

struct delivery_endpoint {
	struct tenant_endpoint *own;
	struct endpoint_health health;
	int64_t success_stored_us; // of health.succeeded_at_us, what the database knows
	unsigned busy; // of its lanes
	bool is_at_work; // it took something since the client was loaded
	struct delivery_lane *lanes[DELIVERY_LANES]; // NULL: it has no position
};

struct delivery_lane {
	struct delivery *delivery;
	struct delivery_endpoint *endpoint;
	struct position_row position; // as the database has it
	enum lane_state { LANE_IDLE, LANE_READING, LANE_SENDING, LANE_SETTLING } state;
	bool dirty;  // there may be something to read
	bool broken; // the database did not let us settle: left to the next run
	struct lane_work *work; // while it is not idle
};

// Most lanes have nothing to send, and this is large.
struct lane_work {
	struct delivery_lane *lane;
	struct pg_transaction read;
	bool read_is_open;
	struct pg_transaction settle;
	size_t at, count; // of the events that were read; those before `at` are settled
	struct stored_event event; // the first one of the request
	struct position_row next;
	size_t attempt_count, parked_count, resent_count;
	struct buffer answers; // what they were answered: it may move until they are settled
	bool has_failed; // the event that was sent last
	bool gives_up;   // the endpoint is to be disabled
	bool slows_down; // its not_before_us is news
	int64_t success_us; // news: it took an event while another one waits to be tried again
	char reason[REASON_MAX];

	struct delivery_request request;

	// As many as are counted, and not zeroed before: this is most of it
	struct attempt_row attempts[REQUESTS];
	struct parked_event_row parked[REQUESTS];
	int64_t resent[STORE_LIST_MAX]; // of the resend lane
};

static void step(struct delivery_lane *lane);
static void wake_others(struct delivery_lane *lane);

static void on_read(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct lane_work, read)->lane);
}

static void on_settled(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct lane_work, settle)->lane);
}

static void on_sent(struct op *op)
{
	step(CONTAINER_OF(CONTAINER_OF(op, struct http_call, op), struct lane_work, request.call)->lane);
}

static void begin_work(struct delivery_lane *lane)
{
	lane->work = reallocate(NULL, sizeof *lane->work);
	memset(lane->work, 0, offsetof(struct lane_work, attempts));
	lane->work->lane = lane;
	lane->work->answers = BUFFER(REQUESTS * WEBHOOK_EXCERPT_MAX);
	delivery_request_init(&lane->work->request, lane->delivery->tenant, lane->endpoint->own);
}

static void end_work(struct delivery_lane *lane)
{
	if (lane->work->read_is_open) {
		pg_transaction_fini(&lane->work->read);
	}
	buffer_fini(&lane->work->answers);
	delivery_request_fini(&lane->work->request);
	free(lane->work);
	lane->work = NULL;
}

static int64_t now_us(const struct delivery_lane *lane)
{
	return tenant_now_us(lane->delivery->tenant);
}

// --- reading on ---

static bool is_resending(const struct delivery_lane *lane)
{
	return lane->position.lane == RESEND_LANE;
}

// Whole requests.
static int events_at_a_time(const struct delivery_lane *lane)
{
	const int batch = lane->endpoint->own->batch_size;

	if (delivery_is_by_pages(lane->endpoint->own)) {
		return STORE_LIST_MAX;
	}
	return batch <= 1 ? REQUESTS : batch >= REQUESTS ? batch : REQUESTS / batch * batch;
}

static void read_events(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;
	const struct tenant *tenant = lane->delivery->tenant;

	if (work->read_is_open) {
		pg_transaction_fini(&work->read);
	}
	work->read_is_open = true;
	lane->dirty = false;
	work->at = 0;
	work->count = 0;
	pg_transaction_init(&work->read, store_worker(tenant->due.tenant_id), on_read);
	if (is_resending(lane)) {
		(void)store_resend_list(&work->read, tenant->due.tenant_id, lane->position.endpoint_id, events_at_a_time(lane));
	} else if (delivery_is_by_pages(lane->endpoint->own)) {
		(void)store_event_pages_to_deliver(&work->read, tenant->due.tenant_id, lane->endpoint->own->instance_id, lane->position.acked_seq,
			events_at_a_time(lane));
	} else {
		(void)store_event_to_deliver(&work->read, tenant->due.tenant_id, lane->endpoint->own->instance_id, lane->position.lane,
			lane->position.acked_seq, events_at_a_time(lane));
	}
	(void)store_stream_select(&work->read, tenant->due.tenant_id);
	pg_start(&work->read, tenant->process->pool, STORE_TIMEOUT_MS);
}

// Not with secrets, URLs and filters that have been changed since the client was loaded.
static bool may_use_what_was_read(const struct delivery_lane *lane)
{
	enum { EVENTS, STREAM };
	const struct pg_transaction *read = &lane->work->read;
	struct stream_row stream;

	if (read->op.rc != OK || pg_row_count(read, STREAM) != 1) {
		return false;
	}
	store_stream_read(read, STREAM, 0, &stream);
	return stream.config_version == lane->delivery->tenant->stream.config_version;
}

static void begin_batch(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;

	work->count = pg_row_count(&work->read, 0);
	work->next = lane->position;
	work->attempt_count = 0;
	buffer_clear(&work->answers);
	work->has_failed = false;
	work->gives_up = false;
	work->slows_down = false;
	work->success_us = INSTANT_NONE;
	work->parked_count = 0;
	work->resent_count = 0;
}

static bool is_disabled(const struct delivery_endpoint *endpoint)
{
	return endpoint->own->disabled_reason.length > 0;
}

// In trouble, and until it is known to answer, an endpoint gets one request at a time: many that hang at once take little of what all share.
static bool has_its_turn(const struct delivery_lane *lane)
{
	const unsigned others = lane->endpoint->busy - (lane->work != NULL ? 1 : 0);

	return (lane->endpoint->is_at_work && !endpoint_is_in_trouble(&lane->endpoint->health)) || others == 0;
}

// Past all before `end`.
static void move_on(struct delivery_lane *lane, size_t end)
{
	struct lane_work *work = lane->work;
	struct stored_event event;

	for (; work->at < end; work->at++) {
		store_event_read(&work->read, 0, work->at, &event);
		if (is_resending(lane)) {
			work->resent[work->resent_count++] = event.event.seq;
		} else {
			work->next.acked_seq = event.event.seq;
		}
	}
	work->next.attempts = 0;
	work->next.first_failed_at_us = INSTANT_NONE;
	work->next.next_try_at_us = now_us(lane);
}

static bool may_send(const struct delivery_lane *lane)
{
	const struct lane_work *work = lane->work;

	return work->at < work->count && work->attempt_count < REQUESTS && !work->has_failed && !is_disabled(lane->endpoint) && !lane->delivery->stopping &&
		!lane->delivery->tenant->process->stopping && has_its_turn(lane);
}

static bool needs_more(const struct delivery_lane *lane)
{
	const struct lane_work *work = lane->work;

	return work->count == (size_t)events_at_a_time(lane) && delivery_is_cut(lane->endpoint->own, &work->read, work->at, work->count);
}

// The next one that the endpoint wants; its position moves past the others. False: it is not to send now.
static bool find_event(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;

	while (may_send(lane)) {
		store_event_read(&work->read, 0, work->at, &work->event);
		if (delivery_wants(lane->endpoint->own, &work->event)) {
			return !needs_more(lane);
		}
		move_on(lane, work->at + 1);
	}
	return false;
}

// --- sending ---

// Events one by one after what was refused twice: the one that is to blame is found, and parked alone. A ping is nobody's company.
static int most_events(const struct delivery_lane *lane)
{
	const struct lane_work *work = lane->work;
	const bool is_single = work->event.event.type == EVENT_PING || work->event.event.seq <= work->next.single_until ||
		work->next.attempts >= BATCHES_AFTER;

	return is_single ? 1 : delivery_is_by_pages(lane->endpoint->own) ? STORE_LIST_MAX : lane->endpoint->own->batch_size;
}

static void send_event(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;

	delivery_request_compose(&work->request, &work->read, work->at, work->count, most_events(lane));
	delivery_request_send(&work->request, on_sent);
}

// An answer with a long body is an answer; what it says beyond its status does not matter.
static int status_of(const struct delivery_lane *lane)
{
	const struct lane_work *work = lane->work;

	return work->request.call.op.rc == OK || work->request.call.op.rc == ERR_BUDGET ? (int)work->request.call.status : 0;
}

static const char *error_of(const struct http_call *call)
{
	return call->op.rc == OK ? "" : call->certificate_is_refused ? "the server's certificate is not believed" : err_text(call->op.rc);
}

static void note_attempt(struct delivery_lane *lane, int status)
{
	struct lane_work *work = lane->work;

	struct buffer excerpt CLEANUP(buffer_fini) = BUFFER(WEBHOOK_EXCERPT_MAX);

	webhook_excerpt(&excerpt, buffer_text(&work->request.call.answer));
	buffer_add_text(&work->answers, buffer_text(&excerpt));
	work->attempts[work->attempt_count++] = (struct attempt_row){
		.endpoint_id = lane->position.endpoint_id,
		.seq = work->event.event.seq,
		.events = work->request.events,
		.attempt = work->next.attempts + 1,
		.at_us = now_us(lane),
		.status = status,
		.error = text_of(error_of(&work->request.call)),
		.took_ms = work->request.call.took_ms,
		.answer = { NULL, excerpt.length },
	};
}

static void park(struct delivery_lane *lane, int status)
{
	struct lane_work *work = lane->work;

	assert(work->request.events == 1);
	work->parked[work->parked_count++] = (struct parked_event_row){
		.endpoint_id = lane->position.endpoint_id,
		.seq = work->event.event.seq,
		.attempts = work->next.attempts,
		.first_failed_at_us = work->next.first_failed_at_us,
		.status = status,
	};
	log_event(LOG_ERROR, "webhook.parked", LOG_STRING("tenant", lane->delivery->tenant->slug),
		LOG_INT("endpoint", lane->position.endpoint_id), LOG_INT("seq", work->event.event.seq), LOG_INT("status", status));
	move_on(lane, lane->work->request.end);
}

static void wait_for_next_try(struct delivery_lane *lane, enum retry_outcome outcome)
{
	struct lane_work *work = lane->work;
	const int64_t now = now_us(lane);
	const int64_t asked_s = retry_after_parse(http_call_header(&work->request.call, "retry-after"), now);
	const int tries = work->next.attempts < RETRY_ATTEMPTS ? work->next.attempts : RETRY_ATTEMPTS - 1;
	uint64_t random;

	random_bytes(&random, sizeof random);
	work->next.next_try_at_us = now + retry_delay_ms(tries, random, asked_s) * 1000;
	if (outcome == RETRY_SLOW_DOWN) {
		lane->endpoint->health.not_before_us = work->next.next_try_at_us;
		work->slows_down = true;
	}
}

static void give_up(struct delivery_lane *lane, enum retry_outcome outcome)
{
	struct lane_work *work = lane->work;

	work->gives_up = true;
	work->next.next_try_at_us = now_us(lane);
	(void)snprintf(work->reason, sizeof work->reason, "%s", outcome == RETRY_DISABLE ? "the endpoint answered 410 Gone" :
		"the endpoint has not taken anything for five days");
}

static void log_failure(const struct delivery_lane *lane, int status)
{
	const struct lane_work *work = lane->work;

	log_event(LOG_WARNING, "webhook.failed", LOG_STRING("tenant", lane->delivery->tenant->slug),
		LOG_TEXT("instance", lane->endpoint->own->instance), LOG_INT("endpoint", lane->position.endpoint_id),
		LOG_INT("seq", work->event.event.seq), LOG_INT("attempt", work->next.attempts), LOG_INT("status", status),
		LOG_STRING("reason", work->request.call.op.rc == OK ? "" : work->request.call.op.fault.text),
		LOG_INT("wait_ms", work->gives_up ? -1 : (work->next.next_try_at_us - now_us(lane)) / 1000));
}

static int64_t newest_of_request(const struct delivery_lane *lane)
{
	struct stored_event event;

	store_event_read(&lane->work->read, 0, lane->work->request.end - 1, &event);
	return event.event.seq;
}

static void take_failure(struct delivery_lane *lane, int status, enum retry_outcome outcome)
{
	struct lane_work *work = lane->work;
	const int64_t now = now_us(lane);

	lane->delivery->failed++;
	endpoint_failed(&lane->endpoint->health, now);
	if (work->event.event.type == EVENT_PING) { // who asked sees the attempt, and may ask again
		move_on(lane, lane->work->request.end);
		return;
	}
	work->next.attempts++;
	if (work->request.events > 1 && work->next.attempts >= BATCHES_AFTER) {
		work->next.single_until = newest_of_request(lane);
	}
	if (work->next.first_failed_at_us == INSTANT_NONE) {
		work->next.first_failed_at_us = now;
	}
	switch (endpoint_judge(&lane->endpoint->health, outcome, work->next.attempts, work->next.first_failed_at_us, now)) {
	case ENDPOINT_TRY_AGAIN:
		wait_for_next_try(lane, outcome);
		break;
	case ENDPOINT_PARK:
		park(lane, status);
		return;
	case ENDPOINT_GIVE_UP:
		give_up(lane, outcome);
		break;
	}
	work->has_failed = true;
	log_failure(lane, status);
}

// Whether another lane's event failed for the last time after the success that the database knows.
static bool is_news_of_success(const struct delivery_lane *lane)
{
	const struct delivery_endpoint *endpoint = lane->endpoint;

	for (size_t i = 0; i < DELIVERY_LANES; i++) {
		const struct delivery_lane *other = endpoint->lanes[i];

		if (other != NULL && other != lane && other->position.attempts > 0 &&
			other->position.first_failed_at_us > endpoint->success_stored_us) {
			return true;
		}
	}
	return false;
}

static void take_success(struct delivery_lane *lane)
{
	endpoint_took(&lane->endpoint->health, now_us(lane));
	if (!lane->endpoint->is_at_work) {
		lane->endpoint->is_at_work = true;
		wake_others(lane);
	}
	lane->delivery->delivered += (uint64_t)lane->work->request.events;
	if (is_news_of_success(lane)) {
		lane->work->success_us = lane->endpoint->health.succeeded_at_us;
	}
	move_on(lane, lane->work->request.end);
}

// Called off by us at the end, or its time passed while others had the line: not the endpoint's fault.
static bool was_not_sent(const struct http_call *call)
{
	return call->op.rc == ERR_CANCELLED || (call->op.rc == ERR_TIMEOUT && call->sent_at_us == 0);
}

static void take_answer(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;
	const int status = status_of(lane);
	const enum retry_outcome outcome = retry_outcome(status);

	if (was_not_sent(&work->request.call)) {
		work->has_failed = true;
		delivery_request_done(&work->request);
		return;
	}
	note_attempt(lane, status);
	if (outcome == RETRY_DELIVERED) {
		take_success(lane);
	} else {
		take_failure(lane, status, outcome);
	}
	delivery_request_done(&work->request);
}

// --- settling ---

static void place_answers(struct lane_work *work)
{
	const char *at = work->answers.bytes;

	for (size_t i = 0; i < work->attempt_count && work->answers.length > 0; i++) {
		work->attempts[i].answer.bytes = at;
		at += work->attempts[i].answer.length;
	}
}

static void settle(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;
	const struct tenant *tenant = lane->delivery->tenant;
	const struct stream_fence fence = tenant_fence(tenant);
	const int64_t endpoint_id = lane->position.endpoint_id;

	pg_transaction_init(&work->settle, store_worker(fence.tenant_id), on_settled);
	store_position_settle(&work->settle, &fence, lane->position.acked_seq, &work->next);
	if (work->attempt_count > 0) {
		place_answers(work);
		(void)store_attempt_insert(&work->settle, fence.tenant_id, work->attempts, work->attempt_count);
	}
	if (work->resent_count > 0) {
		(void)store_resend_done(&work->settle, fence.tenant_id, endpoint_id, work->resent, work->resent_count);
	}
	if (work->parked_count > 0) {
		(void)store_parked_event_insert(&work->settle, fence.tenant_id, work->parked, work->parked_count);
	}
	if (work->slows_down) {
		(void)store_endpoint_slow(&work->settle, fence.tenant_id, endpoint_id, lane->endpoint->health.not_before_us);
	}
	if (work->success_us != INSTANT_NONE) {
		(void)store_endpoint_succeeded(&work->settle, fence.tenant_id, endpoint_id, work->success_us);
	}
	if (work->gives_up) {
		(void)store_endpoint_disable(&work->settle, fence.tenant_id, endpoint_id, text_of(work->reason));
	}
	pg_start(&work->settle, tenant->process->pool, STORE_TIMEOUT_MS);
}

static void take_settled(struct delivery_lane *lane)
{
	struct lane_work *work = lane->work;
	const enum err rc = work->settle.op.rc;
	const struct tenant *tenant = lane->delivery->tenant;

	if (rc == OK) {
		lane->position = work->next;
		if (work->success_us != INSTANT_NONE) {
			lane->endpoint->success_stored_us = work->success_us;
		}
		if (work->gives_up) {
			lane->endpoint->own->disabled_reason = tenant_keep(lane->delivery->tenant, text_of(work->reason));
			log_event(LOG_ERROR, "webhook.disabled", LOG_STRING("tenant", tenant->slug),
				LOG_TEXT("instance", lane->endpoint->own->instance), LOG_INT("endpoint", lane->position.endpoint_id),
				LOG_STRING("reason", work->reason));
		}
	} else {
		lane->broken = true; // what was delivered is sent once more by whoever goes on, with the same ids
		log_event(LOG_WARNING, "webhook.not_settled", LOG_STRING("tenant", tenant->slug),
			LOG_TEXT("instance", lane->endpoint->own->instance), LOG_STRING("error", err_name(rc)),
			LOG_STRING("reason", work->settle.op.fault.text));
	}
	pg_transaction_fini(&work->settle);
}

// --- the lane ---

static int64_t next_try_us(const struct delivery_lane *lane)
{
	const int64_t own = lane->position.attempts > 0 ? lane->position.next_try_at_us : INSTANT_NONE;
	const int64_t all = endpoint_not_before_us(&lane->endpoint->health);

	return own > all ? own : all;
}

static bool may_go_on(const struct delivery_lane *lane)
{
	const struct tenant *tenant = lane->delivery->tenant;

	return lane->dirty && !lane->broken && !is_disabled(lane->endpoint) && !lane->delivery->stopping && !tenant->process->stopping &&
		next_try_us(lane) <= now_us(lane) && has_its_turn(lane);
}

static void on_notice(struct deferred *notice)
{
	struct delivery *delivery = CONTAINER_OF(notice, struct delivery, notice);

	if (delivery->busy == 0) {
		delivery->idle(delivery);
	}
}

static void wake(struct delivery_lane *lane)
{
	if (lane->state == LANE_IDLE && may_go_on(lane)) {
		lane->delivery->busy++;
		lane->endpoint->busy++;
		step(lane);
	}
}

// Those that it kept waiting.
static void wake_others(struct delivery_lane *lane)
{
	for (size_t i = 0; i < DELIVERY_LANES; i++) {
		if (lane->endpoint->lanes[i] != NULL && lane->endpoint->lanes[i] != lane) {
			wake(lane->endpoint->lanes[i]);
		}
	}
}

static void rest(struct delivery_lane *lane)
{
	struct delivery *delivery = lane->delivery;

	lane->state = LANE_IDLE;
	lane->endpoint->busy--;
	delivery->busy--;
	wake_others(lane);
	if (delivery->busy == 0) {
		loop_forget(&delivery->notice);
		loop_defer(&delivery->tenant->process->loop, &delivery->notice);
	}
}

static void step(struct delivery_lane *lane)
{
	switch (lane->state) {
	case LANE_IDLE:
		begin_work(lane);
		while (may_go_on(lane)) {
			AWAIT(lane, LANE_READING, read_events(lane));
			if (!may_use_what_was_read(lane)) {
				lane->broken = true;
				break;
			}
			begin_batch(lane);
			while (find_event(lane)) {
				AWAIT(lane, LANE_SENDING, send_event(lane));
				take_answer(lane);
			}
			if (lane->work->attempt_count > 0 || lane->work->next.acked_seq != lane->position.acked_seq || lane->work->resent_count > 0) {
				AWAIT(lane, LANE_SETTLING, settle(lane));
				take_settled(lane);
			}
			if (lane->work->has_failed || lane->work->count == (size_t)events_at_a_time(lane) || lane->work->at < lane->work->count) {
				lane->dirty = true; // there is more
			}
		}
		end_work(lane);
		rest(lane);
		return;
	}
}

// --- all lanes ---

static void add_lane(struct delivery *delivery, struct delivery_endpoint *endpoint, const struct position_row *position, bool all_lanes)
{
	struct delivery_lane *lane = &delivery->lanes[delivery->lane_count++];
	const struct endpoint_health *health = &endpoint->health;

	*lane = (struct delivery_lane){ .delivery = delivery, .endpoint = endpoint, .position = *position, .dirty = position->pending };
	lane->position.all_lanes = all_lanes;
	endpoint->lanes[position->lane] = lane;
	if (position->attempts > 0 && position->first_failed_at_us > health->succeeded_at_us) {
		endpoint->health.failures++;
	}
}

// By pages all lanes of the log are one, the first; their positions are alike.
static void add_position(struct delivery *delivery, struct delivery_endpoint *endpoint, const struct position_row *position)
{
	const bool is_by_pages = delivery_is_by_pages(endpoint->own) && position->lane != RESEND_LANE;

	if (is_by_pages && endpoint->lanes[0] != NULL) {
		endpoint->lanes[0]->dirty = endpoint->lanes[0]->dirty || position->pending;
	} else {
		add_lane(delivery, endpoint, position, is_by_pages);
	}
}

static void add_endpoint(struct delivery *delivery, struct tenant_endpoint *own)
{
	struct delivery_endpoint *endpoint = &delivery->endpoints[delivery->endpoint_count++];
	const struct tenant *tenant = delivery->tenant;

	*endpoint = (struct delivery_endpoint){ .own = own, .success_stored_us = own->succeeded_at_us,
		.health = { .not_before_us = own->not_before_us, .succeeded_at_us = own->succeeded_at_us, .next_probe_us = INSTANT_NONE } };
	for (size_t at = 0; at < tenant->position_count; at++) {
		if (tenant->positions[at].endpoint_id == own->endpoint_id) {
			add_position(delivery, endpoint, &tenant->positions[at]);
		}
	}
}

void delivery_init(struct delivery *delivery, struct tenant *tenant, void (*idle)(struct delivery *delivery), void *owner)
{
	*delivery = (struct delivery){ .tenant = tenant, .idle = idle, .owner = owner, .notice = { .run = on_notice } };
	delivery->endpoints = allocate_array(tenant->endpoint_count + 1, sizeof *delivery->endpoints);
	delivery->lanes = allocate_array(tenant->position_count + 1, sizeof *delivery->lanes);
	for (size_t i = 0; i < tenant->endpoint_count; i++) {
		if (tenant->endpoints[i].secret_count > 0) { // nothing is ever sent unsigned
			add_endpoint(delivery, &tenant->endpoints[i]);
		}
	}
}

void delivery_fini(struct delivery *delivery)
{
	assert(delivery->busy == 0);
	loop_forget(&delivery->notice);
	free(delivery->lanes);
	free(delivery->endpoints);
	delivery->lanes = NULL;
	delivery->endpoints = NULL;
	delivery->lane_count = 0;
	delivery->endpoint_count = 0;
}

static bool concerns(const struct stored_event *event, const struct delivery_endpoint *endpoint)
{
	return endpoint->own->instance_id == 0 || endpoint->own->instance_id == event->instance_id;
}

void delivery_poke(struct delivery *delivery, const struct stored_event *events, size_t count)
{
	for (size_t at = 0; at < delivery->endpoint_count; at++) {
		const struct delivery_endpoint *endpoint = &delivery->endpoints[at];

		for (size_t i = 0; i < count; i++) {
			struct delivery_lane *lane = endpoint->lanes[delivery_is_by_pages(endpoint->own) ? 0 : events[i].lane];

			if (lane != NULL && concerns(&events[i], endpoint)) {
				lane->dirty = true;
				wake(lane);
			}
		}
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

		if ((lane->dirty || lane->broken) && !is_disabled(lane->endpoint) && at != INSTANT_NONE && (earliest == INSTANT_NONE || at < earliest)) {
			earliest = at;
		}
	}
	return earliest;
}
