// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/proxy_guard.h"

#include "api/body.h"
#include "api/nanodep/nanodep.h"
#include "store/devices.h"
#include "store/instances.h"
#include "tenants/profile_foreign.h"
#include "tenants/profile_render.h"
#include "tenants/url_guard.h"

#include <string.h>

// --- the body ---

static json_t *load(struct text body, size_t flags)
{
	return body_is_modest(body) && body.bytes != NULL ? json_loadb(body.bytes, body.length, flags, NULL) : NULL;
}

// What Apple would not read either is refused in its words; a member that is there twice it could read otherwise than we do.
static bool parse(struct call *call)
{
	const struct text body = call->request->body;

	call->body = load(body, JSON_REJECT_DUPLICATES);
	if (json_is_object(call->body)) {
		return true;
	}
	json_t *repeated = call->body == NULL ? load(body, 0) : NULL;

	if (json_is_object(repeated)) {
		nanodep_error(call, 400, "a member of the body, or of something in it, is there twice");
	} else {
		nanodep_plain(call, 400, "MALFORMED_REQUEST_BODY");
	}
	json_decref(repeated);
	return false;
}

static bool has_only(struct call *call, const char *const *names)
{
	const char *name;
	json_t *value;

	json_object_foreach(call->body, name, value) {
		bool known = false;

		for (const char *const *at = names; *at != NULL; at++) {
			known = known || strcmp(*at, name) == 0;
		}
		if (!known) {
			nanodep_error(call, 400, "\"%.60s\" is not a member of it", name);
			return false;
		}
	}
	return true;
}

static struct text string_of(const struct call *call, const char *name)
{
	const json_t *value = json_object_get(call->body, name);

	return (struct text){ json_string_value(value), json_string_length(value) };
}

static bool read_serials(struct call *call, struct proxy_guard *guard)
{
	const json_t *devices = json_object_get(call->body, "devices");
	const size_t count = json_array_size(devices);

	if ((devices != NULL && !json_is_null(devices) && !json_is_array(devices)) || count > PROXY_SERIALS_MAX) {
		nanodep_error(call, 400, "devices is a list of at most %d serial numbers", PROXY_SERIALS_MAX);
		return false;
	}
	guard->serials = arena_take(&call->request->arena, (count + 1) * sizeof *guard->serials);
	for (; guard->serials != NULL && guard->serial_count < count; guard->serial_count++) {
		const json_t *serial = json_array_get(devices, guard->serial_count);

		if (!json_is_string(serial)) {
			nanodep_error(call, 400, "devices holds something that is not a serial number");
			return false;
		}
		guard->serials[guard->serial_count] = (struct text){ json_string_value(serial), json_string_length(serial) };
	}
	return guard->serials != NULL;
}

static bool read_assignment(struct call *call, struct proxy_guard *guard)
{
	static const char *const members[] = { "profile_uuid", "devices", NULL };

	if (!has_only(call, members)) {
		return false;
	}
	guard->profile_uuid = string_of(call, "profile_uuid");
	if (guard->profile_uuid.length == 0) {
		nanodep_plain(call, 400, "PROFILE_UUID_REQUIRED");
		return false;
	}
	return read_serials(call, guard);
}

static bool read_discovery(struct call *call, struct proxy_guard *guard)
{
	static const char *const members[] = { "mdm_service_discovery_url", NULL };

	guard->discovery_url = string_of(call, "mdm_service_discovery_url");
	return has_only(call, members);
}

bool proxy_guard_read(struct call *call, struct proxy_guard *guard)
{
	switch (guard->subject) {
	case PROXY_OF_PROFILE:
		guard->profile_json = call->request->body;
		return parse(call) && read_serials(call, guard);
	case PROXY_OF_ASSIGNMENT: return parse(call) && read_assignment(call, guard);
	case PROXY_OF_DISCOVERY: return parse(call) && read_discovery(call, guard);
	case PROXY_OF_DISOWNING:
		if (call->service->config->allow_disown == 0) {
			nanodep_error(call, 403, "disowning devices is not enabled: it cannot be undone");
		}
		return call->service->config->allow_disown != 0;
	case PROXY_OF_SESSION: nanodep_error(call, 403, "sessions stay with depbroker"); return false;
	case PROXY_OF_NOTHING: break;
	}
	return true;
}

// --- what depbroker wants ---

enum { INSTANCES, DEVICES };

void proxy_guard_ask(struct call *call, const struct proxy_guard *guard)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_list(transaction, tenant_id);
	if (guard->serial_count > 0) {
		(void)store_device_by_serials(transaction, tenant_id, guard->serials, guard->serial_count);
	}
	call_start(call);
}

// Which instances the profile, or the URL, would do for.
struct fitting {
	struct {
		int64_t instance_id;
		bool fits;
	} items[STORE_INSTANCES_MAX];
	size_t count;
	struct fault fault; // why the last one does not
};

static enum err check_url(const struct proxy_guard *guard, const struct instance_row *instance, struct fault *fault)
{
	return url_guard_check(guard->discovery_url, instance->allowed_hosts, instance->allowed_host_count, fault);
}

static void fit(const struct call *call, const struct proxy_guard *guard, const struct profile_merged *profile, struct arena *arena,
	struct fitting *out)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, INSTANCES) && i < STORE_INSTANCES_MAX; i++) {
		struct instance_row instance;

		store_instance_read(&call->transaction, INSTANCES, i, &instance);
		const struct profile_foreign_place place = { instance.allowed_hosts, instance.allowed_host_count, instance.enrolment_url };
		const enum err rc = store_instance_state(&instance) == RULESET_INSTANCE_RETIRED
			? fault_set(&out->fault, ERR_BAD_INPUT, "the instance is retired")
			: profile != NULL ? profile_foreign_check(profile, &place, guard->serial_count > 0, arena, &out->fault)
			: check_url(guard, &instance, &out->fault);

		out->items[out->count].instance_id = instance.instance_id;
		out->items[out->count++].fits = rc == OK;
	}
}

static bool fits_any(const struct fitting *fitting)
{
	for (size_t i = 0; i < fitting->count; i++) {
		if (fitting->items[i].fits) {
			return true;
		}
	}
	return false;
}

static bool fits(const struct fitting *fitting, int64_t instance_id)
{
	for (size_t i = 0; i < fitting->count; i++) {
		if (fitting->items[i].instance_id == instance_id) {
			return fitting->items[i].fits;
		}
	}
	return false;
}

// Of each device that may have it, its places in the list are marked.
static void mark(const struct call *call, const struct proxy_guard *guard, const struct fitting *fitting, bool *may)
{
	for (size_t row = 0; row < pg_row_count(&call->transaction, DEVICES); row++) {
		struct device_row device;

		store_device_read(&call->transaction, DEVICES, row, &device);
		for (size_t i = 0; i < guard->serial_count; i++) {
			may[i] = may[i] || (device.gone_at_us == INSTANT_NONE && fits(fitting, device.instance_id) &&
				text_equal(device.apple.serial_number, guard->serials[i]));
		}
	}
}

static bool devices_fit(struct call *call, const struct proxy_guard *guard, const struct fitting *fitting)
{
	bool may[PROXY_SERIALS_MAX] = { false };

	if (guard->serial_count > 0) {
		mark(call, guard, fitting, may);
	}
	for (size_t i = 0; i < guard->serial_count; i++) {
		if (!may[i]) {
			nanodep_error(call, 403, "%.*s is not a device that the tenant's rules send to where this profile enrols it",
				guard->serials[i].length < 64 ? (int)guard->serials[i].length : 64, guard->serials[i].bytes);
			return false;
		}
	}
	return true;
}

static bool agrees(struct call *call, const struct proxy_guard *guard, struct arena *arena)
{
	struct fitting fitting = { 0 };
	struct profile_merged profile;
	struct fault fault = { 0 };
	const bool has_profile = guard->subject != PROXY_OF_DISCOVERY;

	if (has_profile && profile_foreign_read(&profile, guard->profile_json, arena, &fault) != OK) {
		nanodep_error(call, 403, "the profile is refused: %s", fault.text);
		return false;
	}
	fit(call, guard, has_profile ? &profile : NULL, arena, &fitting);
	if (!fits_any(&fitting)) {
		nanodep_error(call, 403, "it is of no instance of the tenant: %s", fitting.count > 0 ? fitting.fault.text : "there is none");
		return false;
	}
	return devices_fit(call, guard, &fitting);
}

bool proxy_guard_agrees(struct call *call, const struct proxy_guard *guard)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);

	return agrees(call, guard, &arena);
}
