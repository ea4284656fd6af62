// SPDX-License-Identifier: Apache-2.0
//
// proxy_passing.h - a request that goes on to Apple, and its answer that comes back, in parts where that may be.
//
//   client -> window -> Apple          Apple -> stream -> client
//
// Ownership  embedded in what the proxy keeps of a request, from _init to _fini; not while `apple` is running.
// Thread     loop thread only.
// Laws       1. of a request and an answer that pass by no more is held than PASSING_WINDOW and PASSING_BUFFER: who is slow makes the other one wait
//            2. a request can be sent again as long as all of it that was read is held; then it is spent
//            3. an answer that Apple breaks off is broken off for the client, too
//            4. an answer that is announced as small is held, and answered as a whole
#pragma once

#include "api/call.h"
#include "apple/apple.h"

enum { PASSING_WINDOW = 64 * 1024, PASSING_BUFFER = 64 * 1024, PASSING_SMALL = 16 * 1024, PASSING_ANSWER_MAX = 64 << 20 };

struct proxy_passing {
	struct call *call;
	struct apple_call apple;
	bool has_apple;
	struct apple_passed passed;
	void (*got_body)(struct proxy_passing *passing);  // all of it
	void (*got_begin)(struct proxy_passing *passing); // of the answer, which is not held

	struct http_body_taker taker;
	struct buffer window; // of the request
	size_t given;         // of it, to Apple
	bool body_is_whole;
	bool body_is_broken;
	bool body_is_unwanted; // Apple has answered without it

	struct http_stream stream;
	bool has_begun;
	bool client_is_gone;
};

void proxy_passing_init(struct proxy_passing *passing, struct call *call);
void proxy_passing_open(struct proxy_passing *passing, void (*done)(struct op *op)); // makes `apple` ready
void proxy_passing_fini(struct proxy_passing *passing);
void proxy_passing_take_body(struct proxy_passing *passing); // in parts, from now on
void proxy_passing_again(struct proxy_passing *passing);     // the request will be sent once more
void proxy_passing_end(struct proxy_passing *passing);       // of an answer that has begun: by apple.op.rc
