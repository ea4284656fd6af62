// SPDX-License-Identifier: Apache-2.0
#include "worker/profile_content.h"

#include <stdio.h>
#include <string.h>

void profile_content_load(struct tenant *tenant, const struct tenant_row *row, const struct tenant_profile_row *profile)
{
	tenant->profile_parts = (struct profile_parts){
		.tenant_slug = tenant->due.slug,
		.tenant_name = tenant_keep(tenant, row->display_name),
		.technical_contact = tenant_keep(tenant, row->technical_contact),
		.apple_contact = tenant_keep(tenant, row->apple_contact),
		.labels = tenant_keep(tenant, row->labels),
		.protocol_version = (int)row->protocol_version,
		.template_name = tenant_keep(tenant, profile->template_name),
		.template_layer = tenant_keep(tenant, profile->template_layer),
		.tenant_layer = tenant_keep(tenant, profile->layer),
	};
	tenant->template_version = profile->template_version;
	tenant->mends_profiles = profile->mend;
}

enum err profile_content_render(struct profile_rendered *out, const struct tenant *tenant, const struct tenant_instance *instance,
	struct text rule_name, struct text override, struct arena *arena, struct fault *fault)
{
	struct profile_parts parts = tenant->profile_parts;

	parts.instance_name = instance->name;
	parts.enrolment_url = instance->enrolment_url;
	parts.allowed_hosts = instance->allowed_hosts;
	parts.allowed_host_count = instance->allowed_host_count;
	parts.instance_layer = instance->members;
	parts.rule_name = rule_name;
	parts.rule_layer = override;
	return profile_compose(out, &parts, arena, fault);
}

void profile_content_explain(char out[401], const struct findings *findings)
{
	out[0] = '\0';
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity == FINDING_ERROR) {
			const bool is_placed = finding->layer != FINDING_NO_LAYER;

			(void)snprintf(out, 401, "The profile has an error (%s%s%.*s): %.*s.", is_placed ?
				profile_level_name(profile_compose_level(finding->layer)) : "all layers", finding->pointer.length > 0 ? " " : "",
				TEXT_ARGS(finding->pointer), TEXT_ARGS(finding->sentence));
			return;
		}
	}
	if (findings->error_count > 0) {
		(void)snprintf(out, 401, "The profile has %zu errors.", findings->error_count);
	}
}

int64_t profile_content_define_at_us(int64_t attempts, int64_t last_at_us)
{
	static const int64_t waits_s[] = { 0, 0, 10, 600, 3600 };
	const size_t count = sizeof waits_s / sizeof *waits_s;

	if (last_at_us == INSTANT_NONE || attempts <= 0) {
		return INSTANT_NONE;
	}
	return last_at_us + (attempts < (int64_t)count ? waits_s[attempts] : DAY_S) * SECOND_US;
}
