// SPDX-License-Identifier: Apache-2.0
#include "support/raw_peer.h"
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

struct sending {
	uv_write_t request;
	struct raw_connection *connection;
	bool is_last;
	char bytes[];
};

static void on_handle_closed(struct raw_connection *connection)
{
	if (--connection->open_handles == 0) {
		buffer_fini(&connection->received);
		free(connection);
	}
}

static void on_tcp_closed(uv_handle_t *handle)
{
	on_handle_closed(CONTAINER_OF(handle, struct raw_connection, tcp));
}

static void on_timer_closed(struct delay *timer)
{
	on_handle_closed(CONTAINER_OF(timer, struct raw_connection, timer));
}

static void connection_close(struct raw_connection *connection)
{
	struct raw_connection *other = connection->other;

	if (uv_is_closing((uv_handle_t *)&connection->tcp)) {
		return;
	}
	if (connection->peer->on_gone != NULL) {
		connection->peer->on_gone(connection->peer, connection);
	}
	list_remove(&connection->link);
	uv_close((uv_handle_t *)&connection->tcp, on_tcp_closed);
	delay_close(&connection->timer, on_timer_closed);
	if (other != NULL) {
		other->other = NULL;
		connection->other = NULL;
		connection_close(other);
	}
}

static void on_sent(uv_write_t *request, int status)
{
	struct sending *sending = CONTAINER_OF(request, struct sending, request);
	struct raw_connection *connection = sending->connection;
	const bool is_last = sending->is_last;

	free(sending);
	if (status != 0 || is_last) {
		connection_close(connection);
	} else if (connection->endless.length > 0 && connection->every_ms == 0) {
		raw_send(connection, connection->endless);
	}
}

static void send_bytes(struct raw_connection *connection, struct text bytes, bool is_last)
{
	struct sending *sending;

	if (uv_is_closing((uv_handle_t *)&connection->tcp)) {
		return;
	}
	sending = allocate(sizeof *sending + bytes.length + 1);
	sending->connection = connection;
	sending->is_last = is_last;
	if (bytes.length > 0) {
		memcpy(sending->bytes, bytes.bytes, bytes.length);
	}
	const uv_buf_t buffer = uv_buf_init(sending->bytes, (unsigned)bytes.length);

	assert_int_equal(uv_write(&sending->request, (uv_stream_t *)&connection->tcp, &buffer, 1, on_sent), 0);
}

void raw_send(struct raw_connection *connection, struct text bytes)
{
	send_bytes(connection, bytes, false);
}

void raw_send_string(struct raw_connection *connection, const char *string)
{
	send_bytes(connection, text_of(string), false);
}

void raw_finish(struct raw_connection *connection)
{
	send_bytes(connection, TEXT_NONE, true);
}

static void on_timer(struct delay *timer)
{
	struct raw_connection *connection = CONTAINER_OF(timer, struct raw_connection, timer);

	if (connection->endless.length > 0) {
		raw_send(connection, connection->endless);
		delay_start(timer, connection->every_ms);
	} else {
		connection->later(connection);
	}
}

void raw_repeat(struct raw_connection *connection, const char *bytes, int64_t every_ms)
{
	connection->endless = text_of(bytes);
	connection->every_ms = every_ms;
	if (every_ms > 0) {
		delay_start(&connection->timer, every_ms);
	} else {
		raw_send(connection, connection->endless);
	}
}

void raw_later(struct raw_connection *connection, int64_t after_ms, void (*later)(struct raw_connection *connection))
{
	connection->later = later;
	delay_start(&connection->timer, after_ms);
}

static size_t content_length(struct text head)
{
	const char *at = memmem(head.bytes, head.length, "Content-Length: ", 16);

	return at != NULL ? strtoul(at + 16, NULL, 10) : 0;
}

// True when a whole request is there; it is handed over and forgotten.
static bool take_request(struct raw_connection *connection)
{
	struct buffer *received = &connection->received;
	const char *end = received->length > 0 ? memmem(received->bytes, received->length, "\r\n\r\n", 4) : NULL;
	const char *blank;

	if (end == NULL) {
		return false;
	}
	connection->head = (struct text){ received->bytes, (size_t)(end + 4 - received->bytes) };
	connection->body = (struct text){ end + 4, content_length(connection->head) };
	if (received->length < connection->head.length + connection->body.length) {
		return false;
	}
	blank = strchr(received->bytes, ' ') + 1;
	connection->path = (struct text){ blank, strcspn(blank, " \r\n") };
	connection->peer->requests++;
	connection->peer->on_request(connection->peer, connection);
	buffer_clear(received); // nobody pipelines
	return true;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	static char memory[65536]; // one read at a time

	(void)handle;
	(void)suggested;
	*out = uv_buf_init(memory, sizeof memory);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes)
{
	struct raw_connection *connection = CONTAINER_OF(stream, struct raw_connection, tcp);

	if (length < 0) {
		connection_close(connection);
	} else if (connection->other != NULL) {
		raw_send(connection->other, (struct text){ bytes->base, (size_t)length });
	} else if (length > 0) {
		buffer_add(&connection->received, bytes->base, (size_t)length);
		(void)take_request(connection);
	}
}

static struct raw_connection *connection_new(struct raw_peer *peer)
{
	struct raw_connection *connection = allocate(sizeof *connection);

	connection->peer = peer;
	connection->received = BUFFER((size_t)16 * 1024 * 1024);
	connection->open_handles = 2;
	assert_int_equal(uv_tcp_init(&peer->loop->uv, &connection->tcp), 0);
	delay_init(&connection->timer, peer->loop, on_timer);
	list_add_last(&peer->connections, &connection->link);
	return connection;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct raw_peer *peer = CONTAINER_OF(listener, struct raw_peer, listener);
	struct raw_connection *connection;

	assert_int_equal(status, 0);
	connection = connection_new(peer);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&connection->tcp), 0);
	assert_int_equal(uv_tcp_nodelay(&connection->tcp, 1), 0);
	assert_int_equal(uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read), 0);
	peer->accepted++;
}

static void on_tunnel_open(uv_connect_t *request, int status)
{
	struct raw_connection *far = CONTAINER_OF(request->handle, struct raw_connection, tcp);

	free(request);
	if (status != 0) {
		connection_close(far);
		return;
	}
	assert_int_equal(uv_read_start((uv_stream_t *)&far->tcp, on_allocate, on_read), 0);
	raw_send_string(far->other, "HTTP/1.1 200 Connected\r\nProxy-Says: hello\r\n\r\n");
}

void raw_tunnel(struct raw_connection *connection, unsigned port)
{
	struct raw_connection *far = connection_new(connection->peer);
	uv_connect_t *request = allocate(sizeof *request);
	struct sockaddr_in address;

	far->other = connection;
	connection->other = far;
	assert_int_equal(uv_ip4_addr("127.0.0.1", (int)port, &address), 0);
	assert_int_equal(uv_tcp_connect(request, &far->tcp, (const struct sockaddr *)&address, on_tunnel_open), 0);
}

void raw_peer_open(struct raw_peer *peer, struct loop *loop)
{
	struct sockaddr_in address;
	int length = sizeof address;

	peer->loop = loop;
	list_init(&peer->connections);
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	assert_int_equal(uv_tcp_init(&loop->uv, &peer->listener), 0);
	assert_int_equal(uv_tcp_bind(&peer->listener, (const struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&peer->listener, 512, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&peer->listener, (struct sockaddr *)&address, &length), 0);
	peer->port = ntohs(address.sin_port);
}

void raw_peer_close(struct raw_peer *peer)
{
	struct raw_connection *connection;

	uv_close((uv_handle_t *)&peer->listener, NULL);
	while ((connection = LIST_FIRST(&peer->connections, struct raw_connection, link)) != NULL) {
		connection_close(connection);
	}
}
