// SPDX-License-Identifier: Apache-2.0
#include "applesim/apple.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEDIA_TYPE "application/json;charset=UTF8" // so spelled, without a hyphen

static const struct endpoint endpoints[] = {
	{ "GET", "/session", handle_session, false, 1, false, false },
	{ "GET", "/account", handle_account, false, 1, false, false },
	{ "POST", "/server/devices", handle_fetch, true, 1, true, false },
	{ "POST", "/devices/sync", handle_sync, true, 1, true, false },
	{ "POST", "/devices", handle_details, true, 1, false, false },
	{ "POST", "/devices/disown", handle_disown, true, 1, false, false },
	{ "POST", "/profile", handle_define, true, 1, false, true },
	{ "GET", "/profile", handle_profile, false, 1, false, false },
	{ "POST", "/profile/devices", handle_assign, true, 1, false, true },
	{ "PUT", "/profile/devices", handle_assign, true, 1, false, true },
	{ "DELETE", "/profile/devices", handle_remove, true, 1, false, false },
	{ "POST", "/device/activationlock", handle_activation_lock, true, 1, false, false },
	{ "GET", "/os-beta-enrollment/tokens", handle_beta_tokens, false, 1, false, false },
	{ "POST", "/account-driven-enrollment/profile", handle_discovery_set, true, 1, false, false },
	{ "GET", "/account-driven-enrollment/profile", handle_discovery_get, false, 1, false, false },
	{ "DELETE", "/account-driven-enrollment/profile", handle_discovery_delete, false, 1, false, false },
	{ "GET", "/device/replacementDetails", handle_replacement, false, 10, false, false },
};

void apple_init(struct apple *apple, struct world *world)
{
	*apple = (struct apple){ .world = world };
	apple->served = allocate_array(SERVED_MAX, sizeof *apple->served);
	fault_list_init(&apple->faults);
}

void apple_fini(struct apple *apple)
{
	fault_list_clear(&apple->faults);
	free(apple->served);
}

void answer_word(struct call *call, unsigned status, const char *word)
{
	web_answer_text(call->answer, status, word);
}

void answer_json(struct call *call)
{
	call->answer->status = 200;
	call->answer->content_type = MEDIA_TYPE;
}

struct fault_target call_target(const struct call *call)
{
	return (struct fault_target){
		.tenant = call->tenant != NULL ? call->tenant->id : 0,
		.method = call->endpoint->method,
		.path = call->endpoint->path,
		.is_assignment = call->endpoint->is_assignment,
		.is_listing = call->endpoint->is_listing,
	};
}

static bool find_endpoint(struct call *call)
{
	bool is_known_path = false;

	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
		if (text_equal_string(call->request->path, endpoints[i].path)) {
			is_known_path = true;
			if (text_equal_string(call->request->method, endpoints[i].method)) {
				call->endpoint = &endpoints[i];
				return true;
			}
		}
	}
	answer_word(call, is_known_path ? 405 : 404, is_known_path ? "METHOD_NOT_ALLOWED" : "NOT_FOUND");
	return false;
}

// Stock names of libraries are what Apple's block list is made of, as far as anybody has seen.
static bool check_user_agent(struct call *call)
{
	static const char *const blocked[] = {
		"curl/", "libcurl", "Go-http-client", "python-requests", "Python-urllib", "Java/", "okhttp", "Wget/", "axios/",
	};
	const struct text agent = web_header(call->request, "user-agent");

	if (agent.length == 0) {
		answer_word(call, 400, "USER_AGENT_MISSING");
		return false;
	}
	for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++) {
		if (text_starts_with(agent, text_of(blocked[i]))) {
			answer_word(call, 400, "USER_AGENT_INVALID");
			return false;
		}
	}
	return true;
}

static bool read_version(struct call *call)
{
	const struct text t = web_header(call->request, "x-server-protocol-version");
	int version = 0;

	if (t.bytes == NULL) {
		call->version = 1;
		return true;
	}
	for (size_t i = 0; i < t.length && version < 1000; i++) {
		version = t.bytes[i] >= '0' && t.bytes[i] <= '9' ? version * 10 + (t.bytes[i] - '0') : 1000000;
	}
	if (version < 1 || version >= 1000000) {
		answer_word(call, 400, "INVALID_PROTOCOL_VERSION");
		return false;
	}
	call->version = version;
	return true;
}

static bool check_content_type(struct call *call)
{
	const bool is_session = call->endpoint->handle == handle_session;

	if (!call->endpoint->has_body && !is_session) {
		return true;
	}
	if (text_equal_string(web_header(call->request, "content-type"), MEDIA_TYPE)) {
		return true;
	}
	answer_word(call, 415, "UNSUPPORTED_MEDIA_TYPE");
	return false;
}

static bool is_session_call(const struct call *call)
{
	return call->endpoint->handle == handle_session;
}

static void run(struct call *call)
{
	yyjson_doc *doc = NULL;

	if ((!is_session_call(call) && !session_check(call)) || !check_content_type(call)) {
		return;
	}
	if (call->endpoint->since > call->version) {
		answer_word(call, 404, "NOT_FOUND");
		return;
	}
	if (call->endpoint->has_body) {
		char *bytes;

		memcpy(&bytes, &call->request->body.bytes, sizeof bytes); // read only, whatever yyjson's interface says
		doc = yyjson_read_opts(bytes, call->request->body.length, 0, NULL, NULL);
		call->body = yyjson_doc_get_root(doc);
		if (!yyjson_is_obj(call->body)) {
			yyjson_doc_free(doc);
			answer_word(call, 400, "MALFORMED_REQUEST_BODY");
			return;
		}
	}
	call->endpoint->handle(call);
	yyjson_doc_free(doc);
}

// What a fault says in place of the answer; whether it does.
static bool answer_fault(struct call *call, const struct fault_plan *fault)
{
	if (fault->terms_unsigned) {
		answer_word(call, 403, "T_C_NOT_SIGNED");
	} else if (fault->token_rejected) {
		answer_word(call, fault->status != 0 ? fault->status : 401,
			is_session_call(call) ? "token_rejected" : "UNAUTHORIZED");
	} else if (fault->status != 0 || fault->body != NULL) {
		web_answer_text(call->answer, fault->status != 0 ? fault->status : 200, fault->body != NULL ? fault->body : "");
	} else {
		return false;
	}
	if (fault->content_type != NULL) {
		call->answer->content_type = fault->content_type;
	}
	return true;
}

// JSON stays JSON.
static void pad(struct buffer *body, size_t count)
{
	char *blanks = allocate(count);

	memset(blanks, ' ', count);
	body->limit = body->length + count;
	buffer_add(body, blanks, count);
	free(blanks);
}

static void apply_fault(struct call *call, const struct fault_plan *fault)
{
	(void)answer_fault(call, fault);
	if (fault->headers != NULL) {
		buffer_add_string(&call->answer->headers, fault->headers);
	}
	call->answer->delay_ms = fault->delay_ms;
	call->answer->cut_after_bytes = fault->cut_after_bytes;
	call->answer->drip_ms = fault->drip_ms;
	call->answer->reset = fault->reset;
	if (fault->pad_bytes > 0) {
		pad(&call->answer->body, (size_t)fault->pad_bytes);
	}
}

bool is_instead_of_running(const struct fault_plan *fault)
{
	return fault->terms_unsigned || fault->token_rejected ||
		(!fault->perform && (fault->status != 0 || fault->body != NULL));
}

static void serve(struct call *call)
{
	const struct fault_target target = call_target(call);

	call->fault = fault_list_take(&call->apple->faults, &target, NULL);
	if (call->fault == NULL || !is_instead_of_running(call->fault)) {
		run(call);
	}
	if (call->fault != NULL) {
		apply_fault(call, call->fault);
	}
}

static void note(struct call *call)
{
	struct apple *apple = call->apple;
	struct served *served = &apple->served[apple->served_count % SERVED_MAX];
	const struct buffer *body = &call->answer->body;

	*served = (struct served){
		.number = ++apple->served_count,
		.tenant = call->tenant != NULL ? call->tenant->id : 0,
		.at_ms = world_now_ms(apple->world),
		.method = call->endpoint != NULL ? call->endpoint->method : "?",
		.path = call->endpoint != NULL ? call->endpoint->path : "?",
		.status = call->answer->status,
		.version = call->version,
		.devices = call->devices,
		.was_faulty = call->fault != NULL,
	};
	if (served->status != 200 && body->length > 0) {
		(void)snprintf(served->word, sizeof served->word, "%.*s", (int)body->length, body->bytes);
	}
	apple->by_status[served->status < 600 ? served->status : 0]++;
	if (call->tenant != NULL) {
		call->tenant->counters.requests++;
	}
}

void apple_handle(struct web_request *request, struct web_answer *answer)
{
	struct apple *apple = request->context;
	struct call call = { .apple = apple, .world = apple->world, .request = request, .answer = answer };

	if (find_endpoint(&call)) {
		call.tenant = is_session_call(&call) ? oauth_claimed(&call)
											 : session_owner(apple->world, web_header(request, "x-adm-auth-session"));
		if (check_user_agent(&call) && read_version(&call)) {
			serve(&call);
		}
	}
	note(&call);
}
