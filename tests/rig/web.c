// SPDX-License-Identifier: Apache-2.0
#include "rig/web.h"

#include "depbroker/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUT_MAX    ((size_t)65 * 1024 * 1024)
#define ANSWER_MAX   ((size_t)1024 * 1024 * 1024)
#define SPARE_MOST   ((size_t)4 * 1024 * 1024)
#define REQUEST_ARENA (1024 * 1024)

struct connection {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	struct list link;
	struct web_server *server;
	struct buffer input;
	struct web_request request;
	struct web_message message;
	struct web_answer answer;
	struct buffer head;
	bool is_busy;     // an answer is delayed or on its way
	size_t dripped;   // bytes of the body
	bool said_continue;
	bool keep_alive;
	bool is_closing;
	int open_handles;
};

static void serve(struct connection *connection);

static void keep_spare(struct buffer *spare, struct buffer *used)
{
	if (spare->bytes == NULL && used->capacity <= SPARE_MOST) {
		*spare = *used;
		buffer_clear(spare);
		*used = (struct buffer){ 0 };
	} else {
		buffer_fini(used);
	}
}

static struct buffer take_spare(struct buffer *spare)
{
	struct buffer taken = *spare;

	*spare = (struct buffer){ 0 };
	taken.limit = ANSWER_MAX;
	return taken;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	if (--connection->open_handles > 0) {
		return;
	}
	list_remove(&connection->link);
	buffer_fini(&connection->input);
	buffer_fini(&connection->message.decoded);
	buffer_fini(&connection->answer.headers);
	buffer_fini(&connection->answer.body);
	buffer_fini(&connection->head);
	arena_fini(&connection->request.arena);
	free(connection);
}

static void end_connection(struct connection *connection, bool reset)
{
	if (connection->is_closing) {
		return;
	}
	connection->is_closing = true;
	uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
	if (!reset || uv_tcp_close_reset(&connection->tcp, on_handle_closed) != 0) {
		uv_close((uv_handle_t *)&connection->tcp, on_handle_closed);
	}
}

static const char *date_now(struct web_server *server)
{
	const int64_t offset_s = server->date_offset_s != NULL ? *server->date_offset_s : 0;
	const time_t now = (time_t)(clock_wall_us() / SECOND_US + offset_s);
	struct tm parts;

	if (now != server->date_at_s) {
		server->date_at_s = now;
		(void)strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
	}
	return server->date;
}

static const char *reason_of(unsigned status)
{
	static const char *const words[6] = { "", "Continue", "OK", "Redirected", "Refused", "Out Of Order" };

	return words[status / 100 < 6 ? status / 100 : 5];
}

static void write_head(struct connection *connection)
{
	const struct web_answer *answer = &connection->answer;
	struct buffer *head = &connection->head;

	buffer_clear(head);
	buffer_add_format(head, "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Length: %zu\r\n", answer->status,
		reason_of(answer->status), date_now(connection->server), answer->body.length);
	if (answer->content_type != NULL) {
		buffer_add_format(head, "Content-Type: %s\r\n", answer->content_type);
	}
	buffer_add_text(head, buffer_text(&answer->headers));
	buffer_add_string(head, connection->keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
}

static void finish_answer(struct connection *connection)
{
	connection->is_busy = false;
	keep_spare(&connection->server->spare_head, &connection->head);
	keep_spare(&connection->server->spare_body, &connection->answer.body);
	if (!connection->keep_alive) {
		end_connection(connection, false);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *connection = write->data;

	if (status != 0) {
		end_connection(connection, false);
		return;
	}
	finish_answer(connection);
	serve(connection);
}

static void drip_answer(struct connection *connection);

// Most answers fit into the socket at once; what does not is written when the client takes it.
static void send_answer(struct connection *connection)
{
	const struct web_answer *answer = &connection->answer;
	size_t length = answer->body.length;
	uv_buf_t parts[2];
	int sent;

	if (answer->reset) {
		end_connection(connection, true);
		return;
	}
	if (answer->drip_ms > 0 && answer->body.length > 0) {
		drip_answer(connection);
		return;
	}
	if (answer->cut_after_bytes >= 0) {
		connection->keep_alive = false;
		length = (size_t)answer->cut_after_bytes < length ? (size_t)answer->cut_after_bytes : length;
	}
	write_head(connection);
	parts[0] = uv_buf_init(connection->head.bytes, (unsigned)connection->head.length);
	parts[1] = uv_buf_init(answer->body.bytes, (unsigned)length);
	sent = uv_try_write((uv_stream_t *)&connection->tcp, parts, 2);
	if (sent < 0 && sent != UV_EAGAIN) {
		end_connection(connection, false);
		return;
	}
	for (size_t i = 0, left = sent > 0 ? (size_t)sent : 0; i < 2; i++) {
		const size_t part = left < parts[i].len ? left : parts[i].len;

		parts[i] = uv_buf_init(parts[i].base != NULL ? parts[i].base + part : NULL, (unsigned)(parts[i].len - part));
		left -= part;
	}
	if (parts[0].len + parts[1].len == 0) {
		finish_answer(connection);
		return;
	}
	connection->write.data = connection;
	if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, parts, 2, on_written) != 0) {
		end_connection(connection, false);
	}
}

// What a client does not take does not matter: the next byte is a chance of its own.
static void on_drip(uv_timer_t *timer)
{
	struct connection *connection = timer->data;
	const struct buffer *body = &connection->answer.body;
	const uv_buf_t part = uv_buf_init(body->bytes + connection->dripped, 1);

	if (uv_try_write((uv_stream_t *)&connection->tcp, &part, 1) == 1 && ++connection->dripped == body->length) {
		(void)uv_timer_stop(timer);
		finish_answer(connection);
		serve(connection);
	}
}

static void drip_answer(struct connection *connection)
{
	const uint64_t pause_ms = (uint64_t)connection->answer.drip_ms;
	uv_buf_t head;

	write_head(connection);
	head = uv_buf_init(connection->head.bytes, (unsigned)connection->head.length);
	connection->dripped = 0;
	if (uv_try_write((uv_stream_t *)&connection->tcp, &head, 1) != (int)connection->head.length) {
		end_connection(connection, true);
		return;
	}
	(void)uv_timer_start(&connection->timer, on_drip, pause_ms, pause_ms);
}

static void on_delay_over(uv_timer_t *timer)
{
	struct connection *connection = timer->data;

	send_answer(connection);
	serve(connection);
}

static void forget_request(struct connection *connection)
{
	struct buffer *input = &connection->input;
	const size_t used = connection->message.length;

	memmove(input->bytes, input->bytes + used, input->length - used);
	input->length -= used;
	input->bytes[input->length] = '\0';
	connection->said_continue = false;
	arena_reset(&connection->request.arena);
}

static void answer_request(struct connection *connection)
{
	struct web_server *server = connection->server;
	struct web_answer *answer = &connection->answer;

	buffer_clear(&answer->headers);
	*answer = (struct web_answer){ .status = 200, .headers = answer->headers, .cut_after_bytes = -1 };
	answer->headers.limit = 64 * 1024;
	answer->body = take_spare(&server->spare_body);
	connection->head = take_spare(&server->spare_head);
	connection->request.context = server->context;
	connection->is_busy = true;
	connection->keep_alive = connection->message.keep_alive;
	server->handle(&connection->request, answer);
	forget_request(connection);
	if (answer->delay_ms > 0) {
		(void)uv_timer_start(&connection->timer, on_delay_over, (uint64_t)answer->delay_ms, 0);
	} else {
		send_answer(connection);
	}
}

static void say_continue(struct connection *connection)
{
	static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t part = uv_buf_init(connection->head.bytes, 0);

	connection->said_continue = true;
	part.len = sizeof words - 1;
	memcpy(&part.base, &(const char *){ words }, sizeof part.base); // libuv's interface is not const
	(void)uv_try_write((uv_stream_t *)&connection->tcp, &part, 1);
}

static void serve(struct connection *connection)
{
	while (!connection->is_busy && !connection->is_closing && connection->input.length > 0) {
		const enum web_parse parsed =
			web_parse(&connection->request, &connection->message, buffer_text(&connection->input));

		if (parsed == WEB_PARSE_BAD) {
			end_connection(connection, false);
			return;
		}
		if (parsed == WEB_PARSE_MORE) {
			const struct web_message *message = &connection->message;

			if (message->head_length > 0 && message->expects_continue && !connection->said_continue) {
				say_continue(connection);
			}
			return;
		}
		answer_request(connection);
	}
}

static void on_memory_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	static char memory[64 * 1024]; // one loop, and each read is consumed before the next one

	(void)handle;
	(void)suggested;
	*out = uv_buf_init(memory, sizeof memory);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *memory)
{
	struct connection *connection = stream->data;

	if (length < 0) {
		end_connection(connection, false);
		return;
	}
	buffer_add(&connection->input, memory->base, (size_t)length);
	if (connection->input.overflow) {
		end_connection(connection, false);
		return;
	}
	serve(connection);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct web_server *server = listener->data;

	if (status != 0) {
		return;
	}
	struct connection *connection = allocate(sizeof *connection);

	connection->server = server;
	connection->input = BUFFER(INPUT_MAX);
	connection->request.arena = ARENA(REQUEST_ARENA);
	connection->tcp.data = connection;
	connection->timer.data = connection;
	connection->open_handles = 2;
	list_add_last(&server->connections, &connection->link);
	(void)uv_timer_init(listener->loop, &connection->timer);
	(void)uv_tcp_init(listener->loop, &connection->tcp);
	if (uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0 ||
		uv_read_start((uv_stream_t *)&connection->tcp, on_memory_wanted, on_read) != 0) {
		end_connection(connection, false);
		return;
	}
	(void)uv_tcp_nodelay(&connection->tcp, 1);
}

static bool parse_address(struct sockaddr_in *out, const char *listen)
{
	const char *colon = strrchr(listen, ':');
	char host[64];
	char *end = NULL;

	if (colon == NULL || (size_t)(colon - listen) >= sizeof host || colon[1] == '\0') {
		return false;
	}
	(void)snprintf(host, sizeof host, "%.*s", (int)(colon - listen), listen);
	const long port = strtol(colon + 1, &end, 10);

	return *end == '\0' && port >= 0 && port <= 65535 && uv_ip4_addr(host, (int)port, out) == 0;
}

enum err web_server_open(struct web_server *server, struct loop *loop, const char *listen, struct fault *fault)
{
	struct sockaddr_in address;
	struct sockaddr_in bound;
	int length = sizeof bound;
	char host[INET_ADDRSTRLEN];
	int result;

	if (!parse_address(&address, listen)) {
		return fault_set(fault, ERR_BAD_INPUT, "\"%s\" is not an address like 127.0.0.1:8080", listen);
	}
	list_init(&server->connections);
	server->tcp.data = server;
	server->date_at_s = -1;
	(void)uv_tcp_init(&loop->uv, &server->tcp);
	result = uv_tcp_bind(&server->tcp, (const struct sockaddr *)&address, 0);
	result = result == 0 ? uv_listen((uv_stream_t *)&server->tcp, 1024, on_connection) : result;
	result = result == 0 ? uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&bound, &length) : result;
	if (result != 0) {
		uv_close((uv_handle_t *)&server->tcp, NULL);
		return fault_set(fault, ERR_SYSTEM, "cannot listen on %s: %s", listen, uv_strerror(result));
	}
	(void)uv_ip4_name(&bound, host, sizeof host);
	server->port = ntohs(bound.sin_port);
	(void)snprintf(server->address, sizeof server->address, "http://%s:%u", host, server->port);
	return OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct web_server *server = handle->data;

	buffer_fini(&server->spare_head);
	buffer_fini(&server->spare_body);
	if (server->closed != NULL) {
		server->closed(server);
	}
}

void web_server_close(struct web_server *server, void (*closed)(struct web_server *server))
{
	server->closed = closed;
	LIST_EACH(at, after, &server->connections) {
		end_connection(CONTAINER_OF(at, struct connection, link), false);
	}
	uv_close((uv_handle_t *)&server->tcp, on_listener_closed);
}
