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

static bool is_digest(struct text hexadecimal, const unsigned char digest[SHA256_SIZE])
{
	struct buffer wanted CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);

	buffer_add_hex(&wanted, digest, SHA256_SIZE);
	return text_equal(hexadecimal, buffer_text(&wanted));
}

// Rows from before profiles were written in canonical form have the digest of their bytes.
static bool has_content(const struct profile_row *row, const unsigned char digest[SHA256_SIZE])
{
	unsigned char canonical[SHA256_SIZE];

	return row->content.length > 0 && profile_digest(canonical, row->content, NULL) == OK &&
		memcmp(canonical, digest, SHA256_SIZE) == 0;
}

bool profile_content_find(struct profile_row *out, const struct pg_transaction *t, unsigned statement, int64_t instance_id,
	const unsigned char digest[SHA256_SIZE])
{
	const size_t count = pg_row_count(t, statement);

	for (int by_content = 0; by_content < 2; by_content++) {
		for (size_t i = 0; i < count; i++) {
			store_profile_read(t, statement, i, out);
			if (out->instance_id == instance_id && (by_content ? has_content(out, digest) : is_digest(out->content_digest, digest))) {
				return !out->mend_due;
			}
		}
	}
	return false;
}

struct definition_row profile_content_definitions(const struct pg_transaction *t, unsigned statement, int64_t instance_id,
	const unsigned char digest[SHA256_SIZE])
{
	for (size_t i = 0; i < pg_row_count(t, statement); i++) {
		struct definition_row row;

		store_definition_read(t, statement, i, &row);
		if (row.instance_id == instance_id && is_digest(row.content_digest, digest)) {
			return row;
		}
	}
	return (struct definition_row){ .instance_id = instance_id, .last_at_us = INSTANT_NONE };
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
