// SPDX-License-Identifier: Apache-2.0
//
// histories_apple.c - a model of Apple, with the laws of what may be asked of it.
#include "property/histories.h"
#include "tenants/device.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// --- what happens there ---

// Each change has a second of its own.
static void note_change(size_t client, size_t device, enum device_operation operation)
{
	struct client *account = &world.clients[client];

	world.now_us += (1 + (int64_t)random_below(5)) * SECOND_US;
	assert(account->change_count < CHANGES_MAX);
	account->changes[account->change_count++] = (struct change){
		.device = device,
		.operation = operation,
		.at_us = world.now_us / SECOND_US * SECOND_US,
		.state = world.devices[device],
		.swallowed = world.faults && world.swallows && random_chance(20),
	};
}

static void add(size_t device, size_t client)
{
	struct truth *truth = &world.devices[device];

	world.clients[client].absent_until_us[device] = world.now_us;
	truth->client = (int)client;
	truth->profile = truth->shown = NULL;
	truth->status = "empty";
	truth->assigned_date_us = (world.now_us / SECOND_US + 1) * SECOND_US;
	trace("Apple: %s comes to client %zu", serials[device], client);
	note_change(client, device, random_chance(70) ? DEVICE_ADDED : DEVICE_MODIFIED); // one that moved here may show as modified only
}

static void release(size_t device)
{
	struct truth *truth = &world.devices[device];
	const size_t client = (size_t)truth->client;

	truth->client = -1;
	truth->profile = truth->shown = NULL;
	truth->status = "empty";
	trace("Apple: %s leaves client %zu", serials[device], client);
	note_change(client, device, DEVICE_DELETED);
	world.clients[client].absent_until_us[device] = world.now_us;
}

static const struct profile *add_profile(size_t client, int64_t instance_id, const unsigned char *digest)
{
	struct profile *profile = &world.profiles[world.profile_count];

	assert(world.profile_count < PROFILES_MAX);
	(void)snprintf(profile->uuid, sizeof profile->uuid, "%016llX%016zX", (unsigned long long)random_next(), world.profile_count++);
	profile->client = client;
	profile->instance_id = instance_id;
	profile->lost = false;
	profile->foreign = digest == NULL;
	if (digest != NULL) {
		memcpy(profile->digest, digest, SHA256_SIZE);
	}
	return profile;
}

static void show_now(struct truth *truth, const struct profile *profile, const char *status)
{
	truth->profile = truth->shown = profile;
	truth->status = status;
}

static void lose_profile(void)
{
	if (world.profile_count > 0) {
		struct profile *profile = &world.profiles[random_below(world.profile_count)];

		trace("Apple: loses profile %s", profile->uuid);
		profile->lost = true;
		for (size_t i = 0; i < DEVICES; i++) {
			if (world.devices[i].profile == profile) {
				show_now(&world.devices[i], NULL, "removed");
			}
		}
	}
}

static void change_device(size_t device)
{
	struct truth *truth = &world.devices[device];
	const size_t client = (size_t)truth->client;

	switch (random_below(6)) {
	case 0: release(device); break;
	case 1:
		release(device);
		add(device, (client + 1 + random_below(CLIENTS - 1)) % CLIENTS);
		world.moved++;
		break;
	case 2:
		if (truth->profile != NULL) {
			show_now(truth, truth->profile, "pushed");
		}
		break;
	case 3:
		if (random_chance(50)) {
			show_now(truth, add_profile(client, INSTANCE_NONE, NULL), "assigned");
		} else {
			show_now(truth, NULL, "removed");
		}
		trace("Apple: somebody else assigns %s", serials[device]);
		break;
	default:
		truth->model = random_below(MODELS);
		note_change(client, device, DEVICE_MODIFIED);
		break;
	}
	if (truth->client >= 0 && random_chance(50)) {
		note_change((size_t)truth->client, device, DEVICE_MODIFIED);
	}
}

void apple_change(void)
{
	const size_t device = random_below(DEVICES);

	if (random_chance(5)) {
		lose_profile();
	} else if (world.devices[device].client < 0) {
		add(device, random_below(CLIENTS));
	} else {
		change_device(device);
	}
}

void apple_begin(void)
{
	for (size_t i = 0; i < DEVICES; i++) {
		world.devices[i] = (struct truth){
			.client = -1, .model = random_below(MODELS), .status = "empty", .cool_until_us = INSTANT_NONE, .broken = random_chance(2),
		};
		if (random_chance(70)) {
			add(i, random_below(CLIENTS));
		}
	}
}

void apple_rests(void)
{
	for (size_t i = 0; i < DEVICES; i++) {
		world.devices[i].shown = world.devices[i].profile;
	}
}

// --- the list and the changes ---

static void write_record(struct device_record *record, size_t device, const struct truth *state)
{
	const struct profile *profile = state->shown_at_us > world.now_us ? state->shown : state->profile;

	*record = (struct device_record){
		.serial_number = text_of(serials[device]),
		.model = text_of(models[state->model]),
		.profile_status = text_of(profile != NULL && strcmp(state->status, "pushed") != 0 ? "assigned" : state->status),
		.profile_uuid = profile != NULL ? text_of(profile->uuid) : TEXT_NONE,
		.profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE,
		.device_assigned_date_us = state->assigned_date_us,
		.op_date_us = INSTANT_NONE,
	};
	device_fingerprint(record);
}

static void write_change(struct page *page, const struct change *change)
{
	if (!change->swallowed && page->count < PAGE_MAX) {
		struct device_record *record = &page->records[page->count++];

		write_record(record, change->device, &change->state);
		record->operation = change->operation;
		record->op_date_us = change->at_us;
	}
}

static void shuffle(struct page *page)
{
	for (size_t i = page->count; i > 1; i--) {
		const size_t other = random_below(i);
		const struct device_record record = page->records[other];

		page->records[other] = page->records[i - 1];
		page->records[i - 1] = record;
	}
}

void apple_list(size_t client, const struct cursor *sent, struct page *page)
{
	const size_t room = 1 + random_below(DEVICES);
	size_t at = sent->given ? sent->offset : 0;

	for (; at < DEVICES && page->count < room; at++) {
		if (world.devices[at].client == (int)client) {
			write_record(&page->records[page->count++], at, &world.devices[at]);
		}
	}
	page->cursor = (struct cursor){ true, at, sent->given ? sent->position : world.clients[client].change_count };
	page->more = at < DEVICES;
}

void apple_changes(size_t client, const struct cursor *sent, struct page *page)
{
	const struct client *account = &world.clients[client];
	const size_t room = 1 + random_below(8);
	size_t at = sent->position;

	for (; at < account->change_count && at < sent->position + room; at++) {
		write_change(page, &account->changes[at]);
	}
	for (int i = 0; world.repeats && sent->position > 0 && i < 4; i++) {
		write_change(page, &account->changes[random_below(sent->position)]);
	}
	shuffle(page);
	page->cursor = (struct cursor){ true, DEVICES, at };
	page->more = at < account->change_count;
}

bool apple_details(size_t client, size_t device, struct device_record *record, bool *accessible)
{
	if (world.faults && random_chance(5)) {
		return false;
	}
	*accessible = world.devices[device].client == (int)client && !(world.faults && random_chance(3));
	write_record(record, device, &world.devices[device]);
	return true;
}

// --- profiles ---

const struct profile *apple_profile(struct text uuid)
{
	for (size_t i = 0; i < world.profile_count; i++) {
		if (text_equal_string(uuid, world.profiles[i].uuid)) {
			return &world.profiles[i];
		}
	}
	return NULL;
}

const struct profile *apple_define(size_t client, int64_t instance_id, const unsigned char digest[SHA256_SIZE])
{
	return add_profile(client, instance_id, digest);
}

static enum assign_result throttle(struct truth *truth, int64_t retry_after_s)
{
	const int64_t until_us = world.now_us + (retry_after_s >= 0 ? retry_after_s : DAY_S) * SECOND_US;

	truth->cool_until_us = until_us > truth->cool_until_us ? until_us : truth->cool_until_us;
	world.throttled++;
	return ASSIGN_RESULT_THROTTLED;
}

static enum assign_result assign_one(size_t client, size_t device, const struct profile *profile, int64_t retry_after_s)
{
	struct truth *truth = &world.devices[device];

	if (truth->client != (int)client) {
		return ASSIGN_RESULT_NOT_ACCESSIBLE;
	}
	if (truth->cool_until_us > world.now_us || (world.faults && random_chance(20))) {
		return throttle(truth, retry_after_s);
	}
	if (truth->broken || (world.faults && random_chance(4))) {
		return ASSIGN_RESULT_FAILED;
	}
	if (world.faults && random_chance(8)) {
		return random_chance(50) ? ASSIGN_RESULT_MISSING : ASSIGN_RESULT_NOT_ACCESSIBLE;
	}
	truth->shown = truth->profile;
	truth->profile = profile;
	truth->status = "assigned";
	truth->shown_at_us = world.now_us + (world.faults ? (int64_t)random_below(20) * MINUTE_US : 0);
	world.assigned++;
	if (random_chance(50)) {
		note_change(client, device, DEVICE_MODIFIED);
	}
	return ASSIGN_RESULT_SUCCESS;
}

enum err apple_assign(size_t client, struct text uuid, unsigned devices, enum assign_result results[DEVICES], int64_t *retry_after_s)
{
	const struct profile *profile = apple_profile(uuid);
	const unsigned fate = world.faults ? (unsigned)random_below(20) : 19;

	LAW(profile != NULL && profile->client == client, "client %zu assigns a profile that is not its own", client);
	if (fate == 0) {
		return ERR_UNAVAILABLE;
	}
	if (fate == 1) {
		return ERR_TIMEOUT;
	}
	if (profile->lost) {
		return ERR_PROFILE_GONE;
	}
	*retry_after_s = random_chance(70) ? 10 + (int64_t)random_below(7200) : -1;
	for (size_t i = 0; i < DEVICES; i++) {
		if (devices >> i & 1) {
			results[i] = assign_one(client, i, profile, *retry_after_s);
			trace("Apple: %s of client %zu gets %s for place %zu: %s", serials[i], client, profile->uuid, place_of(profile->instance_id),
				assign_result_name(results[i]));
		}
	}
	return fate == 2 ? ERR_TIMEOUT : OK; // and it was done all the same
}
