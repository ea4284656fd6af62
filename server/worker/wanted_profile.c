// SPDX-License-Identifier: Apache-2.0
#include "worker/wanted_profile.h"

#include "depbroker/log.h"
#include "tenants/profile_render.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static enum err explain(const struct profile_rendered *rendered, struct fault *fault)
{
	for (size_t i = 0; i < rendered->findings.count; i++) {
		const struct finding *finding = &rendered->findings.items[i];

		if (finding->severity == FINDING_ERROR) {
			return fault_set(fault, ERR_BAD_INPUT, "%.*s: %.*s", TEXT_ARGS(finding->pointer), TEXT_ARGS(finding->sentence));
		}
	}
	return fault_set(fault, ERR_BAD_INPUT, "the profile has an error");
}

enum err wanted_profile_render(struct text *content, unsigned char digest[SHA256_SIZE], const struct tenant *tenant,
	const struct wanted_profile *profile, struct arena *arena, struct fault *fault)
{
	const struct tenant_instance *instance = profile->instance;
	const struct profile_layer layers[] = {
		{ .level = PROFILE_LEVEL_INSTANCE, .name = instance->name, .json = instance->members },
		{ .level = PROFILE_LEVEL_RULE, .name = profile->rule_id, .json = profile->override },
	};
	const struct profile_recipe recipe = {
		.tenant_slug = tenant->due.slug,
		.instance_name = instance->name,
		.enrolment_url = instance->enrolment_url,
		.layers = layers,
		.layer_count = sizeof layers / sizeof *layers,
		.allowed_hosts = instance->allowed_hosts,
		.allowed_host_count = instance->allowed_host_count,
		.protocol_version = tenant->apple_server.protocol_version,
	};
	struct profile_rendered rendered;

	TRY(profile_render(&rendered, &recipe, arena, fault));
	if (rendered.content.length == 0) {
		return explain(&rendered, fault);
	}
	*content = rendered.content;
	memcpy(digest, rendered.digest, SHA256_SIZE);
	return OK;
}

static void find_defined(const struct tenant *tenant, struct wanted_profile *profile)
{
	for (size_t i = 0; i < tenant->defined_count; i++) {
		const struct defined_profile *defined = &tenant->defined[i];

		if (defined->instance_id == profile->instance->instance_id && memcmp(defined->digest, profile->digest, SHA256_SIZE) == 0) {
			(void)snprintf(profile->uuid, sizeof profile->uuid, "%.*s", TEXT_ARGS(defined->uuid));
			profile->is_refused = defined->uuid.length == 0;
			return;
		}
	}
}

static struct wanted_profile *add(struct tenant *tenant, const struct tenant_instance *instance, struct text rule_id, struct text override)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct wanted_profile *profile = arena_take(&tenant->memory, sizeof *profile);
	struct fault fault;
	struct text content;

	assert(profile != NULL);
	*profile = (struct wanted_profile){
		.next = tenant->wanted, .instance = instance, .rule_id = rule_id, .override = override, .define_at_us = INSTANT_NONE,
	};
	tenant->wanted = profile;
	if (wanted_profile_render(&content, profile->digest, tenant, profile, &arena, &fault) == OK) {
		find_defined(tenant, profile);
	} else {
		profile->is_refused = true;
		log_event(LOG_ERROR, "profile.unusable", LOG_STRING("tenant", tenant->slug), LOG_TEXT("instance", instance->name),
			LOG_TEXT("rule", rule_id), LOG_STRING("reason", fault.text));
	}
	return profile;
}

struct wanted_profile *wanted_profile_of(struct tenant *tenant, int64_t instance_id, struct text rule_id, struct text override)
{
	for (struct wanted_profile *profile = tenant->wanted; profile != NULL; profile = profile->next) {
		if (profile->instance->instance_id == instance_id &&
			(profile->override.bytes == override.bytes || text_equal(profile->override, override))) {
			return profile;
		}
	}
	const struct tenant_instance *instance = tenant_instance_by_id(tenant, instance_id);

	return instance != NULL ? add(tenant, instance, rule_id, override) : NULL;
}

struct text wanted_profile_uuid(const struct wanted_profile *profile)
{
	if (profile == NULL || profile->is_refused) {
		return TEXT_NONE;
	}
	return profile->uuid[0] != '\0' ? text_of(profile->uuid) : ASSIGN_PROFILE_UNDEFINED;
}
