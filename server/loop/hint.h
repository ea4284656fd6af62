// SPDX-License-Identifier: Apache-2.0
//
// hint.h - a number that one process of ours says to others: look there, now.
//
// Ownership  who opens a pair closes it. A listener is embedded and kept until `closed` was called; its socket stays the caller's.
// Thread     loop thread only.
// Laws       1. a hint is no secret and no order. It may be lost, late, doubled or made up: who hears one asks the database what is so,
//               and finds out without any hint, only later
//            2. saying one never waits: who does not keep up with hearing loses some
//            3. a flood costs its hearer at most HINT_BATCH hints in HINT_REST_MS, and what is no hint nothing more than its reading
#pragma once

#include "loop/loop.h"

enum {
	HINT_SOCKET_FIRST = 3, // of a child that was given any: this one and those that follow it
	HINT_BATCH = 64,
	HINT_REST_MS = 5,
};

struct hint_pair {
	int says, hears;
};

MUST_USE enum err hint_pair_open(struct hint_pair *pair, struct fault *fault);
void hint_pair_close(struct hint_pair *pair);

void hint_say(int socket, int64_t number); // above 0

struct hint_listener {
	void (*heard)(struct hint_listener *listener, const int64_t *numbers, size_t count); // each number once
	void (*closed)(struct hint_listener *listener);
	void *owner;
	uint64_t malformed; // that were none
	// Inside
	int socket;
	uv_poll_t poll;
	struct delay rest;
};

void hint_listener_open(struct hint_listener *listener, struct loop *loop, int socket); // `heard` and `owner` are set before
void hint_listener_close(struct hint_listener *listener, void (*closed)(struct hint_listener *listener));
