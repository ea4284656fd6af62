// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_profile_set.h"

struct dep_profile_set dep_profile_set_read(struct call *call, unsigned statement)
{
	const size_t count = pg_row_count(&call->transaction, statement);
	struct text *uuids = arena_take(&call->request->arena, (count + 1) * sizeof *uuids);

	for (size_t i = 0; i < count && uuids != NULL; i++) {
		uuids[i] = pg_text(&call->transaction, statement, i, 0);
	}
	return (struct dep_profile_set){ uuids, uuids != NULL ? count : 0 };
}
