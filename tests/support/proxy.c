// SPDX-License-Identifier: Apache-2.0
#include "support/proxy.h"

#include "support/cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART_LIMIT = 1 << 20 };

struct side {
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	struct side *other;
	struct pair *pair;
};

struct pair {
	struct list link;
	struct proxy *proxy;
	struct side client;
	struct side server;
	bool server_spoke;
	bool is_closing;
	unsigned open_sides;
	uv_connect_t connect;
};

struct message {
	uv_write_t write;
	char *bytes;
};

static void on_side_closed(uv_handle_t *handle)
{
	struct pair *pair = CONTAINER_OF(handle, struct side, stream)->pair;

	pair->proxy->open_handles--;
	if (--pair->open_sides == 0) {
		list_remove(&pair->link);
		free(pair);
	}
}

static void close_pair(struct pair *pair)
{
	if (!pair->is_closing) {
		pair->is_closing = true;
		uv_close((uv_handle_t *)&pair->client.stream, on_side_closed);
		uv_close((uv_handle_t *)&pair->server.stream, on_side_closed);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct message *message = CONTAINER_OF(write, struct message, write);

	(void)status; // the reader of the broken side will notice
	free(message->bytes);
	free(message);
}

static void say(struct side *to, struct buffer *bytes)
{
	struct message *message = allocate(sizeof *message);
	const size_t length = bytes->length;

	message->bytes = buffer_take(bytes);
	const uv_buf_t part = uv_buf_init(message->bytes, (unsigned)length);

	if (uv_write(&message->write, &to->stream, &part, 1, on_written) != 0) {
		on_written(&message->write, 0);
	}
}

static void heard(struct side *from, const char *bytes, size_t length)
{
	struct pair *pair = from->pair;
	struct proxy *proxy = pair->proxy;
	struct buffer part = BUFFER(PART_LIMIT);

	if (from == &pair->client) {
		proxy->round_trips += pair->server_spoke ? 1 : 0;
		pair->server_spoke = false;
	} else {
		pair->server_spoke = true;
		if (proxy->mode == PROXY_SWALLOW_ANSWERS) {
			return;
		}
		if (proxy->mode == PROXY_CUT_AT_ANSWER) {
			close_pair(pair);
			return;
		}
	}
	buffer_add(&part, bytes, length);
	if (from == &pair->server && proxy->change != NULL) {
		proxy->change(&part);
	}
	say(from->other, &part);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	(void)handle;
	*out = uv_buf_init(allocate(suggested), (unsigned)suggested);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct side *side = CONTAINER_OF(stream, struct side, stream);

	if (length > 0) {
		heard(side, buffer->base, (size_t)length);
	} else if (length < 0) {
		close_pair(side->pair);
	}
	free(buffer->base);
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct pair *pair = CONTAINER_OF(connect, struct pair, connect);

	if (pair->is_closing) {
		return;
	}
	if (status != 0) {
		close_pair(pair);
		return;
	}
	assert_int_equal(uv_read_start(&pair->client.stream, on_allocate, on_read), 0);
	assert_int_equal(uv_read_start(&pair->server.stream, on_allocate, on_read), 0);
}

static void on_client(uv_stream_t *listener, int status)
{
	struct proxy *proxy = CONTAINER_OF(listener, struct proxy, listener);
	struct pair *pair = allocate(sizeof *pair);

	assert_int_equal(status, 0);
	pair->proxy = proxy;
	pair->client.pair = pair;
	pair->server.pair = pair;
	pair->client.other = &pair->server;
	pair->server.other = &pair->client;
	pair->server_spoke = true;
	pair->open_sides = 2;
	proxy->open_handles += 2;
	list_add_last(&proxy->pairs, &pair->link);
	assert_int_equal(uv_tcp_init(&proxy->loop->uv, &pair->client.tcp), 0);
	assert_int_equal(uv_pipe_init(&proxy->loop->uv, &pair->server.pipe, 0), 0);
	assert_int_equal(uv_accept(listener, &pair->client.stream), 0);
	uv_pipe_connect(&pair->connect, &pair->server.pipe, proxy->server_path, on_connected);
}

void proxy_open(struct proxy *proxy, struct loop *loop, const struct test_postgres *postgres)
{
	struct sockaddr_in address;
	int size = sizeof address;

	*proxy = (struct proxy){ .loop = loop, .open_handles = 1 };
	list_init(&proxy->pairs);
	(void)snprintf(proxy->server_path, sizeof proxy->server_path, "%s/.s.PGSQL.%d", postgres->directory,
		postgres->port);
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	assert_int_equal(uv_tcp_init(&loop->uv, &proxy->listener), 0);
	assert_int_equal(uv_tcp_bind(&proxy->listener, (const struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_tcp_getsockname(&proxy->listener, (struct sockaddr *)&address, &size), 0);
	proxy->port = ntohs(address.sin_port);
	assert_int_equal(uv_listen((uv_stream_t *)&proxy->listener, 16, on_client), 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
	CONTAINER_OF(handle, struct proxy, listener)->open_handles--;
}

void proxy_close(struct proxy *proxy)
{
	uv_close((uv_handle_t *)&proxy->listener, on_listener_closed);
	LIST_EACH (at, after, &proxy->pairs) {
		close_pair(CONTAINER_OF(at, struct pair, link));
	}
	while (proxy->open_handles > 0) {
		(void)uv_run(&proxy->loop->uv, UV_RUN_ONCE);
	}
}
