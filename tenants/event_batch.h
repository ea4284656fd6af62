// SPDX-License-Identifier: Apache-2.0
//
// event_batch.h - the webhook body that has several events (docs/reference/webhooks.md).
//
// Ownership  a plain value; `out` is the caller's, and is not touched by others between begin and end.
// Laws       1. each event is the bytes that it would be sent as alone, with the id that it would have alone as its first member: what a
//               receiver has is recognised by it, in whichever request it comes
//            2. an event that would make the body larger than EVENT_BATCH_BYTES_MAX is left out, but never the first one
#pragma once

#include "tenants/event.h"

enum { EVENT_BATCH_BYTES_MAX = 256 * 1024 };

struct event_batch {
	struct buffer *out;
	size_t count;
	int64_t newest_us;
};

void event_batch_begin(struct event_batch *batch, struct buffer *out);
// False: there is no room for it, and nothing is changed. `body` is what event_body_write made of it, `id` its webhook_message_id.
MUST_USE bool event_batch_add(struct event_batch *batch, struct text id, struct text body, int64_t at_us);
void event_batch_end(struct event_batch *batch); // of one event at least
