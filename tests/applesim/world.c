// SPDX-License-Identifier: Apache-2.0
#include "applesim/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const profile_status_words[] = { "empty", "assigned", "pushed", "removed" };
const char *const operation_words[] = { "added", "modified", "deleted" };
const char *const cause_words[] = { "control", "assign", "remove", "disown", "replacement" };

static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity) {
		return array;
	}
	*capacity = *capacity > 0 ? *capacity * 2 : 8;
	return reallocate(array, *capacity * size);
}

uint64_t mixed(uint64_t a, uint64_t b)
{
	uint64_t x = a + (b + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void add_mixed_hex(struct buffer *out, uint64_t seed, size_t digits, bool upper)
{
	const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	for (size_t i = 0; i < digits; i++) {
		const uint64_t word = mixed(seed, i / 16);

		buffer_add(out, &alphabet[(word >> (i % 16 * 4)) & 15], 1);
	}
}

void world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){ .seed = seed, .session_life_s = 1800, .rotate_after = 200, .clock_window_s = 300 };
	for (size_t i = 0; i < sizeof world->secret; i++) {
		world->secret[i] = (unsigned char)mixed(seed, 1000 + i);
	}
}

int64_t world_clock_s(const struct world *world)
{
	return clock_wall_us() / SECOND_US + world->skew_s;
}

int64_t world_now_ms(const struct world *world)
{
	return clock_wall_us() / 1000 + (world->skew_s + world->advance_s) * 1000;
}

int64_t world_now_s(const struct world *world)
{
	return world_now_ms(world) / 1000;
}

static void make_uuid(char out[UUID_SIZE + 1], uint64_t seed)
{
	struct buffer text CLEANUP(buffer_fini) = BUFFER(UUID_SIZE);

	add_mixed_hex(&text, seed, UUID_SIZE, true);
	memcpy(out, text.bytes, UUID_SIZE + 1);
}

struct tenant *world_add_tenant(struct world *world, uint64_t seed)
{
	struct tenant *tenant = allocate(sizeof *tenant);

	world->tenants = grown(world->tenants, world->tenant_count, &world->tenant_capacity, sizeof *world->tenants);
	world->tenants[world->tenant_count++] = tenant;
	tenant->world = world;
	tenant->id = (int64_t)world->tenant_count;
	tenant->seed = seed;
	tenant->page_default = 1000;
	tenant->page_maximum = 1000;
	make_uuid(tenant->server_uuid, mixed(seed, 1));
	(void)snprintf(tenant->administrator, sizeof tenant->administrator, "admin@tenant-%lld.example",
		(long long)tenant->id);
	world->is_changed = true;
	return tenant;
}

struct tenant *world_tenant(const struct world *world, int64_t id)
{
	return id >= 1 && (uint64_t)id <= world->tenant_count ? world->tenants[id - 1] : NULL;
}

void credentials_fini(struct credentials *credentials)
{
	free(credentials->consumer_key);
	free(credentials->consumer_secret);
	free(credentials->access_token);
	free(credentials->access_secret);
	*credentials = (struct credentials){ 0 };
}

void tenant_set_token(struct tenant *tenant, const struct credentials *token)
{
	struct credentials old = tenant->token;

	if (old.consumer_key != NULL && strcmp(old.consumer_key, token->consumer_key) != 0) {
		text_index_put(&tenant->world->by_consumer_key, old.consumer_key, NULL);
	}
	tenant->token = *token;
	tenant->tokens_made++;
	text_index_put(&tenant->world->by_consumer_key, token->consumer_key, tenant);
	memset(tenant->sessions, 0, sizeof tenant->sessions);
	credentials_fini(&old);
	tenant->world->is_changed = true;
}

struct device *world_device(const struct world *world, struct text serial)
{
	return text_index_find(&world->by_serial, serial);
}

struct device *world_make_device(struct world *world, const char *serial, uint64_t seed)
{
	struct device *device = allocate(sizeof *device);

	world->devices = grown(world->devices, world->device_count, &world->device_capacity, sizeof *world->devices);
	device->index = (uint32_t)world->device_count;
	world->devices[world->device_count++] = device;
	device->serial = duplicate(text_of(serial));
	device->seed = seed;
	text_index_put(&world->by_serial, device->serial, device);
	return device;
}

struct device *tenant_make_device(struct tenant *tenant)
{
	char serial[16];
	uint64_t seed;

	do {
		seed = mixed(tenant->seed, 1000 + tenant->devices_made++);
		hardware_serial(serial, seed);
	} while (world_device(tenant->world, text_of(serial)) != NULL);
	return world_make_device(tenant->world, serial, seed);
}

void tenant_log(struct tenant *tenant, struct device *device, enum operation operation, enum cause cause)
{
	tenant->changes = grown(tenant->changes, tenant->change_count, &tenant->change_capacity, sizeof *tenant->changes);
	tenant->changes[tenant->change_count++] = (struct change){
		.device = device,
		.at_s = (uint32_t)world_now_s(tenant->world),
		.operation = (uint8_t)operation,
		.cause = (uint8_t)cause,
	};
	tenant->world->is_changed = true;
}

void device_enter(struct device *device, struct tenant *tenant)
{
	assert(device->tenant == NULL);
	tenant->slots = grown(tenant->slots, tenant->slot_count, &tenant->slot_capacity, sizeof *tenant->slots);
	device->slot = (uint32_t)tenant->slot_count;
	tenant->slots[tenant->slot_count++] = device;
	tenant->device_count++;
	device->tenant = tenant;
	device->assigned_at_s = world_now_s(tenant->world);
	tenant->world->is_changed = true;
}

static void forget_profile(struct device *device)
{
	device->profile = NULL;
	device->profile_assigned_at_s = 0;
	device->profile_pushed_at_s = 0;
	device->status = PROFILE_EMPTY;
}

void device_leave(struct device *device)
{
	struct tenant *tenant = device->tenant;

	tenant->slots[device->slot] = NULL;
	tenant->device_count--;
	tenant->world->is_changed = true;
	device->tenant = NULL;
	forget_profile(device);
}

struct profile *tenant_profile(const struct tenant *tenant, struct text uuid)
{
	for (size_t i = 0; i < tenant->profile_count; i++) {
		if (text_equal_string(uuid, tenant->profiles[i]->uuid)) {
			return tenant->profiles[i];
		}
	}
	return NULL;
}

void profile_uuid_make(const struct tenant *tenant, char out[UUID_SIZE + 1])
{
	make_uuid(out, mixed(mixed(tenant->seed, 2), tenant->profile_count));
}

struct profile *tenant_add_profile(struct tenant *tenant, const char *uuid)
{
	struct profile *profile = allocate(sizeof *profile);

	tenant->profiles = reallocate(tenant->profiles, (tenant->profile_count + 1) * sizeof(struct profile *));
	tenant->profiles[tenant->profile_count++] = profile;
	(void)snprintf(profile->uuid, sizeof profile->uuid, "%s", uuid);
	tenant->world->is_changed = true;
	return profile;
}

static void note_assignment(struct tenant *tenant, const struct device *device)
{
	tenant->assignments = grown(tenant->assignments, tenant->assignment_count, &tenant->assignment_capacity, sizeof *tenant->assignments);
	tenant->assignments[tenant->assignment_count++] = (struct assignment){ device, device->profile, world_now_ms(tenant->world) };
}

void device_set_profile(struct device *device, struct profile *profile)
{
	device->profile = profile;
	device->profile_assigned_at_s = world_now_s(device->tenant->world);
	device->profile_pushed_at_s = 0;
	device->status = PROFILE_ASSIGNED;
	tenant_log(device->tenant, device, OPERATION_MODIFIED, CAUSE_ASSIGN);
	note_assignment(device->tenant, device);
}

void device_clear_profile(struct device *device)
{
	const bool was_pushed = device->status == PROFILE_PUSHED;

	forget_profile(device);
	device->status = was_pushed ? PROFILE_REMOVED : PROFILE_EMPTY;
	tenant_log(device->tenant, device, OPERATION_MODIFIED, CAUSE_REMOVE);
}

static void free_tenant(struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->profile_count; i++) {
		free(tenant->profiles[i]->json);
		free(tenant->profiles[i]->url);
		free(tenant->profiles[i]);
	}
	credentials_fini(&tenant->token);
	free(tenant->profiles);
	free(tenant->slots);
	free(tenant->changes);
	free(tenant->assignments);
	free(tenant->nonces);
	free(tenant->texts);
	free(tenant->name);
	free(tenant->certificate);
	free(tenant->discovery_url);
	free(tenant);
}

void world_fini(struct world *world)
{
	for (size_t i = 0; i < world->tenant_count; i++) {
		free_tenant(world->tenants[i]);
	}
	for (size_t i = 0; i < world->device_count; i++) {
		free(world->devices[i]->serial);
		free(world->devices[i]->facts);
		free(world->devices[i]);
	}
	free(world->tenants);
	free(world->devices);
	text_index_fini(&world->by_serial);
	text_index_fini(&world->by_consumer_key);
	text_index_fini(&world->by_name);
}
