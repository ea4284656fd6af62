// SPDX-License-Identifier: Apache-2.0
//
// /alerts: what is wrong, over all tenants that the key may see; /alerts/{id}/ack: somebody has seen it
#include "api/paging.h"
#include "api/resources.h"
#include "store/alerts.h"
#include "tenants/alert.h"

static void alert_json(struct json_out *json, const struct alert_row *alert)
{
	put_object(json, NULL);
	put_id(json, "id", alert->alert_id);
	put_text(json, "tenant", alert->slug);
	put_text(json, "kind", alert->kind);
	put_text(json, "detail", alert->detail);
	put_instant(json, "since", alert->since_us);
	put_instant(json, "last_seen_at", alert->last_seen_at_us);
	put_instant(json, "cleared_at", alert->cleared_at_us);
	put_instant(json, "acked_at", alert->acked_at_us);
	put_text(json, "acked_by", alert->acked_by);
	put_object_end(json);
}

// --- GET ---

struct listing {
	struct paging paging;
	bool all; // cleared ones, too
};

static bool begin_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	return paging_read(call, &listing->paging, "alerts") && call_flag(call, "all", &listing->all);
}

static void ask_list(struct call *call)
{
	const struct listing *listing = call->own;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_alert_list(call_transaction(call, store_directory()), paging_after_number(&listing->paging, 0), !listing->all,
		tenants, count, listing->paging.limit);
	call_start(call);
}

static void put(struct json_out *json, const struct pg_transaction *t, size_t row, struct buffer *key)
{
	struct alert_row alert;

	store_alert_read(t, 0, row, &alert);
	alert_json(json, &alert);
	paging_number_key(key, alert.alert_id);
}

void alerts_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!begin_listing(call)) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			paging_answer(call, &((const struct listing *)call->own)->paging, put);
		}
	}
}

// --- POST .../ack ---

static void find(struct call *call)
{
	(void)store_alert_by_id(call_transaction(call, store_directory()), *(const int64_t *)call->own);
	call_start(call);
}

static bool read_id(struct call *call)
{
	const bool is_one = call_parameter_id(call, 0, call_own(call, sizeof(int64_t)));

	if (!is_one) {
		call_problem(call, PROBLEM_ALERT_NOT_FOUND, "%s", "");
	}
	return is_one;
}

// Another tenant's is refused by the same words as one that does not exist.
static bool was_found(struct call *call, struct alert_row *alert)
{
	if (pg_row_count(&call->transaction, 0) == 1) {
		store_alert_read(&call->transaction, 0, 0, alert);
		if (call_may_see(call, alert->tenant_id)) {
			return true;
		}
	}
	call_problem(call, PROBLEM_ALERT_NOT_FOUND, "%s", "");
	return false;
}

static void acknowledge(struct call *call, const struct alert_row *alert)
{
	const struct text slug = text_of(arena_copy(&call->request->arena, alert->slug));
	const int64_t tenant_id = alert->tenant_id;
	enum alert_kind kind;
	const bool is_notice = alert_of(alert->kind, &kind) && kind >= ALERT_CONDITIONS;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_alert_ack(transaction, tenant_id, *(const int64_t *)call->own, call->key.key_id, is_notice);
	call_audit(call, transaction, "alert.ack", slug, TEXT_NONE);
	call_start(call);
}

void alert_ack(struct call *call)
{
	enum { NEW, FINDING, ACKING };

	switch (call->state) {
	case NEW:
		if (!read_id(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call)) {
			return;
		}
		{
			struct alert_row alert;

			if (was_found(call, &alert)) {
				call->state = ACKING;
				acknowledge(call, &alert);
			}
		}
		return;
	case ACKING:
		if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}
