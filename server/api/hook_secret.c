// SPDX-License-Identifier: Apache-2.0
//
// POST and DELETE /tenants/{tenant}/instances/{instance}/hook: the secret by which the instance's MDM server is heard
#include "api/hook.h"
#include "api/json_out.h"
#include "api/resources.h"
#include "store/instances.h"
#include "store/secrets.h"

#include <assert.h>

struct secret_making {
	struct data_key data_key;
	struct buffer secret;
	int64_t instance_id;
	int64_t version;
};

static void finish(struct call *call)
{
	struct secret_making *making = call->own;

	data_key_fini(&making->data_key);
	buffer_fini_wiped(&making->secret);
}

enum { INSTANCE, DATA_KEY }; // the statements

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct secret_making *making = call_own(call, sizeof *making);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	making->secret = BUFFER(HOOK_SECRET_SIZE);
	call_on_finish(call, finish);
	(void)store_instance_by_name(transaction, tenant_id, call->request->parameters[1]);
	(void)store_data_key_current(transaction, tenant_id);
	call_start(call);
}

static bool take(struct call *call)
{
	struct secret_making *making = call->own;
	struct instance_row instance;
	struct fault fault = { 0 };

	if (pg_row_count(&call->transaction, INSTANCE) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	store_instance_read(&call->transaction, INSTANCE, 0, &instance);
	making->instance_id = instance.instance_id;
	making->version = instance.hook_secret_version + 1;
	const enum err rc = store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &making->data_key,
		&fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static void store(struct call *call)
{
	struct secret_making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	unsigned char random[HOOK_SECRET_SIZE / 2];
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	random_bytes(random, sizeof random);
	buffer_add_hex(&making->secret, random, sizeof random);
	wipe(random, sizeof random);
	assert(!making->secret.overflow);
	(void)store_instance_set_hook(transaction, tenant_id, making->instance_id, making->version);
	store_secret_put(transaction, &making->data_key, SECRET_HOOK, tenant_id, making->instance_id, (int)making->version, buffer_text(&making->secret));
	call_audit(call, transaction, "instance.hook.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer(struct call *call)
{
	const struct secret_making *making = call->own;
	const struct text instance = call->request->parameters[1];
	struct buffer path CLEANUP(buffer_fini_wiped) = BUFFER(512);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	buffer_add_format(&path, "/hooks/%.*s/%.*s", TEXT_ARGS(call->tenant.slug), TEXT_ARGS(instance));
	put_object(&json, NULL);
	put_text(&json, "signed_path", buffer_text(&path));
	buffer_add_format(&path, "/%.*s", TEXT_ARGS(buffer_text(&making->secret)));
	put_text(&json, "path", buffer_text(&path));
	put_text(&json, "secret", buffer_text(&making->secret));
	put_object_end(&json);
	call_answer(call, 201, &body);
}

void hook_secret_make(struct call *call)
{
	enum { NEW, READING, STORING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !take(call)) {
			return;
		}
		AWAIT(call, STORING, store(call));
		if (call->transaction.op.rc == ERR_CONFLICT) {
			call_problem(call, PROBLEM_PRECONDITION_FAILED, "another secret was made at the same moment");
		} else if (!call_failed(call)) {
			answer(call);
		}
	}
}

static void drop(struct call *call)
{
	const struct secret_making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_drop_hook(transaction, tenant_id, making->instance_id);
	(void)store_secret_delete(transaction, tenant_id, SECRET_HOOK, making->instance_id);
	call_audit(call, transaction, "instance.hook.remove", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void hook_secret_remove(struct call *call)
{
	enum { NEW, READING, DROPPING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !take(call)) {
			return;
		}
		AWAIT(call, DROPPING, drop(call));
		if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}
