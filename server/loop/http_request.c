// SPDX-License-Identifier: Apache-2.0
#include "loop/http_inner.h"

#include "depbroker/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BUDGET = 2 * 1024 * 1024, OWN_BUDGET = 1024 * 1024, PROBLEM_LIMIT = 64 * 1024 };

static const struct problem answer_too_late = {
	.status = 503, .code = "answer_timeout", .title = "The answer took too long",
	.detail = "The request may have taken effect nevertheless.", .fix = "Look whether it has, then try again.",
};
static const struct problem route_not_found = {
	.status = 404, .code = "route_not_found", .title = "There is nothing at this path",
};
static const struct problem method_not_allowed = {
	.status = 405, .code = "method_not_allowed", .title = "This path does not have this method",
	.fix = "Use one of the methods that the header Allow lists.",
};

static struct live_request *live(struct http_request *request)
{
	return CONTAINER_OF(request, struct live_request, public);
}

// ---- birth and end

static void request_free(struct live_request *request)
{
	struct http_server *server = request->public.server;

	if (server->config.finished != NULL && request->public.route != NULL) {
		const uint64_t took_ns = uv_hrtime() - request->started_ns;

		server->config.finished(&request->public, request->status, (int64_t)(took_ns / 1000));
	}
	if (request->answer_body != NULL) {
		wipe(request->answer_body, request->answer_length);
		free(request->answer_body);
	}
	if (request->response != NULL) {
		MHD_destroy_response(request->response);
	}
	stream_free(request->stream);
	buffer_fini_wiped(&request->body);
	arena_fini(&request->public.arena);
	arena_fini(&request->own);
	list_remove(&request->link);
	free(request);
	server_check_end(server);
}

void request_let_go(struct live_request *request, enum holder holder)
{
	assert((request->holders & holder) != 0);
	request->holders &= ~(unsigned)holder;
	if (request->holders == 0) {
		request_free(request);
	}
}

static void draw_id(char id[33])
{
	unsigned char random[16];
	CLEANUP(buffer_fini) struct buffer hex = BUFFER(32);

	random_bytes(random, sizeof random);
	buffer_add_hex(&hex, random, sizeof random);
	memcpy(id, hex.bytes, 33);
}

static const struct problem *read_head(struct live_request *request, struct text head)
{
	const struct problem *refusal = gate_parse(&request->head, head);
	struct text decoded;

	if (refusal == NULL && !route_decode(&request->own, request->head.path, false, &decoded)) {
		refusal = &gate_bad_path;
	}
	if (refusal == NULL && !route_parse_query(&request->own, request->head.query, &request->query)) {
		refusal = &gate_bad_query;
	}
	return refusal;
}

struct live_request *request_new(struct http_connection *connection, struct text head, const struct problem **refusal)
{
	struct live_request *request = allocate(sizeof *request);
	struct http_request *public = &request->public;

	request->own = ARENA(OWN_BUDGET);
	public->arena = ARENA(ARENA_BUDGET);
	char *copy = arena_copy(&request->own, head);

	assert(copy != NULL);
	*refusal = read_head(request, (struct text){ copy, head.length });
	if (*refusal != NULL) {
		arena_fini(&request->own);
		free(request);
		return NULL;
	}
	public->server = connection->server;
	public->context = connection->server->config.context;
	public->method = request->head.method;
	public->path = request->head.path;
	public->client_address = text_of(arena_copy(&request->own, text_of(connection->address)));
	draw_id(public->id);
	request->connection = connection;
	request->holders = HELD_BY_CONNECTION;
	request->started_ns = uv_hrtime();
	list_add_last(&connection->server->requests, &request->link);
	connection->server->counters.requests++;
	return request;
}

// ---- answers

static void add_field(struct live_request *request, const char *name, const char *value)
{
	assert(request->field_count < ANSWER_FIELDS_MAX && name != NULL && value != NULL);
	assert(strpbrk(value, "\r\n") == NULL && strpbrk(name, "\r\n: ") == NULL);
	char *name_copy = arena_copy(&request->own, text_of(name));
	char *value_copy = arena_copy(&request->own, text_of(value));

	assert(name_copy != NULL && value_copy != NULL);
	request->fields[request->field_count++] = (struct answer_field){ name_copy, value_copy };
}

static void add_standard_fields(struct live_request *request, const char *content_type)
{
	if (content_type != NULL) {
		add_field(request, "Content-Type", content_type);
	}
	add_field(request, "Cache-Control", "no-store");
	add_field(request, "X-Content-Type-Options", "nosniff");
	add_field(request, "X-Request-Id", request->public.id);
}

static void add_fields_to(struct MHD_Response *response, const struct live_request *request)
{
	for (size_t i = 0; i < request->field_count; i++) {
		if (MHD_add_response_header(response, request->fields[i].name, request->fields[i].value) != MHD_YES) {
			abort();
		}
	}
	if (request->connection != NULL && (request->connection->closes_after || request->public.server->is_closing) &&
		MHD_add_response_header(response, "Connection", "close") != MHD_YES) {
		abort();
	}
}

static struct MHD_Response *new_response(struct live_request *request)
{
	struct MHD_Response *response;

	if (request->stream != NULL) {
		response = stream_response(request->stream);
	} else {
		response = MHD_create_response_from_buffer(request->answer_length, request->answer_body, MHD_RESPMEM_MUST_FREE);
		request->answer_body = NULL;
	}
	if (response == NULL) {
		abort();
	}
	add_fields_to(response, request);
	return response;
}

static void queue_response(struct live_request *request)
{
	struct MHD_Response *response = request->response;

	request->response = NULL;
	if (MHD_queue_response(request->mhd, request->status, response) != MHD_YES) {
		abort();
	}
	MHD_destroy_response(response);
}

void request_resume(struct live_request *request)
{
	if (request->is_suspended) {
		request->is_suspended = false;
		MHD_resume_connection(request->mhd);
		server_wake(request->public.server, NULL);
	}
}

// The answer is complete in its fields: sends it on its way.
static void deliver(struct live_request *request)
{
	request->is_answered = true;
	server_count_answer(request->public.server, request->status);
	if (request->mhd == NULL) {
		if (request->connection != NULL) {
			connection_answer(request->connection, request);
		}
		return;
	}
	request->response = new_response(request);
	if (request->in_callback) {
		return;
	}
	if (!request->comes_in_parts || request->body_is_whole) {
		queue_response(request);
	}
	request_resume(request);
}

static void answer_now(struct live_request *request, unsigned status, const char *content_type, char *body, size_t length)
{
	assert(status >= 200 && status <= 599);
	request->status = status;
	request->answer_body = body;
	request->answer_length = length;
	add_standard_fields(request, content_type);
	deliver(request);
}

static void answer_problem_now(struct live_request *request, const struct problem *problem)
{
	struct buffer body = BUFFER(PROBLEM_LIMIT);

	problem_write(&body, problem, request->public.id);
	const size_t length = body.length;

	answer_now(request, problem->status, PROBLEM_CONTENT_TYPE, buffer_take(&body), length);
}

// The owner's word. `body` is taken. It counts for nothing when the deadline has answered, or when nobody is there to hear it.
static void owner_answers(struct live_request *request, unsigned status, const char *content_type, char *body, size_t length)
{
	assert((request->holders & HELD_BY_OWNER) != 0 && request->stream == NULL); // it answers once
	request->taker = NULL;
	if (request->is_answered || (request->connection == NULL && request->mhd == NULL)) {
		request->status = request->is_answered ? request->status : status;
		if (body != NULL) {
			wipe(body, length);
			free(body);
		}
	} else {
		answer_now(request, status, content_type, body, length);
	}
	request_let_go(request, HELD_BY_OWNER);
}

void http_answer_header(struct http_request *request, const char *name, const char *value)
{
	add_field(live(request), name, value);
}

void http_answer(struct http_request *request, unsigned status, const char *content_type, struct text body)
{
	owner_answers(live(request), status, content_type, duplicate(body), body.length);
}

void http_answer_buffer(struct http_request *request, unsigned status, const char *content_type, struct buffer *body)
{
	const size_t length = body->length;

	owner_answers(live(request), status, content_type, buffer_take(body), length);
}

void http_answer_empty(struct http_request *request, unsigned status)
{
	owner_answers(live(request), status, NULL, NULL, 0);
}

void http_answer_problem(struct http_request *request, const struct problem *problem)
{
	struct buffer body = BUFFER(PROBLEM_LIMIT);

	problem_write(&body, problem, request->id);
	assert(!body.overflow);
	http_answer_buffer(request, problem->status, PROBLEM_CONTENT_TYPE, &body);
}

void http_answer_stream(struct http_request *request, unsigned status, const char *content_type, struct http_stream *stream)
{
	struct live_request *mine = live(request);
	const bool is_lost = mine->is_answered || (mine->connection == NULL && mine->mhd == NULL);

	assert((mine->holders & HELD_BY_OWNER) != 0 && mine->stream == NULL);
	stream_attach(mine, stream);
	if (is_lost) {
		stream_stop(mine->stream);
		return;
	}
	assert(mine->is_handled && status >= 200 && status <= 599); // who decides on admission does not stream
	mine->status = status;
	add_standard_fields(mine, content_type);
	deliver(mine);
}

void request_too_late(struct live_request *request)
{
	if (request == NULL || request->is_answered) {
		return;
	}
	request->field_count = 0; // what the handler has prepared is for another answer
	answer_problem_now(request, &answer_too_late);
}

void request_give_up(struct live_request *request)
{
	assert(request->connection == NULL);
	if (request->is_suspended && !request->is_answered) {
		answer_now(request, 503, NULL, NULL, 0);
	}
}

static void stop_taking(struct live_request *request)
{
	struct http_body_taker *taker = request->taker;

	request->taker = NULL;
	if (taker != NULL && !request->body_is_whole) {
		taker->gone(taker);
	}
	if (request->comes_in_parts && !request->body_is_whole) {
		request_resume(request); // so that libmicrohttpd hears of it
	}
}

void request_client_gone(struct live_request *request)
{
	request->connection = NULL;
	stop_taking(request);
	if (request->stream != NULL) {
		stream_stop(request->stream);
	}
	request_let_go(request, HELD_BY_CONNECTION);
}

// ---- route and admission

static void decode_parameters(struct live_request *request)
{
	for (size_t i = 0; i < HTTP_PARAMETERS_MAX; i++) {
		struct text *parameter = &request->public.parameters[i];
		const bool is_decoded = parameter->bytes == NULL || route_decode(&request->own, *parameter, false, parameter);

		assert(is_decoded); // as the whole path was
		(void)is_decoded;
	}
}

void request_start(struct live_request *request)
{
	struct http_request *public = &request->public;
	const struct http_server_config *config = &public->server->config;
	char allow[ROUTE_ALLOW_SIZE];
	struct gate_body body;

	public->route = route_find(config->routes, config->route_count, public->method, public->path, public->parameters, allow);
	if (public->route == NULL) {
		if (allow[0] != '\0') {
			add_field(request, "Allow", allow);
		}
		answer_problem_now(request, allow[0] != '\0' ? &method_not_allowed : &route_not_found);
		return;
	}
	decode_parameters(request);
	const struct problem *refusal = request_check_body(request, &body);

	if (refusal != NULL) {
		public->server->counters.refused_by_gate++;
		answer_problem_now(request, refusal);
		return;
	}
	request->holders |= HELD_BY_OWNER;
	if (config->admit != NULL) {
		config->admit(public);
	} else {
		http_admit(public);
	}
}

void http_admit(struct http_request *request)
{
	struct live_request *mine = live(request);

	assert((mine->holders & HELD_BY_OWNER) != 0 && !mine->is_handled && mine->mhd == NULL);
	if (mine->connection != NULL && !mine->is_answered) {
		connection_admitted(mine->connection);
	}
	request_let_go(mine, HELD_BY_OWNER);
}

const struct problem *request_check_body(const struct live_request *request, struct gate_body *body)
{
	const size_t of_route = request->public.route->body_limit;

	return gate_body_start(body, &request->head, of_route != 0 ? of_route : request->public.server->config.body_limit);
}

// ---- libmicrohttpd's side

static void suspend(struct live_request *request)
{
	request->is_suspended = true;
	MHD_suspend_connection(request->mhd);
}

static void queue_or_suspend(struct live_request *request)
{
	if (request->response != NULL) {
		queue_response(request);
	} else {
		suspend(request);
	}
}

static void call_handler(struct live_request *request)
{
	request->is_handled = true;
	request->public.body = buffer_text(&request->body);
	request->holders |= HELD_BY_OWNER;
	request->in_callback = true;
	request->public.route->handle(&request->public);
	request->in_callback = false;
}

static enum MHD_Result handle(struct live_request *request)
{
	call_handler(request);
	queue_or_suspend(request);
	return MHD_YES;
}

// Its body is read on in any case: libmicrohttpd takes no answer in the middle of it.
static void handle_before_body(struct live_request *request)
{
	call_handler(request);
	assert(request->taker != NULL || request->is_answered);
}

static void offer_part(struct live_request *request, const char *upload, size_t *upload_size)
{
	if (request->taker != NULL) {
		request->in_callback = true;
		*upload_size -= request->taker->take(request->taker, (struct text){ upload, *upload_size });
		request->in_callback = false;
	}
	if (request->taker == NULL) {
		*upload_size = 0;
	} else if (*upload_size > 0) {
		suspend(request);
	}
}

static enum MHD_Result end_parts(struct live_request *request)
{
	struct http_body_taker *taker = request->taker;

	request->body_is_whole = true;
	request->taker = NULL;
	if (taker != NULL) {
		request->in_callback = true;
		taker->ended(taker);
		request->in_callback = false;
	}
	if (request->connection == NULL || (request->is_answered && request->response == NULL)) {
		return MHD_NO;
	}
	queue_or_suspend(request);
	return MHD_YES;
}

static bool wants_parts(const struct live_request *request)
{
	bool (*in_parts)(const struct http_request *request) = request->public.route->in_parts;

	return in_parts != NULL && gate_has_body(&request->head) && in_parts(&request->public);
}

// NULL when the client has gone meanwhile.
static struct live_request *begin(struct MHD_Connection *mhd, const char *url)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	const struct http_back *back = info->socket_context;
	struct live_request *request = back != NULL && back->connection != NULL ? back->connection->request : NULL;

	if (request == NULL || request->mhd != NULL || strcmp(url + 1, request->public.id) != 0) {
		return NULL;
	}
	request->mhd = mhd;
	request->holders |= HELD_BY_MHD;
	request->body = BUFFER(back->connection->body.limit);
	return request;
}

enum MHD_Result request_on_access(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct live_request *request = *state;

	(void)server, (void)method, (void)version;
	if (request == NULL) {
		*state = request = begin(mhd, url);
		if (request != NULL && wants_parts(request)) {
			request->comes_in_parts = true;
			handle_before_body(request);
		}
		return request != NULL ? MHD_YES : MHD_NO;
	}
	if (request->comes_in_parts && *upload_size > 0) {
		offer_part(request, upload, upload_size);
		return MHD_YES;
	}
	if (request->comes_in_parts) {
		return end_parts(request);
	}
	if (*upload_size > 0) {
		buffer_add(&request->body, upload, *upload_size);
		*upload_size = 0;
		return request->body.overflow ? MHD_NO : MHD_YES; // never: the gate counts, too
	}
	return request->connection != NULL && !request->is_answered ? handle(request) : MHD_NO;
}

void request_on_completed(void *server, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code)
{
	struct live_request *request = *state;

	(void)server, (void)mhd;
	if (request == NULL) {
		return;
	}
	*state = NULL;
	request->mhd = NULL;
	request->is_suspended = false;
	if (request->connection != NULL) {
		request->connection->back_is_done = true;
		if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
			request->connection->closes_after = true;
		}
		server_wake(request->public.server, request->connection);
	}
	stop_taking(request);
	if (request->stream != NULL && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
		stream_complete(request->stream);
	} else if (request->stream != NULL) {
		stream_stop(request->stream);
	}
	request_let_go(request, HELD_BY_MHD);
}

void http_body_take(struct http_request *request, struct http_body_taker *taker)
{
	struct live_request *mine = live(request);

	assert(mine->comes_in_parts && mine->in_callback && mine->taker == NULL && !mine->is_answered);
	mine->taker = taker;
}

void http_body_go_on(struct http_request *request)
{
	struct live_request *mine = live(request);

	if (mine->comes_in_parts && !mine->body_is_whole && !mine->in_callback) {
		request_resume(mine);
	}
}
