// SPDX-License-Identifier: Apache-2.0
//
// http_server_world.h - an HTTP server on a thread of its own, and a client that writes and reads raw bytes on real sockets.
//
// Thread     world_* and client_* are called by the test's thread; handlers run on the server's.
#pragma once

#include "loop/http_server.h"

#include <pthread.h>
#include <semaphore.h>

enum { WORLD_WAIT_MS = 20000, PARKED_MAX = 64 };

struct world {
	struct loop loop;
	struct http_server *server;
	struct http_server_config config; // to be changed between world_init and world_start
	pthread_t thread;
	uv_async_t call;
	void (*function)(struct world *world);
	sem_t called;
	sem_t parked_one; // posted for each request that is parked
	sem_t gone_one;   // posted when a stream, or who takes a body, hears that its client is gone
	sem_t part_one;   // posted for each part of a body that was taken
	int64_t drain_ms;
	// Of the server's thread; the test reads them in world_call or after world_stop.
	struct http_request *parked[PARKED_MAX];
	size_t parked_count;
	unsigned handled;
	unsigned admitted;
	unsigned finished;
	unsigned last_status;
	size_t stream_bytes_written;
	size_t part_bytes_offered; // the largest part
	bool keeps_streams; // that have lost their client, until world_answer_parked
	struct http_stream *kept[PARKED_MAX];
	size_t kept_count;
	struct http_server_counters counters;
	bool is_starting_stream;
	bool is_closed;
};

void world_init(struct world *world);
void world_start(struct world *world);
void world_call(struct world *world, void (*function)(struct world *world)); // on the server's thread; waits for its end
void world_stop(struct world *world);                                        // closes the server, ends the thread
// For cmocka: `*state` becomes a world that is started.
int world_setup(void **state);
int world_teardown(void **state);
void world_wait(sem_t *semaphore);
void world_begin_close(struct world *world); // does not wait
struct http_server_counters world_counters(struct world *world);
void world_answer_parked(struct world *world); // for world_call: answers all with 200 "late"
void world_admit_parked(struct world *world);
void world_stream_parked(struct world *world); // answers all with a stream; it must not hear inside of that call that it is lost

struct client {
	int fd;
	struct buffer in; // not yet looked at
};

struct response {
	unsigned status;
	struct buffer head;
	struct buffer body; // decoded
	bool is_cut;        // the connection ended in the middle
};

struct client client_connect(const struct world *world);
struct client client_prepare(void); // and connects later, when no descriptor can be had
void client_start(struct client *client, const struct world *world);
void client_fini(struct client *client);
void client_send(struct client *client, const char *bytes);
void client_send_bytes(struct client *client, const char *bytes, size_t length);
bool client_try_send(struct client *client, const char *bytes, size_t length); // false: the server does not take it
struct response client_read(struct client *client); // one answer; fails the test when nothing comes
struct response client_read_head_answer(struct client *client); // of a HEAD request
struct response client_ask(struct client *client, const char *bytes);
bool client_is_at_end(struct client *client); // waits for the server to close; false when it sends something
bool response_has(const struct response *response, const char *header_line);
void response_fini(struct response *response);
void assert_is_problem(const struct response *response, unsigned status, const char *code);
