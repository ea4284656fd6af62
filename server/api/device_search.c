// SPDX-License-Identifier: Apache-2.0
//
// /devices/{serial}: a device wherever it is. Of tenants that the key may not see nothing is said, as if they were not there.
#include "api/device_view.h"
#include "api/resources.h"
#include "store/guards.h"

enum { TENANTS_MAX = 20 };

struct search {
	struct buffer body;
	struct json_out json;
	int64_t tenants[TENANTS_MAX]; // that have it, or had it
	size_t count, at;
	size_t found;
};

static void finish(struct call *call)
{
	buffer_fini(&((struct search *)call->own)->body);
}

static void begin(struct call *call)
{
	struct search *search = call_own(call, sizeof *search);

	search->body = BUFFER(CALL_ANSWER_MAX);
	search->json.out = &search->body;
	call_on_finish(call, finish);
}

static void ask_who(struct call *call)
{
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_claim_list(call_transaction(call, store_directory()), call->request->parameters[0], tenants, count, TENANTS_MAX);
	call_start(call);
}

static void take_who(struct call *call)
{
	struct search *search = call->own;

	search->count = pg_row_count(&call->transaction, 0);
	for (size_t i = 0; i < search->count; i++) {
		struct claim_row claim;

		store_claim_read(&call->transaction, 0, i, &claim);
		search->tenants[i] = claim.tenant_id;
	}
	put_object(&search->json, NULL);
	put_text(&search->json, "serial_number", call->request->parameters[0]);
	put_list(&search->json, "items");
}

static void ask_one(struct call *call)
{
	const struct search *search = call->own;
	const int64_t tenant_id = search->tenants[search->at];

	device_view_ask(call_transaction(call, store_api(tenant_id)), tenant_id, call->request->parameters[0]);
	call_start(call);
}

static void take_one(struct call *call)
{
	struct search *search = call->own;

	if (device_view_is_there(call)) {
		put_object(&search->json, NULL);
		device_view_members(&search->json, call);
		put_object_end(&search->json);
		search->found++;
	}
}

static void answer(struct call *call)
{
	struct search *search = call->own;

	if (search->found == 0) {
		call_problem(call, PROBLEM_DEVICE_NOT_FOUND, "%s", "");
		return;
	}
	put_list_end(&search->json);
	put_object_end(&search->json);
	call_answer(call, 200, &search->body);
}

void device_search(struct call *call)
{
	enum { NEW, SEARCHING, READING };
	struct search *search = call->own;

	switch (call->state) {
	case NEW:
		begin(call);
		AWAIT(call, SEARCHING, ask_who(call));
		if (call_failed(call)) {
			return;
		}
		take_who(call);
		for (search = call->own; search->at < search->count; search->at++) {
			AWAIT(call, READING, ask_one(call));
			if (call_failed(call)) {
				return;
			}
			take_one(call);
		}
		answer(call);
	}
}
