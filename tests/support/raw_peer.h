// SPDX-License-Identifier: Apache-2.0
//
// raw_peer.h - a server that reads HTTP requests and answers with whatever bytes a test wants, well-formed or not.
//
// Ownership  the test embeds struct raw_peer; connections are the peer's and die with it or with the client.
// Thread     on the loop of the test.
#pragma once

#include "depbroker/text.h"
#include "loop/loop.h"

struct raw_connection;

struct raw_peer {
	void (*on_request)(struct raw_peer *peer, struct raw_connection *connection);
	void (*on_gone)(struct raw_peer *peer, struct raw_connection *connection); // may be NULL
	void *owner;
	struct loop *loop;
	uv_tcp_t listener;
	struct list connections;
	unsigned port;
	unsigned accepted; // connections, ever
	unsigned requests; // ever
};

struct raw_connection {
	struct list link;
	struct raw_peer *peer;
	uv_tcp_t tcp;
	struct delay timer;
	struct buffer received;
	struct text head; // of the request, valid within on_request and until the next one arrives
	struct text body;
	struct text path;
	struct text endless; // what raw_repeat repeats
	int64_t every_ms;
	int open_handles;
	void (*later)(struct raw_connection *connection);
	struct raw_connection *other; // of a tunnel
	void *owner;
};

void raw_peer_open(struct raw_peer *peer, struct loop *loop);
void raw_peer_close(struct raw_peer *peer);

void raw_send(struct raw_connection *connection, struct text bytes);
void raw_send_string(struct raw_connection *connection, const char *string);
void raw_finish(struct raw_connection *connection); // closes after what was sent has gone out
void raw_repeat(struct raw_connection *connection, const char *bytes, int64_t every_ms); // for ever; 0: as fast as it goes
void raw_later(struct raw_connection *connection, int64_t after_ms, void (*later)(struct raw_connection *connection));
// Becomes a tunnel to a port of 127.0.0.1, as a proxy does after CONNECT.
void raw_tunnel(struct raw_connection *connection, unsigned port);
