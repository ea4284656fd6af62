// SPDX-License-Identifier: Apache-2.0
//
// GET /tenants/{tenant}/pins: where devices go whatever the rules say, who said so, when and why
#include "api/paging.h"
#include "api/pin_json.h"
#include "api/place_filter.h"
#include "api/resources.h"

struct listing {
	struct paging paging;
	struct place_filter place;
};

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	return paging_read(call, &listing->paging, "pins") && place_filter_read(call, &listing->place);
}

static void ask(struct call *call)
{
	const struct listing *listing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;

	(void)store_pin_list(call_transaction(call, store_api(tenant_id)), tenant_id, listing->paging.after, listing->place.instance_id,
		listing->paging.limit);
	call_start(call);
}

static void put(struct json_out *json, const struct pg_transaction *t, size_t row, struct buffer *key)
{
	struct pin_row pin;

	store_pin_read(t, 0, row, &pin);
	pin_json(json, NULL, &pin);
	buffer_add_text(key, pin.serial_number);
}

void pins_list(struct call *call)
{
	enum { NEW, FINDING, LISTING };
	struct listing *listing = call->own;

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		listing = call->own;
		AWAIT(call, FINDING, place_filter_find(call, &listing->place));
		if (call_failed(call) || !place_filter_take(call, &listing->place)) {
			return;
		}
		AWAIT(call, LISTING, ask(call));
		if (!call_failed(call)) {
			paging_answer(call, &listing->paging, put);
		}
	}
}
