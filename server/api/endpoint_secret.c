// SPDX-License-Identifier: Apache-2.0
//
// POST .../endpoints/{endpoint}/secret and .../signing-key: a new secret, or a new key pair, which signs from now on; those
// from before sign as well for a while
#include "api/body.h"
#include "api/endpoint_action.h"
#include "api/endpoint_json.h"
#include "api/resources.h"
#include "store/secrets.h"
#include "tenants/webhook.h"
#include "tenants/webhook_key.h"

enum { OVERLAP_USUAL_S = DAY_S, OVERLAP_MAX_S = 7 * DAY_S };

struct rotation {
	struct data_key data_key;
	bool is_key_pair;
	struct buffer secret; // or private key
	struct buffer public_part;
	int64_t endpoint_id, version, overlap_s;
};

static void finish(struct call *call)
{
	struct rotation *rotation = call->own;

	data_key_fini(&rotation->data_key);
	buffer_fini_wiped(&rotation->secret);
	buffer_fini(&rotation->public_part);
}

static const struct body_member members[] = {
	{ "overlap_s", BODY_INTEGER, .minimum = 0, .maximum = OVERLAP_MAX_S },
};

static bool begin(struct call *call, bool is_key_pair)
{
	struct body_value value;
	struct rotation *rotation = call_own(call, sizeof *rotation);

	rotation->is_key_pair = is_key_pair;
	rotation->secret = BUFFER(ENDPOINT_SECRET_SPELLING);
	rotation->public_part = BUFFER(WEBHOOK_KEY_SPELLING);
	call_on_finish(call, finish);
	if (!body_read(call, members, &value, 1)) {
		return false;
	}
	rotation->overlap_s = value.given ? value.number : OVERLAP_USUAL_S;
	return true;
}

static bool begin_secret(struct call *call)
{
	return begin(call, false);
}

static bool begin_key_pair(struct call *call)
{
	return begin(call, true);
}

enum { ENDPOINT, DATA_KEY };

static void ask(struct call *call)
{
	(void)store_data_key_current(&call->transaction, call->tenant.tenant_id);
}

static bool take(struct call *call, struct endpoint_row *endpoint)
{
	struct rotation *rotation = call->own;
	struct fault fault;
	enum err rc;

	rotation->endpoint_id = endpoint->endpoint_id;
	rotation->version = (rotation->is_key_pair ? endpoint->key_version : endpoint->secret_version) + 1;
	rc = store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &rotation->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static void make(struct rotation *rotation)
{
	if (rotation->is_key_pair) {
		endpoint_key_make(&rotation->secret, &rotation->public_part);
	} else {
		endpoint_secret_make(&rotation->secret);
	}
}

static void store(struct call *call, const struct endpoint_row *endpoint)
{
	struct rotation *rotation = call->own;
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	const struct seal_binding binding = {
		.kind = rotation->is_key_pair ? SECRET_WEBHOOK_KEY : SECRET_WEBHOOK,
		.tenant_id = tenant_id,
		.data_key_version = rotation->data_key.version,
		.object_id = endpoint_id,
		.secret_version = (int)rotation->version,
	};
	struct sealed sealed CLEANUP(sealed_fini);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));
	const char *detail = arena_format(&call->request->arena, "{\"endpoint\":%lld,\"overlap_s\":%lld}", (long long)endpoint_id,
		(long long)rotation->overlap_s);

	make(rotation);
	seal(&sealed, &rotation->data_key, &binding, buffer_text(&rotation->secret));
	store_endpoint_rotate(transaction, &binding, &sealed, buffer_text(&rotation->public_part), rotation->overlap_s);
	call_audit(call, transaction, rotation->is_key_pair ? "endpoint.signing_key" : "endpoint.secret", call->tenant.slug, text_of(detail));
	call_start(call);
}

static void answer(struct call *call)
{
	const struct rotation *rotation = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	if (rotation->is_key_pair) {
		put_text(&json, "public_key", buffer_text(&rotation->public_part));
		put_string(&json, "public_keys", arena_format(&call->request->arena, "/webhook-keys%s/%lld",
			endpoint_of_whom(call, ""), (long long)rotation->endpoint_id));
	} else {
		put_text(&json, "secret", buffer_text(&rotation->secret));
	}
	put_int(&json, "overlap_s", rotation->overlap_s);
	put_object_end(&json);
	call_answer(call, 201, &body);
}

static bool was_refused(struct call *call)
{
	const enum err rc = call->transaction.op.rc;

	if (rc == ERR_FENCED) {
		call_problem(call, PROBLEM_TOO_MANY_SECRETS, "%d are valid", WEBHOOK_SECRETS_MAX);
	} else if (rc == ERR_CONFLICT) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "another secret was made at the same moment");
	}
	return rc == ERR_FENCED || rc == ERR_CONFLICT;
}

void endpoint_rotate(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){
		.begin = begin_secret, .ask = ask, .take = take, .act = store, .refused = was_refused, .answer = answer });
}

void endpoint_rotate_key(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){
		.begin = begin_key_pair, .ask = ask, .take = take, .act = store, .refused = was_refused, .answer = answer });
}
