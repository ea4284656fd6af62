// SPDX-License-Identifier: Apache-2.0
#include "api/call.h"

#include "api/call_work.h"
#include "api/change.h"
#include "api/recent.h"
#include "depbroker/log.h"
#include "loop/hint.h"
#include "store/audit.h"
#include "store/secrets.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES_MAX = 4 };

// --- answers ---

static void answer_problem(struct call *call, enum api_problem which, struct text extra, const char *detail)
{
	struct problem problem = api_problem(which);
	struct call_refusal *kept = call_refusal_kept(call);

	if (kept != NULL) {
		assert(extra.length == 0);
		kept->which = which;
		(void)snprintf(kept->detail, sizeof kept->detail, "%s", detail);
		return;
	}
	if (call->endpoint->refuse != NULL) {
		call->endpoint->refuse(call, which, detail);
		return;
	}
	problem.detail = detail[0] != '\0' ? detail : NULL;
	problem.extra = extra;
	if (problem.status == 401) {
		http_answer_header(call->request, "WWW-Authenticate", "Bearer realm=\"depbroker\"");
	}
	if (problem.status == 503) {
		http_answer_header(call->request, "Retry-After", "5");
	}
	http_answer_problem(call->request, &problem);
}

void call_problem(struct call *call, enum api_problem which, const char *format, ...)
{
	char detail[CALL_DETAIL_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	answer_problem(call, which, TEXT_NONE, detail);
}

void call_problem_with(struct call *call, enum api_problem which, struct text extra, const char *format, ...)
{
	char detail[CALL_DETAIL_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	answer_problem(call, which, extra, detail);
}

void call_problem_of(struct call *call, enum err rc, const struct fault *fault)
{
	switch (err_class(rc)) {
	case ERR_CLASS_RETRY:
	case ERR_CLASS_DROP:
		log_event(LOG_WARNING, "api.failed", LOG_STRING("request_id", call->request->id), LOG_STRING("error", err_name(rc)),
			LOG_STRING("reason", fault->text));
		call_problem(call, rc == ERR_UNKNOWN ? PROBLEM_OUTCOME_UNKNOWN : PROBLEM_DATABASE_UNAVAILABLE, "%s", err_text(rc));
		return;
	case ERR_CLASS_NONE:
	case ERR_CLASS_TENANT:
	case ERR_CLASS_CALLER:
	case ERR_CLASS_PAGE:
		log_event(LOG_ERROR, "api.failed", LOG_STRING("request_id", call->request->id), LOG_STRING("error", err_name(rc)),
			LOG_STRING("reason", fault->text));
		call_problem(call, PROBLEM_INTERNAL, "%s", err_text(rc));
		return;
	}
}

void call_hint_workers(const struct service *service, int64_t tenant_id)
{
	for (int64_t i = 0; i < service->config->hint_sockets; i++) {
		hint_say(HINT_SOCKET_FIRST + (int)i, tenant_id);
	}
}

// Whatever a request has changed, the tenant's worker had better look: it finds out by itself whether there is anything to do.
static void hint_after(const struct call *call, unsigned status)
{
	if (status < 300 && call->tenant.tenant_id != 0 && !text_equal(call->request->method, TEXT("GET"))) {
		call_hint_workers(call->service, call->tenant.tenant_id);
		recent_forget(call->service->recent, call->tenant.tenant_id);
	}
}

void call_answer_as(struct call *call, unsigned status, const char *content_type, struct buffer *body)
{
	if (body->overflow) {
		buffer_fini(body);
		call_problem(call, PROBLEM_ANSWER_TOO_LARGE, "it has more than %d bytes", CALL_ANSWER_MAX);
		return;
	}
	if (call->endpoint->answer != NULL) {
		buffer_fini(body);
		call->endpoint->answer(call);
		return;
	}
	hint_after(call, status);
	http_answer_buffer(call->request, status, content_type, body);
}

void call_answer(struct call *call, unsigned status, struct buffer *body)
{
	call_answer_as(call, status, "application/json", body);
}

void call_answer_empty(struct call *call, unsigned status)
{
	if (call->endpoint->answer != NULL) {
		call->endpoint->answer(call);
		return;
	}
	hint_after(call, status);
	http_answer_empty(call->request, status);
}

// --- transactions ---

static void on_transaction(struct op *op)
{
	struct pg_transaction *transaction = CONTAINER_OF(op, struct pg_transaction, op);
	struct call *call = CONTAINER_OF(transaction, struct call, transaction);

	call->endpoint->step(call);
}

static void end_transaction(struct call *call)
{
	if (call->has_transaction) {
		pg_transaction_fini(&call->transaction);
		call->has_transaction = false;
	}
}

struct pg_transaction *call_transaction(struct call *call, struct pg_scope scope)
{
	end_transaction(call);
	pg_transaction_init(&call->transaction, scope, on_transaction);
	call->has_transaction = true;
	return &call->transaction;
}

void call_start(struct call *call)
{
	pg_start(&call->transaction, call->service->pool, STORE_TIMEOUT_MS);
}

bool call_failed(struct call *call)
{
	if (call->transaction.op.rc == OK) {
		return false;
	}
	if (store_key_was_replaced(&call->transaction)) {
		call_problem(call, PROBLEM_DATABASE_UNAVAILABLE, "the tenant's keys were replaced at this moment");
		return true;
	}
	call_problem_of(call, call->transaction.op.rc, &call->transaction.op.fault);
	return true;
}

// --- once more ---

static void on_read_again(struct op *op)
{
	struct pg_transaction *again = CONTAINER_OF(op, struct pg_transaction, op);
	struct call *call = CONTAINER_OF(again, struct call, again);

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
		return;
	}
	if (pg_row_count(again, 0) == 1) { // a tenant of its own, or a number that none has
		store_tenant_read(again, 0, 0, &call->tenant);
		store_tenant_status_read(again, 0, 0, &call->tenant_status);
	}
	call->endpoint->step(call);
}

static void end_again(struct call *call)
{
	if (call->has_again) {
		pg_transaction_fini(&call->again);
		call->has_again = false;
	}
}

bool call_again(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;

	if (++call->tries == TRIES_MAX) {
		return false;
	}
	if (call->finish != NULL) {
		call->finish(call);
	}
	json_decref(call->body);
	end_transaction(call);
	end_again(call);
	call->finish = NULL;
	call->body = NULL;
	call->own = NULL;
	call->state = 0;
	pg_transaction_init(&call->again, store_directory(), on_read_again);
	call->has_again = true;
	(void)store_tenant_by_id(&call->again, tenant_id);
	pg_start(&call->again, call->service->pool, STORE_TIMEOUT_MS);
	return true;
}

// --- small helpers of endpoints ---

void *call_own(struct call *call, size_t size)
{
	call->own = arena_take(&call->request->arena, size);
	assert(call->own != NULL); // the first things in an arena of 2 MiB
	return call->own;
}

void call_on_finish(struct call *call, void (*finish)(struct call *call))
{
	call->finish = finish;
}

const int64_t *call_tenants(const struct call *call, size_t *count)
{
	*count = call->key.all_tenants ? 0 : call->key.tenant_count;
	return call->key.all_tenants ? NULL : call->key.tenant_ids;
}

bool call_may_see(const struct call *call, int64_t tenant_id)
{
	for (size_t i = 0; i < call->key.tenant_count && !call->key.all_tenants; i++) {
		if (call->key.tenant_ids[i] == tenant_id) {
			return true;
		}
	}
	return call->key.all_tenants;
}

bool call_parameter_id(const struct call *call, size_t parameter, int64_t *out)
{
	const struct text id = call->request->parameters[parameter];

	*out = 0;
	for (size_t i = 0; i < id.length && id.length <= 18; i++) {
		if (id.bytes[i] < '0' || id.bytes[i] > '9') {
			return false;
		}
		*out = *out * 10 + (id.bytes[i] - '0');
	}
	return *out > 0;
}

bool call_serial(struct call *call, struct text given, struct text *out)
{
	char *copy = arena_copy(&call->request->arena, given);

	if (copy == NULL || given.length == 0 || given.length > CALL_SERIAL_MAX || !text_is_utf8(given)) {
		return false;
	}
	for (size_t i = 0; i < given.length; i++) {
		copy[i] = (char)(copy[i] >= 'a' && copy[i] <= 'z' ? copy[i] - 'a' + 'A' : copy[i]);
	}
	*out = (struct text){ copy, given.length };
	return true;
}

bool call_flag(struct call *call, const char *name, bool *out)
{
	const struct text value = http_request_query(call->request, name);

	*out = text_equal(value, TEXT("true"));
	if (*out || value.bytes == NULL || text_equal(value, TEXT("false"))) {
		return true;
	}
	call_problem(call, PROBLEM_BAD_PARAMETER, "%s is true or false", name);
	return false;
}

struct text call_actor(struct call *call)
{
	if (!call->endpoint->of_link) {
		return call->key.key_id;
	}
	return text_of(arena_format(&call->request->arena, "link:%" PRId64, call->link.link_id));
}

void call_audit(struct call *call, struct pg_transaction *transaction, const char *action, struct text target, struct text detail)
{
	(void)store_audit(transaction, call_actor(call), text_of(action), target, detail.length > 0 ? detail : TEXT("{}"));
}

bool call_if_match(struct call *call, int64_t *version)
{
	const struct text value = http_request_header(call->request, "If-Match");

	*version = call->granted != NULL ? call->granted->approval.base_version : -1;
	if (call->granted != NULL || value.bytes == NULL || text_equal(value, TEXT("*"))) {
		return true;
	}
	bool good = value.length >= 3 && value.length <= 20 && value.bytes[0] == '"' && value.bytes[value.length - 1] == '"';

	*version = 0;
	for (size_t i = 1; good && i + 1 < value.length; i++) {
		good = value.bytes[i] >= '0' && value.bytes[i] <= '9';
		*version = *version * 10 + (value.bytes[i] - '0');
	}
	if (!good) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "If-Match is not an ETag of it");
	}
	return good;
}

// --- from admission to the end ---

struct call *call_begin(struct http_request *request, const struct endpoint *endpoint)
{
	struct call *call = allocate(sizeof *call);

	assert(endpoint != NULL);
	call->service = request->context;
	call->request = request;
	call->endpoint = endpoint;
	request->state = call;
	call->service->calls++;
	return call;
}

void call_handle(struct http_request *request)
{
	struct call *call = request->state;

	call->endpoint->step(call);
}

void call_finished(struct http_request *request, unsigned status, int64_t took_us)
{
	struct service *service = request->context;
	struct call *call = request->state;

	if (call == NULL) { // refused before anybody was asked
		return;
	}
	log_event(status >= 500 ? LOG_WARNING : text_equal(request->method, TEXT("GET")) ? LOG_DEBUG : LOG_INFO, "api.request",
		LOG_STRING("request_id", request->id), LOG_TEXT("method", request->method),
		LOG_STRING("route", request->route->pattern), LOG_INT("status", status), LOG_INT("took_us", took_us),
		LOG_TEXT("key", call->key.key_id), LOG_TEXT("tenant", call->tenant.slug));
	if (call->finish != NULL) {
		call->finish(call);
	}
	end_transaction(call);
	end_again(call);
	if (call->has_admission) {
		pg_transaction_fini(&call->admission);
	}
	recent_leave(call->recent);
	if (call->granted != NULL) {
		pg_transaction_fini(&call->granted->reading);
	}
	json_decref(call->body);
	api_key_fini(&call->presented);
	free(call);
	if (--service->calls == 0 && service->idle != NULL) {
		service->idle(service);
	}
}
