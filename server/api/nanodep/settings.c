// SPDX-License-Identifier: Apache-2.0
//
// /v1/config/{name}: where Apple is asked. /v1/assigner/{name}: the profile of new devices.
//
// Law  devices are assigned by the tenant's rules alone. A profile is accepted here when it is one that the rules give to new devices
//      already: then nothing has to change, and otherwise nothing is changed
#include "api/nanodep/nanodep.h"

#include "api/body.h"
#include "api/rules_cost.h"
#include "store/instances.h"
#include "tenants/url_guard.h"

// --- config ---

static void answer_config(struct call *call, struct text url)
{
	struct buffer body = BUFFER(NANODEP_ANSWER_MAX);

	if (url.length > 0) {
		buffer_add_string(&body, "{\"base_url\":");
		nanodep_json(&body, url);
		buffer_add_string(&body, "}\n");
	} else {
		buffer_add_string(&body, "null\n");
	}
	nanodep_answer(call, 200, &body);
}

void nanodep_config_show(struct call *call)
{
	if (nanodep_is_get(call)) {
		answer_config(call, call->tenant.apple_url);
	}
}

static bool read_config(struct call *call)
{
	struct tenant_row *tenant = call_own(call, sizeof *tenant);
	const struct text body = call->request->body;
	struct fault fault;

	*tenant = call->tenant;
	if (body_is_modest(body) && body.bytes != NULL) {
		call->body = json_loadb(body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL);
	}
	if (!json_is_object(call->body)) {
		nanodep_error(call, 500, "the body is no JSON object");
		return false;
	}
	tenant->apple_url = text_of(json_string_value(json_object_get(call->body, "base_url")));
	if (tenant->apple_url.length == 0) {
		nanodep_error(call, 500, "empty base URL");
		return false;
	}
	if (url_check(tenant->apple_url, &fault) != OK) {
		nanodep_error(call, 500, "%s", fault.text);
		return false;
	}
	return true;
}

static void update(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_tenant_update(transaction, call->own);
	call_audit(call, transaction, "tenant.change", call->tenant.slug, TEXT("{\"members\":[\"apple_url\"]}"));
	call_start(call);
}

void nanodep_config_put(struct call *call)
{
	enum { NEW, UPDATING };

	switch (call->state) {
	case NEW:
		if (!read_config(call)) {
			return;
		}
		AWAIT(call, UPDATING, update(call));
		if (!call_failed(call)) {
			answer_config(call, ((const struct tenant_row *)call->own)->apple_url);
		}
	}
}

// --- assigner ---

enum { RULES, INSTANCES, PROFILES };

static void ask(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_rules_current(transaction, tenant_id);
	(void)store_instance_list(transaction, tenant_id);
	(void)store_profile_list(transaction, tenant_id);
	call_start(call);
}

// Of devices that no condition takes. False: that has been answered.
static bool find_instance(struct call *call, int64_t *instance_id)
{
	struct rules_cost rules = { .tenant_id = call->tenant.tenant_id };
	struct rules_row row;

	*instance_id = RULESET_INSTANCE_NONE;
	if (pg_row_count(&call->transaction, RULES) == 0) {
		return true;
	}
	store_rules_read(&call->transaction, RULES, 0, &row);
	struct ruleset *set = rules_cost_in_force(call, &rules, INSTANCES, row.document);

	if (set == NULL) {
		return false;
	}
	*instance_id = ruleset_instance_of(set, ruleset_count(set));
	ruleset_free(set);
	return true;
}

static void answer_uuid(struct call *call, struct text profile_uuid)
{
	struct buffer body = BUFFER(NANODEP_ANSWER_MAX);

	buffer_add_string(&body, "{");
	if (profile_uuid.length > 0) {
		buffer_add_string(&body, "\"profile_uuid\":");
		nanodep_json(&body, profile_uuid);
	}
	buffer_add_string(&body, "}\n");
	nanodep_answer(call, 200, &body);
}

// Its newest profile; with `wanted`, that one if it is any of its.
static struct text profile_of(const struct call *call, int64_t instance_id, struct text wanted)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, PROFILES); i++) {
		struct profile_row profile;

		store_profile_read(&call->transaction, PROFILES, i, &profile);
		if (instance_id != RULESET_INSTANCE_NONE && profile.instance_id == instance_id && profile.profile_uuid.length > 0 &&
			(wanted.length == 0 || text_equal(profile.profile_uuid, wanted))) {
			return profile.profile_uuid;
		}
	}
	return TEXT("");
}

void nanodep_assigner_show(struct call *call)
{
	enum { NEW, READING };
	int64_t instance_id;

	switch (call->state) {
	case NEW:
		if (!nanodep_is_get(call)) {
			return;
		}
		AWAIT(call, READING, ask(call));
		if (!call_failed(call) && find_instance(call, &instance_id)) {
			answer_uuid(call, profile_of(call, instance_id, TEXT("")));
		}
	}
}

void nanodep_assigner_put(struct call *call)
{
	enum { NEW, READING };
	const struct text wanted = http_request_query(call->request, "profile_uuid");
	int64_t instance_id;

	switch (call->state) {
	case NEW:
		if (wanted.length == 0) {
			nanodep_plain(call, 400, "Bad Request\n");
			return;
		}
		AWAIT(call, READING, ask(call));
		if (call_failed(call) || !find_instance(call, &instance_id)) {
			return;
		}
		if (profile_of(call, instance_id, wanted).length > 0) {
			answer_uuid(call, wanted);
			return;
		}
		nanodep_error(call, 500, "the tenant's rules do not give this profile to new devices: change them with PUT /api/v1/tenants/%.*s/rules, "
			"or the instance's profile with PUT .../instances/{instance}/profile", TEXT_ARGS(call->tenant.slug));
	}
}
