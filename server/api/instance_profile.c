// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/instances/{instance}/profile: the instance's layer, and the enrolment profile that all layers make of it. The ETag is
// the version of the layer.
#include "api/layer_change.h"
#include "api/paging.h"
#include "api/resources.h"
#include "tenants/profile_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// --- GET ---

enum { READ_INSTANCE, READ_TENANT_PROFILE, READ_PROFILES, READ_VERSIONS };

struct reading {
	struct arena arena;
	int64_t version; // 0: the one in force
};

static void finish_reading(struct call *call)
{
	arena_fini(&((struct reading *)call->own)->arena);
}

static bool read_request(struct call *call)
{
	struct reading *reading = call_own(call, sizeof *reading);

	reading->arena = ARENA(PROFILE_ARENA_BUDGET);
	call_on_finish(call, finish_reading);
	return paging_number(call, "version", &reading->version);
}

static void ask_instance(struct call *call)
{
	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		call->request->parameters[1]);
	call_start(call);
}

static bool is_there(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

static void ask(struct call *call)
{
	const struct reading *reading = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct instance_row instance;

	store_instance_read(&call->transaction, 0, 0, &instance);
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	(void)store_instance_by_name(t, tenant_id, call->request->parameters[1]);
	(void)store_tenant_profile_select(t, tenant_id);
	(void)store_profile_list(t, tenant_id);
	(void)store_instance_profile_versions(t, tenant_id, instance.instance_id, reading->version, LAYER_VERSIONS_SHOWN);
	call_start(call);
}

static void answer_version(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct layer_version version;

	if (pg_row_count(&call->transaction, READ_VERSIONS) == 0) {
		call_problem(call, PROBLEM_VERSION_NOT_FOUND, "%s", "");
		return;
	}
	store_layer_version_read(&call->transaction, READ_VERSIONS, 0, &version);
	put_object(&json, NULL);
	put_version(&json, &version);
	put_raw(&json, "layer", version.layer);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

// The one that was defined with this content: its bytes may be another's, its digest of them.
static bool find_defined(const struct pg_transaction *t, int64_t instance_id, const unsigned char digest[SHA256_SIZE],
	struct profile_row *out)
{
	unsigned char canonical[SHA256_SIZE];

	for (size_t i = 0; i < pg_row_count(t, READ_PROFILES); i++) {
		store_profile_read(t, READ_PROFILES, i, out);
		if (out->instance_id == instance_id && profile_digest(canonical, out->content, NULL) == OK &&
			memcmp(canonical, digest, SHA256_SIZE) == 0) {
			return true;
		}
	}
	return false;
}

static void put_at_apple(struct json_out *json, const struct profile_row *row)
{
	put_object(json, "at_apple");
	put_text(json, "profile_uuid", row->profile_uuid);
	put_text(json, "refused", row->refused);
	put_instant(json, "defined_at", row->defined_at_us);
	put_instant(json, "checked_at", row->checked_at_us);
	put_bool(json, "drifts", row->drift_count > 0);
	put_raw(json, "differences", row->drift.length > 0 ? row->drift : TEXT("[]"));
	put_instant(json, "mended_at", row->mended_at_us);
	put_object_end(json);
}

static void put_state(struct json_out *json, const struct call *call, const struct instance_row *instance,
	const struct profile_rendered *rendered)
{
	struct profile_row row;

	if (rendered->content.bytes != NULL && find_defined(&call->transaction, instance->instance_id, rendered->digest, &row)) {
		put_at_apple(json, &row);
	} else {
		put_null(json, "at_apple");
	}
}

static void put_digest(struct json_out *json, const struct profile_rendered *rendered)
{
	struct buffer hexadecimal CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);

	buffer_add_hex(&hexadecimal, rendered->digest, SHA256_SIZE);
	put_text(json, "digest", rendered->content.bytes != NULL ? buffer_text(&hexadecimal) : TEXT_NONE);
}

static void answer_rendered(struct call *call, const struct instance_row *instance, const struct tenant_profile_row *profile,
	const struct profile_rendered *rendered)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	char etag[24];

	(void)snprintf(etag, sizeof etag, "\"%" PRId64 "\"", instance->profile_version);
	http_answer_header(call->request, "ETag", etag);
	put_object(&json, NULL);
	put_int(&json, "version", instance->profile_version);
	put_raw(&json, "layer", instance->profile);
	put_text(&json, "template", profile->template_name);
	put_int_or_null(&json, "template_version", profile->template_version);
	put_rendered(&json, "profile", rendered);
	put_digest(&json, rendered);
	put_origins(&json, "origins", rendered);
	put_findings(&json, "findings", &rendered->findings, PROFILE_LEVEL_BROKER, FINDING_NOTE);
	put_state(&json, call, instance, rendered);
	put_versions(&json, &call->transaction, READ_VERSIONS);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void answer(struct call *call)
{
	struct reading *reading = call->own;
	struct tenant_profile_row profile;
	struct profile_rendered rendered;
	struct instance_row instance;
	struct fault fault;
	enum err rc;

	if (reading->version > 0) {
		answer_version(call);
		return;
	}
	store_instance_read(&call->transaction, READ_INSTANCE, 0, &instance);
	store_tenant_profile_read(&call->transaction, READ_TENANT_PROFILE, 0, &profile);
	const struct profile_parts parts = profile_parts_of(&call->tenant, &profile, &instance);

	rc = profile_compose(&rendered, &parts, &reading->arena, &fault);
	if (rc != OK) {
		call_problem(call, PROBLEM_PROFILE_INVALID, "%s", fault.text);
		return;
	}
	answer_rendered(call, &instance, &profile, &rendered);
}

void instance_profile_show(struct call *call)
{
	enum { NEW, FINDING, READING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, FINDING, ask_instance(call));
		if (call_failed(call) || !is_there(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call) && is_there(call)) {
			answer(call);
		}
	}
}

// --- PUT ---

struct putting {
	struct layer_change change;
	int64_t instance_id;
	struct change described;
};

static const struct body_member members[] = { LAYER_MEMBERS };

static bool read_change(struct call *call)
{
	struct body_value values[LAYER_BODY_COUNT];

	(void)layer_change_begin(call, sizeof(struct putting), PROFILE_LEVEL_INSTANCE);
	return layer_change_read(call, members, values, LAYER_BODY_COUNT);
}

static void ask_cost(struct call *call)
{
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	layer_change_ask(t, call->tenant.tenant_id);
	call_start(call);
}

static bool find_instance(const struct call *call, struct instance_row *out)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, LAYER_READ_INSTANCES); i++) {
		store_instance_read(&call->transaction, LAYER_READ_INSTANCES, i, out);
		if (text_equal(out->name, call->request->parameters[1])) {
			return true;
		}
	}
	return false;
}

static bool may_be_put(struct call *call)
{
	struct putting *putting = call->own;
	struct layer_change *change = &putting->change;
	struct tenant_profile_row profile;
	struct instance_row instance;

	if (!find_instance(call, &instance)) {
		call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
		return false;
	}
	if (!layer_change_base(call, change, instance.profile_version)) {
		return false;
	}
	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &profile);
	putting->instance_id = instance.instance_id;
	instance.profile = change->layer;
	return layer_change_add(call, change, &(struct layer_states){ .tenant = &call->tenant, .before = &profile, .after = &profile,
		.instance_after = &instance }) && layer_change_may_go_on(call, change);
}

static void put(struct call *call)
{
	struct putting *putting = call->own;
	const struct layer_change *change = &putting->change;
	const struct layer_author author = layer_change_author(call, change);
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	change_begin(call, t, &putting->described);
	(void)store_instance_profile_put(t, tenant_id, putting->instance_id, change->base_version, change->layer, &author);
	change_settle(call, t, &putting->described);
	layer_change_audit(call, t, "instance.profile", call->tenant.slug);
	call_start(call);
}

void instance_profile_put(struct call *call)
{
	enum { NEW, COSTING, LISTING, REQUESTING, PUTTING, FINDING, READING };
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
		putting->described = layer_change_describe(&putting->change, "instance.profile", call->tenant.tenant_id, call->request->parameters[1]);
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
		layer_change_fini(call->own);
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, FINDING, ask_instance(call));
		if (call_failed(call) || !is_there(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call) && is_there(call)) {
			answer(call);
		}
	}
}
