// SPDX-License-Identifier: Apache-2.0
#include "api/place_filter.h"

#include "store/instances.h"

bool place_filter_read(struct call *call, struct place_filter *out)
{
	*out = (struct place_filter){ .instance = http_request_query(call->request, "instance"), .instance_id = PLACE_ANY };
	if (!call_flag(call, "held", &out->is_held)) {
		return false;
	}
	if (out->is_held && out->instance.bytes != NULL) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "held and instance exclude each other");
		return false;
	}
	return true;
}

void place_filter_find(struct call *call, const struct place_filter *filter)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		filter->instance.bytes != NULL ? filter->instance : TEXT(""));
	call_start(call);
}

bool place_filter_take(struct call *call, struct place_filter *filter)
{
	struct instance_row row;

	filter->instance_id = filter->is_held ? PLACE_HELD : PLACE_ANY;
	if (filter->instance.bytes == NULL) {
		return true;
	}
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(filter->instance));
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &row);
	filter->instance_id = row.instance_id;
	return true;
}
