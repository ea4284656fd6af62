// SPDX-License-Identifier: Apache-2.0
#include "api/endpoint_action.h"

#include <assert.h>

static bool ask(struct call *call, const struct endpoint_action *action)
{
	int64_t endpoint_id;

	if (!call_parameter_id(call, call->endpoint->of_tenant ? 1 : 0, &endpoint_id)) {
		call_problem(call, PROBLEM_ENDPOINT_NOT_FOUND, "%s", "");
		return false;
	}
	(void)store_endpoint_select(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, endpoint_id);
	if (action->ask != NULL) {
		action->ask(call);
	}
	return true;
}

static bool take(struct call *call, const struct endpoint_action *action, struct endpoint_row *out)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_ENDPOINT_NOT_FOUND, "%s", "");
		return false;
	}
	store_endpoint_read(&call->transaction, 0, 0, out);
	return action->take == NULL || action->take(call, out);
}

const char *endpoint_of_whom(struct call *call, const char *before_slug)
{
	const char *part = call->endpoint->of_everybody ? ""
		: arena_format(&call->request->arena, "%s/%.*s", before_slug, TEXT_ARGS(call->tenant.slug));

	assert(part != NULL); // the arena has room for far more
	return part;
}

void endpoint_act(struct call *call, const struct endpoint_action *action)
{
	enum { NEW, READING, ACTING };
	struct endpoint_row endpoint;

	switch (call->state) {
	case NEW:
		if ((action->begin != NULL && !action->begin(call)) || !ask(call, action)) {
			return;
		}
		AWAIT(call, READING, call_start(call));
		if (call_failed(call) || !take(call, action, &endpoint)) {
			return;
		}
		if (action->act != NULL) {
			AWAIT(call, ACTING, action->act(call, &endpoint));
			if ((action->refused != NULL && action->refused(call)) || call_failed(call)) {
				return;
			}
		}
		action->answer(call);
	}
}
