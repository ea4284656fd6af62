// SPDX-License-Identifier: Apache-2.0
#include "api/tenant_order.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CURSOR_MAX = 120 };

// "1795525200000000:acme" of the last one shown; "none:acme" when it has no token.
static bool read_position(struct tenant_order *order)
{
	const struct text after = order->paging.after;
	const char *colon = after.length > 0 ? memchr(after.bytes, ':', after.length) : NULL;

	order->after_us = 0;
	order->after_slug = TEXT("");
	if (after.length == 0) {
		return true;
	}
	if (colon == NULL) {
		return false;
	}
	const size_t length = (size_t)(colon - after.bytes);
	char *end = NULL;

	order->after_slug = (struct text){ colon + 1, after.length - length - 1 };
	if (text_equal((struct text){ after.bytes, length }, TEXT("none"))) {
		order->after_us = INSTANT_NONE;
		return true;
	}
	order->after_us = strtoll(after.bytes, &end, 10);
	return end == colon && order->after_us >= 0;
}

bool tenant_order_read(struct call *call, struct tenant_order *order, const char *list)
{
	const struct text sort = http_request_query(call->request, "sort");

	order->by_expiry = text_equal(sort, TEXT("token_expires_at"));
	if (sort.bytes != NULL && !order->by_expiry && !text_equal(sort, TEXT("slug"))) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "sort is slug or token_expires_at");
		return false;
	}
	if (!paging_read(call, &order->paging, order->by_expiry ? "by-expiry" : list)) {
		return false;
	}
	order->after_slug = order->paging.after;
	if (order->by_expiry && !read_position(order)) {
		call_problem(call, PROBLEM_BAD_CURSOR, "%s", "");
		return false;
	}
	return true;
}

void tenant_order_ask(struct call *call, const struct tenant_order *order)
{
	struct pg_transaction *transaction = call_transaction(call, store_directory());
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	if (order->by_expiry) {
		(void)store_tenant_list_by_expiry(transaction, order->after_us, order->after_slug, tenants, count, order->paging.limit);
	} else {
		(void)store_tenant_list(transaction, order->after_slug, tenants, count, order->paging.limit);
	}
	call_start(call);
}

void tenant_order_write(struct json_out *json, const struct tenant_order *order, const struct pg_transaction *transaction)
{
	const size_t count = pg_row_count(transaction, 0);
	struct tenant_status_row status;
	struct tenant_row row = { 0 };
	char last[CURSOR_MAX] = "";

	if (count > 0) {
		store_tenant_read(transaction, 0, count - 1, &row);
		store_tenant_status_read(transaction, 0, count - 1, &status);
		if (!order->by_expiry) {
			text_put(last, sizeof last, row.slug);
		} else if (status.token_expires_at_us == INSTANT_NONE) {
			(void)snprintf(last, sizeof last, "none:%.*s", TEXT_ARGS(row.slug));
		} else {
			(void)snprintf(last, sizeof last, "%" PRId64 ":%.*s", status.token_expires_at_us, TEXT_ARGS(row.slug));
		}
	}
	paging_write(json, &order->paging, count, text_of(last));
}
