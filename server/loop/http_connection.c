// SPDX-License-Identifier: Apache-2.0
#include "loop/http_inner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINGER_MS = 2000,
	SLOWEST_BODY = 16, // bytes a millisecond: what a body may take longer when it is announced as long
};

static void must(int result)
{
	if (result != 0) {
		abort();
	}
}

static void on_client(uv_poll_t *poll, int status, int events);
static void on_back(uv_poll_t *poll, int status, int events);

// ---- ends

static void free_in(struct http_connection *connection)
{
	if (connection->in != NULL) {
		wipe(connection->in, CLIENT_BLOCK); // there were keys in it
		free(connection->in);
		connection->in = NULL;
	}
}

static void on_handle_closed(struct http_connection *connection)
{
	struct http_server *server = connection->server;

	if (--connection->open_handles > 0) {
		return;
	}
	(void)close(connection->client);
	free_in(connection);
	buffer_fini_wiped(&connection->out);
	list_remove(&connection->link);
	free(connection);
	server->counters.connections--;
	server_accept_again(server);
	server_check_end(server);
}

static void on_poll_closed(uv_handle_t *handle)
{
	on_handle_closed(CONTAINER_OF(handle, struct http_connection, client_poll));
}

static void on_deadline_closed(struct delay *delay)
{
	on_handle_closed(CONTAINER_OF(delay, struct http_connection, deadline));
}

static void on_write_deadline_closed(struct delay *delay)
{
	on_handle_closed(CONTAINER_OF(delay, struct http_connection, write_deadline));
}

static void release_request(struct http_connection *connection)
{
	struct live_request *request = connection->request;

	if (request != NULL) {
		connection->request = NULL;
		request_client_gone(request);
	}
}

void connection_cut(struct http_connection *connection)
{
	if (connection->phase == CLOSING) {
		return;
	}
	connection->phase = CLOSING;
	list_remove(&connection->woken_link);
	back_drop(connection);
	release_request(connection);
	uv_close((uv_handle_t *)&connection->client_poll, on_poll_closed);
	delay_close(&connection->deadline, on_deadline_closed);
	delay_close(&connection->write_deadline, on_write_deadline_closed);
}

static void start_lingering(struct http_connection *connection)
{
	back_drop(connection);
	release_request(connection);
	connection->phase = LINGERING;
	connection->in_length = connection->in_passed = 0;
	(void)shutdown(connection->client, SHUT_WR);
	delay_start(&connection->deadline, LINGER_MS);
}

static void start_head(struct http_connection *connection, int64_t deadline_ms)
{
	connection->phase = READING_HEAD;
	connection->scan = (struct gate_scan){ 0 };
	delay_start(&connection->deadline, deadline_ms);
}

// Between two requests a client may rest half as long again as a head may take. Soon it holds no more than it must.
static int64_t idle_ms(const struct http_connection *connection)
{
	return (int64_t)connection->server->config.head_timeout_ms * 3 / 2;
}

static int64_t trim_after_ms(const struct http_connection *connection)
{
	return idle_ms(connection) / 15;
}

static void end_answer(struct http_connection *connection)
{
	if (connection->closes_after || connection->server->is_closing) {
		start_lingering(connection);
		return;
	}
	release_request(connection);
	connection->is_trimmed = false;
	start_head(connection, connection->in_length > 0 ? connection->server->config.head_timeout_ms : trim_after_ms(connection));
}

void connection_stop(struct http_connection *connection)
{
	if (connection->phase == READING_HEAD && connection->in_length == 0) {
		connection_cut(connection);
	}
}

// ---- from the client

static void consume(struct http_connection *connection, size_t length)
{
	connection->in_length -= length;
	memmove(connection->in, connection->in + length, connection->in_length);
}

static bool take_head(struct http_connection *connection)
{
	const struct problem *refusal;
	const struct text received = { connection->in, connection->in_length };
	const size_t size = gate_scan(&connection->scan, received, &refusal);

	if (size > 0) {
		connection->request = request_new(connection, (struct text){ received.bytes, size }, &refusal);
	}
	if (refusal != NULL) {
		connection_refuse_by_gate(connection, refusal);
		return true;
	}
	if (size == 0) {
		return false;
	}
	consume(connection, size);
	connection->phase = ADMITTING;
	delay_start(&connection->deadline, connection->server->config.answer_timeout_ms);
	request_start(connection->request);
	return true;
}

static const struct problem too_busy = {
	.status = 503, .code = "too_busy", .title = "The server has too much to do", .fix = "Try again in a moment.",
};

void connection_admitted(struct http_connection *connection)
{
	const struct problem *refusal = request_check_body(connection->request, &connection->body);

	assert(connection->phase == ADMITTING);
	if (refusal == NULL && connection->back == NULL && !back_open(connection)) {
		refusal = &too_busy;
	}
	if (refusal != NULL) {
		connection_refuse(connection, refusal, connection->request->public.id);
		return;
	}
	connection->closes_after = connection->closes_after || connection->request->head.closes;
	connection->back_is_done = connection->back_is_empty = false;
	connection->phase = READING_BODY;
	delay_start(&connection->deadline, connection->server->config.body_timeout_ms +
		(int64_t)(connection->request->head.content_length / SLOWEST_BODY));
	back_write_head(connection);
	server_wake(connection->server, connection);
}

static void send_to_back(struct http_connection *connection)
{
	while (connection->in_passed > 0) {
		const ssize_t sent = send(connection->back->fd, connection->in, connection->in_passed, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0 && errno != EAGAIN) {
			connection_cut(connection);
		}
		if (sent < 0) {
			return;
		}
		connection->in_passed -= (size_t)sent;
		consume(connection, (size_t)sent);
		server_wake(connection->server, NULL);
	}
}

static bool take_body(struct http_connection *connection)
{
	const struct problem *refusal;
	const struct text fresh = { connection->in + connection->in_passed, connection->in_length - connection->in_passed };

	connection->in_passed += gate_body_take(&connection->body, fresh, &refusal);
	if (refusal != NULL) {
		connection->server->counters.refused_by_gate++;
		connection_refuse(connection, refusal, connection->request->public.id);
		return true;
	}
	send_to_back(connection);
	if (connection->phase != READING_BODY || connection->body.state != GATE_BODY_END || connection->in_passed > 0) {
		return false;
	}
	connection->phase = ANSWERING;
	delay_start(&connection->deadline, connection->server->config.answer_timeout_ms);
	return true;
}

static void on_client_done(struct http_connection *connection)
{
	connection->client_is_done = true;
	// Half a request will never be whole. A client that waits for an answer may well have said all that it has to say; but
	// who listens to a stream and hangs up is gone.
	const bool is_whole = connection->phase == ADMITTING || connection->phase == ANSWERING ||
		(connection->phase == READING_BODY && connection->body.state == GATE_BODY_END);

	if (!is_whole || (connection->request != NULL && connection->request->stream != NULL)) {
		connection_cut(connection);
	}
}

static void read_client(struct http_connection *connection)
{
	if (connection->in == NULL) {
		connection->in = allocate(CLIENT_BLOCK);
	}
	const ssize_t received = recv(connection->client, connection->in + connection->in_length,
		CLIENT_BLOCK - connection->in_length, 0);

	if (received < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (received < 0) {
		connection_cut(connection);
		return;
	}
	if (received == 0) {
		on_client_done(connection);
		return;
	}
	if (connection->phase == LINGERING) {
		return;
	}
	if (connection->phase == READING_HEAD && connection->in_length == 0) {
		delay_start(&connection->deadline, connection->server->config.head_timeout_ms);
	}
	connection->in_length += (size_t)received;
}

// ---- from libmicrohttpd

static void read_back(struct http_connection *connection)
{
	char block[CLIENT_BLOCK];

	while (connection->phase != CLOSING && connection->out.length == 0 && connection->back != NULL) {
		const ssize_t received = recv(connection->back->fd, block, sizeof block, 0);

		if (received < 0 && errno == EINTR) {
			continue;
		}
		if (received > 0) {
			connection_write(connection, block, (size_t)received);
			server_wake(connection->server, NULL);
		} else if (received == 0 || errno != EAGAIN) {
			back_drop(connection);
		}
		if (received < (ssize_t)sizeof block) { // there was no more
			connection->back_has_news = false;
			connection->back_is_empty = true;
			return;
		}
	}
}

static bool take_answer(struct http_connection *connection)
{
	if (connection->back != NULL && (connection->back_has_news || connection->back_is_done)) {
		connection->back_is_empty = false;
		read_back(connection);
	}
	if (connection->phase == CLOSING || connection->out.length > 0) {
		return false;
	}
	if (connection->back == NULL && !connection->back_is_done) { // it broke off
		connection_cut(connection);
		return false;
	}
	if (!connection->back_is_done || !connection->back_is_empty) {
		return false;
	}
	end_answer(connection);
	return true;
}

// ---- what to wait for

// What follows this request. As long as that has room, what is waited for need not change from one request to the next.
static bool may_read_on(const struct http_connection *connection)
{
	const bool body_may_come = connection->phase == ADMITTING && gate_has_body(&connection->request->head);

	return !body_may_come && connection->in_length < CLIENT_BLOCK;
}

static int wanted_of_client(const struct http_connection *connection)
{
	int events = connection->out.length > 0 ? UV_WRITABLE : 0;

	switch (connection->phase) {
	case READING_HEAD:
	case LINGERING: return events | UV_READABLE;
	case READING_BODY: return events | (connection->in_length < CLIENT_BLOCK ? UV_READABLE : 0);
	case ADMITTING:
	case ANSWERING: return events | (connection->client_is_done ? 0 : may_read_on(connection) ? UV_READABLE : UV_DISCONNECT);
	case CLOSING: break;
	}
	return 0;
}

static int wanted_of_back(const struct http_connection *connection)
{
	return (connection->out.length == 0 ? UV_READABLE : 0) | (connection->in_passed > 0 ? UV_WRITABLE : 0);
}

// libuv takes a descriptor out and puts it in again for each change, so only real changes are told.
static void watch(uv_poll_t *poll, int *now, int wanted, uv_poll_cb callback)
{
	if (*now != wanted) {
		*now = wanted;
		must(wanted != 0 ? uv_poll_start(poll, wanted, callback) : uv_poll_stop(poll));
	}
}

static bool step(struct http_connection *connection)
{
	switch (connection->phase) {
	case READING_HEAD: return connection->in_length > 0 && take_head(connection);
	case READING_BODY: return take_body(connection);
	case ANSWERING: return take_answer(connection);
	case ADMITTING:
	case LINGERING:
	case CLOSING: break;
	}
	return false;
}

void connection_advance(struct http_connection *connection)
{
	if (connection->phase == READING_BODY && (connection->back_has_news || connection->request->head.expects_continue)) {
		read_back(connection); // "100 Continue"
		if (connection->back == NULL) {
			connection_cut(connection);
		}
	}
	while (step(connection)) {
	}
	if (connection->phase == CLOSING) {
		return;
	}
	watch(&connection->client_poll, &connection->client_events, wanted_of_client(connection), on_client);
	if (connection->back != NULL) {
		watch(&connection->back->poll, &connection->back->events, wanted_of_back(connection), on_back);
	}
}

static void on_client(uv_poll_t *poll, int status, int events)
{
	struct http_connection *connection = CONTAINER_OF(poll, struct http_connection, client_poll);

	if (status < 0) {
		connection_cut(connection);
		return;
	}
	if ((events & UV_WRITABLE) != 0) {
		connection_flush(connection);
		connection->back_has_news = true;
	}
	if ((events & UV_READABLE) != 0 && connection->phase != CLOSING) {
		read_client(connection);
	}
	if ((events & UV_DISCONNECT) != 0 && connection->phase != CLOSING) {
		on_client_done(connection);
	}
	connection_advance(connection);
}

static void on_back(uv_poll_t *poll, int status, int events)
{
	struct http_back *back = CONTAINER_OF(poll, struct http_back, poll);

	(void)events;
	struct http_connection *connection = back->connection;

	if (connection == NULL) {
		return;
	}
	connection->back_has_news = true;
	if (status < 0 || (connection->phase != READING_BODY && connection->phase != ANSWERING)) {
		back_drop(connection); // between two requests, libmicrohttpd can only have hung up
	}
	connection_advance(connection);
}

// ---- deadlines

static void on_head_deadline(struct http_connection *connection)
{
	if (connection->in_length > 0) {
		connection_refuse_by_gate(connection, &gate_head_too_slow);
	} else if (connection->is_trimmed) {
		connection_cut(connection);
	} else {
		connection->is_trimmed = true;
		back_drop(connection);
		free_in(connection);
		delay_start(&connection->deadline, idle_ms(connection) - trim_after_ms(connection));
	}
}

static void on_answer_deadline(struct http_connection *connection)
{
	struct live_request *request = connection->request;

	if (connection->phase == ANSWERING && !request->is_handled && !request->is_answered) {
		connection_refuse(connection, &too_busy, request->public.id);
	} else {
		request_too_late(request);
	}
}

static void on_deadline(struct delay *delay)
{
	struct http_connection *connection = CONTAINER_OF(delay, struct http_connection, deadline);

	switch (connection->phase) {
	case READING_HEAD: on_head_deadline(connection); break;
	case READING_BODY: connection_refuse(connection, &gate_body_too_slow, connection->request->public.id); break;
	case ADMITTING:
	case ANSWERING: on_answer_deadline(connection); break;
	case LINGERING: connection_cut(connection); break;
	case CLOSING: break;
	}
	connection_advance(connection);
}

static void on_write_deadline(struct delay *delay)
{
	connection_cut(CONTAINER_OF(delay, struct http_connection, write_deadline));
}

void connection_open(struct http_server *server, int client, const struct sockaddr *address)
{
	struct http_connection *connection = allocate(sizeof *connection);

	connection->server = server;
	connection->client = client;
	connection->out = BUFFER(HTTP_OUT_LIMIT);
	list_init(&connection->woken_link);
	list_add_last(&server->connections, &connection->link);
	server->counters.connections++;
	(void)uv_ip_name(address, connection->address, sizeof connection->address);
	must(uv_poll_init(&server->loop->uv, &connection->client_poll, client));
	delay_init(&connection->deadline, server->loop, on_deadline);
	delay_init(&connection->write_deadline, server->loop, on_write_deadline);
	connection->open_handles = 3;
	connection->is_trimmed = true;
	start_head(connection, server->config.head_timeout_ms);
	connection_advance(connection);
}
