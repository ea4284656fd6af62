// SPDX-License-Identifier: Apache-2.0
//
// /status: every tenant's token, sync and queue at a glance
#include "api/resources.h"
#include "api/tenant_json.h"
#include "api/tenant_order.h"

static void item_json(struct json_out *json, const struct tenant_row *row, const struct tenant_status_row *status)
{
	put_object(json, NULL);
	put_text(json, "slug", row->slug);
	put_text(json, "display_name", row->display_name);
	put_text(json, "state", row->state);
	tenant_token_json(json, row, status);
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

	put_object(&json, NULL);
	put_string(&json, "version", DEPBROKER_VERSION);
	put_list(&json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, 0); i++) {
		struct tenant_status_row status;
		struct tenant_row row;

		store_tenant_read(&call->transaction, 0, i, &row);
		store_tenant_status_read(&call->transaction, 0, i, &status);
		item_json(&json, &row, &status);
	}
	put_list_end(&json);
	tenant_order_write(&json, call->own, &call->transaction);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void status_show(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!tenant_order_read(call, call_own(call, sizeof(struct tenant_order)), "status")) {
			return;
		}
		AWAIT(call, LISTING, tenant_order_ask(call, call->own));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
