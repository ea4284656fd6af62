// SPDX-License-Identifier: Apache-2.0
//
// others.c - the account and the less used endpoints (dep-api.md, sections 5.1 and 5.10 to 5.14).
#include "applesim/apple.h"

#include "applesim/device_json.h"
#include "depbroker/digest.h"

#include <stdlib.h>
#include <string.h>

static void add_member(struct buffer *out, const char *name, yyjson_val *texts, const char *otherwise)
{
	const struct text t = json_text(texts, name);

	buffer_add_format(out, "\"%s\":", name);
	buffer_add_json(out, t.bytes != NULL ? t : text_of(otherwise));
	buffer_add(out, ",", 1);
}

static void add_urls(struct buffer *out, const struct tenant *tenant)
{
	static const char *const plain[][2] = {
		{ "/session", "\"GET\"" }, { "/account", "\"GET\"" }, { "/devices", "\"POST\"" },
		{ "/devices/disown", "\"POST\"" }, { "/profile", "\"GET\",\"POST\"" },
		{ "/profile/devices", "\"DELETE\",\"POST\",\"PUT\"" }, { "/device/activationlock", "\"POST\"" },
		{ "/os-beta-enrollment/tokens", "\"GET\"" }, { "/device/replacementDetails", "\"GET\"" },
		{ "/account-driven-enrollment/profile", "\"DELETE\",\"GET\",\"POST\"" },
	};
	static const char *const limited[] = { "/server/devices", "/devices/sync" };

	buffer_add_string(out, ",\"urls\":[");
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		buffer_add_format(out, "{\"uri\":\"%s\",\"http_method\":[%s]},", plain[i][0], plain[i][1]);
	}
	for (size_t i = 0; i < 2; i++) {
		buffer_add_format(out, "%s{\"uri\":\"%s\",\"http_method\":[\"POST\"],\"limit\":{\"default\":%lld,\"maximum\":%lld}}",
			i > 0 ? "," : "", limited[i], (long long)tenant->page_default, (long long)tenant->page_maximum);
	}
	buffer_add_string(out, "]");
}

static void add_organisation(struct buffer *out, const struct tenant *tenant, yyjson_val *texts)
{
	const struct text org_id = json_text(texts, "org_id");
	const struct digest_part part = { org_id.bytes, org_id.length };
	unsigned char digest[SHA256_SIZE];

	sha256(digest, &part, org_id.length > 0 ? 1 : 0);
	buffer_add(out, ",", 1);
	add_member(out, "org_id", texts, "");
	add_member(out, "org_type", texts, "org");
	add_member(out, "org_version", texts, "v2");
	buffer_add_string(out, "\"org_id_hash\":\"");
	buffer_add_hex(out, digest, sizeof digest);
	buffer_add_string(out, "\"");
	add_urls(out, tenant);
}

void handle_account(struct call *call)
{
	const struct tenant *tenant = call->tenant;
	struct buffer *body = &call->answer->body;
	yyjson_doc *doc = yyjson_read(tenant->texts, strlen(tenant->texts), 0);
	yyjson_val *texts = yyjson_doc_get_root(doc);

	buffer_add_string(body, "{\"server_name\":");
	buffer_add_json(body, text_of(tenant->name));
	buffer_add(body, ",", 1);
	add_member(body, "admin_id", texts, "admin@example.com");
	add_member(body, "facilitator_id", texts, "admin@example.com");
	add_member(body, "org_name", texts, tenant->name);
	add_member(body, "org_email", texts, "it@example.com");
	add_member(body, "org_phone", texts, "5550100");
	add_member(body, "org_address", texts, "1 Example Street");
	buffer_add_format(body, "\"server_uuid\":\"%s\"", tenant->server_uuid);
	if (call->version >= 3) {
		add_organisation(body, tenant, texts);
	}
	buffer_add_string(body, "}");
	answer_json(call);
	yyjson_doc_free(doc);
}

static const char *disown_one(struct call *call, const char *serial, struct device *device, size_t place)
{
	(void)serial;
	(void)place;
	if (device == NULL) {
		return "NOT_ACCESSIBLE";
	}
	if (call->tenant->may_not_disown) {
		return "FAILED";
	}
	tenant_log(call->tenant, device, OPERATION_DELETED, CAUSE_DISOWN);
	device_leave(device);
	return "SUCCESS";
}

void handle_disown(struct call *call)
{
	yyjson_val *devices = call_devices(call);

	if (devices == NULL) {
		return;
	}
	buffer_add_string(&call->answer->body, "{");
	add_results(call, devices, disown_one);
	buffer_add_string(&call->answer->body, "}");
	answer_json(call);
}

static const char *lock(struct device *device)
{
	if (strcmp(hardware_fact(device->seed, FACT_FAMILY), "AppleTV") == 0) {
		return "DEVICE_NOT_SUPPORTED";
	}
	if (device->is_locked) {
		return "DEVICE_ALREADY_LOCKED";
	}
	device->is_locked = true;
	return "SUCCESS";
}

void handle_activation_lock(struct call *call)
{
	const struct text serial = json_text(call->body, "device");
	const struct text key = json_text(call->body, "escrow_key");
	struct device *device = world_device(call->world, serial);
	struct buffer bytes CLEANUP(buffer_fini) = BUFFER(32);
	const bool has_key = yyjson_obj_get(call->body, "escrow_key") != NULL;

	if (serial.length == 0 || (has_key && (key.length != 64 || !hex_decode(&bytes, key)))) {
		answer_word(call, 400, "MALFORMED_REQUEST_BODY");
		return;
	}
	buffer_add_string(&call->answer->body, "{\"serial_number\":");
	buffer_add_json(&call->answer->body, serial);
	buffer_add_format(&call->answer->body, ",\"response_status\":\"%s\"}",
		device == NULL || device->tenant != call->tenant ? "NOT_ACCESSIBLE" : lock(device));
	answer_json(call);
}

void handle_beta_tokens(struct call *call)
{
	struct buffer *body = &call->answer->body;

	if (call->tenant->is_beta_off) {
		answer_word(call, 403, "APPLE_SEED_FOR_IT_TURNED_OFF");
		return;
	}
	for (size_t i = 0; i < 2; i++) { // the same list under two names, as live servers give it
		buffer_add_string(body, i == 0 ? "{\"betaEnrollmentTokens\":" : ",\"seedBuildTokens\":");
		buffer_add_string(body, "[{\"token\":\"");
		add_mixed_hex(body, mixed(call->tenant->seed, 30), 32, false);
		buffer_add_string(body, "\",\"title\":\"iOS 27 AppleSeed Beta\",\"os\":\"iOS\"},{\"token\":\"");
		add_mixed_hex(body, mixed(call->tenant->seed, 31), 32, false);
		buffer_add_string(body, "\",\"title\":\"macOS 27 AppleSeed Beta\",\"os\":\"OSX\"}]");
	}
	buffer_add_string(body, "}");
	answer_json(call);
}

static bool discovery_is_supported(struct call *call)
{
	if (call->tenant->is_discovery_unsupported) {
		answer_word(call, 400, "ORG_NOT_SUPPORTED");
		return false;
	}
	return true;
}

void handle_discovery_set(struct call *call)
{
	const struct text url = json_text(call->body, "mdm_service_discovery_url");
	struct tenant *tenant = call->tenant;

	if (!discovery_is_supported(call)) {
		return;
	}
	if (yyjson_obj_get(call->body, "mdm_service_discovery_url") == NULL) {
		answer_word(call, 400, "MDM_SERVICE_DISCOVERY_URL_REQUIRED");
		return;
	}
	if (!text_starts_with(url, TEXT("https://")) || url.length <= 8 || memchr(url.bytes, ' ', url.length) != NULL) {
		answer_word(call, 400, "MDM_SERVICE_DISCOVERY_URL_NOT_VALID");
		return;
	}
	free(tenant->discovery_url);
	tenant->discovery_url = duplicate(url);
	tenant->discovery_at_s = world_now_s(call->world);
	call->world->is_changed = true;
	answer_json(call);
	call->answer->content_type = NULL;
}

void handle_discovery_get(struct call *call)
{
	struct buffer *body = &call->answer->body;

	if (!discovery_is_supported(call)) {
		return;
	}
	if (call->tenant->discovery_url == NULL) {
		answer_word(call, 404, "NOT_FOUND");
		return;
	}
	buffer_add_string(body, "{\"mdm_service_discovery_url\":");
	buffer_add_json(body, text_of(call->tenant->discovery_url));
	buffer_add_string(body, ",\"last_updated_timestamp\":\"");
	add_time(body, call->tenant->discovery_at_s);
	buffer_add_string(body, "\"}");
	answer_json(call);
}

void handle_discovery_delete(struct call *call)
{
	if (!discovery_is_supported(call)) {
		return;
	}
	free(call->tenant->discovery_url);
	call->tenant->discovery_url = NULL;
	call->world->is_changed = true;
	answer_json(call);
	call->answer->content_type = NULL;
}

void handle_replacement(struct call *call)
{
	const struct text serial = web_query(call->request, "device");
	const struct device *device = world_device(call->world, serial);
	struct buffer *body = &call->answer->body;

	if (serial.length == 0) {
		answer_word(call, 400, "DEVICE_ID_REQUIRED");
		return;
	}
	if (device == NULL || device->tenant != call->tenant || device->replaces == NULL) {
		answer_word(call, 404, "DEVICE_NOT_FOUND");
		return;
	}
	buffer_add_string(body, "{\"serial_number\":");
	buffer_add_json(body, serial);
	buffer_add_string(body, ",\"original_device_serial_number\":");
	buffer_add_json(body, text_of(device->replaces->serial));
	buffer_add_string(body, ",\"replacement_date\":\"");
	add_time(body, device->assigned_at_s);
	body->length -= strlen("T00:00:00Z");
	buffer_add_string(body, "\"}");
	answer_json(call);
}
