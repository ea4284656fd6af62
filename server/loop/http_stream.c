// SPDX-License-Identifier: Apache-2.0
#include "loop/http_inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_BLOCK = 16 * 1024 };

struct stream_state {
	struct live_request *request;
	struct http_stream *stream; // NULL once it has ended
	struct buffer waiting;
	size_t taken; // of it
	bool has_ended;
	bool is_broken; // ended before it was complete
	bool is_stopped; // nobody takes more
	bool wants_drained;
	struct deferred tell;
};

static void tell_gone(struct deferred *tell)
{
	struct stream_state *state = CONTAINER_OF(tell, struct stream_state, tell);
	struct live_request *request = state->request;

	if (!state->has_ended) {
		state->stream->gone(state->stream);
	}
	request_let_go(request, HELD_BY_STREAM);
}

void stream_attach(struct live_request *request, struct http_stream *stream)
{
	struct stream_state *state = allocate(sizeof *state);

	assert(stream->buffer_limit > 0 && stream->gone != NULL);
	state->request = request;
	state->stream = stream;
	state->waiting = BUFFER(stream->buffer_limit);
	state->tell.run = tell_gone;
	request->stream = state;
	stream->request = &request->public;
	stream->inner = state;
}

// Told at the end of the round, not from inside of whatever has found out.
void stream_stop(struct stream_state *state)
{
	struct live_request *request = state->request;

	if (state->is_stopped) {
		return;
	}
	state->is_stopped = true;
	if (!state->has_ended) {
		request->holders |= HELD_BY_STREAM;
		loop_defer(request->public.server->loop, &state->tell);
	}
	request_resume(request); // so that libmicrohttpd hears that it breaks off
}

void stream_complete(struct stream_state *state)
{
	state->is_stopped = true;
}

void stream_free(struct stream_state *state)
{
	if (state != NULL) {
		buffer_fini_wiped(&state->waiting);
		free(state);
	}
}

static size_t left_of(const struct stream_state *state)
{
	return state->waiting.length - state->taken;
}

static ssize_t read_stream(void *argument, uint64_t position, char *to, size_t space)
{
	struct stream_state *state = argument;

	(void)position;
	if (left_of(state) == 0 && state->wants_drained && !state->has_ended && !state->is_stopped) {
		state->wants_drained = false;
		if (state->stream->drained != NULL) {
			state->stream->drained(state->stream);
		}
	}
	if (state->is_stopped || state->is_broken) {
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (left_of(state) == 0 && state->has_ended) {
		return MHD_CONTENT_READER_END_OF_STREAM;
	}
	if (left_of(state) == 0) {
		state->request->is_suspended = true;
		MHD_suspend_connection(state->request->mhd);
		return 0;
	}
	const size_t length = left_of(state) < space ? left_of(state) : space;

	memcpy(to, state->waiting.bytes + state->taken, length);
	state->taken += length;
	if (left_of(state) == 0) {
		buffer_clear(&state->waiting);
		state->taken = 0;
	}
	return (ssize_t)length;
}

struct MHD_Response *stream_response(struct stream_state *state)
{
	const uint64_t length = state->stream->length;

	return MHD_create_response_from_callback(length > 0 ? length : MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, state, NULL);
}

static void move_to_front(struct stream_state *state)
{
	state->waiting.length -= state->taken;
	memmove(state->waiting.bytes, state->waiting.bytes + state->taken, state->waiting.length);
	state->taken = 0;
}

bool http_stream_write(struct http_stream *stream, struct text bytes)
{
	struct stream_state *state = stream->inner;

	assert(!state->has_ended);
	if (state->is_stopped || bytes.length > state->waiting.limit - left_of(state)) {
		return false;
	}
	if (bytes.length == 0) {
		return true;
	}
	if (bytes.length > state->waiting.limit - state->waiting.length) {
		move_to_front(state);
	}
	buffer_add_text(&state->waiting, bytes);
	state->wants_drained = true;
	request_resume(state->request);
	return true;
}

void http_stream_break(struct http_stream *stream)
{
	struct stream_state *state = stream->inner;

	state->is_broken = true;
	http_stream_end(stream);
}

void http_stream_end(struct http_stream *stream)
{
	struct stream_state *state = stream->inner;

	assert(!state->has_ended);
	state->request->taker = NULL;
	state->has_ended = true;
	state->stream = NULL;
	request_resume(state->request);
	request_let_go(state->request, HELD_BY_OWNER);
}
