// SPDX-License-Identifier: Apache-2.0
#include "worker/delivery_request.h"

#include "tenants/alert.h"
#include "tenants/event_batch.h"
#include "tenants/nanodep_page.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_BODY_MAX = NANODEP_PAGE_BYTES_MAX + DELIVERY_BODY_MAX };
enum { TIMEOUT_MS = 15000, ANSWER_MAX = 16 * 1024, SIGNATURE_MAX = 512 };

void delivery_request_init(struct delivery_request *request, const struct tenant *tenant, const struct tenant_endpoint *endpoint)
{
	*request = (struct delivery_request){
		.tenant = tenant,
		.endpoint = endpoint,
		.body = BUFFER(delivery_is_by_pages(endpoint) ? PAGE_BODY_MAX : DELIVERY_BODY_MAX + 1024),
		.event_body = BUFFER(DELIVERY_BODY_MAX),
		.signature_header = BUFFER(SIGNATURE_MAX),
	};
}

void delivery_request_fini(struct delivery_request *request)
{
	buffer_fini(&request->body);
	buffer_fini(&request->event_body);
	buffer_fini(&request->signature_header);
}

static bool wants_alert(const struct tenant_endpoint *endpoint, struct text alert_json)
{
	const int place = endpoint->alert_kinds != 0 ? alert_place_of_event(alert_json) : -1;

	return endpoint->alert_kinds == 0 || (place >= 0 && (endpoint->alert_kinds >> place & 1) != 0);
}

bool delivery_wants(const struct tenant_endpoint *endpoint, const struct stored_event *event)
{
	const enum event_type type = event->event.type;

	if (delivery_is_by_pages(endpoint) && type != EVENT_PING && !nanodep_page_tells(type)) {
		return false;
	}
	if (event_is_of_alert(type) && !wants_alert(endpoint, event->event.device_json)) {
		return false;
	}
	return type == EVENT_PING || endpoint->event_types == 0 || (endpoint->event_types >> type & 1) != 0;
}

// --- composing ---

static void write_event(const struct delivery_request *request, struct buffer *out, const struct event_row *event)
{
	buffer_clear(out);
	event_body_write(out, tenant_is_everybody(request->tenant) ? TEXT_NONE : request->tenant->due.slug, request->tenant->incarnation, event);
}

static void name(const struct delivery_request *request, char id[WEBHOOK_ID_SIZE + 1], int64_t seq, const struct buffer *body)
{
	webhook_message_id(id, request->tenant->due.tenant_id, request->tenant->incarnation, seq, buffer_text(body));
}

static void write_batch(struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t count, int most)
{
	char id[WEBHOOK_ID_SIZE + 1];
	struct event_batch batch;
	struct stored_event event;

	buffer_clear(&request->body);
	event_batch_begin(&batch, &request->body);
	for (; at < count && batch.count < (size_t)most; at++) {
		store_event_read(read, 0, at, &event);
		if (delivery_wants(request->endpoint, &event)) {
			write_event(request, &request->event_body, &event.event);
			name(request, id, event.event.seq, &request->event_body);
			if (!event_batch_add(&batch, (struct text){ id, WEBHOOK_ID_SIZE }, buffer_text(&request->event_body), event.event.at_us)) {
				break;
			}
			request->end = at + 1;
		}
	}
	event_batch_end(&batch);
	request->events = (int)batch.count;
}

// --- by pages ---

static int64_t seq_of(const struct pg_transaction *read, size_t row)
{
	struct stored_event event;

	store_event_read(read, 0, row, &event);
	return event.event.seq;
}

bool delivery_is_cut(const struct tenant_endpoint *endpoint, const struct pg_transaction *read, size_t at, size_t count)
{
	struct event_page page;

	if (!delivery_is_by_pages(endpoint) || at == 0 || count == 0) {
		return false;
	}
	store_event_page_read(read, 0, at, &page);
	return page.last_seq > seq_of(read, count - 1);
}

// A removal is an operation: a list of devices that are there has no word for it.
static bool has_removal(const struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t end)
{
	struct stored_event event;

	for (; at < end; at++) {
		store_event_read(read, 0, at, &event);
		if (event.event.type == EVENT_DEVICE_REMOVED && delivery_wants(request->endpoint, &event)) {
			return true;
		}
	}
	return false;
}

static size_t end_of_page(const struct pg_transaction *read, size_t at, size_t count, const struct event_page *page)
{
	while (at < count && seq_of(read, at) <= page->last_seq) {
		at++;
	}
	return at;
}

// From the event at `at` on; a ping is a page that brought nothing.
static void write_page(struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t count, int most)
{
	struct event_page of;
	struct stored_event event;

	store_event_read(read, 0, at, &event);
	store_event_page_read(read, 0, at, &of);
	of.last_seq = of.last_seq > event.event.seq ? of.last_seq : event.event.seq; // of a page that is not known: alone
	const size_t end = end_of_page(read, at, count, &of);
	struct nanodep_page page = {
		.is_fetch = of.is_fetch && !has_removal(request, read, at, end),
		.dep_name = request->tenant->due.slug,
		.incarnation = request->tenant->incarnation,
		.last_seq = of.last_seq,
		.at_us = event.event.at_us,
	};
	bool has_room = true;

	buffer_clear(&request->body);
	nanodep_page_begin(&page, &request->body);
	for (; at < end && has_room && page.count < (size_t)most; at++) {
		store_event_read(read, 0, at, &event);
		if (event.event.type != EVENT_PING && delivery_wants(request->endpoint, &event)) {
			has_room = nanodep_page_add(&page, &event.event);
		}
		request->end = has_room ? at + 1 : at;
	}
	nanodep_page_end(&page, request->end < end || (end == count && seq_of(read, end - 1) < of.last_seq && count == STORE_LIST_MAX));
	request->events = page.count > 0 ? (int)page.count : 1;
}

void delivery_request_compose(struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t count, int most)
{
	char id[WEBHOOK_ID_SIZE + 1];
	struct stored_event first;

	store_event_read(read, 0, at, &first);
	request->end = at + 1;
	request->events = 1;
	if (delivery_is_by_pages(request->endpoint)) {
		write_page(request, read, at, count, most);
	} else if (request->endpoint->batch_size > 1) {
		write_batch(request, read, at, count, most);
	} else {
		write_event(request, &request->body, &first.event);
	}
	name(request, id, first.event.seq, &request->body);
	(void)snprintf(request->id_header, sizeof request->id_header, "webhook-id: %s", id);
}

// --- sending ---

// Right before the request leaves.
static void sign(struct http_call *call)
{
	struct delivery_request *request = CONTAINER_OF(call, struct delivery_request, call);
	const struct tenant_endpoint *endpoint = request->endpoint;
	const int64_t timestamp_s = clock_wall_us() / SECOND_US;
	const struct text id = { request->id_header + strlen("webhook-id: "), WEBHOOK_ID_SIZE };
	size_t count = 0;

	(void)snprintf(request->timestamp_header, sizeof request->timestamp_header, "webhook-timestamp: %lld", (long long)timestamp_s);
	buffer_clear(&request->signature_header);
	buffer_add_string(&request->signature_header, "webhook-signature: ");
	webhook_signature(&request->signature_header, endpoint->secrets, endpoint->secret_count, id, timestamp_s, buffer_text(&request->body));
	webhook_key_signatures(&request->signature_header, endpoint->keys, endpoint->key_count, id, timestamp_s, buffer_text(&request->body));
	call->headers[count++] = "content-type: application/json";
	call->headers[count++] = request->id_header;
	call->headers[count++] = request->timestamp_header;
	call->headers[count++] = request->signature_header.bytes;
	for (size_t i = 0; i < endpoint->header_count; i++) {
		call->headers[count++] = endpoint->headers[i].bytes;
	}
	call->headers[count] = NULL;
}

void delivery_request_send(struct delivery_request *request, void (*sent)(struct op *op))
{
	struct http_call *call = &request->call;

	http_call_init(call, sent);
	http_call_on_sending(call, sign);
	call->lane_key = request->tenant->due.tenant_id;
	call->method = "POST";
	call->url = request->endpoint->url.bytes; // a copy of tenant_load.c's, which ends with a zero
	call->authorities = request->endpoint->certificate_authority;
	call->body = buffer_text(&request->body);
	call->timeout_ms = TIMEOUT_MS;
	call->answer_limit = ANSWER_MAX;
	http_call_start(call, request->tenant->process->webhooks);
}

void delivery_request_done(struct delivery_request *request)
{
	http_call_fini(&request->call);
}
