// SPDX-License-Identifier: Apache-2.0
//
// PUT /tenants/{tenant}/token: the .p7m of Apple, as it is. POST /renew/{link}: the same in a form, by the client's administrator.
//
//   open with the tenant's keys -> not expired -> ask Apple whose it is -> compare -> switch, in one transaction
//                                                 `-> Apple is away: it waits, sealed, and a worker asks again
//
// Laws  1. until the last transaction is committed, the old token is the current one
//       2. a token of another server or organisation is not taken, unless two administrators agree (token_override.h); the transaction
//          itself proves the pinned identity again
//       3. a link is used up by the transaction that stores what it brought
#include "api/json_out.h"
#include "api/renewal.h"
#include "api/resources.h"
#include "api/token_identity.h"
#include "api/token_json.h"
#include "api/token_secret.h"
#include "api/token_upload_inner.h"
#include "store/secrets.h"
#include "store/tokens.h"

enum { PATIENCE_MS = 20000, SERVER_UUID_MAX = 200, EXTRA_MAX = 65536, NAME_SHOWN = 100 };

static void finish(struct call *call)
{
	struct upload *upload = call->own;

	alarm_stop(upload->alarm);
	if (upload->asks_apple) {
		apple_call_fini(&upload->apple);
		apple_session_fini(&upload->session);
	}
	apple_account_fini(&upload->account);
	token_opening_fini(&upload->opening);
	token_override_fini(&upload->override);
	data_key_fini(&upload->data_key);
}

static bool begin(struct call *call)
{
	struct upload *upload = call_own(call, sizeof *upload);

	upload->call = call;
	token_override_init(&upload->override);
	call_on_finish(call, finish);
	if (call->endpoint->bringer != NULL) {
		return call->endpoint->bringer->read(call, &upload->brought);
	}
	if (call->endpoint->of_link) {
		return renewal_read_file(call, &upload->brought.file);
	}
	upload->brought.file = call->request->body;
	return token_override_read(call, &upload->override, &upload->brought.file) && call_flag(call, "dry_run", &upload->brought.dry_run);
}

// --- the keys ---

enum { NEXT_ID, DATA_KEY, PAIRS, PRIVATE_KEYS, CURRENT, TOKENS }; // the statements; the last two for a bringer

static void ask_keys(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_object_next_id(transaction);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_key_pair_list(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_PRIVATE_KEY, 0);
	if (call->endpoint->bringer != NULL) {
		(void)store_token_current(transaction, tenant_id);
		(void)store_secret_select(transaction, tenant_id, SECRET_SERVER_TOKEN, 0);
	}
	call_start(call);
}

static bool is_candidate(const struct key_pair_row *pair)
{
	return text_equal(pair->state, TEXT("staged")) || text_equal(pair->state, TEXT("current"));
}

static enum err open_private_key(struct call *call, int64_t key_pair_id, struct buffer *out, struct fault *fault)
{
	const struct upload *upload = call->own;

	for (size_t row = 0; row < pg_row_count(&call->transaction, PRIVATE_KEYS); row++) {
		if (store_secret_object_id(&call->transaction, PRIVATE_KEYS, row) == key_pair_id) {
			return store_secret_open(&call->transaction, PRIVATE_KEYS, row, call->tenant.tenant_id, SECRET_PRIVATE_KEY,
				call->service->keys, &upload->data_key, out, fault);
		}
	}
	return fault_set(fault, ERR_NOT_FOUND, "a key pair without its private key");
}

static enum err take_candidates(struct call *call, struct fault *fault)
{
	struct upload *upload = call->own;
	struct token_opening *opening = &upload->opening;

	upload->token_id = store_object_next_id_read(&call->transaction, NEXT_ID);
	TRY(store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &upload->data_key,
		fault));
	for (size_t row = 0; row < pg_row_count(&call->transaction, PAIRS) && opening->count < TOKEN_CANDIDATES_MAX; row++) {
		struct token_candidate *candidate = &opening->candidates[opening->count];
		struct key_pair_row pair;

		store_key_pair_read(&call->transaction, PAIRS, row, &pair);
		if (is_candidate(&pair)) {
			*candidate = (struct token_candidate){ .key_pair_id = pair.key_pair_id, .certificate_pem = pair.certificate_pem,
				.private_key_der = BUFFER(SEALED_SECRET_MAX) };
			opening->count++;
			TRY(open_private_key(call, pair.key_pair_id, &candidate->private_key_der, fault));
		}
	}
	return OK;
}

static bool has_candidates(struct call *call)
{
	const struct upload *upload = call->own;
	struct fault fault = { 0 };
	const enum err rc = take_candidates(call, &fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	} else if (upload->opening.count == 0 && !upload->brought.is_plain) {
		call_problem(call, PROBLEM_NO_KEY_PAIR, "%s", "");
	}
	return rc == OK && (upload->opening.count > 0 || upload->brought.is_plain);
}

// --- the file ---

static void on_opened(struct op *op)
{
	struct token_opening *opening = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct token_opening, offload);
	struct upload *upload = CONTAINER_OF(opening, struct upload, opening);

	upload->key_pair_id = opening->verdict == TOKEN_OPENED ? opening->candidates[opening->opened_by].key_pair_id : 0;
	upload->call->endpoint->step(upload->call);
}

static void open_file(struct call *call)
{
	struct upload *upload = call->own;

	op_init(&upload->opening.offload.op, on_opened);
	upload->opening.file = upload->brought.file;
	token_opening_start(&upload->opening, &call->service->loop);
}

// A token that came without its envelope.
static void take_plain(struct call *call)
{
	struct upload *upload = call->own;
	struct token_opening *opening = &upload->opening;

	opening->verdict = token_parse(&opening->token, upload->brought.file, &opening->fault) == OK ? TOKEN_OPENED : TOKEN_CONTENT_IS_NONE;
}

static void refuse_wrong_key(struct call *call)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	put_list(&json, "key_pairs");
	for (size_t row = 0; row < pg_row_count(&call->transaction, PAIRS) && row < TOKEN_CANDIDATES_MAX; row++) {
		struct key_pair_row pair;

		store_key_pair_read(&call->transaction, PAIRS, row, &pair);
		if (is_candidate(&pair)) {
			put_object(&json, NULL);
			put_id(&json, "id", pair.key_pair_id);
			put_text(&json, "state", pair.state);
			put_text(&json, "fingerprint", pair.fingerprint);
			put_object_end(&json);
		}
	}
	put_list_end(&json);
	call_problem_with(call, PROBLEM_TOKEN_WRONG_KEY, buffer_text(&extra), "none of the tenant's key pairs opens it; they have "
		"the SHA-256 fingerprints in key_pairs");
}

static const enum api_problem problem_of_mistake[] = {
	[TOKEN_MISTAKE_NONE] = PROBLEM_TOKEN_FILE_UNREADABLE, // damaged inside
	[TOKEN_MISTAKE_OTHER] = PROBLEM_TOKEN_FILE_UNREADABLE,
	[TOKEN_MISTAKE_CUT] = PROBLEM_TOKEN_FILE_TRUNCATED,
	[TOKEN_MISTAKE_CERTIFICATE] = PROBLEM_TOKEN_FILE_IS_CERTIFICATE,
	[TOKEN_MISTAKE_PRIVATE_KEY] = PROBLEM_TOKEN_FILE_IS_PRIVATE_KEY,
	[TOKEN_MISTAKE_WEB_PAGE] = PROBLEM_TOKEN_FILE_IS_WEB_PAGE,
	[TOKEN_MISTAKE_DECRYPTED] = PROBLEM_TOKEN_FILE_IS_DECRYPTED,
};

static bool file_was_opened(struct call *call)
{
	const struct token_opening *opening = &((const struct upload *)call->own)->opening;

	switch (opening->verdict) {
	case TOKEN_OPENED: break;
	case TOKEN_FILE_IS_NONE: call_problem(call, problem_of_mistake[opening->mistake], "%s", opening->fault.text); return false;
	case TOKEN_OF_ANOTHER_KEY: refuse_wrong_key(call); return false;
	case TOKEN_CONTENT_IS_NONE: call_problem(call, PROBLEM_TOKEN_CONTENT_UNREADABLE, "%s", opening->fault.text); return false;
	case TOKEN_OUR_KEY_IS_BROKEN: call_problem_of(call, ERR_CRYPTO, &opening->fault); return false;
	}
	if (opening->token.expires_at_us != INSTANT_NONE && opening->token.expires_at_us <= clock_wall_us()) {
		char when[INSTANT_TEXT_SIZE];

		call_problem(call, PROBLEM_TOKEN_EXPIRED, "at %s", instant_format(when, opening->token.expires_at_us, false));
		return false;
	}
	return true;
}

// --- the one in use ---

// Nobody knows which key a plain token was opened with. One of the same consumer key goes on with the present one's.
static bool bringer_accepts(struct call *call)
{
	struct upload *upload = call->own;
	const struct token_bringer *bringer = call->endpoint->bringer;
	struct server_token current = { 0 };
	struct fault fault = { 0 };
	struct token_row row;

	if (bringer == NULL || pg_row_count(&call->transaction, CURRENT) == 0) {
		return bringer == NULL || bringer->accepts(call, NULL, &upload->opening.token);
	}
	store_token_read(&call->transaction, CURRENT, 0, &row);
	const enum err rc = server_token_open(call, (struct token_statements){ .data_key = DATA_KEY, .secrets = TOKENS }, row.token_id, &current,
		&fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
		return false;
	}
	if (upload->brought.is_plain && text_equal(current.consumer_key, upload->opening.token.consumer_key)) {
		upload->key_pair_id = row.key_pair_id;
	}
	const bool good = bringer->accepts(call, &current, &upload->opening.token);

	server_token_fini(&current);
	return good;
}

// --- Apple's word ---

static void on_account(struct op *op)
{
	struct upload *upload = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct upload, apple);

	upload->call->endpoint->step(upload->call);
}

// Well before the listener would answer in our place.
static void on_alarm(void *argument)
{
	struct upload *upload = argument;

	apple_call_cancel(&upload->apple);
}

static void ask_apple(struct call *call)
{
	struct upload *upload = call->own;
	const struct text url = call->tenant.apple_url;

	upload->server = (struct apple_server){
		.loop = &call->service->loop,
		.client = call->service->apple,
		.base_url = url.length > 0 ? arena_copy(&call->request->arena, url) : call->service->config->apple_url,
		.protocol_version = (int)call->tenant.protocol_version,
		.lane_key = call->tenant.tenant_id,
	};
	apple_session_init(&upload->session, &upload->server, &upload->opening.token);
	apple_call_init(&upload->apple, on_account);
	upload->asks_apple = true;
	upload->alarm = alarm_start(&call->service->loop, PATIENCE_MS, on_alarm, upload);
	apple_account(&upload->apple, &upload->session, &upload->account);
}

static enum api_problem problem_of_apple(enum err rc)
{
	if (rc == ERR_TERMS) {
		return PROBLEM_APPLE_TERMS_UNSIGNED;
	}
	if (rc == ERR_TOKEN_DEAD) {
		return PROBLEM_TOKEN_REFUSED_BY_APPLE;
	}
	return rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_THROTTLED || rc == ERR_UNAVAILABLE || rc == ERR_CANCELLED
		? PROBLEM_APPLE_UNREACHABLE : PROBLEM_APPLE_ANSWER_UNUSABLE;
}

// Then nobody knows whose it is, and asking later may tell. Nobody has agreed to another server's yet.
static bool is_away(const struct call *call)
{
	const struct upload *upload = call->own;
	const enum err rc = upload->apple.op.rc;

	return rc != OK && problem_of_apple(rc) == PROBLEM_APPLE_UNREACHABLE && !upload->brought.dry_run && !upload->override.asked;
}

static bool apple_knows_it(struct call *call)
{
	const struct upload *upload = call->own;
	const enum err rc = upload->apple.op.rc;
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	if (rc != OK) {
		put_text(&json, "apple_error", text_of(upload->apple.apple_error));
		put_int_or_null(&json, "apple_status", upload->apple.status);
		call_problem_with(call, problem_of_apple(rc), buffer_text(&extra), "%s", upload->apple.op.fault.text);
		return false;
	}
	if (upload->account.server_uuid.length == 0 || upload->account.server_uuid.length > SERVER_UUID_MAX) {
		call_problem(call, PROBLEM_APPLE_ANSWER_UNUSABLE, "it names no server_uuid");
		return false;
	}
	return true;
}

// --- whose it is ---

enum { OWNER, PINNED };

static void ask_identity(struct call *call)
{
	const struct upload *upload = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_directory());

	(void)store_tenant_by_server(transaction, upload->account.server_uuid);
	(void)store_tenant_by_id(transaction, call->tenant.tenant_id);
	call_start(call);
}

static void refuse_owned(struct call *call, struct text owner)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	if (owner.length > 0) {
		put_text(&json, "tenant", owner);
	}
	call_problem_with(call, PROBLEM_SERVER_BELONGS_TO_ANOTHER_TENANT, buffer_text(&extra), "%s%.*s",
		owner.length > 0 ? "it is " : "it is one that this key may not see", TEXT_ARGS(owner.length > 0 ? owner : TEXT("")));
}

static struct text clipped(struct text name)
{
	return (struct text){ name.bytes, name.length < NAME_SHOWN ? name.length : NAME_SHOWN };
}

static bool identity_fits(struct call *call)
{
	struct upload *upload = call->own;
	struct buffer differences CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct tenant_row row;

	store_tenant_read(&call->transaction, PINNED, 0, &row);
	const bool is_other = token_identity_differences(&differences, &row, &upload->account) > 0;

	if (!is_other && call->granted != NULL) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "the tenant is pinned to this server already");
		return false;
	}
	if (is_other && (!upload->override.asked || upload->brought.dry_run)) {
		const struct text organisation = clipped(upload->account.org_name);
		const struct text server = clipped(upload->account.server_name);

		call_problem_with(call, PROBLEM_TOKEN_IDENTITY_MISMATCH, buffer_text(&differences),
			"the token is of \"%.*s\", server \"%.*s\"", TEXT_ARGS(organisation), TEXT_ARGS(server));
		return false;
	}
	if (pg_row_count(&call->transaction, OWNER) > 0) {
		store_tenant_read(&call->transaction, OWNER, 0, &row);
		if (row.tenant_id != call->tenant.tenant_id) {
			refuse_owned(call, call_may_see(call, row.tenant_id) ? row.slug : TEXT(""));
			return false;
		}
	}
	return !is_other || token_override_begin(call, &upload->override, buffer_text(&differences));
}

// --- what came of it ---

static bool was_taken(struct call *call)
{
	const enum err rc = call->transaction.op.rc;

	if (rc == ERR_CONFLICT) {
		refuse_owned(call, TEXT(""));
	} else if (rc == ERR_FENCED && call->endpoint->of_link) {
		call_problem(call, PROBLEM_LINK_NOT_FOUND, "it was used at the same moment");
	} else if (rc == ERR_FENCED) {
		call_problem(call, PROBLEM_TOKEN_IDENTITY_MISMATCH, "the tenant was pinned to another server at the same moment");
	} else {
		return !call_failed(call);
	}
	return false;
}

static void answer_dry_run(struct call *call)
{
	const struct upload *upload = call->own;
	const struct tenant_status_row status = { .token_state = TEXT("active"), .token_expires_at_us = upload->token.expires_at_us,
		.token_since_us = INSTANT_NONE, .token_checked_at_us = INSTANT_NONE, .pending_since_us = INSTANT_NONE };
	const struct token_facts facts = store_token_facts(&call->tenant, &status);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_bool(&json, "dry_run", true);
	token_json(&json, "token", &facts, &status, &upload->token, NULL);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

// What there is now: taken, or waiting besides the one in use.
static void answer_stored(struct call *call, bool is_pending)
{
	const struct upload *upload = call->own;
	const bool has_token = pg_row_count(&call->transaction, upload->token_at) > 0;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct pending_token_row pending;
	struct tenant_status_row status;
	struct tenant_row tenant;
	struct token_row token;

	if (call->endpoint->bringer != NULL) {
		call->endpoint->bringer->answer(call, &upload->opening.token, is_pending);
		return;
	}
	if (call->endpoint->of_link) {
		renewal_answer_done(call, is_pending);
		return;
	}
	store_tenant_read(&call->transaction, upload->tenant_at, 0, &tenant);
	store_tenant_status_read(&call->transaction, upload->tenant_at, 0, &status);
	if (has_token) {
		store_token_read(&call->transaction, upload->token_at, 0, &token);
	}
	if (is_pending) {
		store_pending_read(&call->transaction, upload->pending_at, 0, &pending);
	}
	const struct token_facts facts = store_token_facts(&tenant, &status);

	put_object(&json, NULL);
	put_bool(&json, "dry_run", false);
	token_json(&json, "token", &facts, &status, has_token ? &token : NULL, is_pending ? &pending : NULL);
	put_object_end(&json);
	call_answer(call, is_pending ? 202 : 200, &body);
}

void token_upload(struct call *call)
{
	enum { NEW, READING_KEYS, OPENING, ASKING_APPLE, STORING_PENDING, COMPARING, COSTING, REQUESTING, TAKING };
	struct upload *upload = call->own;

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, READING_KEYS, ask_keys(call));
		if (call_failed(call) || !has_candidates(call)) {
			return;
		}
		if (((const struct upload *)call->own)->brought.is_plain) {
			take_plain(call);
		} else {
			AWAIT(call, OPENING, open_file(call));
		}
		if (!file_was_opened(call) || !bringer_accepts(call)) {
			return;
		}
		AWAIT(call, ASKING_APPLE, ask_apple(call));
		if (is_away(call)) {
			AWAIT(call, STORING_PENDING, token_upload_store_pending(call));
			if (was_taken(call)) {
				answer_stored(call, true);
			}
			return;
		}
		if (!apple_knows_it(call)) {
			return;
		}
		AWAIT(call, COMPARING, ask_identity(call));
		if (call_failed(call) || !identity_fits(call)) {
			return;
		}
		token_upload_fill(upload);
		if (upload->brought.dry_run) {
			answer_dry_run(call);
			return;
		}
		if (upload->override.applies) {
			AWAIT(call, COSTING, token_override_ask(call, &upload->override));
			if (call_failed(call)) {
				return;
			}
			token_override_describe(call, &upload->override, upload->account.server_uuid, upload->brought.file);
			if (change_needs_approval(call, &upload->override.change)) {
				AWAIT(call, REQUESTING, change_request(call, &upload->override.change));
				change_answer_requested(call);
				return;
			}
		}
		AWAIT(call, TAKING, token_upload_take(call));
		if (was_taken(call)) {
			answer_stored(call, false);
		}
	}
}
