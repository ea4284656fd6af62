// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants/{tenant}/devices/{serial}/activation-lock: Apple locks the device, with the newest bypass code stored for it.
//
//   read code and token -> ask Apple whose token it is -> note that the code is sent -> lock -> note what Apple said
//
// Laws  1. no device is locked without a stored code that unlocks it
//       2. that a code was sent is on disk before it is sent: a crash in between leaves a code that may be in force, and
//          says so
#include "api/alarm.h"
#include "api/body.h"
#include "api/bypass_code_json.h"
#include "api/resources.h"
#include "api/token_identity.h"
#include "api/token_secret.h"
#include "apple/apple.h"
#include "depbroker/log.h"
#include "store/secrets.h"
#include "store/tokens.h"

enum { PATIENCE_MS = 20000, LOST_MESSAGE_MAX = 1000, EXTRA_MAX = 65536 };

struct locking {
	struct call *call;
	struct alarm *alarm;
	struct text lost_message;
	struct bypass_code code;
	char escrow_key[BYPASS_ESCROW_KEY_SIZE];
	int64_t code_id;
	struct text serial;
	struct server_token token;
	struct apple_server server;
	struct apple_session session;
	struct apple_call apple;
	bool asks_apple;
	struct apple_account account;
	enum apple_lock result;
};

static void finish(struct call *call)
{
	struct locking *locking = call->own;

	alarm_stop(locking->alarm);
	if (locking->asks_apple) {
		apple_call_fini(&locking->apple);
		apple_session_fini(&locking->session);
		server_token_fini(&locking->token);
	}
	apple_account_fini(&locking->account);
	wipe(&locking->code, sizeof locking->code);
	wipe(locking->escrow_key, sizeof locking->escrow_key);
}

static bool begin(struct call *call)
{
	static const struct body_member members[] = {
		{ "lost_message", BODY_TEXT, .required = false, .nullable = true, .minimum = 1, .maximum = LOST_MESSAGE_MAX },
	};
	struct locking *locking = call_own(call, sizeof *locking);
	struct body_value message;

	locking->call = call;
	call_on_finish(call, finish);
	if (!body_read(call, members, &message, 1)) {
		return false;
	}
	locking->lost_message = message.text;
	if (!text_equal(call->tenant.state, TEXT("active"))) {
		call_problem(call, PROBLEM_TENANT_NOT_ACTIVE, "it is %.*s", TEXT_ARGS(call->tenant.state));
		return false;
	}
	return true;
}

// --- code and token ---

enum { CODES, SECRETS, TOKEN, DATA_KEY }; // the statements; TOKEN is the first of three

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_bypass_code_list(transaction, tenant_id, call->request->parameters[1]);
	(void)store_bypass_code_secrets(transaction, tenant_id, call->request->parameters[1]);
	(void)server_token_current_select(transaction, tenant_id);
	call_start(call);
}

static enum err open_both(struct call *call, int64_t code_id, struct fault *fault)
{
	struct locking *locking = call->own;
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };

	TRY(store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &data_key,
		fault));
	TRY(bypass_code_open(call, SECRETS, code_id, &data_key, &locking->code, fault));
	TRY(server_token_current_open(call, TOKEN, &locking->token, fault));
	locking->asks_apple = true;
	return OK;
}

static void start_session(struct call *call)
{
	struct locking *locking = call->own;
	const struct text url = call->tenant.apple_url;

	locking->server = (struct apple_server){
		.loop = &call->service->loop,
		.client = call->service->apple,
		.base_url = url.length > 0 ? arena_copy(&call->request->arena, url) : call->service->config->apple_url,
		.protocol_version = (int)call->tenant.protocol_version,
		.lane_key = call->tenant.tenant_id,
	};
	apple_session_init(&locking->session, &locking->server, &locking->token);
}

static void on_apple(struct op *op)
{
	struct locking *locking = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct locking, apple);

	locking->call->endpoint->step(locking->call);
}

static bool take_code(struct call *call)
{
	struct locking *locking = call->own;
	struct bypass_code_row row;
	struct fault fault = { 0 };

	if (pg_row_count(&call->transaction, CODES) == 0) {
		call_problem(call, PROBLEM_BYPASS_CODE_NOT_FOUND, "%s", "");
		return false;
	}
	store_bypass_code_read(&call->transaction, CODES, 0, &row);
	if (row.is_stale) {
		call_problem(call, PROBLEM_DEVICE_GONE, "%s", "");
		return false;
	}
	if (!server_token_current_is_there(&call->transaction, TOKEN)) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	locking->code_id = row.code_id;
	locking->serial = call->request->parameters[1];
	const enum err rc = open_both(call, row.code_id, &fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
		return false;
	}
	bypass_code_escrow_key(locking->escrow_key, &locking->code);
	start_session(call);
	apple_call_init(&locking->apple, on_apple);
	return true;
}

// --- Apple ---

// Well before the listener would answer in our place.
static void on_alarm(void *argument)
{
	struct locking *locking = argument;

	apple_call_cancel(&locking->apple);
}

static void ask_account(struct call *call)
{
	struct locking *locking = call->own;

	locking->alarm = alarm_start(&call->service->loop, PATIENCE_MS, on_alarm, locking);
	apple_account(&locking->apple, &locking->session, &locking->account);
}

static void refuse_for(struct call *call, enum api_problem which)
{
	const struct locking *locking = call->own;
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	put_text(&json, "apple_error", text_of(locking->apple.apple_error));
	put_int_or_null(&json, "apple_status", locking->apple.status);
	call_problem_with(call, which, buffer_text(&extra), "%s", locking->apple.op.fault.text);
}

static enum api_problem problem_of(enum err rc)
{
	if (rc == ERR_TERMS || rc == ERR_TOKEN_DEAD) {
		return rc == ERR_TERMS ? PROBLEM_APPLE_TERMS_UNSIGNED : PROBLEM_TOKEN_REFUSED_BY_APPLE;
	}
	return rc == ERR_BAD_ANSWER || rc == ERR_REFUSED ? PROBLEM_APPLE_ANSWER_UNUSABLE : PROBLEM_APPLE_UNREACHABLE;
}

static bool account_is_ours(struct call *call)
{
	const struct locking *locking = call->own;
	struct buffer differences CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	const enum err rc = locking->apple.op.rc;

	if (rc != OK) {
		refuse_for(call, problem_of(rc));
		return false;
	}
	if (token_identity_differences(&differences, &call->tenant, &locking->account) > 0) {
		call_problem_with(call, PROBLEM_TOKEN_IDENTITY_MISMATCH, buffer_text(&differences), "nothing was locked");
		return false;
	}
	return true;
}

static void note_sending(struct call *call)
{
	const struct locking *locking = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	(void)store_bypass_code_sent(call_transaction(call, store_api(tenant_id)), tenant_id, locking->code_id);
	call_start(call);
}

static void lock(struct call *call)
{
	struct locking *locking = call->own;

	apple_activation_lock(&locking->apple, &locking->session, locking->serial, text_of(locking->escrow_key),
		locking->lost_message, &locking->result);
}

// Whoever refuses has not locked; after anything else Apple may have done it.
static bool apple_has_said(struct call *call)
{
	const enum err rc = ((const struct locking *)call->own)->apple.op.rc;

	if (rc == ERR_TERMS || rc == ERR_TOKEN_DEAD || rc == ERR_SESSION || rc == ERR_THROTTLED) {
		refuse_for(call, problem_of(rc));
	} else if (rc == ERR_REFUSED || rc == ERR_BAD_INPUT) {
		refuse_for(call, PROBLEM_ACTIVATION_LOCK_REFUSED);
	} else if (rc != OK) {
		refuse_for(call, PROBLEM_OUTCOME_UNKNOWN);
	}
	return rc == OK;
}

static void note_answer(struct call *call)
{
	const struct locking *locking = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	(void)store_bypass_code_answered(call_transaction(call, store_api(tenant_id)), tenant_id, locking->code_id,
		text_of(apple_lock_word(locking->result)));
	call_start(call);
}

static void answer(struct call *call)
{
	const struct locking *locking = call->own;
	struct buffer body = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &body };
	const char *word = apple_lock_word(locking->result);

	log_event(LOG_INFO, "activation_lock", LOG_TEXT("tenant", call->tenant.slug),
		LOG_TEXT("serial_number", locking->serial), LOG_STRING("status", word), LOG_TEXT("key", call->key.key_id));
	if (locking->result != APPLE_LOCK_SUCCESS) {
		struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);

		json.out = &extra;
		put_string(&json, "apple_error", word);
		call_problem_with(call, PROBLEM_ACTIVATION_LOCK_REFUSED, buffer_text(&extra), "Apple says %s", word);
		return;
	}
	put_object(&json, NULL);
	put_text(&json, "serial_number", locking->serial);
	put_string(&json, "apple_status", word);
	put_id(&json, "bypass_code_id", locking->code_id);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void activation_lock(struct call *call)
{
	enum { NEW, READING, ASKING_ACCOUNT, NOTING_SENDING, LOCKING, NOTING_ANSWER };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !take_code(call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, ask_account(call));
		if (!account_is_ours(call)) {
			return;
		}
		AWAIT(call, NOTING_SENDING, note_sending(call));
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, LOCKING, lock(call));
		if (!apple_has_said(call)) {
			return;
		}
		AWAIT(call, NOTING_ANSWER, note_answer(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
