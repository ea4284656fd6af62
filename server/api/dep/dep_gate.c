// SPDX-License-Identifier: Apache-2.0
//
// What every request to a virtual DEP server passes, in Apple's order.
#include "api/body.h"
#include "api/dep/dep.h"
#include "api/dep/dep_session.h"
#include "api/rate_limit.h"
#include "apple/apple_names.h"
#include "store/secrets.h"

#include <stdio.h>
#include <string.h>

enum { VERSION_USUAL = 1, VERSION_MAX = 999999 };

// --- answers ---

void dep_answer_word(struct call *call, unsigned status, const char *word)
{
	http_answer(call->request, status, "text/plain;charset=UTF-8", text_of(word));
}

void dep_answer_json(struct call *call, struct buffer *body)
{
	if (body->overflow) {
		buffer_fini(body);
		dep_answer_word(call, 500, "INTERNAL_SERVER_ERROR");
		return;
	}
	http_answer_buffer(call->request, 200, APPLE_MEDIA_TYPE, body);
}

static void refuse(struct call *call, enum api_problem which, const char *detail)
{
	const unsigned status = api_problem(which).status;

	(void)detail;
	if (status == 429 || status == 503) {
		http_answer_header(call->request, "Retry-After", "10");
	}
	dep_answer_word(call, status < 500 && status != 429 ? 400 : status == 502 || status == 504 ? 503 : status,
		status == 429 ? "TOO_MANY_REQUESTS" : status == 500 ? "INTERNAL_SERVER_ERROR" : "SERVICE_UNAVAILABLE");
}

// --- which endpoint ---

static void handle(struct http_request *request);

#define ENDPOINT(endpoint_method, endpoint_path, step_function, body, since_version)                                            \
	{ .base = { .least = ROLE_ANYBODY, .step = (step_function), .refuse = refuse }, .method = (endpoint_method),                 \
		.path = (endpoint_path), .has_body = (body), .since = (since_version) }

const struct dep_endpoint dep_endpoints[] = {
	ENDPOINT("GET", "/session", dep_sign_on, false, 1),
	ENDPOINT("GET", "/account", dep_account, false, 1),
	ENDPOINT("POST", "/server/devices", dep_fetch, true, 1),
	ENDPOINT("POST", "/devices/sync", dep_sync, true, 1),
	ENDPOINT("POST", "/devices", dep_details, true, 1),
	ENDPOINT("POST", "/devices/disown", dep_disown, true, 1),
	ENDPOINT("POST", "/profile", dep_define, true, 1),
	ENDPOINT("GET", "/profile", dep_profile, false, 1),
	ENDPOINT("POST", "/profile/devices", dep_assign, true, 1),
	ENDPOINT("PUT", "/profile/devices", dep_assign, true, 1),
	ENDPOINT("DELETE", "/profile/devices", dep_remove, true, 1),
	ENDPOINT("POST", "/device/activationlock", dep_lock, true, 1),
	ENDPOINT("GET", "/device/replacementDetails", dep_replacement, false, 10),
	ENDPOINT("GET", "/os-beta-enrollment/tokens", dep_beta_tokens, false, 1),
	ENDPOINT("POST", "/account-driven-enrollment/profile", dep_discovery, true, 1),
	ENDPOINT("GET", "/account-driven-enrollment/profile", dep_discovery, false, 1),
	ENDPOINT("DELETE", "/account-driven-enrollment/profile", dep_discovery, false, 1),
};
const size_t dep_endpoint_count = sizeof dep_endpoints / sizeof *dep_endpoints;

#define EVERYTHING(route_method) { .method = (route_method), .pattern = "/*", .handle = handle }

const struct http_route dep_routes[] = { EVERYTHING("GET"), EVERYTHING("POST"), EVERYTHING("PUT"), EVERYTHING("DELETE") };
const size_t dep_route_count = sizeof dep_routes / sizeof *dep_routes;

// A HEAD request is one of GET without the answer's body.
static struct text method_of(const struct http_request *request)
{
	return text_equal(request->method, TEXT("HEAD")) ? TEXT("GET") : request->method;
}

static const struct dep_endpoint *find_endpoint(struct http_request *request)
{
	bool is_known_path = false;

	for (size_t i = 0; i < dep_endpoint_count; i++) {
		if (text_equal_string(request->path, dep_endpoints[i].path)) {
			is_known_path = true;
			if (text_equal_string(method_of(request), dep_endpoints[i].method)) {
				return &dep_endpoints[i];
			}
		}
	}
	http_answer(request, is_known_path ? 405 : 404, "text/plain;charset=UTF-8",
		is_known_path ? TEXT("METHOD_NOT_ALLOWED") : TEXT("NOT_FOUND"));
	return NULL;
}

// --- who speaks ---

// Stock names of libraries, which is what Apple refuses as far as anybody has seen.
static bool check_user_agent(struct call *call)
{
	static const char *const blocked[] = {
		"curl/", "libcurl", "Go-http-client", "python-requests", "Python-urllib", "Java/", "okhttp", "Wget/", "axios/",
	};
	const struct text agent = http_request_header(call->request, "User-Agent");

	if (agent.length == 0) {
		dep_answer_word(call, 400, "USER_AGENT_MISSING");
		return false;
	}
	for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++) {
		if (text_starts_with(agent, text_of(blocked[i]))) {
			dep_answer_word(call, 400, "USER_AGENT_INVALID");
			return false;
		}
	}
	return true;
}

static bool read_version(struct call *call)
{
	const struct text value = http_request_header(call->request, APPLE_VERSION_HEADER);
	int version = 0;

	if (value.bytes == NULL) {
		dep_of(call)->version = VERSION_USUAL;
		return true;
	}
	for (size_t i = 0; i < value.length && version <= VERSION_MAX; i++) {
		version = value.bytes[i] >= '0' && value.bytes[i] <= '9' ? version * 10 + (value.bytes[i] - '0') : VERSION_MAX + 1;
	}
	if (version < 1 || version > VERSION_MAX) {
		dep_answer_word(call, 400, "INVALID_PROTOCOL_VERSION");
		return false;
	}
	dep_of(call)->version = version;
	return true;
}

static bool is_sign_on(const struct dep_call *dep)
{
	return dep->endpoint->base.step == dep_sign_on;
}

static void refuse_session(struct call *call)
{
	dep_answer_word(call, 401, "UNAUTHORIZED");
}

static bool session_take(struct call *call)
{
	struct dep_call *dep = dep_of(call);

	dep->session = http_request_header(call->request, APPLE_SESSION_HEADER);
	if (!dep_session_place(&dep->place, dep->session)) {
		refuse_session(call);
		return false;
	}
	return true;
}

// --- the admission's rows ---

enum { TENANT, SERVER, DATA_KEY, SECRET }; // the statements

static enum err open_secret(struct call *call, struct fault *fault)
{
	struct dep_call *dep = dep_of(call);
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	const int64_t tenant_id = dep->place.tenant_id;

	TRY(store_data_key_read(&call->admission, DATA_KEY, call->service->keys, tenant_id, &data_key, fault));
	TRY(store_secret_open(&call->admission, SECRET, 0, tenant_id, SECRET_DEP_TOKEN, call->service->keys, &data_key, &plain, fault));
	TRY(dep_secret_read(&dep->secret, buffer_text(&plain), fault));
	dep->has_secret = true;
	return OK;
}

static bool is_served(const struct tenant_row *tenant)
{
	return text_equal(tenant->state, TEXT("active")) || text_equal(tenant->state, TEXT("paused")) ||
		text_equal(tenant->state, TEXT("quarantined"));
}

// False: there is no such server, or its token is revoked; or something failed, and that has been answered.
static bool find_server(struct call *call, bool *answered)
{
	struct dep_call *dep = dep_of(call);
	struct fault fault = { 0 };

	if (pg_row_count(&call->admission, TENANT) == 0 || pg_row_count(&call->admission, SERVER) == 0 ||
		pg_row_count(&call->admission, SECRET) == 0) {
		return false;
	}
	store_tenant_read(&call->admission, TENANT, 0, &call->tenant);
	store_dep_server_read(&call->admission, SERVER, 0, &dep->server);
	if (!is_served(&call->tenant) || dep->server.revoked_at_us != INSTANT_NONE) {
		return false;
	}
	const enum err rc = open_secret(call, &fault);

	if (rc != OK) {
		*answered = true;
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static bool session_is_good(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	struct buffer next CLEANUP(buffer_fini) = BUFFER(DEP_SESSION_SIZE);
	const int64_t now_us = clock_wall_us();
	const enum dep_session_state state = dep_session_check(dep->session, &dep->secret, now_us);

	if (state == DEP_SESSION_REFUSED || dep->server.expires_at_us <= now_us) {
		return false;
	}
	if (state == DEP_SESSION_AGEING) {
		dep_session_write(&next, dep->place, &dep->secret, now_us);
		http_answer_header(call->request, APPLE_SESSION_HEADER, next.bytes);
	}
	return true;
}

static void on_admission(struct op *op)
{
	struct pg_transaction *admission = CONTAINER_OF(op, struct pg_transaction, op);
	struct call *call = CONTAINER_OF(admission, struct call, admission);
	bool answered = false;

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
		return;
	}
	const bool found = find_server(call, &answered);

	if (answered) {
		return;
	}
	if (is_sign_on(dep_of(call))) {
		if (!found) {
			call->tenant = (struct tenant_row){ 0 };
			dep_answer_word(call, 401, "token_rejected");
			return;
		}
	} else if (!found || !session_is_good(call)) {
		call->tenant = (struct tenant_row){ 0 }; // nobody's name is in the log
		refuse_session(call);
		return;
	}
	http_admit(call->request);
}

static void finish(struct call *call)
{
	struct dep_call *dep = dep_of(call);

	if (dep->release != NULL) {
		dep->release(dep);
	}
	if (dep->has_secret) {
		dep_secret_fini(&dep->secret);
	}
}

static bool is_within_rates(struct call *call)
{
	const struct text address = call->request->client_address;

	if (rate_limit_take(call->service->dep_rates, address.bytes, address.length, clock_monotonic_ms())) {
		return true;
	}
	call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
	return false;
}

void dep_admit(struct http_request *request)
{
	const struct dep_endpoint *endpoint = find_endpoint(request);

	if (endpoint == NULL) {
		return;
	}
	struct call *call = call_begin(request, &endpoint->base);
	struct dep_call *dep = call_own(call, sizeof *dep);

	dep->call = call;
	dep->endpoint = endpoint;
	call_on_finish(call, finish);
	if (!is_within_rates(call) || !check_user_agent(call) || !read_version(call) ||
		!(is_sign_on(dep) ? dep_claim_take : session_take)(call)) {
		return;
	}
	pg_transaction_init(&call->admission, store_api(dep->place.tenant_id), on_admission);
	call->has_admission = true;
	(void)store_tenant_by_id(&call->admission, dep->place.tenant_id);
	(void)store_dep_server_select(&call->admission, dep->place.tenant_id, dep->place.instance_id);
	(void)store_data_key_current(&call->admission, dep->place.tenant_id);
	(void)store_secret_select(&call->admission, dep->place.tenant_id, SECRET_DEP_TOKEN, dep->place.instance_id);
	pg_start(&call->admission, call->service->pool, STORE_TIMEOUT_MS);
}

// --- the body ---

static bool check_content_type(struct call *call)
{
	const struct dep_call *dep = dep_of(call);

	if ((!dep->endpoint->has_body && !is_sign_on(dep)) ||
		text_equal_string(http_request_header(call->request, "Content-Type"), APPLE_MEDIA_TYPE)) {
		return true;
	}
	dep_answer_word(call, 415, "UNSUPPORTED_MEDIA_TYPE");
	return false;
}

static bool read_body(struct call *call)
{
	const struct text body = call->request->body;

	if (!dep_of(call)->endpoint->has_body) {
		return true;
	}
	call->body = body.length > 0 && body_is_modest(body) ? json_loadb(body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!json_is_object(call->body)) {
		dep_answer_word(call, 400, "MALFORMED_REQUEST_BODY");
		return false;
	}
	return true;
}

static void handle(struct http_request *request)
{
	struct call *call = request->state;
	const struct dep_call *dep = dep_of(call);

	if (!check_content_type(call)) {
		return;
	}
	if (dep->endpoint->since > dep->version) {
		dep_answer_word(call, 404, "NOT_FOUND");
		return;
	}
	if (read_body(call)) {
		call->endpoint->step(call);
	}
}
