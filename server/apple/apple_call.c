// SPDX-License-Identifier: Apache-2.0
//
// apple_call.c - one call: a session when there is none, the request, and what a refusal asks for, each of it once.
//
//   go -> [SIGNING_IN | WAITING] -> ASKING -> done
//          a refused session leads back once; a refused nonce, and a POST that is not allowed, repeat their request once
#include "apple/apple_answer.h"
#include "apple/apple_gate.h"
#include "apple/apple_endpoint.h"
#include "apple/apple_names.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS     60000
#define CONTENT_TYPE "Content-Type: " APPLE_MEDIA_TYPE
#define ACCEPT       "Accept: " APPLE_MEDIA_TYPE

enum step { // what follows an answer
	STEP_FINISH,  // with op.rc
	STEP_TAKE,    // nothing, either: what was refused is the answer
	STEP_ASK,     // the request, once more; with a new session when there is none
	STEP_SIGN_IN, // GET /session, once more, with a fresh nonce
};

static const struct apple_endpoint session_endpoint = { "GET", NULL, "/session", APPLE_AT_SESSION };

static void on_answer(struct op *op);

// Ends

static void finish(struct apple_call *call, enum err rc)
{
	call->state = APPLE_IDLE;
	buffer_fini_wiped(&call->credentials);
	buffer_fini(&call->body);
	op_done(&call->op, rc);
}

static void on_early(struct deferred *deferred)
{
	struct apple_call *call = CONTAINER_OF(deferred, struct apple_call, early);

	finish(call, call->op.rc);
}

static void finish_later(struct apple_call *call, enum err rc)
{
	call->op.rc = rc;
	call->state = APPLE_ENDING;
	call->early.run = on_early;
	loop_defer(call->session->server->loop, &call->early);
}

// Requests

static void write_url(struct buffer *url, const struct apple_call *call, const char *path)
{
	struct text base = text_of(call->session->server->base_url);

	if (base.length > 0 && base.bytes[base.length - 1] == '/') {
		base.length--;
	}
	buffer_clear(url);
	buffer_add_text(url, base);
	buffer_add_string(url, path);
}

// With room for all of them: growing would leave copies of the secret behind.
static void clear_credentials(struct apple_call *call, size_t length)
{
	const size_t capacity = (length < APPLE_CREDENTIALS_MAX ? length : APPLE_CREDENTIALS_MAX) + 1;

	buffer_wipe(&call->credentials);
	if (call->credentials.capacity < capacity) {
		buffer_fini_wiped(&call->credentials);
		call->credentials.capacity = capacity;
		call->credentials.bytes = allocate(capacity);
	}
}

static size_t answer_limit(const struct apple_server *server)
{
	return server->answer_limit > 0 && server->answer_limit < APPLE_ANSWER_MAX ? server->answer_limit : APPLE_ANSWER_MAX;
}

static void send_request(struct apple_call *call, const char *method, const char *url, struct text body)
{
	struct http_call *http = &call->http;
	size_t count = 0;

	http_call_init(http, on_answer);
	http->lane_key = call->session->server->lane_key;
	http->method = method;
	http->url = url;
	http->body = body;
	http->timeout_ms = call->timeout_ms;
	http->answer_limit = answer_limit(call->session->server);
	http->once = call->once;
	if (call->passed != NULL && call->state == APPLE_ASKING) {
		http->passing = call->passed->passing;
		http->body_length = call->passed->body_length;
	}
	http->headers[count++] = call->credentials.bytes;
	http->headers[count++] = call->version_header;
	count += apple_pass_headers(call, &http->headers[count]);
	if (call->passed == NULL || call->state == APPLE_SIGNING_IN) {
		http->headers[count++] = ACCEPT;
	}
	if (call->state == APPLE_SIGNING_IN || (call->passed == NULL && body.length > 0)) {
		http->headers[count++] = CONTENT_TYPE;
	}
	assert(count < HTTP_CALL_HEADERS_MAX);
	http_call_start(http, call->session->server->client);
}

static void ask(struct apple_call *call)
{
	if (!apple_gate_admits(call)) {
		finish_later(call, ERR_HELD_BACK);
		return;
	}
	clear_credentials(call, sizeof APPLE_SESSION_HEADER ": " + strlen(call->session->token));
	buffer_add_string(&call->credentials, APPLE_SESSION_HEADER ": ");
	buffer_add_string(&call->credentials, call->session->token);
	call->sent_generation = call->session->generation;
	call->state = APPLE_ASKING;
	send_request(call, call->method, call->url.bytes, call->passed != NULL ? call->passed->body : buffer_text(&call->body));
}

static void end_signing_in(struct apple_call *call, enum err rc);

static void sign_in(struct apple_call *call)
{
	struct apple_session *session = call->session;

	assert(session->signing_in == NULL || session->signing_in == call);
	session->signing_in = call;
	if (!apple_gate_admits(call)) {
		end_signing_in(call, ERR_HELD_BACK);
		finish_later(call, ERR_HELD_BACK);
		return;
	}
	write_url(&call->session_url, call, session_endpoint.path);
	clear_credentials(call, APPLE_CREDENTIALS_MAX);
	const enum err rc = apple_session_authorize(call);

	if (rc != OK) {
		end_signing_in(call, rc);
		finish_later(call, rc);
		return;
	}
	call->state = APPLE_SIGNING_IN;
	send_request(call, session_endpoint.method, call->session_url.bytes, TEXT_NONE);
}

static void get_session(struct apple_call *call)
{
	if (call->session->signing_in != NULL) {
		call->state = APPLE_WAITING;
		list_add_last(&call->session->waiting, &call->link);
	} else {
		sign_in(call);
	}
}

static void proceed(struct apple_call *call)
{
	if (call->session->token[0] == '\0' && call->keeps_session) {
		finish_later(call, fault_set(&call->op.fault, ERR_SESSION, "there is no session"));
	} else if (call->session->token[0] == '\0') {
		get_session(call);
	} else {
		ask(call);
	}
}

// The calls that waited for this one's session go on with it, or share its failure. When it was only cancelled, the first
// of them takes over.
static void end_signing_in(struct apple_call *call, enum err rc)
{
	struct apple_session *session = call->session;

	session->signing_in = NULL;
	while (session->signing_in == NULL && !list_is_empty(&session->waiting)) {
		struct apple_call *other = LIST_FIRST(&session->waiting, struct apple_call, link);

		list_remove(&other->link);
		if (rc == ERR_CANCELLED) {
			sign_in(other);
		} else if (rc == OK && other->endpoint != &session_endpoint) {
			ask(other);
		} else {
			other->op.fault = call->op.fault;
			other->status = call->status;
			other->retry_after_s = call->retry_after_s;
			other->clock_difference_s = call->clock_difference_s;
			(void)snprintf(other->apple_error, sizeof other->apple_error, "%s", call->apple_error);
			finish_later(other, rc);
		}
	}
}

// Answers

static enum err explain(struct apple_call *call, const char *method, const char *path, enum err rc)
{
	const char *word = call->apple_error[0] != '\0' ? call->apple_error : "no reason";

	return fault_set(&call->op.fault, rc, "Apple answered %s %s with status %u and %s", method, path, call->status, word);
}

static enum err explain_failure(struct apple_call *call, const char *method, const char *path, enum err rc)
{
	call->op.fault = call->http.op.fault;
	return fault_wrap(&call->op.fault, rc, "%s %s", method, path);
}

static enum step judge_session(struct apple_call *call, enum err rc)
{
	const char *method = session_endpoint.method;
	const char *path = session_endpoint.path;

	if (rc != OK) {
		call->op.rc = explain_failure(call, method, path, rc);
	} else if (call->status == 200) {
		call->op.rc = apple_session_read(call);
	} else {
		rc = apple_error_classify(APPLE_AT_SESSION, call->status, buffer_text(&call->http.answer));
		call->op.rc = explain(call, method, path, rc);
	}
	if (call->op.rc == ERR_TOKEN_DEAD && call->status == 401 && !call->nonce_renewed) {
		call->nonce_renewed = true;
		return STEP_SIGN_IN;
	}
	return call->op.rc == OK && call->endpoint != &session_endpoint ? STEP_ASK : STEP_FINISH;
}

// Only the answer to the present session may replace it: a late one to an older session names an older one.
static void take_rotation(struct apple_call *call)
{
	struct apple_session *session = call->session;
	const struct text token = text_trim(http_call_header(&call->http, APPLE_SESSION_HEADER));

	if (call->sent_generation == session->generation && session->token[0] != '\0' && apple_session_is_usable(token) &&
		!text_equal_string(token, session->token)) {
		apple_session_adopt(session, token);
	}
}

static enum step judge_refusal(struct apple_call *call)
{
	const struct apple_endpoint *endpoint = call->endpoint;
	struct apple_session *session = call->session;
	const bool is_present_session = call->sent_generation == session->generation;
	const enum err rc = apple_error_classify(endpoint->place, call->status, buffer_text(&call->http.answer));

	call->op.rc = explain(call, call->method, endpoint->path, rc);
	if (rc == ERR_SESSION && !call->renewed) {
		call->renewed = true;
		if (is_present_session) { // otherwise somebody has renewed it meanwhile
			apple_session_forget(session);
		}
		return call->passed != NULL && call->passed->is_spent ? STEP_TAKE : call->keeps_session ? STEP_FINISH : STEP_ASK;
	}
	take_rotation(call);
	if (call->status == 405 && endpoint->other_method != NULL && call->method != endpoint->other_method) {
		call->method = endpoint->other_method;
		return STEP_ASK;
	}
	return STEP_FINISH;
}

static enum step judge_request(struct apple_call *call, enum err rc)
{
	if (rc != OK) {
		call->op.rc = explain_failure(call, call->method, call->endpoint->path, rc);
		return STEP_FINISH;
	}
	if (call->status != 200 && (call->passed == NULL || apple_pass_needs_session(call))) {
		const enum step step = judge_refusal(call);

		if (step != STEP_TAKE) {
			return step;
		}
	} else {
		take_rotation(call);
	}
	call->op.rc = call->read(call);
	return STEP_FINISH;
}

static void on_answer(struct op *op)
{
	struct apple_call *call = CONTAINER_OF(op, struct apple_call, http.op);
	const enum err rc = call->cancelled ? ERR_CANCELLED : op->rc;
	const bool was_signing_in = call->state == APPLE_SIGNING_IN;
	enum step step;

	apple_answer_observe(call);
	apple_gate_observe(call, rc);
	step = was_signing_in ? judge_session(call, rc) : judge_request(call, rc);
	if (step == STEP_FINISH && call->refusal != NULL && rc == OK && call->status != 200) {
		buffer_add_text(call->refusal, buffer_text(&call->http.answer));
	}
	http_call_fini(&call->http);
	if (was_signing_in && step != STEP_SIGN_IN) {
		end_signing_in(call, call->op.rc);
	}
	switch (step) {
	case STEP_TAKE:
	case STEP_FINISH: finish(call, call->op.rc); break;
	case STEP_ASK: proceed(call); break;
	case STEP_SIGN_IN: sign_in(call); break;
	}
}

// The calls of this room

void apple_call_prepare(struct apple_call *call, struct apple_session *session, const struct apple_endpoint *endpoint,
	enum err (*read)(struct apple_call *call), void *output)
{
	const int version = session->server->protocol_version;

	assert(call->state == APPLE_IDLE);
	call->session = session;
	call->endpoint = endpoint;
	call->method = endpoint->method;
	call->read = read;
	call->output = output;
	call->op.rc = OK;
	call->op.fault.text[0] = '\0';
	call->status = 0;
	call->apple_error[0] = '\0';
	call->retry_after_s = -1;
	call->clock_difference_s = 0;
	call->took_ms = 0;
	call->renewed = false;
	call->nonce_renewed = false;
	call->cancelled = false;
	call->once = false;
	call->passed = NULL;
	call->asked_uuid = TEXT_NONE;
	call->asked_serials = NULL;
	call->asked_count = 0;
	buffer_clear(&call->body);
	write_url(&call->url, call, endpoint->path);
	(void)snprintf(call->version_header, sizeof call->version_header, APPLE_VERSION_HEADER ": %d",
		version != 0 ? version : (int)APPLE_PROTOCOL_VERSION);
}

void apple_call_go(struct apple_call *call, enum err rc)
{
	if (rc == OK && (call->url.overflow || call->body.overflow)) {
		rc = fault_set(&call->op.fault, ERR_BAD_INPUT, "the request would be too large");
	}
	if (rc != OK) {
		finish_later(call, rc);
	} else {
		proceed(call);
	}
}

void apple_sign_in(struct apple_call *call, struct apple_session *session)
{
	apple_call_prepare(call, session, &session_endpoint, NULL, NULL);
	get_session(call);
}

void apple_call_init(struct apple_call *call, void (*done)(struct op *op))
{
	*call = (struct apple_call){
		.url = BUFFER(APPLE_URL_MAX),
		.session_url = BUFFER(APPLE_URL_MAX),
		.body = BUFFER(APPLE_BODY_MAX),
		.credentials = BUFFER(APPLE_CREDENTIALS_MAX),
		.retry_after_s = -1,
		.timeout_ms = TIMEOUT_MS,
	};
	op_init(&call->op, done);
}

void apple_call_fini(struct apple_call *call)
{
	assert(call->state == APPLE_IDLE);
	buffer_fini(&call->url);
	buffer_fini(&call->session_url);
	buffer_fini(&call->body);
	buffer_fini_wiped(&call->credentials);
}

void apple_call_go_on(struct apple_call *call)
{
	if (call->state == APPLE_ASKING) {
		http_call_go_on(&call->http);
	}
}

void apple_call_cancel(struct apple_call *call)
{
	call->cancelled = true;
	switch (call->state) {
	case APPLE_IDLE:
		break;
	case APPLE_ENDING:
		call->op.rc = ERR_CANCELLED;
		break;
	case APPLE_WAITING:
		list_remove(&call->link);
		finish_later(call, ERR_CANCELLED);
		break;
	case APPLE_SIGNING_IN:
	case APPLE_ASKING:
		http_call_cancel(&call->http);
		break;
	}
}

bool apple_call_is_running(const struct apple_call *call)
{
	return call->state != APPLE_IDLE;
}
