// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_apple.h"

#include "api/token_identity.h"
#include "api/token_secret.h"
#include "depbroker/log.h"

enum { PATIENCE_MS = 20000, DIFFERENCES_MAX = 65536 };
enum { TOKEN }; // the first statement

void dep_apple_ask_token(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)server_token_current_select(transaction, tenant_id);
	call_start(call);
}

static void on_apple(struct op *op)
{
	struct dep_apple *apple = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct dep_apple, apple);

	apple->call->endpoint->step(apple->call);
}

bool dep_apple_take_token(struct dep_apple *apple, struct call *call)
{
	struct fault fault = { 0 };

	apple->call = call;
	if (!text_equal(call->tenant.state, TEXT("active")) || !server_token_current_is_there(&call->transaction, TOKEN)) {
		dep_answer_word(call, 503, "SERVICE_UNAVAILABLE"); // depbroker's people know
		return false;
	}
	const enum err rc = server_token_current_open(call, TOKEN, &apple->token, &fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
		return false;
	}
	const struct text url = call->tenant.apple_url;

	apple->server = (struct apple_server){
		.loop = &call->service->loop,
		.client = call->service->apple,
		.base_url = url.length > 0 ? arena_copy(&call->request->arena, url) : call->service->config->apple_url,
		.protocol_version = (int)call->tenant.protocol_version,
		.lane_key = call->tenant.tenant_id,
	};
	apple_session_init(&apple->session, &apple->server, &apple->token);
	apple_call_init(&apple->apple, on_apple);
	apple->is_open = true;
	return true;
}

static void on_alarm(void *argument)
{
	struct dep_apple *apple = argument;

	apple_call_cancel(&apple->apple);
}

void dep_apple_ask_account(struct dep_apple *apple)
{
	apple->alarm = alarm_start(&apple->call->service->loop, PATIENCE_MS, on_alarm, apple);
	apple_account(&apple->apple, &apple->session, &apple->account);
}

// What Apple says of the request is for the MDM server; what it says of the token is not.
bool dep_apple_worked(struct dep_apple *apple)
{
	struct call *call = apple->call;
	const enum err rc = apple->apple.op.rc;

	if (rc == OK) {
		return true;
	}
	log_event(LOG_WARNING, "dep.apple_failed", LOG_TEXT("tenant", call->tenant.slug), LOG_TEXT("instance", dep_of(call)->server.instance),
		LOG_STRING("error", err_name(rc)), LOG_STRING("apple_error", apple->apple.apple_error));
	if (rc == ERR_TERMS) {
		dep_answer_word(call, 403, "T_C_NOT_SIGNED");
	} else if ((rc == ERR_REFUSED || rc == ERR_BAD_INPUT || rc == ERR_PROFILE_GONE) && apple->apple.status >= 400) {
		dep_answer_word(call, apple->apple.status, apple->apple.apple_error);
	} else if (rc == ERR_THROTTLED) {
		call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
	} else {
		call_problem(call, PROBLEM_APPLE_UNREACHABLE, "%s", "");
	}
	return false;
}

bool dep_apple_is_ours(struct dep_apple *apple)
{
	struct buffer differences CLEANUP(buffer_fini) = BUFFER(DIFFERENCES_MAX);

	if (!dep_apple_worked(apple)) {
		return false;
	}
	if (token_identity_differences(&differences, &apple->call->tenant, &apple->account) > 0) {
		dep_answer_word(apple->call, 503, "SERVICE_UNAVAILABLE");
		return false;
	}
	return true;
}

void dep_apple_fini(struct dep_apple *apple)
{
	alarm_stop(apple->alarm);
	if (apple->is_open) {
		apple_call_fini(&apple->apple);
		apple_session_fini(&apple->session);
		server_token_fini(&apple->token);
	}
	apple_account_fini(&apple->account);
}
