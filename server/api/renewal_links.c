// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants/{tenant}/token/renewal-links: a link for the client's administrator, with a key pair of its own
#include "api/body.h"
#include "api/json_out.h"
#include "api/key_making.h"
#include "api/renewal.h"
#include "api/resources.h"

#include <assert.h>
#include <string.h>

enum { DAYS_USUAL = 7, DAYS_MAX = 30, URL_SIZE = 17000 };

struct link_making {
	struct key_making keys; // first: call->own is both
	struct renewal_link_row link;
	char secret[RENEWAL_SECRET_SIZE + 1];
	unsigned char hash[SHA256_SIZE];
};

static const struct body_member members[] = {
	{ "expires_in_days", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = DAYS_MAX },
};

static void finish(struct call *call)
{
	struct link_making *making = call->own;

	wipe(making->secret, sizeof making->secret);
	key_making_fini(&making->keys);
}

static bool begin(struct call *call)
{
	struct link_making *making = call_own(call, sizeof *making);
	struct body_value days = { 0 };

	key_making_init(&making->keys, call);
	call_on_finish(call, finish);
	if (call->request->body.length > 0 && !body_read(call, members, &days, 1)) {
		return false;
	}
	making->link.expires_at_us = clock_wall_us() + (days.number > 0 ? days.number : DAYS_USUAL) * DAY_S * SECOND_US;
	return true;
}

static void store_link(struct call *call)
{
	struct link_making *making = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	renewal_link_make(making->secret, making->hash);
	making->link.link_id = making->keys.key_pair_id; // of one sequence; it is the only link of this pair
	making->link.key_pair_id = making->keys.key_pair_id;
	making->link.made_by = call->key.key_id;
	key_making_store(&making->keys, transaction);
	(void)store_renewal_link_insert(transaction, tenant_id, &making->link, making->hash);
	call_audit(call, transaction, "token.renewal_link.create", call->tenant.slug, TEXT_NONE);
	call_start(call);
}

// Without the option nobody knows under which name others reach us: then there is a path only.
static void put_address(struct json_out *json, const struct call *call)
{
	const struct link_making *making = call->own;
	const char *base = call->service->config->public_url;
	struct buffer url CLEANUP(buffer_fini_wiped) = BUFFER(URL_SIZE);

	buffer_add_format(&url, "%s/renew/%s", base != NULL ? base : "", making->secret);
	assert(!url.overflow); // longer than any option
	put_text(json, "url", base != NULL ? buffer_text(&url) : TEXT_NONE);
	put_string(json, "path", url.bytes + url.length - strlen("/renew/") - RENEWAL_SECRET_SIZE);
}

static void answer(struct call *call)
{
	const struct link_making *making = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_id(&json, "id", making->link.link_id);
	put_address(&json, call);
	put_id(&json, "key_pair_id", making->link.key_pair_id);
	put_instant(&json, "expires_at", making->link.expires_at_us);
	put_object_end(&json);
	call_answer(call, 201, &body);
}

void renewal_links_create(struct call *call)
{
	enum { NEW, NUMBERING, MAKING, STORING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, NUMBERING, key_making_ask(call->own));
		if (call_failed(call) || !key_making_take(call->own)) {
			return;
		}
		AWAIT(call, MAKING, key_making_start(call->own));
		if (!key_making_worked(call->own)) {
			return;
		}
		AWAIT(call, STORING, store_link(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
