// SPDX-License-Identifier: Apache-2.0
//
// /tenants, /tenants/{tenant}
#include "api/body.h"
#include "api/paging.h"
#include "api/resources.h"
#include "api/tenant_json.h"
#include "store/keys.h"
#include "store/tenants.h"
#include "tenants/url_guard.h"

#include <stdio.h>

enum { DISPLAY_NAME_MAX = 200, URL_MAX = URL_GUARD_URL_MAX, PROTOCOL_MAX = 99, INTERVAL_MAX = DAY_S };

// --- GET /tenants ---

static void answer_list(struct call *call)
{
	const struct paging *paging = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, 0);
	struct tenant_row row = { 0 };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		struct tenant_status_row status;

		store_tenant_read(&call->transaction, 0, i, &row);
		store_tenant_status_read(&call->transaction, 0, i, &status);
		tenant_json(&json, NULL, &row, &status);
	}
	put_list_end(&json);
	paging_write(&json, paging, count, row.slug);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_list(struct call *call)
{
	const struct paging *paging = call->own;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_tenant_list(call_transaction(call, store_directory()), paging->after, tenants, count, paging->limit);
	call_start(call);
}

void tenants_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "tenants")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- one tenant, as it is now ---

static void answer_tenant(struct call *call, unsigned status_code, const struct pg_transaction *transaction,
	unsigned statement)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct tenant_status_row status;
	struct tenant_row row;

	store_tenant_read(transaction, statement, 0, &row);
	store_tenant_status_read(transaction, statement, 0, &status);
	tenant_json(&json, NULL, &row, &status);
	call_answer(call, status_code, &body);
}

void tenant_show(struct call *call)
{
	answer_tenant(call, 200, &call->admission, 1);
}

// --- POST /tenants ---

struct creation {
	struct tenant_row tenant;
	char master_key[KEY_NAME_MAX + 1]; // that wraps its data key
	struct buffer wrapped;
	unsigned read_back;
};

static void finish_creation(struct call *call)
{
	buffer_fini(&((struct creation *)call->own)->wrapped);
}

static const struct body_member creation_members[] = {
	{ "slug", BODY_TEXT, .required = true, .minimum = 1, .maximum = 63 },
	{ "display_name", BODY_TEXT, .required = true, .minimum = 1, .maximum = DISPLAY_NAME_MAX },
	{ "apple_url", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = URL_MAX },
	{ "protocol_version", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = PROTOCOL_MAX },
	{ "sync_interval_s", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = INTERVAL_MAX },
};

static bool is_acceptable_url(struct call *call, const char *member, struct text url)
{
	struct fault fault;

	if (url_check(url, &fault) == OK) {
		return true;
	}
	call_problem(call, PROBLEM_BAD_BODY, "%s: %s", member, fault.text);
	return false;
}

static bool read_creation(struct call *call)
{
	enum { SLUG, DISPLAY_NAME, APPLE_URL, PROTOCOL_VERSION, SYNC_INTERVAL, COUNT };
	struct body_value values[COUNT];
	struct creation *creation = call_own(call, sizeof *creation);

	creation->wrapped = BUFFER(STORE_WRAPPED_MAX);
	call_on_finish(call, finish_creation);
	if (!body_read(call, creation_members, values, COUNT)) {
		return false;
	}
	if (!is_slug(values[SLUG].text)) {
		call_problem(call, PROBLEM_BAD_BODY, "slug is of lower-case letters, digits and inner hyphens");
		return false;
	}
	if (values[APPLE_URL].text.length > 0 && !is_acceptable_url(call, "apple_url", values[APPLE_URL].text)) {
		return false;
	}
	creation->tenant = (struct tenant_row){
		.slug = values[SLUG].text,
		.display_name = values[DISPLAY_NAME].text,
		.state = TEXT("active"),
		.apple_url = values[APPLE_URL].text,
		.protocol_version = values[PROTOCOL_VERSION].number,
		.sync_interval_s = values[SYNC_INTERVAL].number,
	};
	return true;
}

static void ask_number(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_directory());
	char newest[KEY_NAME_MAX + 1];

	call->service->keys->newest(call->service->keys, newest);
	(void)store_tenant_next_id(transaction);
	(void)store_master_key_begin(transaction, text_of(newest));
	(void)store_master_key_current(transaction);
	call_start(call);
}

enum { NEXT_ID, BEGIN, MASTER_KEY };

static bool make_data_key(struct call *call)
{
	struct creation *creation = call->own;
	struct key_provider *keys = call->service->keys;
	const struct text master_key = store_master_key_read(&call->transaction, MASTER_KEY);
	struct data_key key CLEANUP(data_key_fini);
	struct fault fault;
	enum err rc;

	creation->tenant.tenant_id = store_tenant_next_id_read(&call->transaction, NEXT_ID);
	data_key_make(&key, 1);
	(void)snprintf(creation->master_key, sizeof creation->master_key, "%.*s", TEXT_ARGS(master_key));
	rc = keys->wrap(keys, &creation->wrapped, master_key, &key, creation->tenant.tenant_id, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

// The tenant and the key of its secrets are one: neither is ever there without the other.
static void insert_tenant(struct call *call)
{
	struct creation *creation = call->own;
	const int64_t tenant_id = creation->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_tenant_insert(transaction, &creation->tenant);
	(void)store_data_key_insert(transaction, tenant_id, 1, buffer_text(&creation->wrapped), text_of(creation->master_key));
	creation->read_back = store_tenant_by_id(transaction, tenant_id);
	call_start(call);
}

static void answer_created(struct call *call)
{
	const struct creation *creation = call->own;
	char *location = arena_format(&call->request->arena, "/api/v1/tenants/%.*s", TEXT_ARGS(creation->tenant.slug));

	if (location != NULL) {
		http_answer_header(call->request, "Location", location);
	}
	answer_tenant(call, 201, &call->transaction, creation->read_back);
}

void tenants_create(struct call *call)
{
	enum { NEW, NUMBERING, INSERTING };

	switch (call->state) {
	case NEW:
		if (!read_creation(call)) {
			return;
		}
		AWAIT(call, NUMBERING, ask_number(call));
		if (call_failed(call) || !make_data_key(call)) {
			return;
		}
		AWAIT(call, INSERTING, insert_tenant(call));
		if (call->transaction.op.rc == ERR_CONFLICT) {
			call_problem(call, PROBLEM_SLUG_TAKEN, "%.*s", TEXT_ARGS(((const struct creation *)call->own)->tenant.slug));
		} else if (!call_failed(call)) {
			answer_created(call);
		}
	}
}

// --- PATCH /tenants/{tenant} ---

static const char *const states[] = { "active", "paused", NULL };

static const struct body_member change_members[] = {
	{ "display_name", BODY_TEXT, .minimum = 1, .maximum = DISPLAY_NAME_MAX },
	{ "state", BODY_TEXT, .words = states },
	{ "apple_url", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = URL_MAX },
	{ "protocol_version", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = PROTOCOL_MAX },
	{ "sync_interval_s", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = INTERVAL_MAX },
};

static bool read_change(struct call *call, struct tenant_row *tenant)
{
	enum { DISPLAY_NAME, STATE, APPLE_URL, PROTOCOL_VERSION, SYNC_INTERVAL, COUNT };
	struct body_value values[COUNT];

	if (!body_read(call, change_members, values, COUNT)) {
		return false;
	}
	// Whoever answers at this URL is sent what the token signs.
	if (values[APPLE_URL].given && call->role < ROLE_OPERATOR) {
		call_problem(call, PROBLEM_FORBIDDEN, "to change apple_url it needs operator, and the key is of a %s",
			role_name(call->role));
		return false;
	}
	if (values[APPLE_URL].text.length > 0 && !is_acceptable_url(call, "apple_url", values[APPLE_URL].text)) {
		return false;
	}
	tenant->display_name = values[DISPLAY_NAME].given ? values[DISPLAY_NAME].text : tenant->display_name;
	tenant->state = values[STATE].given ? values[STATE].text : tenant->state;
	tenant->apple_url = values[APPLE_URL].given ? values[APPLE_URL].text : tenant->apple_url;
	tenant->protocol_version = values[PROTOCOL_VERSION].given ? values[PROTOCOL_VERSION].number : tenant->protocol_version;
	tenant->sync_interval_s = values[SYNC_INTERVAL].given ? values[SYNC_INTERVAL].number : tenant->sync_interval_s;
	return true;
}

static void update_tenant(struct call *call, const struct tenant_row *tenant)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant->tenant_id));
	unsigned *read_back = call_own(call, sizeof *read_back);

	(void)store_tenant_update(transaction, tenant);
	*read_back = store_tenant_by_id(transaction, tenant->tenant_id);
	call_start(call);
}

void tenant_change(struct call *call)
{
	enum { NEW, UPDATING };

	switch (call->state) {
	case NEW:
		if (!read_change(call, &call->tenant)) {
			return;
		}
		AWAIT(call, UPDATING, update_tenant(call, &call->tenant));
		if (!call_failed(call)) {
			answer_tenant(call, 200, &call->transaction, *(const unsigned *)call->own);
		}
	}
}
