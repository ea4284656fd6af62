// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants/{tenant}/endpoints/{endpoint}/replay: events of the log once more, with their ids; .../test: a ping
#include "api/body.h"
#include "api/endpoint_action.h"
#include "api/json_out.h"
#include "api/rate_limit.h"
#include "api/resources.h"
#include "store/deliveries.h"

#include <string.h>

struct replaying {
	struct resend_order order;
	int64_t seqs[BODY_NUMBERS_MAX];
	const char *by; // of the order, for the audit
	unsigned added;
};

enum { SEQS, SERIAL, FROM, TO, PARKED, SINCE, MEMBERS };

static const struct body_member members[MEMBERS] = {
	[SEQS] = { "seqs", BODY_INTEGERS, .minimum = 1, .maximum = INT64_MAX },
	[SERIAL] = { "serial_number", BODY_TEXT, .minimum = 1, .maximum = 64 },
	[FROM] = { "from", BODY_TEXT, .minimum = 1, .maximum = 64 },
	[TO] = { "to", BODY_TEXT, .minimum = 1, .maximum = 64 },
	[PARKED] = { .name = "parked", .kind = BODY_FLAG },
	[SINCE] = { "since", BODY_TEXT, .minimum = 1, .maximum = 64 },
};

static bool take_instant(struct call *call, const struct body_value *value, const char *name, int64_t *out)
{
	*out = value->given ? instant_parse(value->text) : INSTANT_NONE;
	if (value->given && *out == INSTANT_NONE) {
		call_problem(call, PROBLEM_BAD_BODY, "%s is not a date-time of RFC 3339", name);
		return false;
	}
	return true;
}

static bool begin(struct call *call)
{
	struct body_value values[MEMBERS];
	struct replaying *replaying = call_own(call, sizeof *replaying);
	struct resend_order *order = &replaying->order;

	if (!body_read(call, members, values, MEMBERS) || !take_instant(call, &values[FROM], "from", &order->from_us) ||
		!take_instant(call, &values[TO], "to", &order->to_us)) {
		return false;
	}
	order->parked = values[PARKED].given && values[PARKED].flag;
	order->serial = values[SERIAL].text;
	if (values[SEQS].given) {
		memcpy(replaying->seqs, values[SEQS].numbers, values[SEQS].count * sizeof *replaying->seqs);
		order->seqs = replaying->seqs;
		order->count = values[SEQS].count;
	}
	if (values[SEQS].given + values[SERIAL].given + values[FROM].given + order->parked + values[SINCE].given != 1 ||
		(values[TO].given && !values[FROM].given)) {
		call_problem(call, PROBLEM_BAD_BODY, "one of seqs, serial_number, from (with or without to), since, and parked");
		return false;
	}
	if (values[SINCE].given && !text_equal(values[SINCE].text, TEXT("failure"))) {
		call_problem(call, PROBLEM_BAD_BODY, "since is failure");
		return false;
	}
	order->since_failure = values[SINCE].given;
	for (size_t i = 0; i < MEMBERS; i++) {
		replaying->by = values[i].given && i != TO ? members[i].name : replaying->by;
	}
	return true;
}

static bool may_replay(struct call *call, struct endpoint_row *endpoint)
{
	const int64_t who[] = { call->tenant.tenant_id, endpoint->endpoint_id };

	if (rate_limit_take(call->service->replay_rates, who, sizeof who, clock_monotonic_ms())) {
		return true;
	}
	http_answer_header(call->request, "Retry-After", "60");
	call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
	return false;
}

static void order(struct call *call, const struct endpoint_row *endpoint)
{
	struct replaying *replaying = call->own;
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));
	const char *detail = arena_format(&call->request->arena, "{\"endpoint\":%lld,\"by\":\"%s\"}", (long long)endpoint_id, replaying->by);

	replaying->added = store_resend_order(transaction, tenant_id, endpoint_id, &replaying->order);
	call_audit(call, transaction, "endpoint.replay", call->tenant.slug, text_of(detail));
	call_start(call);
}

static bool is_too_large(struct call *call)
{
	if (call->transaction.op.rc != ERR_FENCED) {
		return false;
	}
	call_problem(call, PROBLEM_REPLAY_TOO_LARGE, "%d", RESENDS_MAX);
	return true;
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_int(&json, "events", store_resend_order_read(&call->transaction, ((const struct replaying *)call->own)->added));
	put_object_end(&json);
	call_answer(call, 202, &body);
}

void endpoint_replay(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .begin = begin, .take = may_replay, .act = order, .refused = is_too_large, .answer = answer });
}

// --- a ping ---

static void ping(struct call *call, const struct endpoint_row *endpoint)
{
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_resend_ping(transaction, tenant_id, endpoint_id);
	call_audit(call, transaction, "endpoint.test", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

static void answer_pinged(struct call *call)
{
	call_answer_empty(call, 202);
}

void endpoint_test(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .act = ping, .answer = answer_pinged });
}
