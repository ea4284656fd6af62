// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/profile: the client's layer of all its enrolment profiles, and which template they use. The ETag is its version.
#include "api/layer_change.h"
#include "api/paging.h"
#include "api/resources.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

// --- GET ---

enum { READ_PROFILE, READ_VERSIONS };

static bool read_request(struct call *call, int64_t *version)
{
	return paging_number(call, "version", version);
}

static void ask(struct call *call, int64_t version)
{
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_tenant_profile_select(t, call->tenant.tenant_id);
	(void)store_tenant_profile_versions(t, call->tenant.tenant_id, version, LAYER_VERSIONS_SHOWN);
	call_start(call);
}

static void put_current(struct json_out *json, const struct tenant_profile_row *profile)
{
	put_int(json, "version", profile->version);
	put_text(json, "template", profile->template_name);
	put_int_or_null(json, "template_version", profile->template_version);
	put_raw(json, "layer", profile->layer);
	put_bool(json, "mend", profile->mend);
	put_text(json, "parking", profile->parking);
}

static void put_old(struct json_out *json, const struct call *call)
{
	struct layer_version version;

	store_layer_version_read(&call->transaction, READ_VERSIONS, 0, &version);
	put_version(json, &version);
	put_raw(json, "layer", version.layer);
}

static void answer(struct call *call, int64_t version)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct tenant_profile_row profile;
	char etag[24];

	if (version > 0 && pg_row_count(&call->transaction, READ_VERSIONS) == 0) {
		call_problem(call, PROBLEM_VERSION_NOT_FOUND, "%s", "");
		return;
	}
	put_object(&json, NULL);
	if (version > 0) {
		put_old(&json, call);
	} else {
		store_tenant_profile_read(&call->transaction, READ_PROFILE, 0, &profile);
		(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", profile.version);
		http_answer_header(call->request, "ETag", etag);
		put_current(&json, &profile);
		put_versions(&json, &call->transaction, READ_VERSIONS);
	}
	put_object_end(&json);
	call_answer(call, 200, &body);
}

void tenant_profile_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!read_request(call, call_own(call, sizeof(int64_t)))) {
			return;
		}
		AWAIT(call, READING, ask(call, *(const int64_t *)call->own));
		if (!call_failed(call)) {
			answer(call, *(const int64_t *)call->own);
		}
	}
}

// --- PUT: a member that is missing keeps what is there, but for the layer ---

enum { TEMPLATE = LAYER_BODY_COUNT, MEND, PARKING, MEMBERS };

static const struct body_member members[] = {
	LAYER_MEMBERS,
	{ "template", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = 63 },
	{ .name = "mend", .kind = BODY_FLAG },
	{ "parking", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = 63 },
};

struct putting {
	struct layer_change change;
	struct body_value template_name, mend, parking;
	struct tenant_profile_row after;
	struct change described;
};

static bool read_change(struct call *call)
{
	struct body_value values[MEMBERS];
	struct putting *putting = (struct putting *)layer_change_begin(call, sizeof *putting, PROFILE_LEVEL_TENANT);

	if (!layer_change_read(call, members, values, MEMBERS)) {
		return false;
	}
	putting->template_name = values[TEMPLATE];
	putting->mend = values[MEND];
	putting->parking = values[PARKING];
	return true;
}

static void ask_cost(struct call *call)
{
	const struct putting *putting = call->own;
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	layer_change_ask(t, call->tenant.tenant_id);
	(void)store_template_by_name(t, putting->template_name.text.length > 0 ? putting->template_name.text : TEXT(""));
	call_start(call);
}

static void keep_template(struct call *call, struct tenant_profile_row *profile)
{
	const char *copy = profile->template_name.length > 0 ? arena_copy(&call->request->arena, profile->template_name) : "";

	assert(copy != NULL); // 63 bytes
	profile->template_name = (struct text){ copy, profile->template_name.length };
}

static bool take_template(struct call *call, struct tenant_profile_row *after)
{
	const struct putting *putting = call->own;
	struct template_row row;

	if (!putting->template_name.given) {
		return true;
	}
	after->template_name = putting->template_name.text;
	after->template_version = 0;
	after->template_layer = TEXT_NONE;
	if (after->template_name.length == 0) {
		return true;
	}
	if (pg_row_count(&call->transaction, LAYER_READ_MORE) == 0) {
		call_problem(call, PROBLEM_TEMPLATE_NOT_FOUND, "%.*s", TEXT_ARGS(after->template_name));
		return false;
	}
	store_template_read(&call->transaction, LAYER_READ_MORE, 0, &row);
	after->template_version = row.in_force.version;
	after->template_layer = row.in_force.layer;
	return true;
}

static bool take_parking(struct call *call, struct tenant_profile_row *after)
{
	const struct text name = ((const struct putting *)call->own)->parking.text;
	struct instance_row row = { .name = TEXT_NONE };

	if (!((const struct putting *)call->own)->parking.given) {
		return true;
	}
	for (size_t i = 0; i < pg_row_count(&call->transaction, LAYER_READ_INSTANCES) && !(name.length > 0 && text_equal(row.name, name)); i++) {
		store_instance_read(&call->transaction, LAYER_READ_INSTANCES, i, &row);
	}
	if (name.length > 0 && !text_equal(row.name, name)) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(name));
		return false;
	}
	if (name.length > 0 && (!store_instance_is_parking(&row) || text_equal_string(row.state, "retired"))) {
		call_problem(call, PROBLEM_BAD_BODY, "parking names an instance of the kind parking that is not retired");
		return false;
	}
	after->parking_instance_id = name.length > 0 ? row.instance_id : 0;
	return true;
}

static bool may_be_put(struct call *call)
{
	struct putting *putting = call->own;
	struct tenant_profile_row *after = &putting->after;
	struct tenant_profile_row before;

	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &before);
	if (!layer_change_base(call, &putting->change, before.version)) {
		return false;
	}
	*after = before;
	after->layer = putting->change.layer;
	after->mend = putting->mend.given ? putting->mend.flag : before.mend;
	if (!take_template(call, after) || !take_parking(call, after) || !layer_change_add(call, &putting->change, &(struct layer_states){ .tenant = &call->tenant,
			.before = &before, .after = after })) {
		return false;
	}
	keep_template(call, after);
	return layer_change_may_go_on(call, &putting->change);
}

static void put(struct call *call)
{
	struct putting *putting = call->own;
	const struct layer_author author = layer_change_author(call, &putting->change);
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	if (putting->after.template_name.length > 0) {
		store_template_lock(t, putting->after.template_name, true);
	}
	change_begin(call, t, &putting->described);
	if (putting->after.template_name.length > 0) {
		store_template_require(t, putting->after.template_name, putting->after.template_version);
	}
	(void)store_tenant_profile_put(t, tenant_id, putting->change.base_version, &putting->after, &author);
	change_settle(call, t, &putting->described);
	layer_change_audit(call, t, "tenant.profile", call->tenant.slug);
	call_start(call);
}

void tenant_profile_put(struct call *call)
{
	enum { NEW, COSTING, LISTING, REQUESTING, PUTTING, READING };
	struct putting *putting = call->own;

	switch (call->state) {
	case NEW:
		if (!read_change(call)) {
			return;
		}
		AWAIT(call, COSTING, ask_cost(call));
		if (call_failed(call) || !may_be_put(call)) {
			return;
		}
		if (layer_change_must_list(&putting->change)) {
			AWAIT(call, LISTING, layer_change_list(call, &putting->change, call->tenant.tenant_id));
			if (call_failed(call)) {
				return;
			}
			layer_change_take_list(call, &putting->change);
		}
		putting->described = layer_change_describe(&putting->change, "tenant.profile", call->tenant.tenant_id, TEXT_NONE);
		if (change_needs_approval(call, &putting->described)) {
			AWAIT(call, REQUESTING, change_request(call, &putting->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, PUTTING, put(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "another version is in force, or other devices were moved meanwhile");
			return;
		}
		if (call_failed(call)) {
			return;
		}
		AWAIT(call, READING, ask(call, 0));
		if (!call_failed(call)) {
			answer(call, 0);
		}
	}
}
