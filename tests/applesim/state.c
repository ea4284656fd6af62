// SPDX-License-Identifier: Apache-2.0
#include "applesim/state.h"

#include "rig/json.h"
#include "rig/program.h"

#include <stdlib.h>
#include <string.h>

#define STATE_MAX ((size_t)2 * 1024 * 1024 * 1024)

static void add_text(struct buffer *out, const char *text)
{
	if (text != NULL) {
		buffer_add_json(out, text_of(text));
	} else {
		buffer_add_string(out, "null");
	}
}

static void add_device(struct buffer *out, const struct device *device)
{
	buffer_add_string(out, "[");
	add_text(out, device->serial);
	buffer_add_format(out, ",%llu,%lld,%lld,%lld,%lld,%lld,%d,%d,%d,", (unsigned long long)device->seed,
		device->tenant != NULL ? (long long)device->tenant->id : 0, (long long)device->assigned_at_s,
		(long long)device->profile_assigned_at_s, (long long)device->profile_pushed_at_s, (long long)device->cool_until_s,
		device->status, device->is_locked, device->is_assigned_by_default);
	buffer_add_format(out, "%lld,", device->replaces != NULL ? (long long)device->replaces->index : -1);
	add_text(out, device->profile != NULL ? device->profile->uuid : NULL);
	buffer_add_string(out, ",");
	add_text(out, device->facts);
	buffer_add_string(out, "]");
}

static void add_token(struct buffer *out, const struct credentials *token)
{
	buffer_add_string(out, ",\"token\":{\"consumer_key\":");
	add_text(out, token->consumer_key);
	buffer_add_string(out, ",\"consumer_secret\":");
	add_text(out, token->consumer_secret);
	buffer_add_string(out, ",\"access_token\":");
	add_text(out, token->access_token);
	buffer_add_string(out, ",\"access_secret\":");
	add_text(out, token->access_secret);
	buffer_add_format(out, ",\"expires_at_s\":%lld}", (long long)token->expires_at_s);
}

static void add_lists(struct buffer *out, const struct tenant *tenant)
{
	buffer_add_string(out, ",\"slots\":[");
	for (size_t i = 0; i < tenant->slot_count; i++) {
		const struct device *device = tenant->slots[i];

		buffer_add_format(out, "%s%lld", i > 0 ? "," : "", device != NULL ? (long long)device->index : -1);
	}
	buffer_add_string(out, "],\"changes\":[");
	for (size_t i = 0; i < tenant->change_count; i++) {
		const struct change *change = &tenant->changes[i];

		buffer_add_format(out, "%s%u,%u,%d,%d", i > 0 ? "," : "", change->device->index, change->at_s, change->operation,
			change->cause);
	}
	buffer_add_string(out, "],\"profiles\":[");
	for (size_t i = 0; i < tenant->profile_count; i++) {
		buffer_add_string(out, i > 0 ? ",[" : "[");
		add_text(out, tenant->profiles[i]->uuid);
		buffer_add_string(out, ",");
		add_text(out, tenant->profiles[i]->url);
		buffer_add_string(out, ",");
		add_text(out, tenant->profiles[i]->json);
		buffer_add_string(out, "]");
	}
	buffer_add_string(out, "]");
}

static void add_tenant(struct buffer *out, const struct tenant *tenant)
{
	buffer_add_format(out, "{\"seed\":%llu,\"devices_made\":%llu,\"tokens_made\":%u", (unsigned long long)tenant->seed,
		(unsigned long long)tenant->devices_made, tenant->tokens_made);
	buffer_add_format(out, ",\"page_default\":%lld,\"page_maximum\":%lld,\"discovery_at_s\":%lld,\"server_uuid\":\"%s\"",
		(long long)tenant->page_default, (long long)tenant->page_maximum, (long long)tenant->discovery_at_s,
		tenant->server_uuid);
	buffer_add_format(out, ",\"beta_off\":%s,\"discovery_unsupported\":%s,\"may_not_disown\":%s",
		tenant->is_beta_off ? "true" : "false", tenant->is_discovery_unsupported ? "true" : "false",
		tenant->may_not_disown ? "true" : "false");
	buffer_add_string(out, ",\"name\":");
	add_text(out, tenant->name);
	buffer_add_string(out, ",\"texts\":");
	add_text(out, tenant->texts);
	buffer_add_string(out, ",\"certificate\":");
	add_text(out, tenant->certificate);
	buffer_add_string(out, ",\"discovery_url\":");
	add_text(out, tenant->discovery_url);
	add_token(out, &tenant->token);
	add_lists(out, tenant);
	buffer_add_string(out, "}");
}

enum err state_save(struct world *world, const char *path, struct fault *fault)
{
	struct buffer out CLEANUP(buffer_fini_wiped) = BUFFER(STATE_MAX);

	buffer_add_format(&out, "{\"format\":1,\"seed\":%llu,\"advance_s\":%lld,\"sessions_made\":%llu,\n\"devices\":[",
		(unsigned long long)world->seed, (long long)world->advance_s, (unsigned long long)world->sessions_made);
	for (size_t i = 0; i < world->device_count; i++) {
		buffer_add_string(&out, i > 0 ? ",\n" : "\n");
		add_device(&out, world->devices[i]);
	}
	buffer_add_string(&out, "],\n\"tenants\":[");
	for (size_t i = 0; i < world->tenant_count; i++) {
		buffer_add_string(&out, i > 0 ? ",\n" : "\n");
		add_tenant(&out, world->tenants[i]);
	}
	buffer_add_string(&out, "]}\n");
	if (out.overflow) {
		return fault_set(fault, ERR_BUDGET, "the state is too large to be written");
	}
	TRY(rig_file_write(path, buffer_text(&out), fault));
	world->is_changed = false;
	return OK;
}

static int64_t number_at(yyjson_val *array, size_t index)
{
	return yyjson_get_sint(yyjson_arr_get(array, index));
}

static char *text_at(yyjson_val *array, size_t index)
{
	const char *text = yyjson_get_str(yyjson_arr_get(array, index));

	return text != NULL ? duplicate(text_of(text)) : NULL;
}

static void load_token(struct tenant *tenant, yyjson_val *json)
{
	const unsigned made = tenant->tokens_made;
	const struct credentials token = {
		.consumer_key = json_duplicate(json, "consumer_key"),
		.consumer_secret = json_duplicate(json, "consumer_secret"),
		.access_token = json_duplicate(json, "access_token"),
		.access_secret = json_duplicate(json, "access_secret"),
		.expires_at_s = json_number(json, "expires_at_s", 0),
	};

	if (token.consumer_key != NULL) {
		tenant_set_token(tenant, &token);
		tenant->tokens_made = made;
	}
}

static void load_profiles(struct tenant *tenant, yyjson_val *profiles)
{
	yyjson_val *one;
	size_t index, count;

	yyjson_arr_foreach(profiles, index, count, one) {
		const char *uuid = yyjson_get_str(yyjson_arr_get(one, 0));
		struct profile *profile = tenant_add_profile(tenant, uuid != NULL ? uuid : "");

		profile->url = text_at(one, 1);
		profile->json = text_at(one, 2);
	}
}

static void load_tenant(struct world *world, yyjson_val *json)
{
	struct tenant *tenant = world_add_tenant(world, yyjson_get_uint(yyjson_obj_get(json, "seed")));
	const struct text uuid = json_text(json, "server_uuid");

	tenant->devices_made = (uint64_t)json_number(json, "devices_made", 0);
	tenant->tokens_made = (unsigned)json_number(json, "tokens_made", 0);
	tenant->page_default = json_number(json, "page_default", 1000);
	tenant->page_maximum = json_number(json, "page_maximum", 1000);
	tenant->is_beta_off = json_flag(json, "beta_off");
	tenant->is_discovery_unsupported = json_flag(json, "discovery_unsupported");
	tenant->may_not_disown = json_flag(json, "may_not_disown");
	tenant->discovery_at_s = json_number(json, "discovery_at_s", 0);
	if (uuid.length == UUID_SIZE) {
		memcpy(tenant->server_uuid, uuid.bytes, UUID_SIZE);
	}
	tenant->name = json_duplicate(json, "name");
	tenant->texts = json_duplicate(json, "texts");
	tenant->certificate = json_duplicate(json, "certificate");
	tenant->discovery_url = json_duplicate(json, "discovery_url");
	text_index_put(&world->by_name, tenant->name, tenant);
	load_token(tenant, yyjson_obj_get(json, "token"));
	load_profiles(tenant, yyjson_obj_get(json, "profiles"));
}

static void load_device(struct world *world, yyjson_val *json)
{
	const char *serial = yyjson_get_str(yyjson_arr_get(json, 0));
	const uint64_t seed = yyjson_get_uint(yyjson_arr_get(json, 1));
	struct device *device = world_make_device(world, serial != NULL ? serial : "", seed);
	const char *uuid = yyjson_get_str(yyjson_arr_get(json, 11));

	device->tenant = world_tenant(world, number_at(json, 2));
	device->assigned_at_s = number_at(json, 3);
	device->profile_assigned_at_s = number_at(json, 4);
	device->profile_pushed_at_s = number_at(json, 5);
	device->cool_until_s = number_at(json, 6);
	device->status = (uint8_t)(number_at(json, 7) & 3);
	device->is_locked = number_at(json, 8) != 0;
	device->is_assigned_by_default = number_at(json, 9) != 0;
	device->profile = device->tenant != NULL && uuid != NULL ? tenant_profile(device->tenant, text_of(uuid)) : NULL;
	device->facts = text_at(json, 12);
}

static struct device *device_at(const struct world *world, int64_t index)
{
	return index >= 0 && (uint64_t)index < world->device_count ? world->devices[index] : NULL;
}

static void load_slots(struct tenant *tenant, yyjson_val *slots)
{
	yyjson_val *one;
	size_t index, count;

	tenant->slots = allocate_array(yyjson_arr_size(slots) + 1, sizeof(struct device *));
	tenant->slot_count = yyjson_arr_size(slots);
	tenant->slot_capacity = tenant->slot_count + 1;
	yyjson_arr_foreach(slots, index, count, one) {
		struct device *device = device_at(tenant->world, yyjson_get_sint(one));

		if (device != NULL && device->tenant == tenant) {
			tenant->slots[index] = device;
			tenant->device_count++;
			device->slot = (uint32_t)index;
		}
	}
}

static void load_changes(struct tenant *tenant, yyjson_val *changes)
{
	yyjson_val *one;
	size_t index, count;
	struct change change = { 0 };

	tenant->change_capacity = yyjson_arr_size(changes) / 4 + 1;
	tenant->changes = allocate_array(tenant->change_capacity, sizeof *tenant->changes);
	yyjson_arr_foreach(changes, index, count, one) {
		const int64_t number = yyjson_get_sint(one);

		switch (index % 4) {
		case 0: change.device = device_at(tenant->world, number); break;
		case 1: change.at_s = (uint32_t)number; break;
		case 2: change.operation = (uint8_t)(number % 3); break;
		default:
			change.cause = (uint8_t)(number % 5);
			if (change.device != NULL) {
				tenant->changes[tenant->change_count++] = change;
			}
		}
	}
}

static void load(struct world *world, yyjson_val *root)
{
	yyjson_val *tenants = yyjson_obj_get(root, "tenants");
	yyjson_val *devices = yyjson_obj_get(root, "devices");
	yyjson_val *one;
	size_t index, count;

	world_init(world, yyjson_get_uint(yyjson_obj_get(root, "seed")));
	world->advance_s = json_number(root, "advance_s", 0);
	world->sessions_made = (uint64_t)json_number(root, "sessions_made", 0);
	yyjson_arr_foreach(tenants, index, count, one) {
		load_tenant(world, one);
	}
	yyjson_arr_foreach(devices, index, count, one) {
		load_device(world, one);
	}
	yyjson_arr_foreach(devices, index, count, one) {
		world->devices[index]->replaces = device_at(world, number_at(one, 10));
	}
	yyjson_arr_foreach(tenants, index, count, one) {
		load_slots(world->tenants[index], yyjson_obj_get(one, "slots"));
		load_changes(world->tenants[index], yyjson_obj_get(one, "changes"));
	}
	world->is_changed = false;
}

enum err state_load(struct world *world, const char *path, struct fault *fault)
{
	struct buffer in CLEANUP(buffer_fini_wiped) = BUFFER(STATE_MAX);
	yyjson_doc *doc;
	enum err rc = OK;

	TRY(rig_file_read(&in, path, fault));
	if (in.length == 0) {
		return OK;
	}
	doc = yyjson_read(in.bytes, in.length, 0);
	if (json_number(yyjson_doc_get_root(doc), "format", 0) == 1) {
		load(world, yyjson_doc_get_root(doc));
	} else {
		rc = fault_set(fault, ERR_BAD_INPUT, "%s: not a state of applesim", path);
	}
	yyjson_doc_free(doc);
	return rc;
}
