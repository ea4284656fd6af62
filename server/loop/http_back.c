// SPDX-License-Identifier: Apache-2.0
//
// The pair of sockets between a connection and libmicrohttpd.
#include "loop/http_inner.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIR_BUFFER = 32 * 1024 }; // how much of a stream waits here instead of with its owner

static void on_back_closed(uv_handle_t *handle)
{
	struct http_back *back = CONTAINER_OF(handle, struct http_back, poll);

	(void)close(back->fd);
	back->poll_is_open = false;
	server_forget_back(back);
}

void back_drop(struct http_connection *connection)
{
	struct http_back *back = connection->back;

	if (back != NULL) {
		connection->back = NULL;
		back->connection = NULL;
		uv_close((uv_handle_t *)&back->poll, on_back_closed); // and libmicrohttpd hears of it in its next run
		server_wake(connection->server, NULL);
	}
}

bool back_open(struct http_connection *connection)
{
	const struct sockaddr_un nameless = { .sun_family = AF_UNIX };
	const int size = PAIR_BUFFER;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
		return false;
	}
	(void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	struct http_back *back = allocate(sizeof *back);

	back->server = connection->server;
	back->fd = ends[0];
	back->other_fd = ends[1];
	server_add_pending(back);
	back->connection = connection;
	back->poll_is_open = true;
	back->server->backs++;
	connection->back = back;
	if (uv_poll_init(&connection->server->loop->uv, &back->poll, back->fd) != 0) {
		abort();
	}
	const enum MHD_Result result = MHD_add_connection(connection->server->daemon, ends[1],
		(const struct sockaddr *)&nameless, sizeof nameless); // takes the descriptor in any case

	if (result != MHD_YES) {
		back_drop(connection);
	}
	return result == MHD_YES;
}

// The head that libmicrohttpd gets: only what it needs to know to read the body and to write the answer. The path is the
// request's id, so that no mistake in between can hand one request's answer to another.
void back_write_head(struct http_connection *connection)
{
	const struct gate_head *head = &connection->request->head;
	CLEANUP(buffer_fini) struct buffer out = BUFFER(512);

	buffer_add_format(&out, "%.*s /%s HTTP/1.1\r\nHost: depbroker\r\n", TEXT_ARGS(head->method),
		connection->request->public.id);
	if (head->is_chunked) {
		buffer_add_string(&out, "Transfer-Encoding: chunked\r\n");
	} else if (head->content_length > 0) {
		buffer_add_format(&out, "Content-Length: %llu\r\n", (unsigned long long)head->content_length);
	}
	buffer_add_string(&out, head->expects_continue && gate_has_body(head) ? "Expect: 100-continue\r\n\r\n" : "\r\n");
	// The pair is empty before each request, so this always fits.
	if (send(connection->back->fd, out.bytes, out.length, MSG_NOSIGNAL) != (ssize_t)out.length) {
		connection_cut(connection);
	}
}
