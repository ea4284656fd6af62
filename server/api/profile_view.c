// SPDX-License-Identifier: Apache-2.0
#include "api/profile_view.h"

enum { POINTER_MAX = 1024 };

struct profile_parts profile_parts_of(const struct tenant_row *tenant, const struct tenant_profile_row *profile,
	const struct instance_row *instance)
{
	return (struct profile_parts){
		.tenant_slug = tenant->slug, .tenant_name = tenant->display_name,
		.technical_contact = tenant->technical_contact, .apple_contact = tenant->apple_contact, .labels = tenant->labels,
		.protocol_version = (int)tenant->protocol_version,
		.template_name = profile->template_name, .template_layer = profile->template_layer, .tenant_layer = profile->layer,
		.instance_name = instance->name, .enrolment_url = instance->enrolment_url,
		.allowed_hosts = instance->allowed_hosts, .allowed_host_count = instance->allowed_host_count,
		.instance_layer = instance->profile,
	};
}

static void put_finding(struct json_out *json, const struct finding *finding, enum profile_level alone)
{
	put_object(json, NULL);
	put_string(json, "severity", finding_severity_name(finding->severity));
	put_string(json, "code", finding->code);
	put_text(json, "apple_error", text_of(finding->apple_word));
	if (finding->layer == FINDING_NO_LAYER) {
		put_null(json, "layer");
	} else {
		put_string(json, "layer", profile_level_name(alone != PROFILE_LEVEL_BROKER ? alone : profile_compose_level(finding->layer)));
	}
	put_text(json, "pointer", finding->pointer);
	put_text(json, "message", finding->sentence);
	put_object_end(json);
}

void put_findings(struct json_out *json, const char *name, const struct findings *findings, enum profile_level alone,
	enum finding_severity least)
{
	put_list(json, name);
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->items[i].severity >= least) {
			put_finding(json, &findings->items[i], alone);
		}
	}
	put_list_end(json);
}

void put_rendered(struct json_out *json, const char *name, const struct profile_rendered *rendered)
{
	if (rendered->content.bytes == NULL) {
		put_null(json, name);
	} else {
		put_raw(json, name, rendered->content);
	}
}

static void put_origin(struct json_out *json, const struct profile_key *key)
{
	struct buffer name CLEANUP(buffer_fini) = BUFFER(POINTER_MAX);
	struct buffer pointer CLEANUP(buffer_fini) = BUFFER(POINTER_MAX);

	buffer_add_text(&name, key->name);
	profile_pointer_of_key(&pointer, key);
	put_object(json, name.length > 0 && !name.overflow ? name.bytes : "");
	put_string(json, "layer", profile_level_name(profile_compose_level(key->origin.layer)));
	put_text(json, "pointer", buffer_text(&pointer));
	put_object_end(json);
}

void put_origins(struct json_out *json, const char *name, const struct profile_rendered *rendered)
{
	put_object(json, name);
	for (size_t i = 0; i < rendered->merged.count; i++) {
		put_origin(json, &rendered->merged.keys[i]);
	}
	put_object_end(json);
}

void put_version(struct json_out *json, const struct layer_version *version)
{
	put_int(json, "version", version->version);
	put_instant(json, "made_at", version->made_at_us);
	put_text(json, "made_by", version->made_by);
	put_text(json, "reason", version->reason);
}

void put_versions(struct json_out *json, const struct pg_transaction *t, unsigned statement)
{
	put_list(json, "versions");
	for (size_t i = 0; i < pg_row_count(t, statement); i++) {
		struct layer_version version;

		store_layer_version_read(t, statement, i, &version);
		put_object(json, NULL);
		put_version(json, &version);
		put_object_end(json);
	}
	put_list_end(json);
}
