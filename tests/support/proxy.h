// SPDX-License-Identifier: Apache-2.0
//
// proxy.h - stands between a client and the PostgreSQL of a test, on 127.0.0.1: counts round trips, and loses or changes what
// nothing real would lose or change on demand.
//
// Ownership  the caller embeds it, and keeps it until proxy_close, which blocks, has returned.
#pragma once

#include "depbroker/text.h"
#include "loop/loop.h"
#include "support/postgres.h"

enum proxy_mode {
	PROXY_PASS,
	PROXY_SWALLOW_ANSWERS, // the server is asked and answers, but the client hears nothing
	PROXY_CUT_AT_ANSWER,   // when the server answers, the client is cut off without it
};

struct proxy {
	uint16_t port;
	enum proxy_mode mode;
	unsigned round_trips; // how often the client has said something after the server had
	// Changes what the server says before the client gets it. May be NULL.
	void (*change)(struct buffer *from_server);
	struct loop *loop;
	uv_tcp_t listener;
	char server_path[108];
	struct list pairs;
	unsigned open_handles;
};

void proxy_open(struct proxy *proxy, struct loop *loop, const struct test_postgres *postgres);
void proxy_close(struct proxy *proxy);
