// SPDX-License-Identifier: Apache-2.0
//
// /proxy/{name}/...: a request goes to Apple with the tenant's session, and Apple's answer comes back.
//
//   what may it do -> the token, unless its session is at hand -> the guard -> the audit -> whose token is it, if nobody has asked Apple since
//   the last GET /session -> Apple; a session that Apple refuses leads back to that question, once
//
// Laws  1. nothing that could change something at Apple goes out before the audit is committed, and nothing that Apple may have done goes out twice
//       2. nothing goes out with a session that was not proven to be of the tenant's server
//       3. what depbroker does not know the meaning of is read with GET, and not done
//       4. no session and no token goes back to the client
//       5. what could send a device somewhere is read to its end, and judged, before a byte of it goes out; other requests pass by in parts
#include "api/alarm.h"
#include "api/json_out.h"
#include "api/nanodep/nanodep.h"
#include "api/nanodep/proxy_guard.h"
#include "api/nanodep/proxy_passing.h"
#include "api/nanodep/proxy_session.h"
#include "api/token_identity.h"
#include "api/token_secret.h"
#include "store/secrets.h"
#include "store/tokens.h"
#include "tenants/profile_render.h"

#include <stdio.h>

// Until Apple's answer begins, from the end of the request on; and for the rest of it.
enum { PATIENCE_MS = 25000, ANSWER_MS = 120000 };
enum { REFUSAL_MAX = 64 * 1024, DIFFERENCES_MAX = 65536, DETAIL_MAX = 8192 };

static const struct proxy_rule {
	const char *method;
	const char *path; // NULL: any other
	enum role least;
	bool is_change;
	enum proxy_subject subject;
} rules[] = {
	{ "GET", "/account", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "POST", "/server/devices", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "POST", "/devices/sync", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "POST", "/devices", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "GET", "/profile", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "GET", "/device/replacementDetails", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "GET", "/account-driven-enrollment/profile", ROLE_VIEWER, false, PROXY_OF_NOTHING },
	{ "POST", "/profile", ROLE_TECHNICIAN, true, PROXY_OF_PROFILE },
	{ "POST", "/profile/devices", ROLE_TECHNICIAN, true, PROXY_OF_ASSIGNMENT },
	{ "PUT", "/profile/devices", ROLE_TECHNICIAN, true, PROXY_OF_ASSIGNMENT },
	{ "DELETE", "/profile/devices", ROLE_TECHNICIAN, true, PROXY_OF_NOTHING },
	{ "POST", "/device/activationlock", ROLE_TECHNICIAN, true, PROXY_OF_NOTHING },
	{ "POST", "/account-driven-enrollment/profile", ROLE_OPERATOR, true, PROXY_OF_DISCOVERY },
	{ "DELETE", "/account-driven-enrollment/profile", ROLE_OPERATOR, true, PROXY_OF_NOTHING },
	{ "POST", "/devices/disown", ROLE_ADMIN, true, PROXY_OF_DISOWNING },
	{ "GET", "/session", ROLE_VIEWER, false, PROXY_OF_SESSION },
	{ "GET", NULL, ROLE_TECHNICIAN, false, PROXY_OF_NOTHING },
};

struct proxying {
	struct call *call;
	const struct proxy_rule *rule;
	struct proxy_guard guard;
	struct alarm *alarm;
	struct proxy_session *session;
	struct proxy_passing passing;
	struct apple_account account;
	struct buffer refusal; // Apple's
	struct buffer profile; // Apple's, of an assignment
};

static void finish(struct call *call)
{
	struct proxying *proxying = call->own;

	alarm_stop(proxying->alarm);
	proxy_passing_fini(&proxying->passing);
	proxy_session_leave(proxying->session);
	apple_account_fini(&proxying->account);
	buffer_fini_wiped(&proxying->refusal);
	buffer_fini(&proxying->profile);
}

// --- what is asked for ---

// Behind /nanodep/proxy/{name}.
static struct text path_of(const struct http_request *request)
{
	static const struct text before = { "/nanodep/proxy/", 15 };
	struct text rest = request->path;

	rest.bytes += before.length;
	rest.length -= before.length;
	while (rest.length > 0 && rest.bytes[0] != '/') {
		rest = (struct text){ rest.bytes + 1, rest.length - 1 };
	}
	return rest;
}

static const struct proxy_rule *rule_of(struct text method, struct text path)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		if (text_equal_string(method, rules[i].method) && (rules[i].path == NULL || text_equal_string(path, rules[i].path))) {
			return &rules[i];
		}
	}
	return NULL;
}

bool nanodep_proxy_reads(const struct http_request *request)
{
	const struct proxy_rule *rule = rule_of(request->method, path_of(request));

	return rule != NULL && !rule->is_change;
}

bool nanodep_proxy_in_parts(const struct http_request *request)
{
	const struct proxy_rule *rule = rule_of(request->method, path_of(request));

	return rule != NULL && rule->subject == PROXY_OF_NOTHING;
}

static struct text target_of(struct call *call, struct text path)
{
	const struct text query = http_request_raw_query(call->request);
	const char *target = query.length == 0 ? arena_copy(&call->request->arena, path)
		: arena_format(&call->request->arena, "%.*s?%.*s", TEXT_ARGS(path), TEXT_ARGS(query));

	return text_of(target);
}

static bool may_do(struct call *call, const struct proxy_rule *rule, struct text path)
{
	if (path.length <= 1) {
		nanodep_nothing(call);
	} else if (rule == NULL) {
		nanodep_error(call, 403, "depbroker does not know what %.*s of this path does, and does not pass it on", TEXT_ARGS(call->request->method));
	} else if (call->role < rule->least) {
		nanodep_error(call, 403, "it needs %s, and the key is of a %s", role_name(rule->least), role_name(call->role));
	} else if (!text_equal(call->tenant.state, TEXT("active"))) {
		nanodep_error(call, 409, "the tenant is %.*s", TEXT_ARGS(call->tenant.state));
	} else {
		return true;
	}
	return false;
}

static void on_apple(struct op *op)
{
	struct proxying *proxying = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct proxying, passing.apple);

	proxying->call->endpoint->step(proxying->call);
}

// Well before the listener would answer in our place.
static void on_alarm(void *argument)
{
	apple_call_cancel(&((struct proxying *)argument)->passing.apple);
}

static void set_alarm(struct proxy_passing *passing, int64_t after_ms)
{
	struct proxying *proxying = CONTAINER_OF(passing, struct proxying, passing);

	alarm_stop(proxying->alarm);
	proxying->alarm = alarm_start(&proxying->call->service->loop, after_ms, on_alarm, proxying);
}

static void on_whole_body(struct proxy_passing *passing)
{
	set_alarm(passing, PATIENCE_MS);
}

static void tell_retry_after(struct call *call)
{
	const struct proxying *proxying = call->own;
	char seconds[24];

	if (proxying->passing.apple.retry_after_s >= 0) {
		(void)snprintf(seconds, sizeof seconds, "%lld", (long long)proxying->passing.apple.retry_after_s);
		http_answer_header(call->request, "Retry-After", seconds);
	}
}

static void on_begin(struct proxy_passing *passing)
{
	set_alarm(passing, ANSWER_MS);
	tell_retry_after(passing->call);
}

static void open_apple(struct proxying *proxying)
{
	struct apple_call *apple = &proxying->passing.apple;

	proxy_passing_open(&proxying->passing, on_apple);
	apple->refusal = &proxying->refusal;
	apple->timeout_ms = PATIENCE_MS + ANSWER_MS; // the alarm is stricter
}

static bool begin(struct call *call)
{
	struct proxying *proxying = call_own(call, sizeof *proxying);
	const struct text path = path_of(call->request);
	struct text name, value;

	proxying->call = call;
	proxying->refusal = BUFFER(REFUSAL_MAX);
	proxying->profile = BUFFER(PROFILE_SIZE_MAX);
	proxy_passing_init(&proxying->passing, call);
	proxying->passing.got_body = on_whole_body;
	proxying->passing.got_begin = on_begin;
	call_on_finish(call, finish);
	proxying->rule = rule_of(call->request->method, path);
	if (!may_do(call, proxying->rule, path)) {
		return false;
	}
	proxying->guard.subject = proxying->rule->subject;
	proxying->passing.passed.method = proxying->rule->method;
	proxying->passing.passed.target = target_of(call, path);
	proxying->passing.passed.body = call->request->body;
	proxying->passing.passed.once = proxying->rule->is_change;
	for (size_t i = 0; http_request_field(call->request, i, &name, &value); i++) {
		apple_passed_field(&proxying->passing.passed, &call->request->arena, name, value);
	}
	if (!proxy_guard_read(call, &proxying->guard)) {
		return false;
	}
	open_apple(proxying);
	if (http_request_has_body(call->request) && nanodep_proxy_in_parts(call->request)) {
		proxy_passing_take_body(&proxying->passing);
	} else {
		on_whole_body(&proxying->passing);
	}
	return true;
}

// --- the token ---

enum { TOKEN, DATA_KEY, SECRETS };

static void ask_token(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_token_current(transaction, tenant_id);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_SERVER_TOKEN, 0);
	call_start(call);
}

static bool take_token(struct call *call)
{
	struct proxying *proxying = call->own;
	struct server_token token = { 0 };
	struct fault fault = { 0 };
	struct token_row row;

	if (pg_row_count(&call->transaction, TOKEN) == 0) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	store_token_read(&call->transaction, TOKEN, 0, &row);
	const enum err rc = server_token_open(call, (struct token_statements){ .data_key = DATA_KEY, .secrets = SECRETS }, row.token_id, &token,
		&fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
		return false;
	}
	proxying->session = proxy_session_take(call->service->proxy_sessions, call, row.token_id, &token);
	return true;
}

// --- Apple ---

static bool needs_proof(const struct proxying *proxying)
{
	const struct apple_session *session = &proxying->session->apple;

	return session->token[0] == '\0' || session->signed_in_anew;
}

static void prove(struct call *call)
{
	struct proxying *proxying = call->own;

	proxying->passing.apple.keeps_session = false;
	apple_account_fini(&proxying->account);
	apple_account(&proxying->passing.apple, &proxying->session->apple, &proxying->account);
}

// Without a request of the client's that Apple could have answered.
static void answer_unreachable(struct call *call)
{
	struct proxying *proxying = call->own;

	if (proxying->passing.apple.op.rc == ERR_TOKEN_DEAD) {
		proxy_session_doubt(proxying->session);
	}
	if (proxying->refusal.length > 0) {
		http_answer(call->request, 502, NANODEP_PLAIN, buffer_text(&proxying->refusal));
	} else {
		nanodep_plain(call, 502, proxying->passing.apple.apple_error);
	}
}

static bool is_proven(struct call *call)
{
	struct proxying *proxying = call->own;
	struct buffer differences CLEANUP(buffer_fini) = BUFFER(DIFFERENCES_MAX);

	if (proxying->passing.apple.op.rc != OK) {
		answer_unreachable(call);
		return false;
	}
	if (token_identity_differences(&differences, &call->tenant, &proxying->account) > 0) {
		nanodep_error(call, 409, "the token is of another organisation or server at Apple than the tenant; nothing was passed on");
		return false;
	}
	proxying->session->apple.signed_in_anew = false;
	return true;
}

static void pass(struct call *call)
{
	struct proxying *proxying = call->own;

	proxying->passing.apple.keeps_session = true;
	apple_pass(&proxying->passing.apple, &proxying->session->apple, &proxying->passing.passed);
}

// The second refusal is the answer.
static void pass_again(struct call *call)
{
	struct proxying *proxying = call->own;

	proxying->passing.passed.takes_refusal = true;
	pass(call);
}

// --- the guard ---

static void fetch_profile(struct call *call)
{
	struct proxying *proxying = call->own;

	apple_get_profile(&proxying->passing.apple, &proxying->session->apple, proxying->guard.profile_uuid, &proxying->profile);
}

static bool has_profile(struct call *call)
{
	struct proxying *proxying = call->own;
	const enum err rc = proxying->passing.apple.op.rc;

	if (rc == OK) {
		proxying->guard.profile_json = buffer_text(&proxying->profile);
		return true;
	}
	if (rc == ERR_PROFILE_GONE || rc == ERR_REFUSED) { // as it would refuse the assignment
		http_answer(call->request, proxying->passing.apple.status, NANODEP_PLAIN, buffer_text(&proxying->refusal));
	} else if (rc == ERR_BAD_INPUT) {
		nanodep_error(call, 400, "%s", proxying->passing.apple.op.fault.text);
	} else {
		answer_unreachable(call);
	}
	return false;
}

static bool sends_somewhere(const struct proxying *proxying)
{
	const enum proxy_subject subject = proxying->guard.subject;

	return subject == PROXY_OF_PROFILE || subject == PROXY_OF_ASSIGNMENT || subject == PROXY_OF_DISCOVERY;
}

// --- audit and answer ---

static void note(struct call *call)
{
	const struct proxying *proxying = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(DETAIL_MAX);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_string(&json, "method", proxying->rule->method);
	put_string(&json, "path", proxying->rule->path);
	put_object_end(&json);
	call_audit(call, transaction, "proxy.pass", call->tenant.slug, buffer_text(&detail));
	call_start(call);
}

static void answer(struct call *call)
{
	struct proxying *proxying = call->own;
	const struct apple_call *apple = &proxying->passing.apple;
	const char *type = proxying->passing.passed.content_type;

	if (apple->op.rc != OK || apple->status < 200 || apple->status > 599) {
		answer_unreachable(call);
		return;
	}
	tell_retry_after(call);
	if (proxying->rule->is_change) {
		call_answer_as(call, apple->status, type[0] != '\0' ? type : NULL, &proxying->passing.passed.answer);
	} else {
		http_answer_buffer(call->request, apple->status, type[0] != '\0' ? type : NULL, &proxying->passing.passed.answer);
	}
}

void nanodep_proxy(struct call *call)
{
	enum { NEW, LOADING, FETCHING, READING, NOTING, PROVING, PASSING, PROVING_AGAIN, PASSING_AGAIN };
	struct proxying *proxying = call->own;

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		proxying = call->own;
		proxying->session = proxy_session_find(call->service->proxy_sessions, call);
		if (proxying->session == NULL) {
			AWAIT(call, LOADING, ask_token(call));
			if (call_failed(call) || !take_token(call)) {
				return;
			}
		}
		if (sends_somewhere(proxying)) {
			if (proxying->guard.subject == PROXY_OF_ASSIGNMENT) {
				AWAIT(call, FETCHING, fetch_profile(call));
				if (!has_profile(call)) {
					return;
				}
			}
			AWAIT(call, READING, proxy_guard_ask(call, &proxying->guard));
			if (call_failed(call) || !proxy_guard_agrees(call, &proxying->guard)) {
				return;
			}
		}
		if (proxying->rule->is_change) {
			AWAIT(call, NOTING, note(call));
			if (call_failed(call)) {
				return;
			}
		}
		if (needs_proof(proxying)) {
			AWAIT(call, PROVING, prove(call));
			if (!is_proven(call)) {
				return;
			}
		}
		AWAIT(call, PASSING, pass(call));
		if (proxying->passing.apple.op.rc == ERR_SESSION) {
			proxy_passing_again(&proxying->passing);
			AWAIT(call, PROVING_AGAIN, prove(call));
			if (!is_proven(call)) {
				return;
			}
			AWAIT(call, PASSING_AGAIN, pass_again(call));
		}
		if (proxying->passing.has_begun) {
			proxy_passing_end(&proxying->passing);
		} else {
			answer(call);
		}
	}
}
