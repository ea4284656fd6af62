// SPDX-License-Identifier: Apache-2.0
//
// What a connection writes to its client: the bytes of libmicrohttpd, and the answers that are given without it.
#include "loop/http_inner.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

void connection_flush(struct http_connection *connection)
{
	while (connection->out_sent < connection->out.length) {
		const ssize_t sent = send(connection->client, connection->out.bytes + connection->out_sent,
			connection->out.length - connection->out_sent, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0 && errno != EAGAIN) {
			connection_cut(connection);
		}
		if (sent < 0) {
			return;
		}
		connection->out_sent += (size_t)sent;
	}
	connection->out_sent = 0;
	buffer_fini_wiped(&connection->out);
	delay_stop(&connection->write_deadline);
}

void connection_write(struct http_connection *connection, const void *bytes, size_t length)
{
	const bool was_empty = connection->out.length == 0;

	buffer_add(&connection->out, bytes, length);
	assert(!connection->out.overflow);
	if (was_empty) {
		delay_start(&connection->write_deadline, connection->server->config.write_timeout_ms);
		connection_flush(connection);
	}
}

static void add_date(struct buffer *out)
{
	const time_t now = (time_t)(clock_wall_us() / SECOND_US);
	char text[64];
	struct tm parts;

	if (gmtime_r(&now, &parts) != NULL && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0) {
		buffer_add_format(out, "Date: %s\r\n", text);
	}
}

static void write_head(struct buffer *out, unsigned status, const struct answer_field *fields, size_t count, size_t length,
	bool closes)
{
	buffer_add_format(out, "HTTP/1.1 %u %s\r\n", status, MHD_get_reason_phrase_for(status));
	add_date(out);
	for (size_t i = 0; i < count; i++) {
		buffer_add_format(out, "%s: %s\r\n", fields[i].name, fields[i].value);
	}
	if (status != 204 && status != 304) {
		buffer_add_format(out, "Content-Length: %zu\r\n", length);
	}
	buffer_add_format(out, "%s\r\n", closes ? "Connection: close\r\n" : "");
}

void connection_answer(struct http_connection *connection, struct live_request *request)
{
	CLEANUP(buffer_fini_wiped) struct buffer out = BUFFER(HTTP_OUT_LIMIT);

	assert(connection->phase == ADMITTING);
	// A body that was not asked for would be taken for the next request.
	connection->closes_after = connection->closes_after || request->head.closes || gate_has_body(&request->head) ||
		connection->server->is_closing;
	write_head(&out, request->status, request->fields, request->field_count, request->answer_length, connection->closes_after);
	if (!text_equal(request->public.method, TEXT("HEAD"))) {
		buffer_add(&out, request->answer_body, request->answer_length);
	}
	connection->phase = ANSWERING;
	connection->back_is_done = connection->back_is_empty = true;
	delay_stop(&connection->deadline);
	connection_write(connection, out.bytes, out.length);
	server_wake(connection->server, connection);
}

void connection_refuse(struct http_connection *connection, const struct problem *problem, const char *id)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(16 * 1024);
	CLEANUP(buffer_fini) struct buffer body = BUFFER(8 * 1024);
	const struct answer_field fields[] = {
		{ "Content-Type", PROBLEM_CONTENT_TYPE },
		{ "Cache-Control", "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "X-Request-Id", id },
	};

	back_drop(connection);
	problem_write(&body, problem, id);
	write_head(&out, problem->status, fields, sizeof fields / sizeof *fields, body.length, true);
	buffer_add_text(&out, buffer_text(&body));
	server_count_answer(connection->server, problem->status);
	if (connection->request != NULL) {
		connection->request->is_answered = true;
		connection->request->status = problem->status;
	}
	connection->phase = ANSWERING;
	connection->closes_after = true;
	connection->back_is_done = connection->back_is_empty = true;
	connection->in_length = connection->in_passed = 0;
	delay_stop(&connection->deadline);
	connection_write(connection, out.bytes, out.length);
	server_wake(connection->server, connection);
}

void connection_refuse_by_gate(struct http_connection *connection, const struct problem *problem)
{
	unsigned char random[16];
	CLEANUP(buffer_fini) struct buffer id = BUFFER(32);

	random_bytes(random, sizeof random);
	buffer_add_hex(&id, random, sizeof random);
	connection->server->counters.refused_by_gate++;
	log_event(LOG_DEBUG, "http.refused", LOG_STRING("request", id.bytes), LOG_STRING("client", connection->address),
		LOG_STRING("code", problem->code), LOG_STRING("detail", problem->detail));
	connection_refuse(connection, problem, id.bytes);
}
