// SPDX-License-Identifier: Apache-2.0
#include "loop/hint.h"

#include "depbroker/log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Whole messages as with datagrams, but only their bytes count against the socket's limit, and not ten of them.
#define HINT_SOCKET_TYPE SOCK_SEQPACKET

static const char mark[8] = "depbhint";

struct hint {
	char mark[sizeof mark];
	int64_t number;
};

enum err hint_pair_open(struct hint_pair *pair, struct fault *fault)
{
	int ends[2];

	*pair = (struct hint_pair){ -1, -1 };
	if (socketpair(AF_UNIX, HINT_SOCKET_TYPE | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		return fault_set(fault, ERR_SYSTEM, "a pair of sockets cannot be made: %m");
	}
	*pair = (struct hint_pair){ .says = ends[0], .hears = ends[1] };
	return OK;
}

static void close_end(int *end)
{
	if (*end >= 0) {
		(void)close(*end);
	}
	*end = -1;
}

void hint_pair_close(struct hint_pair *pair)
{
	close_end(&pair->says);
	close_end(&pair->hears);
}

void hint_say(int socket, int64_t number)
{
	struct hint hint = { .number = number };

	assert(number > 0);
	memcpy(hint.mark, mark, sizeof mark);
	(void)send(socket, &hint, sizeof hint, MSG_DONTWAIT | MSG_NOSIGNAL); // law 2
}

// --- hearing ---

static bool is_among(const int64_t *numbers, size_t count, int64_t number)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == number) {
			return true;
		}
	}
	return false;
}

enum read_outcome { READ_HINT, READ_OTHER, READ_NOTHING, READ_END };

static enum read_outcome read_one(const struct hint_listener *listener, int64_t *number)
{
	struct { // one byte more than a hint has: a longer message does not look like one
		struct hint hint;
		char more;
	} message;
	const ssize_t length = recv(listener->socket, &message, sizeof message.hint + 1, MSG_DONTWAIT);

	if (length < 0) {
		return errno == EAGAIN ? READ_NOTHING : errno == EINTR ? READ_OTHER : READ_END;
	}
	if (length == 0) {
		return READ_END; // nobody is left who could say anything
	}
	if (length != sizeof message.hint || memcmp(message.hint.mark, mark, sizeof mark) != 0 || message.hint.number <= 0) {
		return READ_OTHER;
	}
	*number = message.hint.number;
	return READ_HINT;
}

static void hear(struct hint_listener *listener)
{
	int64_t numbers[HINT_BATCH];
	size_t count = 0;
	enum read_outcome outcome = READ_OTHER;

	for (unsigned i = 0; i < HINT_BATCH && outcome != READ_NOTHING && outcome != READ_END; i++) {
		int64_t number = 0;

		outcome = read_one(listener, &number);
		listener->malformed += outcome == READ_OTHER ? 1 : 0;
		if (outcome == READ_HINT && !is_among(numbers, count, number)) {
			numbers[count++] = number;
		}
	}
	if (outcome != READ_END) {
		delay_start(&listener->rest, HINT_REST_MS);
	}
	if (count > 0) {
		listener->heard(listener, numbers, count);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct hint_listener *listener = CONTAINER_OF(poll, struct hint_listener, poll);

	(void)events;
	(void)uv_poll_stop(poll);
	if (status == 0) {
		hear(listener);
	}
}

static void listen_on(struct hint_listener *listener)
{
	const int result = uv_poll_start(&listener->poll, UV_READABLE, on_readable);

	if (result != 0) {
		log_event(LOG_WARNING, "hint.deaf", LOG_STRING("reason", uv_strerror(result)));
	}
}

static void on_rested(struct delay *rest)
{
	listen_on(CONTAINER_OF(rest, struct hint_listener, rest));
}

void hint_listener_open(struct hint_listener *listener, struct loop *loop, int socket)
{
	const int result = uv_poll_init(&loop->uv, &listener->poll, socket);

	assert(result == 0);
	listener->socket = socket;
	delay_init(&listener->rest, loop, on_rested);
	listen_on(listener);
}

static void on_rest_closed(struct delay *rest)
{
	struct hint_listener *listener = CONTAINER_OF(rest, struct hint_listener, rest);

	if (listener->closed != NULL) {
		listener->closed(listener);
	}
}

static void on_poll_closed(uv_handle_t *poll)
{
	delay_close(&CONTAINER_OF(poll, struct hint_listener, poll)->rest, on_rest_closed);
}

void hint_listener_close(struct hint_listener *listener, void (*closed)(struct hint_listener *listener))
{
	listener->closed = closed;
	delay_stop(&listener->rest);
	uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
}
