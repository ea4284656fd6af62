// SPDX-License-Identifier: Apache-2.0
//
// /status: every tenant's token, sync and queue at a glance
#include "api/paging.h"
#include "api/resources.h"
#include "api/tenant_json.h"

static void item_json(struct json_out *json, const struct tenant_row *row, const struct tenant_status_row *status)
{
	put_object(json, NULL);
	put_text(json, "slug", row->slug);
	put_text(json, "display_name", row->display_name);
	put_text(json, "state", row->state);
	tenant_token_json(json, status);
	tenant_sync_json(json, status);
	tenant_devices_json(json, status);
	put_int(json, "events_pending", status->event_seq > status->announced_seq ? status->event_seq - status->announced_seq : 0);
	put_instant(json, "updated_at", status->updated_at_us);
	put_object_end(json);
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, 0);
	struct tenant_row row = { 0 };

	put_object(&json, NULL);
	put_string(&json, "version", DEPBROKER_VERSION);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct tenant_status_row status;

		store_tenant_read(&call->transaction, 0, i, &row);
		store_tenant_status_read(&call->transaction, 0, i, &status);
		item_json(&json, &row, &status);
	}
	put_list_end(&json);
	paging_write(&json, call->own, count, row.slug);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask(struct call *call)
{
	const struct paging *paging = call->own;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_tenant_list(call_transaction(call, store_directory()), paging->after, tenants, count, paging->limit);
	call_start(call);
}

void status_show(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "status")) {
			return;
		}
		AWAIT(call, LISTING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
