// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/devices/{serial}/bypass-code: POST makes an Activation Lock bypass code, GET shows those there are.
//
// Law  a code is stored, sealed and committed, before anybody sees it
#include "api/bypass_code_json.h"
#include "api/resources.h"
#include "depbroker/log.h"
#include "store/devices.h"
#include "store/secrets.h"
#include "store/tokens.h"

#include <string.h>

static void wipe_code(struct bypass_code *code)
{
	wipe(code, sizeof *code);
}

enum err bypass_code_open(const struct call *call, unsigned secrets, int64_t code_id, const struct data_key *data_key,
	struct bypass_code *out, struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);

	for (size_t row = 0; row < pg_row_count(&call->transaction, secrets); row++) {
		if (store_secret_object_id(&call->transaction, secrets, row) == code_id) {
			TRY(store_secret_open(&call->transaction, secrets, row, call->tenant.tenant_id, SECRET_BYPASS_CODE,
				call->service->keys, data_key, &plain, fault));
		}
	}
	if (plain.length != sizeof *out) {
		return fault_set(fault, ERR_CRYPTO, "a bypass code without its secret");
	}
	memcpy(out, plain.bytes, sizeof *out);
	return OK;
}

void bypass_code_json(struct json_out *json, const struct bypass_code_row *row, const struct bypass_code *code)
{
	char spelling[BYPASS_SPELLING_SIZE];
	char escrow_key[BYPASS_ESCROW_KEY_SIZE];

	bypass_code_spell(spelling, code);
	bypass_code_escrow_key(escrow_key, code);
	put_object(json, NULL);
	put_id(json, "id", row->code_id);
	put_text(json, "serial_number", row->serial_number);
	put_string(json, "code", spelling);
	put_string(json, "escrow_key", escrow_key);
	put_instant(json, "made_at", row->made_at_us);
	put_text(json, "made_by", row->made_by);
	put_instant(json, "sent_at", row->sent_at_us);
	put_text(json, "apple_status", row->apple_word);
	put_bool(json, "stale", row->is_stale);
	put_object_end(json);
	wipe(spelling, sizeof spelling);
	wipe(escrow_key, sizeof escrow_key);
}

static void note(const struct call *call, const char *event)
{
	log_event(LOG_INFO, event, LOG_TEXT("tenant", call->tenant.slug),
		LOG_TEXT("serial_number", call->request->parameters[1]), LOG_TEXT("key", call->key.key_id));
}

// --- GET ---

enum { CODES, SECRETS, DATA_KEY, DEVICE, NEXT_ID }; // the statements

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct text serial = call->request->parameters[1];
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_bypass_code_list(transaction, tenant_id, serial);
	(void)store_bypass_code_secrets(transaction, tenant_id, serial);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_device_by_serials(transaction, tenant_id, &call->request->parameters[1], 1);
	(void)store_object_next_id(transaction);
	call_start(call);
}

static enum err write_items(struct json_out *json, const struct call *call, struct fault *fault)
{
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };

	TRY(store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &data_key,
		fault));
	for (size_t i = 0; i < pg_row_count(&call->transaction, CODES); i++) {
		struct bypass_code code CLEANUP(wipe_code) = { 0 };
		struct bypass_code_row row;

		store_bypass_code_read(&call->transaction, CODES, i, &row);
		TRY(bypass_code_open(call, SECRETS, row.code_id, &data_key, &code, fault));
		bypass_code_json(json, &row, &code);
	}
	return OK;
}

static void answer_list(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct fault fault = { 0 };

	if (pg_row_count(&call->transaction, CODES) == 0) {
		call_problem(call, PROBLEM_BYPASS_CODE_NOT_FOUND, "%s", "");
		return;
	}
	put_object(&json, NULL);
	put_list(&json, "items");
	const enum err rc = write_items(&json, call, &fault);

	put_list_end(&json);
	put_object_end(&json);
	if (rc != OK) {
		buffer_fini_wiped(&body);
		call_problem_of(call, rc, &fault);
		return;
	}
	note(call, "bypass_code.shown");
	call_answer(call, 200, &body);
}

void bypass_code_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- POST ---

struct making {
	struct call *call;
	struct offload offload;
	int64_t code_id;
	struct data_key data_key;
	struct bypass_code code;
	unsigned read_back;
};

static void finish(struct call *call)
{
	struct making *making = call->own;

	data_key_fini(&making->data_key);
	wipe(&making->code, sizeof making->code);
}

static void begin(struct call *call)
{
	struct making *making = call_own(call, sizeof *making);

	making->call = call;
	call_on_finish(call, finish);
}

static bool device_is_there(struct call *call)
{
	struct device_row device;

	if (pg_row_count(&call->transaction, DEVICE) == 0) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "%s", "");
		return false;
	}
	store_device_read(&call->transaction, DEVICE, 0, &device);
	if (device.gone_at_us != INSTANT_NONE) {
		call_problem(call, PROBLEM_DEVICE_GONE, "%s", "");
		return false;
	}
	if (pg_row_count(&call->transaction, CODES) >= STORE_BYPASS_CODES_MAX) {
		call_problem(call, PROBLEM_TOO_MANY_BYPASS_CODES, "%s", "");
		return false;
	}
	return true;
}

static bool take_number_and_key(struct call *call)
{
	struct making *making = call->own;
	struct fault fault;
	enum err rc;

	making->code_id = store_object_next_id_read(&call->transaction, NEXT_ID);
	rc = store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id,
		&making->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static enum err work_derive(struct offload *offload)
{
	struct making *making = CONTAINER_OF(offload, struct making, offload);

	random_bytes(making->code.raw, sizeof making->code.raw);
	bypass_code_derive(&making->code);
	return OK;
}

static void on_derived(struct op *op)
{
	struct making *making = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct making, offload);

	making->call->endpoint->step(making->call);
}

static void derive(struct call *call)
{
	struct making *making = call->own;

	op_init(&making->offload.op, on_derived);
	making->offload.work = work_derive;
	offload_start(&making->offload, &call->service->loop);
}

static void store_code(struct call *call)
{
	struct making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct bypass_code_row row = { .code_id = making->code_id, .serial_number = call->request->parameters[1],
		.made_by = call->key.key_id };
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_bypass_code_insert(transaction, tenant_id, &row);
	store_secret_put(transaction, &making->data_key, SECRET_BYPASS_CODE, tenant_id, making->code_id, 1,
		(struct text){ (const char *)&making->code, sizeof making->code });
	making->read_back = store_bypass_code_list(transaction, tenant_id, row.serial_number);
	call_start(call);
}

static void answer_made(struct call *call)
{
	const struct making *making = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	for (size_t i = 0; i < pg_row_count(&call->transaction, making->read_back); i++) {
		struct bypass_code_row row;

		store_bypass_code_read(&call->transaction, making->read_back, i, &row);
		if (row.code_id == making->code_id) {
			bypass_code_json(&json, &row, &making->code);
		}
	}
	note(call, "bypass_code.made");
	call_answer(call, 201, &body);
}

void bypass_code_make(struct call *call)
{
	enum { NEW, READING, DERIVING, STORING };

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !device_is_there(call) || !take_number_and_key(call)) {
			return;
		}
		AWAIT(call, DERIVING, derive(call));
		AWAIT(call, STORING, store_code(call));
		if (!call_failed(call)) {
			answer_made(call);
		}
	}
}
