// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_own.h"

#include "api/dep/dep_device_json.h"
#include "store/devices.h"

#include <stdlib.h>

void dep_own_ask(struct call *call, const struct dep_own *own)
{
	(void)store_device_by_serials(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, own->serials.items,
		own->serials.count);
	call_start(call);
}

static int compare(const void *a, const void *b)
{
	return dep_compare_texts(*(const struct text *)a, *(const struct text *)b);
}

void dep_own_take(struct call *call, struct dep_own *own)
{
	const size_t found = pg_row_count(&call->transaction, 0);
	struct device_row row;

	own->ours = arena_take(&call->request->arena, (found + 1) * sizeof *own->ours);
	own->count = 0;
	for (size_t i = 0; i < found && own->ours != NULL; i++) {
		store_device_read(&call->transaction, 0, i, &row);
		if (row.gone_at_us == INSTANT_NONE && row.instance_id == dep_of(call)->place.instance_id) {
			const char *copy = arena_copy(&call->request->arena, row.apple.serial_number);

			own->ours[own->count++] = (struct text){ copy, copy != NULL ? row.apple.serial_number.length : 0 };
		}
	}
	if (own->count > 0) {
		qsort(own->ours, own->count, sizeof *own->ours, compare);
	}
}

void dep_own_answer(struct call *call, const struct dep_own *own, const char *result)
{
	const struct dep_profile_set ours = { own->ours, own->count };
	struct buffer body = BUFFER(CALL_ANSWER_MAX);

	buffer_add_string(&body, "{\"devices\":{");
	for (size_t i = 0; i < own->serials.count; i++) {
		buffer_add_string(&body, i > 0 ? "," : "");
		buffer_add_json(&body, own->serials.items[i]);
		buffer_add_format(&body, ":\"%s\"", dep_profile_is_known(ours, own->serials.items[i]) ? result : "NOT_ACCESSIBLE");
	}
	buffer_add_string(&body, "}}");
	dep_answer_json(call, &body);
}
