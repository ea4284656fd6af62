// SPDX-License-Identifier: Apache-2.0
//
// http_inner.h - what the files of the HTTP server share, and nobody else includes.
//
//   client -- socket -- connection --(pair of sockets)-- libmicrohttpd -- request -- handler
//
// A connection reads from the client itself, and lets the gate judge each byte. Only what has passed goes on to libmicrohttpd,
// over a pair of sockets: a head that is written anew, and the body. So libmicrohttpd, of any version, never sees anything
// malformed, never has to refuse anything with a page of its own, and its clocks do not matter. What it answers is carried
// back to the client. Until a request is admitted libmicrohttpd does not know of it, and answers are written by ourselves.
//
// Laws       1. MHD_run is only called from the server's pump, never from inside a callback or from an answer
//            2. the functions of http_server.h only leave word and call server_wake; connections move on in the pump
//            3. whoever is the last to need a request (its owner, libmicrohttpd, its connection, its stream) frees it
#pragma once

#include "loop/http_gate.h"
#include "loop/http_route.h"
#include "loop/http_server.h"

#include <microhttpd.h>
#include <netinet/in.h>

enum { ANSWER_FIELDS_MAX = 24, CLIENT_BLOCK = 16 * 1024, HTTP_OUT_LIMIT = 64 * 1024 * 1024 };

struct http_server {
	struct http_server_config config;
	struct loop *loop;
	struct MHD_Daemon *daemon;
	uv_poll_t daemon_poll;
	uv_prepare_t before_sleep;
	uv_idle_t no_sleep;
	uv_poll_t listen_poll;
	int listener; // -1 once it is closed
	struct delay timer; // to accept again, later to end the drain
	struct list connections;
	struct list woken; // connections that must move on
	struct list requests;
	struct list pending; // backs that libmicrohttpd was given, but has not looked at
	bool must_run;
	bool is_closing;
	bool is_over; // closed; what is left are requests whose handlers have yet to answer
	bool accepts;
	unsigned own_handles;
	unsigned backs;
	void (*closed)(void *argument);
	void *closed_argument;
	unsigned port;
	struct http_server_counters counters;
};

// Our end of the pair of sockets.
struct http_back {
	struct list link;
	uv_poll_t poll;
	int fd;
	int other_fd; // libmicrohttpd's, by which it is recognised
	int events;
	struct http_server *server;
	struct http_connection *connection; // NULL once it was given up
	bool poll_is_open;
	bool known_to_mhd;
};

enum connection_phase {
	READING_HEAD,
	ADMITTING,
	READING_BODY,
	ANSWERING,
	LINGERING, // the last answer is written; what still comes in is thrown away, so that it does not cost the client the answer
	CLOSING,
};

struct http_connection {
	struct list link;
	struct list woken_link;
	struct http_server *server;
	struct http_back *back; // while libmicrohttpd is needed
	int client;
	int client_events;
	unsigned open_handles;
	uv_poll_t client_poll;
	struct delay deadline;       // of the phase
	struct delay write_deadline; // of a block that the client does not take
	char address[INET6_ADDRSTRLEN];
	enum connection_phase phase;
	char *in; // CLIENT_BLOCK bytes, or NULL
	size_t in_length;
	size_t in_passed; // these the gate has let through to the back
	struct gate_scan scan;
	struct gate_body body;
	struct buffer out; // for the client
	size_t out_sent;
	struct live_request *request;
	bool closes_after;  // this answer
	bool is_trimmed;    // it idles, and holds no more than it must
	bool client_is_done; // it will send nothing more
	bool back_is_done;  // libmicrohttpd has written its answer
	bool back_is_empty; // and we have read it
	bool back_has_news; // it is worth a look
};

enum holder { HELD_BY_OWNER = 1, HELD_BY_MHD = 2, HELD_BY_CONNECTION = 4, HELD_BY_STREAM = 8 };

struct answer_field {
	const char *name;
	const char *value;
};

struct live_request {
	struct http_request public;
	struct list link;
	struct http_connection *connection;
	struct MHD_Connection *mhd;
	unsigned holders;
	bool in_callback; // of libmicrohttpd: the answer is queued when the handler returns
	bool is_suspended;
	bool is_handled; // the handler was called
	bool is_answered;
	bool comes_in_parts; // its body
	bool body_is_whole;  // it has come
	struct http_body_taker *taker; // of it; NULL: nobody wants it
	struct arena own; // the handler's arena is its own to the last byte
	struct gate_head head;
	struct route_query query;
	struct buffer body;
	unsigned status;
	struct answer_field fields[ANSWER_FIELDS_MAX];
	size_t field_count;
	char *answer_body; // malloc'ed; goes to libmicrohttpd
	size_t answer_length;
	struct MHD_Response *response; // to be queued
	struct stream_state *stream;
	uint64_t started_ns;
};

// http_server.c
// Lets libmicrohttpd run before the loop sleeps, and the connection move on after it; it may be NULL.
void server_wake(struct http_server *server, struct http_connection *connection);
void server_add_pending(struct http_back *back);
void server_forget_back(struct http_back *back);
void server_check_end(struct http_server *server);
void server_accept_again(struct http_server *server);
void server_count_answer(struct http_server *server, unsigned status);

// http_connection.c
void connection_open(struct http_server *server, int client, const struct sockaddr *address);
void connection_advance(struct http_connection *connection);
void connection_admitted(struct http_connection *connection);
void connection_stop(struct http_connection *connection); // the server closes: ends at once if it idles, else after its answer
void connection_cut(struct http_connection *connection);

// http_back.c
MUST_USE bool back_open(struct http_connection *connection);
void back_drop(struct http_connection *connection); // harmless when there is none
void back_write_head(struct http_connection *connection);

// http_write.c
void connection_flush(struct http_connection *connection);
void connection_write(struct http_connection *connection, const void *bytes, size_t length);
// Writes an answer around libmicrohttpd: one that is given before it knows of the request.
void connection_answer(struct http_connection *connection, struct live_request *request);
// The last answer of a connection that cannot be trusted any longer.
void connection_refuse(struct http_connection *connection, const struct problem *problem, const char *id);
void connection_refuse_by_gate(struct http_connection *connection, const struct problem *problem);

// http_request.c
struct live_request *request_new(struct http_connection *connection, struct text head, const struct problem **refusal);
void request_start(struct live_request *request); // finds its route, asks for admission
const struct problem *request_check_body(const struct live_request *request, struct gate_body *body);
void request_let_go(struct live_request *request, enum holder holder);
void request_client_gone(struct live_request *request);
void request_too_late(struct live_request *request);
void request_give_up(struct live_request *request); // nobody waits any longer: lets libmicrohttpd forget it
void request_resume(struct live_request *request);
enum MHD_Result request_on_access(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state);
void request_on_completed(void *server, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code);

// http_stream.c
void stream_attach(struct live_request *request, struct http_stream *stream);
struct MHD_Response *stream_response(struct stream_state *state);
void stream_stop(struct stream_state *state); // nobody will take more
void stream_complete(struct stream_state *state); // nor need to: the client has all that was announced
void stream_free(struct stream_state *state);
