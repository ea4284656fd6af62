// SPDX-License-Identifier: Apache-2.0
//
// http_server.h - an HTTP/1.1 listener (libmicrohttpd) inside the event loop, behind a gate of our own.
//
// Ownership  the server owns its requests. A handler holds a request from the call of `handle` until it has answered, and
//            must answer exactly once, even when the client has gone or the deadline has passed meanwhile (then the answer
//            is dropped). Texts of a request live as long as the request. The request's arena is the handler's to use.
// Thread     loop thread only.
// Laws       1. order: gate (raw head) -> route -> admit -> body -> handle -> answer. Nothing of the body is read before admit agreed;
//               a body in parts (http_body_take) follows `handle`
//            2. the gate refuses what libmicrohttpd lets pass: two Content-Length, Content-Length with Transfer-Encoding, two
//               Host, a URI with %2f %5c %00-%1f or dot segments, bytes outside of ASCII (architecture, section 7 "HTTP edge")
//            3. limits: head 16 KiB, 64 headers, URL 4 KiB, body by route (1 MiB by default) counted while it streams in
//            4. absolute deadlines for head, body and answer; an answer that is late becomes a 503 problem
//            5. every refusal is a problem document (RFC 9457) with a request id
//            6. paths are routed on raw bytes, segments decoded once afterwards
#pragma once

#include "depbroker/arena.h"
#include "loop/loop.h"
#include "loop/problem.h"

struct http_server;
struct http_request;

enum { HTTP_PARAMETERS_MAX = 4 };

struct http_route {
	const char *method;  // "GET"; a HEAD request is served by the GET route without its body. NULL: any
	const char *pattern; // "/api/v1/tenants/{tenant}/devices/{serial}"; a pattern ending in "/*" takes everything below
	void (*handle)(struct http_request *request);
	size_t body_limit; // bytes; 0: the server's default
	bool (*in_parts)(const struct http_request *request); // whether its body, if it has one, comes by http_body_take. NULL: never
	const void *tag;   // the owner's own word about the route, for `admit`
};

struct http_request {
	struct http_server *server;
	const struct http_route *route;
	void *context; // of the server's configuration
	struct text method;
	struct text path; // raw, without the query
	struct text parameters[HTTP_PARAMETERS_MAX]; // of the pattern's {names}, in order, percent-decoded
	struct text body; // empty when it comes in parts
	struct text client_address; // "127.0.0.1" of the peer
	char id[33];                // 32 hex digits, also sent as X-Request-Id
	struct arena arena;         // 2 MiB
	void *state;                // the handler's, or admit's, own
};

struct http_server_config {
	const char *listen; // "127.0.0.1:8080", "[::1]:0"; port 0 takes a free one
	const struct http_route *routes;
	size_t route_count;
	// Called after the head was read and a route found; ends, now or later, in http_admit or in an answer. NULL admits all.
	void (*admit)(struct http_request *request);
	// Called once when an answer was sent or dropped, right before the request is freed; not for what no route took. May be NULL.
	void (*finished)(struct http_request *request, unsigned status, int64_t took_us);
	void *context;
	size_t body_limit;   // default 1 MiB
	int head_timeout_ms; // default 10,000
	int body_timeout_ms; // default 30,000; and a second more for each 16 KB that Content-Length announces
	int answer_timeout_ms; // default 30,000, from `handle` to the answer; streams are exempt after their head
	int write_timeout_ms;  // default 30,000, for a block of 16 KiB to be taken by the client
	unsigned connection_limit; // default 1000
};

// Listens at once. On failure *out is NULL and the fault names the address and the reason.
MUST_USE enum err http_server_open(struct http_server **out, struct loop *loop, const struct http_server_config *config,
	struct fault *fault);
unsigned http_server_port(const struct http_server *server);

// Stops listening, lets requests in flight end until `drain_ms` have passed, then closes and calls `closed`. Nothing may use
// the server after it. A handler that has not answered by then still must: its request lives on, and `finished` follows. `closed` may be NULL.
void http_server_close(struct http_server *server, int64_t drain_ms, void (*closed)(void *argument), void *argument);

// For `admit`: go on with the body and the handler.
void http_admit(struct http_request *request);

// A body in parts: bounded by the route's limit, and by nothing but the taker's room while it waits. All of it is called from inside of
// libmicrohttpd and only leaves word, for another round. An answer that is given before its end is sent after it; then nobody takes the rest.
struct http_body_taker {
	size_t (*take)(struct http_body_taker *taker, struct text bytes); // how many; the others are offered again after http_body_go_on
	void (*ended)(struct http_body_taker *taker);
	void (*gone)(struct http_body_taker *taker); // it has no end: its client has gone, or was too slow. There is still to be an answer
};

void http_body_take(struct http_request *request, struct http_body_taker *taker); // in `handle`, before it returns or answers
void http_body_go_on(struct http_request *request);
bool http_request_has_body(const struct http_request *request);
int64_t http_request_body_length(const struct http_request *request); // as announced; -1: in chunks

struct text http_request_header(const struct http_request *request, const char *name); // TEXT_NONE when absent
// A query parameter, percent- and plus-decoded. TEXT_NONE when absent; a repeated one has been refused with 400 already.
struct text http_request_query(const struct http_request *request, const char *name);
size_t http_request_query_count(const struct http_request *request);
struct text http_request_query_name(const struct http_request *request, size_t index);

// The query as it came, without "?"; TEXT_NONE when there is none.
struct text http_request_raw_query(const struct http_request *request);
// The header fields as they came, by number. False: there are no more.
MUST_USE bool http_request_field(const struct http_request *request, size_t index, struct text *name, struct text *value);

// Adds a header to the coming answer. Values with CR, LF or NUL are a bug (asserted).
void http_answer_header(struct http_request *request, const char *name, const char *value);

// Answers. Every answer carries Cache-Control: no-store, X-Content-Type-Options: nosniff and X-Request-Id.
void http_answer(struct http_request *request, unsigned status, const char *content_type, struct text body); // copies body
void http_answer_buffer(struct http_request *request, unsigned status, const char *content_type, struct buffer *body); // takes it
void http_answer_empty(struct http_request *request, unsigned status);
void http_answer_problem(struct http_request *request, const struct problem *problem);

// A streaming answer, for long lists and for text/event-stream. The stream belongs to the request.
// http_stream_write appends to a buffer bounded by `buffer_limit`; false: it is full, wait for `drained`, or the client is gone.
// `drained` is called when the client has taken everything; `gone` (once) when it will not take more: then call http_stream_end.
struct http_stream {
	struct http_request *request;
	size_t buffer_limit;
	uint64_t length; // of all that will be written, which the client is told; 0: it is not known
	void (*drained)(struct http_stream *stream);
	void (*gone)(struct http_stream *stream);
	void *owner;
	void *inner; // http_server.c's own
};

// From `handle`, not from `admit`.
void http_answer_stream(struct http_request *request, unsigned status, const char *content_type, struct http_stream *stream);
MUST_USE bool http_stream_write(struct http_stream *stream, struct text bytes);
void http_stream_end(struct http_stream *stream); // nothing may touch the stream or the request afterwards
void http_stream_break(struct http_stream *stream); // likewise; and the client sees that the answer is not complete

// Counters since the start, for metrics.
struct http_server_counters {
	uint64_t requests;
	uint64_t refused_by_gate;
	uint64_t by_class[6]; // answers by status / 100
	unsigned connections;
};
struct http_server_counters http_server_counters(const struct http_server *server);
