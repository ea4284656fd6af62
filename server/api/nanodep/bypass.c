// SPDX-License-Identifier: Apache-2.0
//
// /v1/bypasscode: an Activation Lock bypass code in its three spellings. It is of no device, and nothing is stored.
#include "api/nanodep/nanodep.h"

#include "tenants/bypass_code.h"

#include <string.h>

struct spelling {
	struct call *call;
	struct offload offload;
	struct bypass_code code;
};

static void finish(struct call *call)
{
	wipe(call->own, sizeof(struct spelling));
}

static bool read_raw(struct call *call, struct text hex, struct bypass_code *out)
{
	struct buffer raw CLEANUP(buffer_fini_wiped) = BUFFER(NANODEP_ANSWER_MAX);

	if (!hex_decode(&raw, hex)) {
		nanodep_error(call, 500, "raw is not hexadecimal");
		return false;
	}
	if (raw.length < BYPASS_RAW_SIZE) {
		nanodep_error(call, 500, "invalid length: %zu", raw.length);
		return false;
	}
	memcpy(out->raw, raw.bytes, BYPASS_RAW_SIZE);
	return true;
}

static bool begin(struct call *call)
{
	struct spelling *spelling = call_own(call, sizeof *spelling);
	const struct text raw = http_request_query(call->request, "raw");
	const struct text code = http_request_query(call->request, "code");

	spelling->call = call;
	call_on_finish(call, finish);
	if (raw.length > 0 && code.length > 0) {
		nanodep_error(call, 500, "raw or code but not both");
		return false;
	}
	if (raw.length > 0) {
		return read_raw(call, raw, &spelling->code);
	}
	if (code.length > 0) {
		if (!bypass_code_read(&spelling->code, code)) {
			nanodep_error(call, 500, code.length != BYPASS_SPELLING_SIZE - 1 ? "invalid length: %zu" : "invalid code of length %zu", code.length);
			return false;
		}
		return true;
	}
	random_bytes(spelling->code.raw, sizeof spelling->code.raw);
	return true;
}

static enum err work(struct offload *offload)
{
	bypass_code_derive(&CONTAINER_OF(offload, struct spelling, offload)->code);
	return OK;
}

static void on_derived(struct op *op)
{
	const struct spelling *spelling = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct spelling, offload);

	spelling->call->endpoint->step(spelling->call);
}

static void derive(struct call *call)
{
	struct spelling *spelling = call->own;

	op_init(&spelling->offload.op, on_derived);
	spelling->offload.work = work;
	offload_start(&spelling->offload, &call->service->loop);
}

static void answer(struct call *call)
{
	const struct spelling *spelling = call->own;
	struct buffer body = BUFFER(NANODEP_ANSWER_MAX);
	char code[BYPASS_SPELLING_SIZE];
	char hash[BYPASS_ESCROW_KEY_SIZE];

	bypass_code_spell(code, &spelling->code);
	bypass_code_escrow_key(hash, &spelling->code);
	buffer_add_string(&body, "{\"raw\":\"");
	buffer_add_hex(&body, spelling->code.raw, sizeof spelling->code.raw);
	buffer_add_format(&body, "\",\"code\":\"%s\",\"hash\":\"%s\"}\n", code, hash);
	nanodep_answer(call, 200, &body);
}

void nanodep_bypass_code(struct call *call)
{
	enum { NEW, DERIVING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, DERIVING, derive(call));
		answer(call);
	}
}
