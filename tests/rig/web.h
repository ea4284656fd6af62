// SPDX-License-Identifier: Apache-2.0
//
// web.h - an HTTP/1.1 listener for test programs, which can also misbehave on purpose: late, cut and reset answers.
//
// The listener of depbroker itself (server/loop/http_server.h) promises never to do what a faulty peer must do, and a
// peer that shares its code would share its mistakes. This one is small and independent.
//
// Ownership  the caller embeds struct web_server and keeps it until `closed`. Texts of a request live while `handle`
//            runs.
// Thread     loop thread only.
// Laws       1. `handle` fills in the answer before it returns; a delay, a cut or a reset happens afterwards
//            2. an answer is never chunked; a cut one promises the whole length in its head
//            3. strict about heads: exactly one Host, one Content-Length or chunks, no folded or nameless header
#pragma once

#include "depbroker/arena.h"
#include "loop/loop.h"

enum { WEB_HEADERS_MAX = 64, WEB_PARAMETERS_MAX = 2 };

struct web_header {
	struct text name;
	struct text value;
};

struct web_request {
	struct text method;
	struct text path; // raw
	struct text query;
	struct text body;
	struct web_header headers[WEB_HEADERS_MAX];
	size_t header_count;
	struct text parameters[WEB_PARAMETERS_MAX]; // of web_path_matches, decoded
	struct arena arena;
	void *context;
};

struct web_answer {
	unsigned status;
	const char *content_type; // NULL: none
	struct buffer headers;    // further lines, each with its CRLF
	struct buffer body;
	int64_t delay_ms;
	int64_t cut_after_bytes; // of the body, then the connection is closed; -1: all of it
	int64_t drip_ms;         // between two bytes of the body; 0: at once
	bool reset;              // no answer, the connection is reset
};

struct web_server {
	uv_tcp_t tcp;
	struct list connections;
	void (*handle)(struct web_request *request, struct web_answer *answer);
	void *context;
	const int64_t *date_offset_s; // how wrong the Date header shall be; NULL: not at all
	unsigned port;
	char address[64]; // "http://127.0.0.1:PORT"
	struct buffer spare_head; // memory for the next answer, so that large pages need no new memory each
	struct buffer spare_body;
	int64_t date_at_s;
	char date[40];
	void (*closed)(struct web_server *server);
};

// Set `handle` and `context` before. `listen` is "127.0.0.1:8080"; port 0 takes a free one.
MUST_USE enum err web_server_open(struct web_server *server, struct loop *loop, const char *listen, struct fault *fault);
// Drops all connections. `closed` may be NULL.
void web_server_close(struct web_server *server, void (*closed)(struct web_server *server));

struct text web_header(const struct web_request *request, const char *name); // TEXT_NONE when absent
size_t web_header_count(const struct web_request *request, const char *name);
struct text web_query(struct web_request *request, const char *name); // decoded; TEXT_NONE when absent
int64_t web_query_number(struct web_request *request, const char *name, int64_t otherwise);
// Is the path "/tenants/{}/devices/{}", with any one segment for each {}? Then they are in `parameters`.
MUST_USE bool web_path_matches(struct web_request *request, const char *pattern);
MUST_USE bool percent_decode(struct buffer *out, struct text in); // false: a broken escape
void web_answer_header(struct web_answer *answer, const char *name, const char *value);
void web_answer_text(struct web_answer *answer, unsigned status, const char *text); // text/plain

// web_parse.c, for web.c: how long a message is, and what its head says.
enum web_parse { WEB_PARSE_MORE, WEB_PARSE_DONE, WEB_PARSE_BAD };
struct web_message {
	size_t head_length; // 0: the head is not complete yet
	size_t length;      // of head and body as they came
	bool keep_alive;
	bool expects_continue;
	struct buffer decoded; // the body when it came in chunks
};
enum web_parse web_parse(struct web_request *request, struct web_message *message, struct text input);
