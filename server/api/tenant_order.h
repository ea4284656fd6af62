// SPDX-License-Identifier: Apache-2.0
//
// tenant_order.h - lists of tenants by slug, or with sort=token_expires_at by the time at which their tokens expire.
#pragma once

#include "api/paging.h"

struct tenant_order {
	struct paging paging;
	bool by_expiry;
	int64_t after_us;        // of by_expiry
	struct text after_slug;
};

MUST_USE bool tenant_order_read(struct call *call, struct tenant_order *order, const char *list); // false: refused and answered
void tenant_order_ask(struct call *call, const struct tenant_order *order);
// The member "cursor"; the rows are of the transaction's first statement.
void tenant_order_write(struct json_out *json, const struct tenant_order *order, const struct pg_transaction *transaction);
