// SPDX-License-Identifier: Apache-2.0
//
// http_world.h - an HTTP client and a raw peer on one loop, for the tests of the client.
#pragma once

#include "loop/http_client.h"
#include "support/raw_peer.h"

struct http_world {
	struct loop loop;
	struct raw_peer peer;
	struct http_client *client;
	bool client_is_closed;
	size_t descriptors; // open before the world began: as many must be open after its end
};

struct http_trial {
	struct http_call call;
	struct http_world *world;
	bool is_inside; // http_call_start or http_call_cancel: no completion may come from there
	unsigned completions;
	char url[512];
	void (*done)(struct http_trial *trial); // may be NULL
};

// A configuration that may be empty; name and user agent are filled in. The peer answers by `on_request`.
void http_world_open(struct http_world *world, struct http_client_config config,
	void (*on_request)(struct raw_peer *peer, struct raw_connection *connection));
void http_world_close_client(struct http_world *world); // returns when it is closed
void http_world_close(struct http_world *world);        // everything, and checks that nothing is left

void http_trial_init(struct http_trial *trial, struct http_world *world, const char *path); // GET, of the peer
void http_trial_start(struct http_trial *trial);
void http_trial_cancel(struct http_trial *trial);
void http_trial_wait(struct http_trial *trial); // until it has completed
enum err http_trial_run(struct http_trial *trial); // starts and waits
void http_trial_fini(struct http_trial *trial);

// init, run and fini of a GET of `url`, or of a path of the peer.
enum err http_outcome(struct http_world *world, const char *url);

#define HTTP_WAIT_UNTIL(world, condition)                       \
	while (!(condition)) {                                      \
		(void)uv_run(&(world)->loop.uv, UV_RUN_ONCE);           \
	}
