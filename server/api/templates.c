// SPDX-License-Identifier: Apache-2.0
//
// /templates: the lowest layer of enrolment profiles, shared by as many clients as use it. The ETag is the version in force.
#include "api/layer_change.h"
#include "api/paging.h"
#include "api/resources.h"
#include "tenants/slug.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// How many tenants use it is for those who see all of them.
static void put_template(struct json_out *json, const struct call *call, const struct template_row *row)
{
	put_text(json, "name", row->name);
	put_version(json, &row->in_force);
	if (call->key.all_tenants) {
		put_int(json, "tenants", row->tenants);
	}
}

// --- GET /templates ---

static void answer_list(struct call *call)
{
	const struct paging *paging = call->own;
	const size_t count = pg_row_count(&call->transaction, 0);
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct template_row row = { .name = TEXT("") };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		store_template_read(&call->transaction, 0, i, &row);
		put_object(&json, NULL);
		put_template(&json, call, &row);
		put_object_end(&json);
	}
	put_list_end(&json);
	paging_write(&json, paging, count, row.name);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask_list(struct call *call)
{
	const struct paging *paging = call->own;

	(void)store_template_list(call_transaction(call, store_directory()), paging->after, paging->limit);
	call_start(call);
}

void templates_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!paging_read(call, call_own(call, sizeof(struct paging)), "templates")) {
			return;
		}
		AWAIT(call, LISTING, ask_list(call));
		if (!call_failed(call)) {
			answer_list(call);
		}
	}
}

// --- GET /templates/{template} ---

enum { READ_TEMPLATE, READ_VERSIONS };

static void ask(struct call *call, int64_t version)
{
	const struct text name = call->request->parameters[0];
	struct pg_transaction *t = call_transaction(call, store_directory());

	(void)store_template_by_name(t, name);
	(void)store_template_versions(t, name, version, LAYER_VERSIONS_SHOWN);
	call_start(call);
}

static bool is_there(struct call *call, int64_t version)
{
	if (pg_row_count(&call->transaction, READ_TEMPLATE) == 0) {
		call_problem(call, PROBLEM_TEMPLATE_NOT_FOUND, "%s", "");
		return false;
	}
	if (version > 0 && pg_row_count(&call->transaction, READ_VERSIONS) == 0) {
		call_problem(call, PROBLEM_VERSION_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static void answer(struct call *call, int64_t version)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct template_row row;
	char etag[24];

	store_template_read(&call->transaction, READ_TEMPLATE, 0, &row);
	if (version > 0) {
		store_layer_version_read(&call->transaction, READ_VERSIONS, 0, &row.in_force);
	} else {
		(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", row.in_force.version);
		http_answer_header(call->request, "ETag", etag);
	}
	put_object(&json, NULL);
	put_template(&json, call, &row);
	put_raw(&json, "layer", row.in_force.layer);
	put_versions(&json, &call->transaction, READ_VERSIONS);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void template_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!paging_number(call, "version", call_own(call, sizeof(int64_t)))) {
			return;
		}
		AWAIT(call, READING, ask(call, *(const int64_t *)call->own));
		if (!call_failed(call) && is_there(call, *(const int64_t *)call->own)) {
			answer(call, *(const int64_t *)call->own);
		}
	}
}

// --- PUT /templates/{template}: every client that uses it is looked at, one after the other ---

enum { USERS_AT_ONCE = 500 };

struct putting {
	struct layer_change change;
	int64_t users[USERS_AT_ONCE]; // a page of them
	struct change described;
	size_t user_count, next;
	char after[64]; // the last one that was read
};

static const struct body_member members[] = { LAYER_MEMBERS };

static bool read_change(struct call *call)
{
	struct body_value values[LAYER_BODY_COUNT];

	(void)layer_change_begin(call, sizeof(struct putting), PROFILE_LEVEL_TEMPLATE);
	if (!is_slug(call->request->parameters[0])) {
		call_problem(call, PROBLEM_BAD_BODY, "the name is of lower-case letters, digits and inner hyphens");
		return false;
	}
	return layer_change_read(call, members, values, LAYER_BODY_COUNT);
}

static void ask_users(struct call *call)
{
	const struct putting *putting = call->own;

	struct pg_transaction *t = call_transaction(call, store_directory());

	(void)store_template_users(t, call->request->parameters[0], text_of(putting->after), USERS_AT_ONCE);
	(void)store_template_by_name(t, call->request->parameters[0]);
	call_start(call);
}

static bool take_users(struct call *call)
{
	struct putting *putting = call->own;
	struct template_user_row row;
	struct template_row template = { .name = TEXT("") };

	if (pg_row_count(&call->transaction, 1) > 0) {
		store_template_read(&call->transaction, 1, 0, &template);
	}
	putting->next = 0;
	putting->user_count = pg_row_count(&call->transaction, 0);
	for (size_t i = 0; i < putting->user_count; i++) {
		store_template_user_read(&call->transaction, 0, i, &row);
		putting->users[i] = row.tenant_id;
		text_put(putting->after, sizeof putting->after, row.slug);
	}
	return layer_change_base(call, &putting->change, template.in_force.version);
}

static bool has_next(const struct call *call)
{
	const struct putting *putting = call->own;

	return putting->next < putting->user_count;
}

static void ask_cost(struct call *call)
{
	const struct putting *putting = call->own;
	const int64_t tenant_id = putting->users[putting->next];

	layer_change_ask(call_transaction(call, store_api(tenant_id)), tenant_id);
	call_start(call);
}

static bool add_cost(struct call *call)
{
	struct putting *putting = call->own;
	struct tenant_profile_row before, after;
	struct tenant_row tenant;

	putting->change.changed_count = 0;
	putting->next++;
	if (pg_row_count(&call->transaction, LAYER_READ_TENANT) == 0) { // deleted meanwhile
		return true;
	}
	store_tenant_read(&call->transaction, LAYER_READ_TENANT, 0, &tenant);
	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &before);
	after = before;
	after.template_layer = putting->change.layer;
	return !text_equal(before.template_name, call->request->parameters[0]) || layer_change_add(call, &putting->change,
		&(struct layer_states){ .tenant = &tenant, .before = &before, .after = &after });
}

// Others would get the new version without having been looked at.
static void require_users(struct pg_transaction *t, struct text name, const struct layer_change *change)
{
	int64_t *ids = allocate_array(change->cost_count + 1, sizeof *ids);

	for (size_t i = 0; i < change->cost_count; i++) {
		ids[i] = change->costs[i].tenant_id;
	}
	store_template_require_users(t, name, ids, change->cost_count);
	free(ids);
}

static void put(struct call *call)
{
	struct putting *putting = call->own;
	const struct layer_author author = layer_change_author(call, &putting->change);
	const struct text name = call->request->parameters[0];
	struct pg_transaction *t = call_transaction(call, store_directory());

	store_template_lock(t, name, false);
	change_begin(call, t, &putting->described);
	(void)store_template_put(t, name, putting->change.base_version, putting->change.layer, &author);
	require_users(t, name, &putting->change);
	change_settle(call, t, &putting->described);
	layer_change_audit(call, t, "template.put", name);
	call_start(call);
}

void template_put(struct call *call)
{
	enum { NEW, LISTING, COSTING, LISTING_DEVICES, REQUESTING, PUTTING, READING };
	struct putting *putting = call->own;

	switch (call->state) {
	case NEW:
		if (!read_change(call)) {
			return;
		}
		do {
			AWAIT(call, LISTING, ask_users(call));
			if (call_failed(call)) {
				return;
			}
			if (!take_users(call)) {
				return;
			}
			while (has_next(call)) {
				AWAIT(call, COSTING, ask_cost(call));
				if (call_failed(call) || !add_cost(call)) {
					return;
				}
				if (layer_change_must_list(&putting->change)) {
					AWAIT(call, LISTING_DEVICES, layer_change_list(call, &putting->change, putting->users[putting->next - 1]));
					if (call_failed(call)) {
						return;
					}
					layer_change_take_list(call, &putting->change);
				}
			}
		} while (putting->user_count == USERS_AT_ONCE);
		if (!layer_change_may_go_on(call, call->own)) {
			return;
		}
		putting->described = layer_change_describe(&putting->change, "template", 0, call->request->parameters[0]);
		if (change_needs_approval(call, &putting->described)) {
			AWAIT(call, REQUESTING, change_request(call, &putting->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, PUTTING, put(call));
		if (call->transaction.op.rc == ERR_FENCED || call->transaction.op.rc == ERR_CONFLICT) {
			change_refused(call, "another version is in force, or other tenants use it, or other devices were moved meanwhile");
			return;
		}
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, READING, ask(call, 0));
		if (!call_failed(call) && is_there(call, 0)) {
			answer(call, 0);
		}
	}
}
