// SPDX-License-Identifier: Apache-2.0
//
// GET /tenants/{tenant}/instances/{instance}/maidjwt: what an MDM server hands to a device that asks for a com.apple.maid
// token. The NanoDEP API has it of the tenant alone.
#include "api/call.h"
#include "api/resources.h"
#include "crypto/maid_jwt.h"
#include "depbroker/log.h"
#include "store/instances.h"
#include "store/secrets.h"
#include "store/tokens.h"

struct signing {
	struct call *call;
	struct offload offload;
	struct buffer private_key_der;
	struct buffer jwt;
	char jti[MAID_JTI_SIZE];
	struct fault fault;
};

static void finish(struct call *call)
{
	struct signing *signing = call->own;

	buffer_fini_wiped(&signing->private_key_der);
	buffer_fini_wiped(&signing->jwt);
}

static bool begin(struct call *call)
{
	struct signing *signing = call_own(call, sizeof *signing);

	signing->call = call;
	signing->private_key_der = BUFFER(SEALED_SECRET_MAX);
	signing->jwt = BUFFER(MAID_JWT_MAX);
	call_on_finish(call, finish);
	if (text_equal(call->tenant.state, TEXT("quarantined"))) {
		call_problem(call, PROBLEM_TENANT_NOT_ACTIVE, "it is quarantined");
		return false;
	}
	return true;
}

enum { TOKEN, DATA_KEY, PRIVATE_KEYS, INSTANCE };

static bool names_instance(const struct call *call)
{
	return call->request->parameters[1].bytes != NULL;
}

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_token_current(transaction, tenant_id);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_PRIVATE_KEY, 0);
	if (names_instance(call)) {
		(void)store_instance_by_name(transaction, tenant_id, call->request->parameters[1]);
	}
	call_start(call);
}

static enum err open_key(struct call *call, int64_t key_pair_id, struct fault *fault)
{
	struct signing *signing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };

	TRY(store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, tenant_id, &data_key, fault));
	for (size_t row = 0; row < pg_row_count(&call->transaction, PRIVATE_KEYS); row++) {
		if (store_secret_object_id(&call->transaction, PRIVATE_KEYS, row) == key_pair_id) {
			return store_secret_open(&call->transaction, PRIVATE_KEYS, row, tenant_id, SECRET_PRIVATE_KEY,
				call->service->keys, &data_key, &signing->private_key_der, fault);
		}
	}
	return fault_set(fault, ERR_NOT_FOUND, "a key pair without its private key");
}

// The key whose certificate Apple has now is the one that the token in use was made for; a staged one is not yet that.
static bool take_key(struct call *call)
{
	struct fault fault = { 0 };
	struct token_row token;

	if (names_instance(call) && pg_row_count(&call->transaction, INSTANCE) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	if (pg_row_count(&call->transaction, TOKEN) == 0) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	store_token_read(&call->transaction, TOKEN, 0, &token);
	if (token.key_pair_id == 0) {
		call_problem(call, PROBLEM_TOKEN_HAS_NO_KEY, "%s", "");
		return false;
	}
	const enum err rc = open_key(call, token.key_pair_id, &fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static enum err work_sign(struct offload *offload)
{
	struct signing *signing = CONTAINER_OF(offload, struct signing, offload);

	maid_jti_make(signing->jti);
	return maid_jwt_sign(&signing->jwt, buffer_text(&signing->private_key_der), signing->call->tenant.server_uuid,
		signing->jti, clock_wall_us() / SECOND_US, &signing->fault);
}

static void on_signed(struct op *op)
{
	struct signing *signing = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct signing, offload);

	signing->call->endpoint->step(signing->call);
}

static void sign(struct call *call)
{
	struct signing *signing = call->own;

	op_init(&signing->offload.op, on_signed);
	signing->offload.work = work_sign;
	offload_start(&signing->offload, &call->service->loop);
}

static void answer(struct call *call)
{
	struct signing *signing = call->own;
	char *server_uuid = arena_copy(&call->request->arena, call->tenant.server_uuid);

	if (signing->offload.op.rc != OK) {
		call_problem_of(call, signing->offload.op.rc, &signing->fault);
		return;
	}
	log_event(LOG_INFO, "maid_jwt.signed", LOG_TEXT("tenant", call->tenant.slug),
		LOG_TEXT("instance", call->request->parameters[1]), LOG_STRING("jti", signing->jti));
	http_answer_header(call->request, "X-Jwt-Jti", signing->jti);
	if (server_uuid != NULL) {
		http_answer_header(call->request, "X-Server-Uuid", server_uuid);
	}
	http_answer(call->request, 200, "application/jwt", buffer_text(&signing->jwt));
}

void instance_maid_jwt(struct call *call)
{
	enum { NEW, READING, SIGNING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !take_key(call)) {
			return;
		}
		AWAIT(call, SIGNING, sign(call));
		answer(call);
	}
}
