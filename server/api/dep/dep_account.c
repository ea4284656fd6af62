// SPDX-License-Identifier: Apache-2.0
//
// GET /account: the client's organisation as Apple tells it, and a server that is this instance's own.
#include "api/dep/dep.h"
#include "api/json_out.h"

#include <string.h>

enum { ACCOUNT_MAX = 64 * 1024, ORGANISATION_SINCE = 3 };

// Absent members are empty texts, as Apple has them.
static void put_known(struct json_out *json, const char *name, struct text value)
{
	if (value.length > 0) {
		put_text(json, name, value);
	} else {
		put_string(json, name, "");
	}
}

static void put_methods(struct json_out *json, const char *path)
{
	put_list(json, "http_method");
	for (size_t i = 0; i < dep_endpoint_count; i++) {
		if (strcmp(dep_endpoints[i].path, path) == 0) {
			put_string(json, NULL, dep_endpoints[i].method);
		}
	}
	put_list_end(json);
}

static bool was_listed(size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(dep_endpoints[i].path, dep_endpoints[at].path) == 0) {
			return true;
		}
	}
	return false;
}

static void put_urls(struct json_out *json)
{
	put_list(json, "urls");
	for (size_t i = 0; i < dep_endpoint_count; i++) {
		const struct dep_endpoint *endpoint = &dep_endpoints[i];

		if (was_listed(i)) {
			continue;
		}
		put_object(json, NULL);
		put_string(json, "uri", endpoint->path);
		put_methods(json, endpoint->path);
		if (endpoint->base.step == dep_fetch || endpoint->base.step == dep_sync) {
			put_object(json, "limit");
			put_int(json, "default", DEP_PAGE_MAX);
			put_int(json, "maximum", DEP_PAGE_MAX);
			put_object_end(json);
		}
		put_object_end(json);
	}
	put_list_end(json);
}

static void put_organisation(struct json_out *json, const struct tenant_row *tenant)
{
	put_known(json, "org_id", tenant->org_id);
	put_known(json, "org_id_hash", tenant->org_id_hash);
	put_known(json, "org_type", tenant->org_type);
	put_string(json, "org_version", "v2");
	put_urls(json);
}

void dep_account(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	const struct tenant_row *tenant = &call->tenant;
	struct buffer body = BUFFER(ACCOUNT_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_known(&json, "server_name", dep->server.instance);
	put_known(&json, "server_uuid", dep->server.server_uuid);
	put_known(&json, "admin_id", tenant->apple_contact);
	put_known(&json, "facilitator_id", tenant->apple_contact);
	put_known(&json, "org_name", tenant->org_name.length > 0 ? tenant->org_name : tenant->display_name);
	put_string(&json, "org_email", "");
	put_string(&json, "org_phone", "");
	put_string(&json, "org_address", "");
	if (dep->version >= ORGANISATION_SINCE) {
		put_organisation(&json, tenant);
	}
	put_object_end(&json);
	dep_answer_json(call, &body);
}
