// SPDX-License-Identifier: Apache-2.0
#include "tenants/event_batch.h"

#include <assert.h>

enum { END_MAX = 64 }; // what event_batch_end appends has room in it

void event_batch_begin(struct event_batch *batch, struct buffer *out)
{
	*batch = (struct event_batch){ .out = out, .newest_us = INSTANT_NONE };
	buffer_add_string(out, "{\"type\":\"batch\",\"data\":{\"events\":[");
}

bool event_batch_add(struct event_batch *batch, struct text id, struct text body, int64_t at_us)
{
	struct buffer *out = batch->out;

	assert(body.length > 1 && body.bytes[0] == '{');
	if (batch->count > 0 && out->length + id.length + body.length + END_MAX > EVENT_BATCH_BYTES_MAX) {
		return false;
	}
	buffer_add_string(out, batch->count > 0 ? ",{\"id\":\"" : "{\"id\":\"");
	buffer_add_text(out, id);
	buffer_add_string(out, "\",");
	buffer_add(out, body.bytes + 1, body.length - 1);
	batch->newest_us = batch->count > 0 && batch->newest_us > at_us ? batch->newest_us : at_us;
	batch->count++;
	return true;
}

void event_batch_end(struct event_batch *batch)
{
	assert(batch->count > 0);
	buffer_add_string(batch->out, "]},\"timestamp\":\"");
	event_timestamp_write(batch->out, batch->newest_us);
	buffer_add_string(batch->out, "\"}");
}
