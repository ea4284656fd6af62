// SPDX-License-Identifier: Apache-2.0
//
// /v1/tokens/{name}, and what PUT /v1/tokenpki/{name} brings.
//
// Law  secrets are told to a key of the scope tokens:read, and to whoever has just sent them in the plain
#include "api/nanodep/nanodep.h"

#include "api/body.h"
#include "api/token_secret.h"
#include "api/token_upload.h"
#include "store/secrets.h"
#include "store/tokens.h"

static const char hidden[] = "(hidden)";

static void answer_token(struct call *call, unsigned status, const struct server_token *token, bool tells)
{
	struct buffer body = BUFFER(TOKEN_PLAIN_MAX);
	const struct {
		const char *name;
		struct text value;
	} members[] = {
		{ "{\"consumer_key\":", token->consumer_key },
		{ ",\"consumer_secret\":", token->consumer_secret },
		{ ",\"access_token\":", token->access_token },
		{ ",\"access_secret\":", token->access_secret },
	};
	char expiry[INSTANT_TEXT_SIZE];

	body.capacity = TOKEN_PLAIN_MAX + 1; // all at once: growing would leave copies behind
	body.bytes = allocate(body.capacity);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		buffer_add_string(&body, members[i].name);
		nanodep_json(&body, tells ? members[i].value : text_of(hidden));
	}
	buffer_add_format(&body, ",\"access_token_expiry\":\"%s\"}\n", token->expires_at_us == INSTANT_NONE ? "0001-01-01T00:00:00Z"
		: instant_format(expiry, token->expires_at_us, false));
	nanodep_answer(call, status, &body);
}

// --- GET ---

enum { TOKEN, DATA_KEY, SECRETS };

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_token_current(transaction, tenant_id);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_SERVER_TOKEN, 0);
	call_audit(call, transaction, "token.read", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static bool may_read(struct call *call)
{
	if (!nanodep_is_get(call)) {
		return false;
	}
	if (!call->key.reads_tokens) {
		nanodep_error(call, 403, "it needs a key that was made with --scope tokens:read");
	}
	return call->key.reads_tokens;
}

static void answer(struct call *call)
{
	struct server_token token = { 0 };
	struct fault fault = { 0 };
	struct token_row row;

	if (pg_row_count(&call->transaction, TOKEN) == 0) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return;
	}
	store_token_read(&call->transaction, TOKEN, 0, &row);
	const enum err rc = server_token_open(call, (struct token_statements){ .data_key = DATA_KEY, .secrets = SECRETS }, row.token_id, &token,
		&fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
		return;
	}
	answer_token(call, 200, &token, true);
	server_token_fini(&token);
}

void nanodep_tokens_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!may_read(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}

// --- PUT ---

static bool accepts(struct call *call, const struct server_token *current, const struct server_token *brought)
{
	if (current == NULL || text_equal(current->consumer_key, brought->consumer_key) ||
		text_equal(http_request_query(call->request, "force"), TEXT("1"))) {
		return true;
	}
	nanodep_error(call, 500, "mismatched consumer key");
	return false;
}

static bool read_file(struct call *call, struct token_brought *out)
{
	out->file = call->request->body;
	return true;
}

// A token that waits for Apple is not in use yet: 202.
static void answer_file(struct call *call, const struct server_token *token, bool is_pending)
{
	answer_token(call, is_pending ? 202 : 200, token, call->key.reads_tokens);
}

static void answer_plain(struct call *call, const struct server_token *token, bool is_pending)
{
	answer_token(call, is_pending ? 202 : 200, token, true);
}

static bool read_plain(struct call *call, struct token_brought *out)
{
	static const char *const required[] = { "consumer_key", "consumer_secret", "access_token", "access_secret" };
	const struct text body = call->request->body;

	if (body_is_modest(body) && body.bytes != NULL) {
		call->body = json_loadb(body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL);
	}
	if (!json_is_object(call->body)) {
		nanodep_error(call, 500, "the body is no JSON object");
		return false;
	}
	for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
		if (json_string_length(json_object_get(call->body, required[i])) == 0) {
			nanodep_plain(call, 400, "Bad Request\n");
			return false;
		}
	}
	*out = (struct token_brought){ .file = body, .is_plain = true };
	return true;
}

const struct token_bringer nanodep_token_file = { read_file, accepts, answer_file };
const struct token_bringer nanodep_token_plain = { read_plain, accepts, answer_plain };
