// SPDX-License-Identifier: Apache-2.0
#include "worker/wanted_profile.h"

#include "tenants/profile_render.h"
#include "worker/profile_content.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void find_defined(const struct tenant *tenant, struct wanted_profile *profile)
{
	for (size_t i = 0; i < tenant->defined_count; i++) {
		const struct defined_profile *defined = &tenant->defined[i];

		if (defined->instance_id == profile->instance->instance_id && memcmp(defined->digest, profile->digest, SHA256_SIZE) == 0) {
			text_put(profile->uuid, sizeof profile->uuid, defined->uuid);
			profile->drifts = defined->drifts;
			profile->is_refused = defined->uuid.length == 0;
			if (profile->is_refused) {
				(void)snprintf(profile->why, sizeof profile->why, "Apple refuses the profile (%.*s).", TEXT_ARGS(defined->refused));
			}
			return;
		}
	}
}

static void find_definitions(const struct tenant *tenant, struct wanted_profile *profile)
{
	for (size_t i = 0; i < tenant->definition_count; i++) {
		const struct profile_definitions *row = &tenant->definitions[i];

		if (row->instance_id == profile->instance->instance_id && memcmp(row->digest, profile->digest, SHA256_SIZE) == 0) {
			profile->attempts = row->attempts;
			profile->last_at_us = row->last_at_us;
			profile->refusals = row->refusals;
			profile->wait_until_us = row->wait_until_us;
			return;
		}
	}
}

// Layers that do not fit into memory are an error like any other.
static void render(struct tenant *tenant, struct wanted_profile *profile)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered rendered;
	struct fault fault;

	if (profile_content_render(&rendered, tenant, profile->instance, profile->rule_id, profile->override, &arena, &fault) != OK) {
		(void)snprintf(profile->why, sizeof profile->why, "%s", fault.text);
	} else if (rendered.content.bytes == NULL) {
		profile_content_explain(profile->why, &rendered.findings);
	} else {
		memcpy(profile->digest, rendered.digest, SHA256_SIZE);
		find_defined(tenant, profile);
		find_definitions(tenant, profile);
		return;
	}
	profile->is_refused = true;
}

static struct wanted_profile *add(struct tenant *tenant, const struct tenant_instance *instance, struct text rule_id, struct text override)
{
	struct wanted_profile *profile = arena_take(&tenant->memory, sizeof *profile);

	assert(profile != NULL);
	*profile = (struct wanted_profile){
		.next = tenant->wanted, .instance = instance, .rule_id = rule_id, .override = override, .last_at_us = INSTANT_NONE,
		.wait_until_us = INSTANT_NONE,
	};
	tenant->wanted = profile;
	render(tenant, profile);
	return profile;
}

struct wanted_profile *wanted_profile_of(struct tenant *tenant, int64_t instance_id, struct text rule_id, struct text override)
{
	for (struct wanted_profile *profile = tenant->wanted; profile != NULL; profile = profile->next) {
		if (!profile->is_of_server && profile->instance->instance_id == instance_id &&
			(profile->override.bytes == override.bytes || text_equal(profile->override, override))) {
			return profile;
		}
	}
	const struct tenant_instance *instance = tenant_instance_by_id(tenant, instance_id);

	return instance != NULL ? add(tenant, instance, rule_id, override) : NULL;
}

struct wanted_profile *wanted_profile_of_server(struct tenant *tenant, int64_t instance_id, struct text uuid)
{
	const struct tenant_instance *instance = tenant_instance_by_id(tenant, instance_id);

	for (struct wanted_profile *profile = tenant->wanted; profile != NULL; profile = profile->next) {
		if (profile->is_of_server && profile->instance->instance_id == instance_id && text_equal_string(uuid, profile->uuid)) {
			return profile;
		}
	}
	if (instance == NULL || uuid.length > APPLE_PROFILE_UUID_MAX) {
		return NULL;
	}
	struct wanted_profile *profile = arena_take(&tenant->memory, sizeof *profile);

	assert(profile != NULL);
	*profile = (struct wanted_profile){
		.next = tenant->wanted, .instance = instance, .is_of_server = true, .last_at_us = INSTANT_NONE, .wait_until_us = INSTANT_NONE,
	};
	memcpy(profile->uuid, uuid.bytes, uuid.length);
	tenant->wanted = profile;
	return profile;
}

void wanted_profile_all(struct tenant *tenant)
{
	for (size_t i = 0; tenant->rules != NULL && i <= ruleset_count(tenant->rules); i++) {
		const struct text id = ruleset_id(tenant->rules, i);

		(void)wanted_profile_of(tenant, ruleset_instance_of(tenant->rules, i), id, ruleset_profile(tenant->rules, id));
	}
}

struct wanted_profile *wanted_profile_with(const struct tenant *tenant, struct text uuid)
{
	struct wanted_profile *profile = tenant->wanted;

	while (profile != NULL && !text_equal_string(uuid, profile->uuid)) {
		profile = profile->next;
	}
	return profile;
}

struct text wanted_profile_uuid(const struct wanted_profile *profile)
{
	if (profile == NULL || profile->is_refused || profile->is_lost) {
		return TEXT_NONE;
	}
	return profile->uuid[0] != '\0' ? text_of(profile->uuid) : ASSIGN_PROFILE_UNDEFINED;
}

int64_t wanted_profile_define_at_us(const struct wanted_profile *profile)
{
	const int64_t at_us = profile_content_define_at_us(profile->attempts, profile->last_at_us);

	return profile->wait_until_us > at_us ? profile->wait_until_us : at_us; // INSTANT_NONE is less than any
}

bool wanted_profile_any_waits(const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->definition_count; i++) {
		if (tenant->definitions[i].wait_until_us != INSTANT_NONE) {
			return true;
		}
	}
	return false;
}

void wanted_profile_end_waits(struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->definition_count; i++) {
		tenant->definitions[i].wait_until_us = INSTANT_NONE;
	}
	for (struct wanted_profile *profile = tenant->wanted; profile != NULL; profile = profile->next) {
		profile->wait_until_us = INSTANT_NONE;
	}
}

struct text wanted_profile_content(const struct tenant *tenant, const struct wanted_profile *profile, struct arena *arena)
{
	struct profile_rendered rendered;
	const enum err rc = profile_content_render(&rendered, tenant, profile->instance, profile->rule_id, profile->override, arena, NULL);

	assert(rc == OK && rendered.content.bytes != NULL && memcmp(rendered.digest, profile->digest, SHA256_SIZE) == 0);
	return rendered.content;
}

const struct wanted_profile *wanted_profile_unusable(const struct tenant *tenant)
{
	const struct wanted_profile *profile = tenant->wanted;

	while (profile != NULL && !profile->is_refused) {
		profile = profile->next;
	}
	return profile;
}

const struct wanted_profile *wanted_profile_undefined(const struct tenant *tenant)
{
	const struct wanted_profile *profile = tenant->wanted;

	while (profile != NULL && (profile->uuid[0] != '\0' || profile->attempts < DEFINITIONS_TOLD)) {
		profile = profile->next;
	}
	return profile;
}

const struct wanted_profile *wanted_profile_drifting(const struct tenant *tenant)
{
	const struct wanted_profile *profile = tenant->wanted;

	while (profile != NULL && !profile->drifts) {
		profile = profile->next;
	}
	return profile;
}
