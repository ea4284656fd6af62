// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/proxy_passing.h"

#include "depbroker/log.h"

#include <assert.h>
#include <string.h>

static struct proxy_passing *passing_of(struct http_call *http)
{
	return CONTAINER_OF(CONTAINER_OF(http, struct apple_call, http), struct proxy_passing, apple);
}

// --- the request ---

static void make_room(struct proxy_passing *passing)
{
	struct buffer *window = &passing->window;

	window->length -= passing->given;
	memmove(window->bytes, window->bytes + passing->given, window->length);
	passing->given = 0;
	passing->passed.is_spent = true;
}

static size_t take_part(struct http_body_taker *taker, struct text bytes)
{
	struct proxy_passing *passing = CONTAINER_OF(taker, struct proxy_passing, taker);
	struct buffer *window = &passing->window;

	if (passing->body_is_unwanted) {
		return bytes.length;
	}
	if (window->length == window->limit && passing->given > 0) {
		make_room(passing);
	}
	const size_t room = window->limit - window->length;
	const size_t taken = bytes.length < room ? bytes.length : room;

	buffer_add(window, bytes.bytes, taken);
	apple_call_go_on(&passing->apple);
	return taken;
}

static void on_body_ended(struct http_body_taker *taker)
{
	struct proxy_passing *passing = CONTAINER_OF(taker, struct proxy_passing, taker);

	passing->body_is_whole = true;
	apple_call_go_on(&passing->apple);
	passing->got_body(passing);
}

static void on_body_gone(struct http_body_taker *taker)
{
	struct proxy_passing *passing = CONTAINER_OF(taker, struct proxy_passing, taker);

	passing->body_is_broken = true;
	apple_call_go_on(&passing->apple);
	passing->got_body(passing);
}

static ptrdiff_t give(struct http_call *http, char *to, size_t space)
{
	struct proxy_passing *passing = passing_of(http);
	const size_t left = passing->window.length - passing->given;
	const size_t given = left < space ? left : space;

	if (passing->body_is_broken) {
		return HTTP_GIVE_BROKEN;
	}
	if (left == 0) {
		return passing->body_is_whole ? 0 : HTTP_GIVE_LATER;
	}
	memcpy(to, passing->window.bytes + passing->given, given);
	passing->given += given;
	if (given == left && !passing->body_is_whole) {
		http_body_go_on(passing->call->request);
	}
	return (ptrdiff_t)given;
}

static bool give_again(struct http_call *http)
{
	struct proxy_passing *passing = passing_of(http);

	passing->given = passing->passed.is_spent ? passing->given : 0;
	return !passing->passed.is_spent;
}

// --- the answer ---

static void on_drained(struct http_stream *stream)
{
	apple_call_go_on(&((struct proxy_passing *)stream->owner)->apple);
}

static void on_gone(struct http_stream *stream)
{
	struct proxy_passing *passing = stream->owner;

	passing->client_is_gone = true;
	apple_call_cancel(&passing->apple);
}

static bool begins(struct http_call *http, int64_t length)
{
	struct proxy_passing *passing = passing_of(http);
	const bool is_held = (length >= 0 && length <= PASSING_SMALL) || length > PASSING_ANSWER_MAX || http->status < 200 || http->status > 599;
	const char *type = passing->passed.content_type;

	if (is_held || !apple_pass_begins(&passing->apple)) {
		return false;
	}
	passing->has_begun = true;
	passing->body_is_unwanted = http->status >= 300; // whoever says so before the end does not read on
	passing->stream = (struct http_stream){
		.buffer_limit = PASSING_BUFFER, .length = length > 0 ? (uint64_t)length : 0, .drained = on_drained, .gone = on_gone, .owner = passing,
	};
	passing->got_begin(passing);
	call_answer_stream(passing->call, passing->apple.status, type[0] != '\0' ? type : NULL, &passing->stream);
	return true;
}

static enum http_taken take(struct http_call *http, struct text bytes)
{
	struct proxy_passing *passing = passing_of(http);

	if (passing->client_is_gone) {
		return HTTP_TAKE_NO_MORE;
	}
	return http_stream_write(&passing->stream, bytes) ? HTTP_TAKEN : HTTP_TAKE_LATER;
}

void proxy_passing_end(struct proxy_passing *passing)
{
	const struct op *op = &passing->apple.op;

	assert(passing->has_begun);
	if (op->rc == OK) {
		http_stream_end(&passing->stream);
		return;
	}
	log_event(LOG_WARNING, "nanodep.broken_off", LOG_STRING("request_id", passing->call->request->id), LOG_STRING("error", err_name(op->rc)),
		LOG_STRING("reason", passing->client_is_gone ? "the client has gone" : op->fault.text));
	http_stream_break(&passing->stream);
}

// --- both ---

void proxy_passing_init(struct proxy_passing *passing, struct call *call)
{
	static const struct http_passing answer_only = { .begins = begins, .take = take, .take_limit = PASSING_ANSWER_MAX };

	passing->call = call;
	passing->passed.passing = &answer_only;
}

void proxy_passing_open(struct proxy_passing *passing, void (*done)(struct op *op))
{
	apple_call_init(&passing->apple, done);
	passing->has_apple = true;
}

void proxy_passing_fini(struct proxy_passing *passing)
{
	if (passing->has_apple) {
		apple_call_fini(&passing->apple);
	}
	apple_passed_fini(&passing->passed);
	buffer_fini_wiped(&passing->window);
}

void proxy_passing_take_body(struct proxy_passing *passing)
{
	static const struct http_passing both = { give, give_again, begins, take, PASSING_ANSWER_MAX };

	passing->window = BUFFER(PASSING_WINDOW);
	passing->passed.passing = &both;
	passing->passed.body_length = http_request_body_length(passing->call->request);
	passing->taker = (struct http_body_taker){ take_part, on_body_ended, on_body_gone };
	http_body_take(passing->call->request, &passing->taker);
}

void proxy_passing_again(struct proxy_passing *passing)
{
	passing->given = 0;
}
