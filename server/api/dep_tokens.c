// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/instances/{instance}/dep-token: the server token by which the instance's MDM server signs on to its virtual DEP
// server. POST makes or renews it, for the certificate that is the body; it is seen in its envelope only.
//
// Law  from the answer on, the former token is worth nothing, as at Apple
#include "api/dep/dep_secret.h"
#include "api/json_out.h"
#include "api/resources.h"
#include "crypto/certificate.h"
#include "crypto/envelope.h"
#include "store/dep_servers.h"
#include "store/instances.h"
#include "store/secrets.h"

#include <stdio.h>
#include <string.h>

static void server_json(struct json_out *json, const struct dep_server_row *row)
{
	const char *state = row->revoked_at_us != INSTANT_NONE ? "revoked" : row->expires_at_us <= clock_wall_us() ? "expired" : "active";

	put_object(json, NULL);
	put_text(json, "instance", row->instance);
	put_string(json, "state", state);
	put_text(json, "server_uuid", row->server_uuid);
	put_text(json, "consumer_key_end", (struct text){ row->consumer_key.bytes + row->consumer_key.length - 4, 4 });
	put_text(json, "fingerprint", row->fingerprint);
	put_instant(json, "made_at", row->made_at_us);
	put_text(json, "made_by", row->made_by);
	put_instant(json, "expires_at", row->expires_at_us);
	put_instant(json, "revoked_at", row->revoked_at_us);
	put_instant(json, "used_at", row->used_at_us);
	put_object_end(json);
}

// --- the list ---

static void ask_list(struct call *call)
{
	(void)store_dep_server_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

static void answer_list(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct dep_server_row row;

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0); i++) {
		store_dep_server_read(&call->transaction, 0, i, &row);
		server_json(&json, &row);
	}
	put_list_end(&json);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void dep_tokens_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one instance's ---

struct dep_making {
	struct call *call;
	struct offload offload;
	int64_t instance_id;
	int64_t next_id;
	bool exists;
	struct dep_server_row before; // its texts are in the request's arena
	struct data_key data_key;
	struct dep_secret old; // zeroed: there is none to go on with
	bool has_old;
	struct buffer plain;
	struct dep_secret secret;
	bool has_secret;
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
	struct buffer file;
	struct fault fault;
};

static void finish(struct call *call)
{
	struct dep_making *making = call->own;

	data_key_fini(&making->data_key);
	buffer_fini_wiped(&making->plain);
	buffer_fini(&making->file);
	if (making->has_old) {
		dep_secret_fini(&making->old);
	}
	if (making->has_secret) {
		dep_secret_fini(&making->secret);
	}
}

static void begin(struct call *call)
{
	struct dep_making *making = call_own(call, sizeof *making);

	making->call = call;
	making->plain = BUFFER(DEP_SECRET_MAX);
	making->file = BUFFER(TOKEN_FILE_MAX);
	call_on_finish(call, finish);
}

static void ask_instance(struct call *call)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		call->request->parameters[1]);
	call_start(call);
}

static bool take_instance(struct call *call)
{
	struct dep_making *making = call->own;
	struct instance_row instance;

	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &instance);
	making->instance_id = instance.instance_id;
	return true;
}

enum { SERVER, DATA_KEY, SECRET }; // the statements

static void ask_server(struct call *call)
{
	const struct dep_making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_dep_server_select(transaction, tenant_id, making->instance_id);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_DEP_TOKEN, making->instance_id);
	call_start(call);
}

// --- GET and DELETE ---

static void answer_server(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct dep_server_row row;

	if (pg_row_count(&call->transaction, SERVER) == 0) {
		call_problem(call, PROBLEM_DEP_TOKEN_NOT_FOUND, "%s", "");
		return;
	}
	store_dep_server_read(&call->transaction, SERVER, 0, &row);
	server_json(&json, &row);
	call_answer(call, 200, &body);
}

void dep_token_show(struct call *call)
{
	enum { NEW, FINDING, READING };

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, FINDING, ask_instance(call));
		if (call_failed(call) || !take_instance(call)) {
			return;
		}
		AWAIT(call, READING, ask_server(call));
		if (!call_failed(call)) {
			answer_server(call);
		}
	}
}

static void store_revocation(struct call *call)
{
	const struct dep_making *making = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_dep_server_revoke(transaction, call->tenant.tenant_id, making->instance_id);
	call_audit(call, transaction, "instance.dep_token.revoke", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

void dep_token_revoke(struct call *call)
{
	enum { NEW, FINDING, READING, REVOKING };

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, FINDING, ask_instance(call));
		if (call_failed(call) || !take_instance(call)) {
			return;
		}
		AWAIT(call, READING, ask_server(call));
		if (call_failed(call)) {
			return;
		}
		if (pg_row_count(&call->transaction, SERVER) == 0) {
			call_problem(call, PROBLEM_DEP_TOKEN_NOT_FOUND, "%s", "");
			return;
		}
		AWAIT(call, REVOKING, store_revocation(call));
		if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}

// --- POST ---

static struct text kept(struct call *call, struct text t)
{
	const char *copy = arena_copy(&call->request->arena, t);

	return (struct text){ copy, copy != NULL ? t.length : 0 };
}

static enum err take_old(struct call *call, struct fault *fault)
{
	struct dep_making *making = call->own;
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	const int64_t tenant_id = call->tenant.tenant_id;

	TRY(store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, tenant_id, &making->data_key, fault));
	making->exists = pg_row_count(&call->transaction, SERVER) == 1;
	if (making->exists) {
		store_dep_server_read(&call->transaction, SERVER, 0, &making->before);
		making->before.server_uuid = kept(call, making->before.server_uuid);
	}
	if (pg_row_count(&call->transaction, SECRET) == 1) {
		TRY(store_secret_open(&call->transaction, SECRET, 0, tenant_id, SECRET_DEP_TOKEN, call->service->keys, &making->data_key, &plain,
			fault));
		TRY(dep_secret_read(&making->old, buffer_text(&plain), fault));
		making->has_old = true;
	}
	return OK;
}

static bool take_server(struct call *call)
{
	struct fault fault = { 0 };
	const enum err rc = take_old(call, &fault);

	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static enum err work_make(struct offload *offload)
{
	struct dep_making *making = CONTAINER_OF(offload, struct dep_making, offload);
	struct buffer pem CLEANUP(buffer_fini) = BUFFER(2 * CERTIFICATE_PEM_MAX);
	struct buffer message CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
	struct buffer cms CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);

	TRY(certificate_read(&pem, making->fingerprint, making->call->request->body, &making->fault));
	token_message_write(&message, &making->secret.token);
	TRY(envelope_make(&cms, buffer_text(&message), buffer_text(&pem), &making->fault));
	token_file_write(&making->file, buffer_text(&cms));
	return OK;
}

static void on_made(struct op *op)
{
	struct dep_making *making = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct dep_making, offload);

	making->call->endpoint->step(making->call);
}

static bool make_secret(struct call *call)
{
	struct dep_making *making = call->own;
	const struct dep_place place = { call->tenant.tenant_id, making->instance_id };
	struct fault fault = { 0 };

	dep_secret_make(&making->plain, place, making->has_old ? &making->old : NULL, clock_wall_us());
	const enum err rc = dep_secret_read(&making->secret, buffer_text(&making->plain), &fault);

	making->has_secret = rc == OK;
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static void start_making(struct call *call)
{
	struct dep_making *making = call->own;

	op_init(&making->offload.op, on_made);
	making->offload.work = work_make;
	offload_start(&making->offload, &call->service->loop);
}

static void make_uuid(char out[33])
{
	unsigned char random[16];

	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++) {
		(void)snprintf(out + 2 * i, 3, "%02X", random[i]);
	}
}

static void store(struct call *call)
{
	struct dep_making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));
	struct buffer fingerprint CLEANUP(buffer_fini) = BUFFER(2 * CERTIFICATE_FINGERPRINT_SIZE);
	char uuid[33];
	const int64_t version = making->exists ? making->before.secret_version + 1 : 1;

	make_uuid(uuid);
	buffer_add_hex(&fingerprint, making->fingerprint, sizeof making->fingerprint);
	store_dep_server_put(transaction, tenant_id, &(struct dep_server_row){
		.instance_id = making->instance_id,
		.server_uuid = making->exists ? making->before.server_uuid : text_of(uuid),
		.consumer_key = making->secret.token.consumer_key,
		.secret_version = version,
		.fingerprint = buffer_text(&fingerprint),
		.made_by = call_actor(call),
		.expires_at_us = making->secret.token.expires_at_us,
	});
	store_secret_put(transaction, &making->data_key, SECRET_DEP_TOKEN, tenant_id, making->instance_id, (int)version, buffer_text(&making->plain));
	call_audit(call, transaction, making->exists ? "instance.dep_token.renew" : "instance.dep_token.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_file(struct call *call)
{
	struct dep_making *making = call->own;
	char *disposition = arena_format(&call->request->arena, "attachment; filename=\"%.*s_Token_smime.p7m\"",
		TEXT_ARGS(call->request->parameters[1]));

	if (disposition != NULL) {
		http_answer_header(call->request, "Content-Disposition", disposition);
	}
	http_answer_buffer(call->request, 201, "application/pkcs7-mime", &making->file);
}

void dep_token_make(struct call *call)
{
	enum { NEW, FINDING, READING, MAKING, STORING };

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, FINDING, ask_instance(call));
		if (call_failed(call) || !take_instance(call)) {
			return;
		}
		AWAIT(call, READING, ask_server(call));
		if (call_failed(call) || !take_server(call) || !make_secret(call)) {
			return;
		}
		AWAIT(call, MAKING, start_making(call));
		if (((struct dep_making *)call->own)->offload.op.rc != OK) {
			call_problem(call, PROBLEM_BAD_BODY, "the body is to be the certificate of the MDM server: %s",
				((struct dep_making *)call->own)->fault.text);
			return;
		}
		AWAIT(call, STORING, store(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_PRECONDITION_FAILED, "another token was made at the same moment");
		} else if (!call_failed(call)) {
			answer_file(call);
		}
	}
}
