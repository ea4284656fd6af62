// SPDX-License-Identifier: Apache-2.0
#include "support/http_server_world.h"

#include "support/cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT_LIMIT = 64 * 1024 * 1024 };

enum admission { ADMIT_NOW, ADMIT_REFUSE, ADMIT_PARK };

static const enum admission admit_refuse = ADMIT_REFUSE;
static const enum admission admit_park = ADMIT_PARK;

static struct world *world_of(struct http_request *request)
{
	return request->context;
}

static void park(struct http_request *request)
{
	struct world *world = world_of(request);

	assert_true(world->parked_count < PARKED_MAX);
	world->parked[world->parked_count++] = request;
	(void)sem_post(&world->parked_one);
}

static void on_admit(struct http_request *request)
{
	const enum admission admission = request->route->tag != NULL ? *(const enum admission *)request->route->tag : ADMIT_NOW;

	if (admission == ADMIT_PARK) {
		park(request);
	} else if (admission == ADMIT_REFUSE) {
		http_answer_header(request, "WWW-Authenticate", "Bearer");
		http_answer_problem(request, &(struct problem){ .status = 401, .code = "no_key", .title = "No key" });
	} else {
		world_of(request)->admitted++;
		http_admit(request);
	}
}

static void on_hello(struct http_request *request)
{
	world_of(request)->handled++;
	http_answer_header(request, "X-Test", "yes");
	http_answer(request, 200, "text/plain", TEXT("hello"));
}

static void on_echo(struct http_request *request)
{
	world_of(request)->handled++;
	http_answer(request, 200, "application/octet-stream", request->body);
}

static void on_item(struct http_request *request)
{
	struct buffer out = BUFFER(64 * 1024);

	world_of(request)->handled++;
	buffer_add_format(&out, "[%.*s][%.*s]", TEXT_ARGS(request->parameters[0]), TEXT_ARGS(request->parameters[1]));
	for (size_t i = 0; i < http_request_query_count(request); i++) {
		const struct text name = http_request_query_name(request, i);
		CLEANUP(buffer_fini) struct buffer key = BUFFER(64 * 1024);

		buffer_add_text(&key, name);
		buffer_add_format(&out, " %.*s=", TEXT_ARGS(name));
		buffer_add_text(&out, http_request_query(request, buffer_text(&key).bytes));
	}
	http_answer_buffer(request, 200, "text/plain", &out);
}

static void on_header(struct http_request *request)
{
	const struct text value = http_request_header(request, "x-custom");

	http_answer(request, value.bytes != NULL ? 200 : 404, "text/plain", value);
}

static void on_who(struct http_request *request)
{
	http_answer(request, 200, "text/plain", request->client_address);
}

static void on_release(struct http_request *request)
{
	world_answer_parked(world_of(request));
	http_answer_empty(request, 200);
}

static void on_slow(struct http_request *request)
{
	http_answer_header(request, "X-Slow", "yes");
	park(request);
}

// More than libmicrohttpd has room for.
static void on_huge(struct http_request *request)
{
	char *value = arena_take(&request->arena, 20001);

	assert_non_null(value);
	memset(value, 'h', 20000);
	http_answer_header(request, "X-Huge", value);
	http_answer_empty(request, 200);
}

static void on_empty(struct http_request *request)
{
	http_answer_empty(request, 204);
}

// ?size=N bytes through a small buffer; ?size=0 never ends. ?length=N announces them; ?breaks=1 breaks off in place of the end.
struct stream_state {
	struct http_stream stream;
	size_t left;
	bool is_endless;
	bool breaks;
};

static void write_on(struct http_stream *stream)
{
	static const char block[1000] = { [0 ... 999] = 's' };
	struct stream_state *state = stream->owner;
	struct world *world = world_of(stream->request);

	while (state->is_endless || state->left > 0) {
		const size_t length = state->is_endless || state->left > sizeof block ? sizeof block : state->left;

		if (!http_stream_write(stream, (struct text){ block, length })) {
			return;
		}
		world->stream_bytes_written += length;
		state->left -= state->is_endless ? 0 : length;
	}
	if (state->breaks) {
		http_stream_break(stream);
	} else {
		http_stream_end(stream);
	}
}

static void on_gone(struct http_stream *stream)
{
	struct world *world = world_of(stream->request);

	assert_false(world->is_starting_stream);
	assert_false(http_stream_write(stream, TEXT("x")));
	if (world->keeps_streams) {
		assert_true(world->kept_count < PARKED_MAX);
		world->kept[world->kept_count++] = stream;
	} else {
		http_stream_end(stream);
	}
	(void)sem_post(&world->gone_one);
}

static void on_stream(struct http_request *request)
{
	struct stream_state *state = arena_take(&request->arena, sizeof *state);
	const struct text size = http_request_query(request, "size");

	world_of(request)->handled++;
	assert_non_null(state);
	state->left = size.length > 0 ? strtoul(size.bytes, NULL, 10) : 0;
	state->is_endless = state->left == 0;
	state->breaks = http_request_query(request, "breaks").length > 0;
	state->stream = (struct http_stream){ .buffer_limit = 8000, .drained = write_on, .gone = on_gone, .owner = state };
	state->stream.length = http_request_query(request, "length").length > 0 ? strtoul(http_request_query(request, "length").bytes, NULL, 10) : 0;
	world_of(request)->is_starting_stream = true;
	http_answer_stream(request, 200, "text/plain", &state->stream);
	world_of(request)->is_starting_stream = false;
	if (size.length > 0) { // without it, nothing is ever written
		write_on(&state->stream);
	}
}

// The body, a thousand bytes in each round; answers with it. ?how=early answers at once, ?how=never takes nothing.
struct taking {
	struct http_body_taker taker;
	struct http_request *request;
	struct deferred next;
	struct buffer body;
	bool has_taken; // in this round
	bool never;
};

static void on_next(struct deferred *next)
{
	struct taking *taking = CONTAINER_OF(next, struct taking, next);

	taking->has_taken = false;
	http_body_go_on(taking->request);
}

static size_t take_part(struct http_body_taker *taker, struct text bytes)
{
	struct taking *taking = CONTAINER_OF(taker, struct taking, taker);
	struct world *world = world_of(taking->request);
	const size_t taken = taking->never || taking->has_taken ? 0 : bytes.length < 1000 ? bytes.length : 1000;

	assert_true(bytes.length > 0);
	world->part_bytes_offered = bytes.length > world->part_bytes_offered ? bytes.length : world->part_bytes_offered;
	buffer_add(&taking->body, bytes.bytes, taken);
	if (taken > 0) {
		taking->has_taken = true;
		loop_defer(&world->loop, &taking->next);
		(void)sem_post(&world->part_one);
	}
	return taken;
}

static void on_body_ended(struct http_body_taker *taker)
{
	struct taking *taking = CONTAINER_OF(taker, struct taking, taker);

	loop_forget(&taking->next);
	http_answer_buffer(taking->request, 200, "text/plain", &taking->body);
}

static void on_body_gone(struct http_body_taker *taker)
{
	struct taking *taking = CONTAINER_OF(taker, struct taking, taker);

	loop_forget(&taking->next);
	(void)sem_post(&world_of(taking->request)->gone_one);
	buffer_fini(&taking->body);
	park(taking->request); // somebody still has to answer
}

static bool is_in_parts(const struct http_request *request)
{
	return !text_equal_string(http_request_query(request, "how"), "whole");
}

static void on_parts(struct http_request *request)
{
	struct taking *taking = arena_take(&request->arena, sizeof *taking);
	const struct text how = http_request_query(request, "how");

	world_of(request)->handled++;
	assert_non_null(taking);
	if (!http_request_has_body(request) || !is_in_parts(request)) {
		http_answer(request, 200, "text/plain", request->body);
		return;
	}
	assert_int_equal(request->body.length, 0);
	*taking = (struct taking){ .taker = { take_part, on_body_ended, on_body_gone }, .request = request, .next = { .run = on_next } };
	taking->body = BUFFER(16 << 20);
	taking->never = text_equal_string(how, "never");
	if (text_equal_string(how, "early")) {
		http_answer(request, 200, "text/plain", TEXT("early"));
	} else {
		http_body_take(request, &taking->taker);
	}
}

static const struct http_route routes[] = {
	{ .method = NULL, .pattern = "/parts", .handle = on_parts, .in_parts = is_in_parts, .body_limit = 16 << 20 },
	{ .method = "GET", .pattern = "/hello", .handle = on_hello },
	{ .method = "POST", .pattern = "/echo", .handle = on_echo },
	{ .method = "PATCH", .pattern = "/echo", .handle = on_echo },
	{ .method = "GET", .pattern = "/items/{id}", .handle = on_item },
	{ .method = "GET", .pattern = "/items/{id}/parts/{part}", .handle = on_item },
	{ .method = "DELETE", .pattern = "/items/{id}", .handle = on_empty },
	{ .method = "GET", .pattern = "/header", .handle = on_header },
	{ .method = "GET", .pattern = "/files/*", .handle = on_hello },
	{ .method = "POST", .pattern = "/small", .handle = on_echo, .body_limit = 16 },
	{ .method = "GET", .pattern = "/slow", .handle = on_slow },
	{ .method = "POST", .pattern = "/slow", .handle = on_slow },
	{ .method = "GET", .pattern = "/huge", .handle = on_huge },
	{ .method = "GET", .pattern = "/who", .handle = on_who },
	{ .method = "POST", .pattern = "/release", .handle = on_release },
	{ .method = "GET", .pattern = "/stream", .handle = on_stream },
	{ .method = "GET", .pattern = "/guarded", .handle = on_hello, .tag = &admit_refuse },
	{ .method = "PATCH", .pattern = "/guarded", .handle = on_echo, .tag = &admit_refuse },
	{ .method = "POST", .pattern = "/asked", .handle = on_echo, .tag = &admit_park },
};

static void on_finished(struct http_request *request, unsigned status, int64_t took_us)
{
	struct world *world = world_of(request);

	assert_true(took_us >= 0);
	world->finished++;
	world->last_status = status;
}

static void on_call(uv_async_t *call)
{
	struct world *world = CONTAINER_OF(call, struct world, call);

	if (world->function != NULL) {
		world->function(world);
		world->function = NULL;
		(void)sem_post(&world->called);
	}
}

void world_init(struct world *world)
{
	*world = (struct world){ 0 };
	assert_int_equal(sem_init(&world->called, 0, 0), 0);
	assert_int_equal(sem_init(&world->parked_one, 0, 0), 0);
	assert_int_equal(sem_init(&world->gone_one, 0, 0), 0);
	assert_int_equal(sem_init(&world->part_one, 0, 0), 0);
	world->drain_ms = 5000;
	world->config = (struct http_server_config){
		.listen = "127.0.0.1:0",
		.routes = routes,
		.route_count = sizeof routes / sizeof *routes,
		.admit = on_admit,
		.finished = on_finished,
		.context = world,
	};
}

static void *run(void *argument)
{
	struct world *world = argument;

	loop_run(&world->loop);
	return NULL;
}

void world_start(struct world *world)
{
	struct fault fault;

	loop_init(&world->loop);
	assert_int_equal(uv_async_init(&world->loop.uv, &world->call, on_call), 0);
	assert_int_equal(http_server_open(&world->server, &world->loop, &world->config, &fault), OK);
	assert_int_equal(pthread_create(&world->thread, NULL, run, world), 0);
}

void world_wait(sem_t *semaphore)
{
	struct timespec until;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_sec += WORLD_WAIT_MS / 1000;
	while (sem_timedwait(semaphore, &until) != 0) {
		if (errno != EINTR) {
			fail_msg("waited too long");
		}
	}
}

void world_call(struct world *world, void (*function)(struct world *world))
{
	world->function = function;
	assert_int_equal(uv_async_send(&world->call), 0);
	world_wait(&world->called);
}

static void on_server_closed(void *argument)
{
	struct world *world = argument;

	world->is_closed = true;
	(void)sem_post(&world->called);
}

static void close_server(struct world *world)
{
	http_server_close(world->server, world->drain_ms, on_server_closed, world);
}

void world_begin_close(struct world *world)
{
	world_call(world, close_server);
	world->server = NULL;
}

static void close_call(struct world *world)
{
	uv_close((uv_handle_t *)&world->call, NULL);
}

void world_stop(struct world *world)
{
	if (world->server != NULL) {
		world_begin_close(world);
	}
	world_wait(&world->called);
	assert_true(world->is_closed);
	world_call(world, world_answer_parked);
	world_call(world, close_call);
	assert_int_equal(pthread_join(world->thread, NULL), 0);
	loop_fini(&world->loop);
	(void)sem_destroy(&world->called);
	(void)sem_destroy(&world->parked_one);
	(void)sem_destroy(&world->gone_one);
	(void)sem_destroy(&world->part_one);
}

int world_setup(void **state)
{
	struct world *world = allocate(sizeof *world);

	world_init(world);
	world_start(world);
	*state = world;
	return 0;
}

int world_teardown(void **state)
{
	world_stop(*state);
	free(*state);
	return 0;
}

static void take_counters(struct world *world)
{
	world->counters = http_server_counters(world->server);
}

struct http_server_counters world_counters(struct world *world)
{
	world_call(world, take_counters);
	return world->counters;
}

void world_answer_parked(struct world *world)
{
	for (size_t i = 0; i < world->parked_count; i++) {
		http_answer(world->parked[i], 200, "text/plain", TEXT("late"));
	}
	world->parked_count = 0;
	for (size_t i = 0; i < world->kept_count; i++) {
		http_stream_end(world->kept[i]);
	}
	world->kept_count = 0;
}

void world_stream_parked(struct world *world)
{
	for (size_t i = 0; i < world->parked_count; i++) {
		on_stream(world->parked[i]);
	}
	world->parked_count = 0;
}

void world_admit_parked(struct world *world)
{
	for (size_t i = 0; i < world->parked_count; i++) {
		http_admit(world->parked[i]);
	}
	world->parked_count = 0;
}

// ---- the client

struct client client_prepare(void)
{
	struct client client = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = BUFFER(CLIENT_LIMIT) };
	const struct timeval patience = { .tv_sec = WORLD_WAIT_MS / 1000 };

	assert_true(client.fd >= 0);
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
	return client;
}

void client_start(struct client *client, const struct world *world)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)http_server_port(world->server));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

struct client client_connect(const struct world *world)
{
	struct client client = client_prepare();

	client_start(&client, world);
	return client;
}

void client_fini(struct client *client)
{
	(void)close(client->fd);
	client->fd = -1;
	buffer_fini(&client->in);
}

bool client_try_send(struct client *client, const char *bytes, size_t length)
{
	while (length > 0) {
		const ssize_t sent = send(client->fd, bytes, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return false;
		}
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

void client_send_bytes(struct client *client, const char *bytes, size_t length)
{
	assert_true(client_try_send(client, bytes, length));
}

void client_send(struct client *client, const char *bytes)
{
	client_send_bytes(client, bytes, strlen(bytes));
}

// False at the end of the connection.
static bool receive(struct client *client)
{
	char block[65536];
	const ssize_t received = recv(client->fd, block, sizeof block, 0);

	if (received < 0 && errno == ECONNRESET) {
		return false;
	}
	if (received < 0) {
		fail_msg("nothing came: %s; so far: %s", strerror(errno), buffer_text(&client->in).bytes);
	}
	buffer_add(&client->in, block, (size_t)received);
	return received > 0;
}

static void drop_front(struct buffer *buffer, size_t length)
{
	memmove(buffer->bytes, buffer->bytes + length, buffer->length - length);
	buffer->length -= length;
	buffer->bytes[buffer->length] = '\0';
}

static bool take(struct client *client, struct buffer *to, size_t length)
{
	while (client->in.length < length) {
		if (!receive(client)) {
			return false;
		}
	}
	if (length > 0) {
		buffer_add(to, client->in.bytes, length);
		drop_front(&client->in, length);
	}
	return true;
}

static bool take_through(struct client *client, struct buffer *to, const char *mark)
{
	const char *at;

	while (client->in.length == 0 || (at = strstr(client->in.bytes, mark)) == NULL) {
		if (!receive(client)) {
			return false;
		}
	}
	return take(client, to, (size_t)(at - client->in.bytes) + strlen(mark));
}

static bool take_chunks(struct client *client, struct buffer *to)
{
	for (;;) {
		CLEANUP(buffer_fini) struct buffer line = BUFFER(1024);
		CLEANUP(buffer_fini) struct buffer end = BUFFER(2);

		if (!take_through(client, &line, "\r\n")) {
			return false;
		}
		const size_t size = strtoul(line.bytes, NULL, 16);

		if (!take(client, to, size) || !take(client, &end, 2)) {
			return false;
		}
		assert_string_equal(end.bytes, "\r\n");
		if (size == 0) {
			return true;
		}
	}
}

bool response_has(const struct response *response, const char *header_line)
{
	CLEANUP(buffer_fini) struct buffer line = BUFFER(8192);

	buffer_add_format(&line, "\r\n%s\r\n", header_line);
	return text_contains_ignoring_case(buffer_text(&response->head), line.bytes);
}

static size_t length_of(const struct response *response)
{
	const char *at = strcasestr(response->head.bytes, "\r\nContent-Length: ");

	return at != NULL ? strtoul(at + strlen("\r\nContent-Length: "), NULL, 10) : 0;
}

static struct response read_response(struct client *client, bool has_body)
{
	struct response response = { .head = BUFFER(CLIENT_LIMIT), .body = BUFFER(CLIENT_LIMIT) };

	if (!take_through(client, &response.head, "\r\n\r\n")) {
		fail_msg("the connection ended before an answer: %s", buffer_text(&client->in).bytes);
	}
	assert_true(text_starts_with(buffer_text(&response.head), TEXT("HTTP/1.1 ")));
	response.status = (unsigned)strtoul(response.head.bytes + 9, NULL, 10);
	if (!has_body) {
		return response;
	}
	if (response_has(&response, "Transfer-Encoding: chunked")) {
		response.is_cut = !take_chunks(client, &response.body);
	} else {
		response.is_cut = !take(client, &response.body, length_of(&response));
	}
	return response;
}

struct response client_read(struct client *client)
{
	return read_response(client, true);
}

struct response client_read_head_answer(struct client *client)
{
	return read_response(client, false);
}

struct response client_ask(struct client *client, const char *bytes)
{
	client_send(client, bytes);
	return client_read(client);
}

bool client_is_at_end(struct client *client)
{
	return client->in.length == 0 && !receive(client);
}

void response_fini(struct response *response)
{
	buffer_fini(&response->head);
	buffer_fini(&response->body);
}

void assert_is_problem(const struct response *response, unsigned status, const char *code)
{
	CLEANUP(buffer_fini) struct buffer start = BUFFER(1024);
	const char *id = strcasestr(response->head.bytes, "\r\nX-Request-Id: ");

	if (response->status != status) {
		fail_msg("expected %u, got %s%s", status, response->head.bytes, buffer_text(&response->body).bytes);
	}
	buffer_add_format(&start, "{\"type\":\"https://depbroker.dev/problems/%s\",\"status\":%u,", code, status);
	assert_true(text_starts_with(buffer_text(&response->body), buffer_text(&start)));
	assert_true(response_has(response, "Content-Type: application/problem+json"));
	assert_true(response_has(response, "Cache-Control: no-store"));
	assert_true(response_has(response, "X-Content-Type-Options: nosniff"));
	assert_false(text_contains_ignoring_case(buffer_text(&response->head), "\r\nServer:"));
	assert_non_null(id);
	id += strlen("\r\nX-Request-Id: ");
	assert_int_equal(strspn(id, "0123456789abcdef"), 32);
	buffer_clear(&start);
	buffer_add_format(&start, "\"request_id\":\"%.32s\"", id);
	assert_true(text_contains_ignoring_case(buffer_text(&response->body), start.bytes));
}
