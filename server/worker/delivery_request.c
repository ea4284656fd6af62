// SPDX-License-Identifier: Apache-2.0
#include "worker/delivery_request.h"

#include "tenants/event_batch.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 15000, ANSWER_MAX = 16 * 1024, SIGNATURE_MAX = 512 };

void delivery_request_init(struct delivery_request *request, const struct tenant *tenant, const struct tenant_endpoint *endpoint)
{
	*request = (struct delivery_request){
		.tenant = tenant,
		.endpoint = endpoint,
		.body = BUFFER(DELIVERY_BODY_MAX + 1024),
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

bool delivery_wants(const struct tenant_endpoint *endpoint, const struct stored_event *event)
{
	const enum event_type type = event->event.type;

	return type == EVENT_PING || endpoint->event_types == 0 || (endpoint->event_types >> type & 1) != 0;
}

// --- composing ---

static void write_event(const struct delivery_request *request, struct buffer *out, const struct event_row *event, char id[WEBHOOK_ID_SIZE + 1])
{
	const struct tenant *tenant = request->tenant;

	buffer_clear(out);
	event_body_write(out, tenant->due.slug, tenant->incarnation, event);
	webhook_message_id(id, tenant->due.tenant_id, tenant->incarnation, event->seq, buffer_text(out));
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
			write_event(request, &request->event_body, &event.event, id);
			if (!event_batch_add(&batch, (struct text){ id, WEBHOOK_ID_SIZE }, buffer_text(&request->event_body), event.event.at_us)) {
				break;
			}
			request->end = at + 1;
		}
	}
	event_batch_end(&batch);
	request->events = (int)batch.count;
}

void delivery_request_compose(struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t count, int most)
{
	const struct tenant *tenant = request->tenant;
	char id[WEBHOOK_ID_SIZE + 1];
	struct stored_event first;

	store_event_read(read, 0, at, &first);
	request->end = at + 1;
	request->events = 1;
	if (request->endpoint->batch_size > 1) {
		write_batch(request, read, at, count, most);
		webhook_message_id(id, tenant->due.tenant_id, tenant->incarnation, first.event.seq, buffer_text(&request->body));
	} else {
		write_event(request, &request->body, &first.event, id);
	}
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
	call->body = buffer_text(&request->body);
	call->timeout_ms = TIMEOUT_MS;
	call->answer_limit = ANSWER_MAX;
	http_call_start(call, request->tenant->process->webhooks);
}

void delivery_request_done(struct delivery_request *request)
{
	http_call_fini(&request->call);
}
