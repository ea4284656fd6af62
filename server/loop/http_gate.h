// SPDX-License-Identifier: Apache-2.0
//
// http_gate.h - the strict reading of an HTTP/1.1 request: what passes has one meaning only, whoever reads it.
//
// Ownership  pure functions of bytes. A parsed head borrows the bytes that it was parsed from; refusals are constants.
// Laws       1. a line ends in CRLF and in nothing else; no control characters, no folded lines, no blanks around a name
//            2. the end of a request is told once: by one Content-Length, or by Transfer-Encoding: chunked, or there is no body
//            3. one Host, version HTTP/1.1, a target that starts with "/" and that no decoder can read as another path
//            4. chunks have neither extensions nor trailers
//            5. whatever is too long is refused as soon as it is, not when it ends
#pragma once

#include "loop/problem.h"

#include <stdint.h>

enum { GATE_HEAD_MAX = 16 * 1024, GATE_FIELDS_MAX = 64, GATE_TARGET_MAX = 4096, GATE_METHOD_MAX = 16 };

// Looks for the end of the head while it comes in.
struct gate_scan {
	size_t at;         // bytes looked at
	size_t line_start;
	unsigned lines;
};

// The size of the head, or 0: not complete, or refused.
size_t gate_scan(struct gate_scan *scan, struct text received, const struct problem **refusal);

struct gate_field {
	struct text name;
	struct text value;
};

struct gate_head {
	struct text method;
	struct text path;  // raw
	struct text query; // raw, without "?"; TEXT_NONE when there is none
	struct gate_field fields[GATE_FIELDS_MAX];
	size_t field_count;
	uint64_t content_length;
	bool is_chunked;
	bool expects_continue;
	bool closes; // Connection: close
};

// Of a whole head, as gate_scan measured it. NULL: it may pass.
const struct problem *gate_parse(struct gate_head *head, struct text raw);
bool gate_has_body(const struct gate_head *head);
struct text gate_field(const struct gate_head *head, const char *name); // TEXT_NONE when absent

// Follows a body to its end.
struct gate_body {
	enum gate_body_state {
		GATE_BODY_END,
		GATE_BODY_PLAIN,
		GATE_BODY_SIZE,    // digits of a chunk's size
		GATE_BODY_SIZE_LF,
		GATE_BODY_CHUNK,
		GATE_BODY_CHUNK_CR,
		GATE_BODY_CHUNK_LF,
		GATE_BODY_LAST_CR, // of the empty line after the last chunk
		GATE_BODY_LAST_LF,
	} state;
	uint64_t left; // of the body, or of the chunk
	unsigned digits;
	uint64_t limit;   // bytes of content
	uint64_t content; // announced so far
};

// Refuses a Content-Length beyond the limit at once.
const struct problem *gate_body_start(struct gate_body *body, const struct gate_head *head, uint64_t limit);
// How many of the received bytes belong to the body and may pass.
size_t gate_body_take(struct gate_body *body, struct text received, const struct problem **refusal);

extern const struct problem gate_head_too_slow;
extern const struct problem gate_body_too_slow;
extern const struct problem gate_bad_query; // for who decodes it
extern const struct problem gate_bad_path;
