// SPDX-License-Identifier: Apache-2.0
//
// profiles.c - define, read, assign and remove profiles (dep-api.md, sections 5.6 to 5.9, and 8).
#include "applesim/apple.h"

#include <stdio.h>
#include <string.h>

#define ASSIGN_MAX 1000
#define COOL_DOWN_S 86400

static const char *throttled(struct call *call, struct device *device, int64_t cool_down_s)
{
	device->cool_until_s = world_now_s(call->world) + cool_down_s;
	call->retry_after_s = cool_down_s > call->retry_after_s ? cool_down_s : call->retry_after_s;
	call->world->is_changed = true;
	return call->version >= 9 ? "THROTTLED" : "FAILED";
}

static const char *planted(struct call *call, struct device *device, const char **result)
{
	const struct fault_plan *fault = call->fault;

	if (fault == NULL || fault->result == NULL || !fault_plan_names(fault, device->serial)) {
		return NULL;
	}
	*result = strcmp(fault->result, "THROTTLED") == 0 ? throttled(call, device, fault->retry_after_s)
		: strcmp(fault->result, "MISSING") == 0 ? NULL : fault->result;
	return fault->result;
}

const char *assign_one(struct call *call, const char *serial, struct device *device, size_t place)
{
	struct tenant_counters *counters = &call->tenant->counters;
	const char *result = NULL;

	(void)serial;
	if (place >= ASSIGN_MAX) {
		return "FAILED";
	}
	if (device == NULL) {
		return "NOT_ACCESSIBLE";
	}
	if (planted(call, device, &result) != NULL) {
		return result;
	}
	if (device->cool_until_s > world_now_s(call->world)) { // each attempt begins it anew
		counters->assigned_too_early++;
		return throttled(call, device, COOL_DOWN_S);
	}
	counters->assigned++;
	counters->assigned_needlessly += device->profile == call->profile;
	device_set_profile(device, call->profile);
	return "SUCCESS";
}

static void answer_assignment(struct call *call, yyjson_val *serials)
{
	buffer_add_format(&call->answer->body, "{\"profile_uuid\":\"%s\",", call->profile->uuid);
	add_results(call, serials, assign_one);
	if (call->retry_after_s > 0 && call->version >= 10) {
		buffer_add_format(&call->answer->body, ",\"retry_after_seconds\":%lld", (long long)call->retry_after_s);
	}
	buffer_add_string(&call->answer->body, "}");
	answer_json(call);
}

void handle_define(struct call *call)
{
	const char *mistake = profile_mistake(call->body);
	char uuid[UUID_SIZE + 1];

	if (mistake != NULL) {
		answer_word(call, 400, mistake);
		return;
	}
	profile_uuid_make(call->tenant, uuid);
	call->profile = tenant_add_profile(call->tenant, uuid);
	call->profile->json = profile_text(call->body, uuid, call->version);
	call->profile->url = json_duplicate(call->body, "url");
	answer_assignment(call, yyjson_obj_get(call->body, "devices"));
}

void handle_profile(struct call *call)
{
	const struct text uuid = web_query(call->request, "profile_uuid");
	const struct profile *profile = tenant_profile(call->tenant, uuid);

	if (uuid.length == 0) {
		answer_word(call, 400, "PROFILE_UUID_REQUIRED");
	} else if (profile == NULL) {
		answer_word(call, 400, "NOT_FOUND");
	} else {
		buffer_add_string(&call->answer->body, profile->json);
		answer_json(call);
	}
}

void handle_assign(struct call *call)
{
	const struct text uuid = json_text(call->body, "profile_uuid");
	yyjson_val *devices = call_devices(call);

	if (devices == NULL) {
		return;
	}
	if (uuid.length == 0) {
		answer_word(call, 400, "PROFILE_UUID_REQUIRED");
		return;
	}
	call->profile = tenant_profile(call->tenant, uuid);
	if (call->profile == NULL) {
		answer_word(call, 404, "PROFILE_NOT_FOUND");
		return;
	}
	answer_assignment(call, devices);
}

static const char *remove_one(struct call *call, const char *serial, struct device *device, size_t place)
{
	(void)call;
	(void)serial;
	(void)place;
	if (device == NULL) {
		return "NOT_ACCESSIBLE";
	}
	if (device->profile != NULL) {
		device_clear_profile(device);
	}
	return "SUCCESS";
}

void handle_remove(struct call *call)
{
	yyjson_val *devices = call_devices(call);

	if (devices == NULL) {
		return;
	}
	buffer_add_string(&call->answer->body, "{");
	add_results(call, devices, remove_one);
	buffer_add_string(&call->answer->body, "}");
	answer_json(call);
}
