// SPDX-License-Identifier: Apache-2.0
//
// What is the organisation's, passed on to Apple with the client's token: GET /os-beta-enrollment/tokens, and
// POST, GET and DELETE /account-driven-enrollment/profile.
//
//   the client's token, proven -> what Apple has now -> the instance's hosts, both URLs checked -> the audit of a change -> Apple
//
// Laws  1. accounts are sent to hosts of the instance only, and what leads to another server's is neither shown, replaced, nor deleted
//       2. what is sent is what was checked, not the bytes that came; a change is sent once, and after its audit
//       3. Apple's word about the request is for the MDM server, its word about the token is not
#include "api/dep/dep_apple.h"
#include "api/json_out.h"
#include "apple/apple_names.h"
#include "store/instances.h"
#include "tenants/url_guard.h"

#include <string.h>

#define BETA_PATH      "/os-beta-enrollment/tokens"
#define DISCOVERY_PATH "/account-driven-enrollment/profile"
#define URL_MEMBER     "mdm_service_discovery_url"

enum { BODY_MAX = 16 * 1024 };

struct passing {
	struct dep_apple apple;
	struct text url; // that is to be set
	struct buffer body;
	struct apple_passed passed;
};

static void release(struct dep_call *dep)
{
	struct passing *passing = dep->state;

	dep_apple_fini(&passing->apple);
	buffer_fini(&passing->body);
	apple_passed_fini(&passing->passed);
}

static void begin(struct call *call)
{
	struct passing *passing = dep_state(dep_of(call), sizeof *passing, release);

	passing->body = BUFFER(BODY_MAX);
}

static void ask(struct call *call, const char *method, struct text path)
{
	struct passing *passing = dep_of(call)->state;

	apple_passed_fini(&passing->passed);
	passing->passed = (struct apple_passed){ .method = method, .target = path, .once = strcmp(method, "GET") != 0 };
	if (strcmp(method, "POST") == 0) {
		passing->passed.body = buffer_text(&passing->body);
		apple_passed_field(&passing->passed, &call->request->arena, TEXT("Content-Type"), TEXT(APPLE_MEDIA_TYPE));
	}
	apple_passed_field(&passing->passed, &call->request->arena, TEXT(APPLE_VERSION_HEADER),
		http_request_header(call->request, APPLE_VERSION_HEADER));
	apple_pass(&passing->apple.apple, &passing->apple.session, &passing->passed);
}

// Of refusals only those that are about the request.
static bool is_for_the_client(unsigned status, struct text word)
{
	return status == 200 || status == 400 || status == 404 || (status == 403 && text_equal(word, TEXT("APPLE_SEED_FOR_IT_TURNED_OFF")));
}

// False: Apple's refusal, or that there is no answer, has been handed on.
static bool apple_has_answered(struct call *call)
{
	struct passing *passing = dep_of(call)->state;
	const unsigned status = passing->apple.apple.status;

	if (!dep_apple_worked(&passing->apple)) {
		return false;
	}
	if (!is_for_the_client(status, buffer_text(&passing->passed.answer))) {
		call_problem(call, status == 429 ? PROBLEM_TOO_MANY_REQUESTS : PROBLEM_APPLE_UNREACHABLE, "%s", "");
		return false;
	}
	return true;
}

static void hand_on(struct call *call)
{
	struct passing *passing = dep_of(call)->state;
	const char *type = passing->passed.content_type;

	http_answer_buffer(call->request, passing->apple.apple.status, type[0] != '\0' ? type : NULL, &passing->passed.answer);
}

// --- beta tokens ---

void dep_beta_tokens(struct call *call)
{
	enum { NEW, ASKING_TOKEN, ASKING_ACCOUNT, ASKING };
	struct passing *passing = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, ASKING_TOKEN, dep_apple_ask_token(call));
		if (call_failed(call) || !dep_apple_take_token(&passing->apple, call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, dep_apple_ask_account(&passing->apple));
		if (!dep_apple_is_ours(&passing->apple)) {
			return;
		}
		AWAIT(call, ASKING, ask(call, "GET", TEXT(BETA_PATH)));
		if (apple_has_answered(call)) {
			hand_on(call);
		}
	}
}

// --- where accounts find their MDM server ---

static const char *method_of(struct call *call)
{
	return dep_of(call)->endpoint->method;
}

static bool is_setting(struct call *call)
{
	return strcmp(method_of(call), "POST") == 0;
}

static bool begin_discovery(struct call *call)
{
	begin(call);
	struct passing *passing = dep_of(call)->state;
	struct json_out json = { .out = &passing->body };

	if (!is_setting(call)) {
		return true;
	}
	passing->url = dep_member(call, URL_MEMBER);
	if (passing->url.length == 0) {
		dep_answer_word(call, 400, json_object_get(call->body, URL_MEMBER) == NULL ? "MDM_SERVICE_DISCOVERY_URL_REQUIRED"
			: "MDM_SERVICE_DISCOVERY_URL_NOT_VALID");
		return false;
	}
	put_object(&json, NULL);
	put_text(&json, URL_MEMBER, passing->url);
	put_object_end(&json);
	if (passing->body.overflow) {
		dep_answer_word(call, 400, "MDM_SERVICE_DISCOVERY_URL_NOT_VALID");
	}
	return !passing->body.overflow;
}

static void ask_instance(struct call *call)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, dep_of(call)->server.instance);
	call_start(call);
}

static bool leads_to(const struct instance_row *instance, struct text url)
{
	struct fault fault = { 0 };

	return store_instance_state(instance) != RULESET_INSTANCE_RETIRED &&
		url_guard_check(url, instance->allowed_hosts, instance->allowed_host_count, &fault) == OK;
}

// What Apple has now is nobody's, or the instance's. What cannot be read is somebody's.
static bool is_free_for(const struct passing *passing, const struct instance_row *instance)
{
	const struct text answer = buffer_text(&passing->passed.answer);

	if (passing->apple.apple.status == 404) {
		return true;
	}
	json_t *root = json_loadb(answer.bytes, answer.length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *url = json_object_get(root, URL_MEMBER);
	const bool is_free = json_is_string(url) && leads_to(instance, (struct text){ json_string_value(url), json_string_length(url) });

	json_decref(root);
	return is_free;
}

// False: that has been answered.
static bool may_go_on(struct call *call)
{
	const struct passing *passing = dep_of(call)->state;
	struct instance_row instance;

	if (pg_row_count(&call->transaction, 0) == 0) {
		dep_answer_word(call, 401, "UNAUTHORIZED");
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &instance);
	if (is_setting(call) && !leads_to(&instance, passing->url)) {
		dep_answer_word(call, 400, "MDM_SERVICE_DISCOVERY_URL_NOT_VALID");
		return false;
	}
	if (is_free_for(passing, &instance)) {
		return true;
	}
	if (is_setting(call)) {
		dep_answer_word(call, 400, "ORG_NOT_SUPPORTED"); // for this server the organisation is taken
	} else {
		dep_answer_word(call, 404, "NOT_FOUND");
	}
	return false;
}

static void note(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	dep_audit(call, transaction, call->tenant.slug);
	call_start(call);
}

// A refusal is handed on as it is, but that there is nothing yet does not stop a change.
static bool apple_has_told(struct call *call)
{
	const struct passing *passing = dep_of(call)->state;

	if (!apple_has_answered(call)) {
		return false;
	}
	const unsigned status = passing->apple.apple.status;

	if (status == 200 || (status == 404 && strcmp(method_of(call), "GET") != 0)) {
		return true;
	}
	hand_on(call);
	return false;
}

void dep_discovery(struct call *call)
{
	enum { NEW, ASKING_TOKEN, ASKING_ACCOUNT, ASKING_FIRST, READING, NOTING, CHANGING };
	struct passing *passing = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		if (!begin_discovery(call)) {
			return;
		}
		AWAIT(call, ASKING_TOKEN, dep_apple_ask_token(call));
		if (call_failed(call) || !dep_apple_take_token(&passing->apple, call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, dep_apple_ask_account(&passing->apple));
		if (!dep_apple_is_ours(&passing->apple)) {
			return;
		}
		AWAIT(call, ASKING_FIRST, ask(call, "GET", TEXT(DISCOVERY_PATH)));
		if (!apple_has_told(call)) {
			return;
		}
		AWAIT(call, READING, ask_instance(call));
		if (call_failed(call) || !may_go_on(call)) {
			return;
		}
		if (strcmp(method_of(call), "GET") == 0) {
			hand_on(call);
			return;
		}
		AWAIT(call, NOTING, note(call));
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, CHANGING, ask(call, method_of(call), TEXT(DISCOVERY_PATH)));
		if (apple_has_answered(call)) {
			hand_on(call);
		}
	}
}
