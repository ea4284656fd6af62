// SPDX-License-Identifier: Apache-2.0
//
// GET /tenants/{tenant}/token/renewal-links, DELETE .../{id}: which links there are, without their secrets, and the end of one
#include "api/paging.h"
#include "api/resources.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *state_of(const struct renewal_link_row *link)
{
	if (link->used_at_us != INSTANT_NONE) {
		return "used";
	}
	if (link->revoked_at_us != INSTANT_NONE) {
		return "revoked";
	}
	return link->expires_at_us > clock_wall_us() ? "open" : "expired";
}

static void link_json(struct json_out *json, const struct renewal_link_row *link)
{
	put_object(json, NULL);
	put_id(json, "id", link->link_id);
	put_string(json, "state", state_of(link));
	put_id(json, "key_pair_id", link->key_pair_id);
	put_text(json, "made_by", link->made_by);
	put_instant(json, "made_at", link->made_at_us);
	put_instant(json, "expires_at", link->expires_at_us);
	put_instant(json, "used_at", link->used_at_us);
	put_instant(json, "revoked_at", link->revoked_at_us);
	put_object_end(json);
}

// --- GET: newest first; the cursor is the number of the last one shown ---

static void ask_list(struct call *call)
{
	const struct paging *paging = call->own;
	const int64_t below = paging->after.length > 0 ? strtoll(paging->after.bytes, NULL, 10) : INT64_MAX;

	(void)store_renewal_link_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, below, paging->limit);
	call_start(call);
}

static void answer_list(struct call *call)
{
	const size_t count = pg_row_count(&call->transaction, 0);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	char last[24] = "";

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct renewal_link_row link;

		store_renewal_link_read(&call->transaction, 0, i, &link);
		link_json(&json, &link);
		(void)snprintf(last, sizeof last, "%" PRId64, link.link_id);
	}
	put_list_end(&json);
	paging_write(&json, call->own, count, text_of(last));
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void renewal_links_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "renewal-links")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- DELETE ---

static void take_back(struct call *call, int64_t link_id)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(256);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_id(&json, "id", link_id);
	put_object_end(&json);
	store_renewal_link_revoke(transaction, call->tenant.tenant_id, link_id);
	call_audit(call, transaction, "token.renewal_link.revoke", call->tenant.slug, buffer_text(&detail));
	call_start(call);
}

void renewal_link_revoke(struct call *call)
{
	enum { NEW, REVOKING };

	switch (call->state) {
	case NEW: {
		int64_t link_id;

		if (!call_parameter_id(call, 1, &link_id)) {
			call_problem(call, PROBLEM_LINK_NOT_FOUND, "%s", "");
			return;
		}
		call->state = REVOKING;
		take_back(call, link_id);
		return;
	}
	case REVOKING:
		if (call->transaction.op.rc == ERR_FENCED) {
			call_problem(call, PROBLEM_LINK_NOT_FOUND, "there is no link of this number that could still be used");
		} else if (!call_failed(call)) {
			call_answer_empty(call, 204);
		}
	}
}
