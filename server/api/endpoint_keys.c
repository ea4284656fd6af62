// SPDX-License-Identifier: Apache-2.0
//
// GET /webhook-keys/{tenant}/{endpoint} and /webhook-keys/{endpoint}: what verifies signatures v1a, for anybody; DELETE .../endpoints/{endpoint}/signing-key: no such
// signatures any more. Making one is in endpoint_secret.c.
#include "api/endpoint_action.h"
#include "api/json_out.h"
#include "api/rate_limit.h"
#include "api/resources.h"

// --- for anybody: an endpoint without keys does not exist, whatever else there is ---

static void refuse(struct call *call)
{
	call_problem(call, PROBLEM_ENDPOINT_NOT_FOUND, "%s", "");
}

static bool may_ask(struct call *call, size_t parameter)
{
	const struct text address = call->request->client_address;
	int64_t *endpoint_id = call_own(call, sizeof *endpoint_id);

	if (!rate_limit_take(call->service->public_key_rates, address.bytes, address.length, clock_monotonic_ms())) {
		http_answer_header(call->request, "Retry-After", "60");
		call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
		return false;
	}
	if (!call_parameter_id(call, parameter, endpoint_id)) {
		refuse(call);
		return false;
	}
	return true;
}

static void find_tenant(struct call *call)
{
	(void)store_tenant_by_slug(call_transaction(call, store_directory()), call->request->parameters[0]);
	call_start(call);
}

static bool take_tenant(struct call *call, int64_t *tenant_id)
{
	struct tenant_row row;

	if (pg_row_count(&call->transaction, 0) == 0) {
		refuse(call);
		return false;
	}
	store_tenant_read(&call->transaction, 0, 0, &row);
	*tenant_id = row.tenant_id;
	return true;
}

static void ask_keys(struct call *call, int64_t tenant_id)
{
	(void)store_endpoint_keys(call_transaction(call, store_api(tenant_id)), tenant_id, *(const int64_t *)call->own);
	call_start(call);
}

static void answer_keys(struct call *call)
{
	const size_t count = pg_row_count(&call->transaction, 0);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	if (count == 0) {
		refuse(call);
		return;
	}
	put_object(&json, NULL);
	put_list(&json, "keys");
	for (size_t i = 0; i < count; i++) {
		struct text public_part;
		int64_t expires_at_us;

		store_endpoint_key_read(&call->transaction, 0, i, &public_part, &expires_at_us);
		put_object(&json, NULL);
		put_text(&json, "key", public_part);
		put_instant(&json, "expires_at", expires_at_us);
		put_object_end(&json);
	}
	put_list_end(&json);
	put_object_end(&json);
	http_answer_header(call->request, "Cache-Control", "public, max-age=300");
	call_answer(call, 200, &body);
}

void endpoint_public_keys(struct call *call)
{
	enum { NEW, FINDING, READING };
	int64_t tenant_id;

	switch (call->state) {
	case NEW:
		if (!may_ask(call, 1)) {
			return;
		}
		AWAIT(call, FINDING, find_tenant(call));
		if (call_failed(call) || !take_tenant(call, &tenant_id)) {
			return;
		}
		AWAIT(call, READING, ask_keys(call, tenant_id));
		if (!call_failed(call)) {
			answer_keys(call);
		}
	}
}

void endpoint_public_keys_of_everybody(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!may_ask(call, 0)) {
			return;
		}
		AWAIT(call, READING, ask_keys(call, STORE_EVERYBODY));
		if (!call_failed(call)) {
			answer_keys(call);
		}
	}
}

// --- DELETE .../signing-key ---

static void drop(struct call *call, const struct endpoint_row *endpoint)
{
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));
	const char *detail = arena_format(&call->request->arena, "{\"endpoint\":%lld}", (long long)endpoint_id);

	store_endpoint_drop_keys(transaction, tenant_id, endpoint_id);
	call_audit(call, transaction, "endpoint.signing_key_drop", call->tenant.slug, text_of(detail));
	call_start(call);
}

static void answer_dropped(struct call *call)
{
	call_answer_empty(call, 204);
}

void endpoint_drop_keys(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .act = drop, .answer = answer_dropped });
}
