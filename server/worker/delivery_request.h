// SPDX-License-Identifier: Apache-2.0
//
// delivery_request.h - one request to a webhook endpoint: composed of events that were read, signed when it leaves. It has one event,
// several (`batch_size`), or what one page brought (format nanodep).
//
// Ownership  a value that its owner does not move between init and fini; the events stay in the transaction that they were read in.
// Laws       1. what the request has is all that the endpoint wants of the rows from `at` up to `end`, and never anything else
//            2. the timestamp is this attempt's, and signed with the secrets that are valid then; the body is signed as it is sent
#pragma once

#include "loop/http_client.h"
#include "worker/tenant.h"

enum { DELIVERY_BODY_MAX = 256 * 1024 }; // of an event

// Of all lanes at once, since a page has devices of each.
static inline bool delivery_is_by_pages(const struct tenant_endpoint *endpoint)
{
	return endpoint->format == ENDPOINT_NANODEP;
}

struct delivery_request {
	const struct tenant *tenant;
	const struct tenant_endpoint *endpoint;
	size_t end;  // of the rows: the request has what is wanted of those before it
	int events;  // of the request
	// Inside
	struct http_call call;
	struct buffer body, event_body, signature_header;
	char id_header[64];
	char timestamp_header[64];
};

void delivery_request_init(struct delivery_request *request, const struct tenant *tenant, const struct tenant_endpoint *endpoint);
void delivery_request_fini(struct delivery_request *request);

// Whether the request that begins at `at` may need rows beyond the `count` that were read, which is as many as were asked for: they
// are to be read from there on first.
bool delivery_is_cut(const struct tenant_endpoint *endpoint, const struct pg_transaction *read, size_t at, size_t count);
bool delivery_wants(const struct tenant_endpoint *endpoint, const struct stored_event *event);
// Of the rows [at, count) of the first statement, the first of which is wanted; `most` events.
void delivery_request_compose(struct delivery_request *request, const struct pg_transaction *read, size_t at, size_t count, int most);
// `sent` hears of request->call.op; then delivery_request_done, before the next one is composed.
void delivery_request_send(struct delivery_request *request, void (*sent)(struct op *op));
void delivery_request_done(struct delivery_request *request);
