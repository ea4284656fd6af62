// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/tokenpki/{name}: a new key pair, and its certificate for Apple.
#include "api/nanodep/nanodep.h"

#include "api/key_making.h"

#include <stdio.h>
#include <string.h>

enum { DAYS_WITHOUT_PARAMETER = 1, DAYS_DIGITS_MAX = 5 };

// False: it is not a number of days.
static bool read_days(int *out, struct text value)
{
	int days = 0;

	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9' || value.length > DAYS_DIGITS_MAX) {
			return false;
		}
		days = days * 10 + (value.bytes[i] - '0');
	}
	*out = value.length > 0 ? days : DAYS_WITHOUT_PARAMETER;
	return *out >= 1 && *out <= KEY_PAIR_DAYS_MAX;
}

static void finish(struct call *call)
{
	key_making_fini(call->own);
}

static bool begin(struct call *call)
{
	struct key_making *making = call_own(call, sizeof *making);
	const struct text name = http_request_query(call->request, "cn");

	key_making_init(making, call);
	call_on_finish(call, finish);
	if (!nanodep_is_get(call)) {
		return false;
	}
	if (!read_days(&making->days, http_request_query(call->request, "validity_days")) || name.length > KEY_PAIR_NAME_MAX) {
		nanodep_plain(call, 400, "Bad Request\n");
		return false;
	}
	(void)snprintf(making->common_name, sizeof making->common_name, "%.*s", name.length > 0 ? (int)name.length : 9,
		name.length > 0 ? name.bytes : "depserver");
	return true;
}

static void store_pair(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	key_making_store(call->own, transaction);
	call_audit(call, transaction, "token.key.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer(struct call *call)
{
	const struct key_making *making = call->own;
	const char *disposition = arena_format(&call->request->arena, "attachment; filename=\"%.*s.pem\"", TEXT_ARGS(call->tenant.slug));

	if (disposition != NULL) {
		http_answer_header(call->request, "Content-Disposition", disposition);
	}
	http_answer(call->request, 200, "application/x-pem-file", text_of(making->pair.certificate_pem));
}

void nanodep_key_pair_make(struct call *call)
{
	enum { NEW, NUMBERING, MAKING, STORING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, NUMBERING, key_making_ask(call->own));
		if (call_failed(call) || !key_making_take(call->own)) {
			return;
		}
		AWAIT(call, MAKING, key_making_start(call->own));
		if (!key_making_worked(call->own)) {
			return;
		}
		AWAIT(call, STORING, store_pair(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
