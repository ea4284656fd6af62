// SPDX-License-Identifier: Apache-2.0
#include "applesim/control.h"

#include "applesim/token_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_S (INT64_C(365) * 24 * 3600)

static void change_flag(yyjson_val *json, const char *name, bool *flag)
{
	yyjson_val *value = yyjson_obj_get(json, name);

	*flag = yyjson_is_bool(value) ? yyjson_get_bool(value) : *flag;
}

// Texts are kept as JSON: those that are given go over those that were.
static void change_texts(struct tenant *tenant, yyjson_val *json)
{
	static const char *const names[] = {
		"admin_id", "facilitator_id", "org_name", "org_email", "org_phone", "org_address", "org_id", "org_type", "org_version",
	};
	yyjson_doc *old = yyjson_read(tenant->texts, strlen(tenant->texts), 0);
	struct buffer out = BUFFER(64 * 1024);

	buffer_add_string(&out, "{");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct text fresh = json_text(json, names[i]);
		const struct text t = fresh.bytes != NULL ? fresh : json_text(yyjson_doc_get_root(old), names[i]);

		if (t.bytes != NULL) {
			buffer_add_format(&out, "%s\"%s\":", out.length > 1 ? "," : "", names[i]);
			buffer_add_json(&out, t);
		}
	}
	buffer_add_string(&out, "}");
	yyjson_doc_free(old);
	free(tenant->texts);
	tenant->texts = buffer_take(&out);
}

static void change_name(struct tenant *tenant, struct text name)
{
	if (tenant->name != NULL) {
		text_index_put(&tenant->world->by_name, tenant->name, NULL);
	}
	free(tenant->name);
	tenant->name = duplicate(name);
	text_index_put(&tenant->world->by_name, tenant->name, tenant);
}

static void change(struct tenant *tenant, yyjson_val *json)
{
	change_texts(tenant, json);
	if (json_text(json, "name").length > 0) {
		change_name(tenant, json_text(json, "name"));
	}
	if (json_text(json, "server_uuid").length == UUID_SIZE) {
		(void)snprintf(tenant->server_uuid, sizeof tenant->server_uuid, "%s", json_text(json, "server_uuid").bytes);
	}
	tenant->page_default = json_number(json, "page_default", tenant->page_default);
	tenant->page_maximum = json_number(json, "page_maximum", tenant->page_maximum);
	change_flag(json, "beta_off", &tenant->is_beta_off);
	change_flag(json, "discovery_unsupported", &tenant->is_discovery_unsupported);
	change_flag(json, "may_not_disown", &tenant->may_not_disown);
	tenant->world->is_changed = true;
}

// Credentials from elsewhere, to check published vectors.
static void take_token(struct tenant *tenant, yyjson_val *json)
{
	struct credentials token = {
		.consumer_key = json_duplicate(json, "consumer_key"),
		.consumer_secret = json_duplicate(json, "consumer_secret"),
		.access_token = json_duplicate(json, "access_token"),
		.access_secret = json_duplicate(json, "access_secret"),
		.expires_at_s = json_number(json, "expires_at_s", world_now_s(tenant->world) + YEAR_S),
	};

	if (token.consumer_key != NULL && token.consumer_secret != NULL && token.access_token != NULL &&
		token.access_secret != NULL) {
		tenant_set_token(tenant, &token);
	} else {
		credentials_fini(&token);
	}
}

static struct tenant *add_one(struct control_call *call, int64_t ordinal, bool is_one_of_many)
{
	struct world *world = call->world;
	const int64_t given_seed = json_number(call->body, "seed", -1);
	const uint64_t seed = given_seed < 0 ? 100 + world->tenant_count : mixed((uint64_t)given_seed, (uint64_t)ordinal);
	struct tenant *tenant = world_add_tenant(world, mixed(world->seed, seed));
	struct buffer name CLEANUP(buffer_fini) = BUFFER(1024);
	const struct text given = json_text(call->body, "name");
	struct buffer texts = BUFFER(256);

	buffer_add_format(&texts, "{\"org_id\":\"%llu\"}", (unsigned long long)(mixed(tenant->seed, 5) % 90000000 + 10000000));
	tenant->texts = buffer_take(&texts);
	change(tenant, call->body);
	if (given.length == 0 || is_one_of_many) {
		buffer_add_text(&name, given.length > 0 ? given : TEXT("server"));
		buffer_add_format(&name, "-%lld", (long long)tenant->id);
		change_name(tenant, buffer_text(&name));
	}
	if (yyjson_is_obj(yyjson_obj_get(call->body, "token"))) {
		take_token(tenant, yyjson_obj_get(call->body, "token"));
	}
	for (int64_t i = json_number(call->body, "devices", 0); i > 0; i--) {
		struct device *device = tenant_make_device(tenant);

		device_enter(device, tenant);
		tenant_log(tenant, device, OPERATION_ADDED, CAUSE_CONTROL);
	}
	return tenant;
}

void control_add_tenants(struct control_call *call)
{
	const bool many = yyjson_obj_get(call->body, "count") != NULL;
	const int64_t count = json_number(call->body, "count", 1);

	if (!many && text_index_find(&call->world->by_name, json_text(call->body, "name")) != NULL) {
		refuse_control(call, 409, "a tenant of this name exists");
		return;
	}
	buffer_add_string(call->out, many ? "{\"tenants\":[" : "");
	for (int64_t i = 0; i < count; i++) {
		buffer_add_string(call->out, i > 0 ? "," : "");
		add_tenant(call->out, add_one(call, i, many));
	}
	buffer_add_string(call->out, many ? "]}" : "");
	call->answer->status = 201;
}

void control_change_tenant(struct control_call *call)
{
	change(call->tenant, call->body);
	add_tenant(call->out, call->tenant);
}

static bool take_certificate(struct control_call *call)
{
	char *pem = duplicate(call->request->body);

	if (!certificate_is_usable(pem)) {
		free(pem);
		refuse_control(call, 400, "the body must be a certificate with an RSA key, in PEM form");
		return false;
	}
	free(call->tenant->certificate);
	call->tenant->certificate = pem;
	call->world->is_changed = true;
	return true;
}

void control_certificate(struct control_call *call)
{
	if (take_certificate(call)) {
		add_tenant(call->out, call->tenant);
	}
}

void control_make_token(struct control_call *call)
{
	const int64_t life_s = web_query_number(call->request, "expires_in_s", YEAR_S);
	struct fault fault = { 0 };

	if (call->request->body.length > 0 && !take_certificate(call)) {
		return;
	}
	if (call->tenant->certificate == NULL) {
		refuse_control(call, 409, "this tenant has no certificate yet: send one as the body");
		return;
	}
	if (web_query(call->request, "same").bytes == NULL || call->tenant->token.consumer_key == NULL) {
		token_make(call->tenant, life_s, web_query(call->request, "new_administrator").bytes != NULL);
	}
	if (token_file_make(call->out, call->tenant, &fault) != OK) {
		refuse_control(call, 500, fault.text);
		return;
	}
	call->answer->content_type = "application/pkcs7-mime";
}

void control_show_token(struct control_call *call)
{
	const struct credentials *token = &call->tenant->token;

	if (token->consumer_key == NULL) {
		refuse_control(call, 404, "no token was made yet");
		return;
	}
	buffer_add_string(call->out, "{\"consumer_key\":");
	buffer_add_json(call->out, text_of(token->consumer_key));
	buffer_add_string(call->out, ",\"consumer_secret\":");
	buffer_add_json(call->out, text_of(token->consumer_secret));
	buffer_add_string(call->out, ",\"access_token\":");
	buffer_add_json(call->out, text_of(token->access_token));
	buffer_add_string(call->out, ",\"access_secret\":");
	buffer_add_json(call->out, text_of(token->access_secret));
	buffer_add_format(call->out, ",\"expires_at_s\":%lld,\"sessions\":[", (long long)token->expires_at_s);
	for (size_t i = 0, shown = 0; i < SESSIONS_MAX; i++) {
		if (call->tenant->sessions[i].token[0] != '\0') {
			buffer_add_string(call->out, shown++ > 0 ? "," : "");
			buffer_add_json(call->out, text_of(call->tenant->sessions[i].token));
		}
	}
	buffer_add_string(call->out, "]}");
}
