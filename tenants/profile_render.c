// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_render.h"

#include "tenants/profile.h"

#include <string.h>

static enum err out_of_memory(const struct arena *arena, struct fault *fault)
{
	return fault_set(fault, ERR_BUDGET, "the layers of the profile need more than %zu bytes of memory", arena->budget_bytes);
}

const char *profile_level_name(enum profile_level level)
{
	static const char *const names[] = { "broker", "template", "tenant", "instance", "rule" };

	return names[level];
}

static enum err read_broker_layer(struct profile_changes *out, const struct profile_recipe *recipe,
	struct findings *findings, struct arena *arena)
{
	struct buffer name CLEANUP(buffer_fini) = BUFFER(256);
	struct buffer json CLEANUP(buffer_fini) = BUFFER(PROFILE_LAYER_SIZE_MAX);

	profile_name_write(&name, recipe->tenant_slug, recipe->instance_name);
	buffer_add_string(&json, "{\"profile_name\":");
	buffer_add_json(&json, buffer_text(&name));
	buffer_add_string(&json, ",\"url\":");
	buffer_add_json(&json, recipe->enrolment_url);
	buffer_add_string(&json, "}");
	return profile_changes_read(out, buffer_text(&json), PROFILE_BROKER_LAYER, findings, arena);
}

static enum err join_layers(struct profile_changes *out, const struct profile_recipe *recipe, struct findings *findings,
	struct arena *arena)
{
	TRY(read_broker_layer(out, recipe, findings, arena));
	for (size_t i = 0; i < recipe->layer_count; i++) {
		struct profile_changes layer, joined;

		TRY(profile_changes_read(&layer, recipe->layers[i].json, i + 1, findings, arena));
		TRY(profile_changes_join(&joined, out, &layer, arena));
		*out = joined;
	}
	return OK;
}

static void write_merged(struct buffer *out, const struct profile_merged *merged)
{
	buffer_add_string(out, "{");
	for (size_t i = 0; i < merged->count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		buffer_add_json(out, merged->keys[i].name);
		buffer_add_string(out, ":");
		tree_value_write(out, &merged->keys[i].value);
	}
	buffer_add_string(out, "}");
}

static void digest_of(unsigned char out[SHA256_SIZE], struct text content)
{
	sha256(out, &(struct digest_part){ content.bytes, content.length }, 1);
}

static enum err write_content(struct profile_rendered *out, struct arena *arena, struct fault *fault)
{
	struct buffer content CLEANUP(buffer_fini) = BUFFER(PROFILE_SIZE_MAX);

	write_merged(&content, &out->merged);
	if (content.overflow) {
		finding_add(&out->findings, (struct finding_kind){ FINDING_ERROR, "too_large", NULL },
			(struct finding_place){ TEXT(""), FINDING_NO_LAYER }, "the profile is larger than %d bytes", PROFILE_SIZE_MAX);
		return OK;
	}
	const struct text kept = { arena_copy(arena, buffer_text(&content)), content.length };

	if (kept.bytes == NULL) {
		return out_of_memory(arena, fault);
	}
	digest_of(out->digest, kept);
	out->content = kept;
	return OK;
}

static enum err merge(struct profile_rendered *out, const struct profile_recipe *recipe, struct arena *arena)
{
	struct profile_changes changes;

	TRY(join_layers(&changes, recipe, &out->findings, arena));
	return profile_changes_apply(&out->merged, &changes, &recipe->variables, &out->findings, arena);
}

enum err profile_render(struct profile_rendered *out, const struct profile_recipe *recipe, struct arena *arena,
	struct fault *fault)
{
	const struct profile_conditions conditions = {
		.allowed_hosts = recipe->allowed_hosts, .allowed_host_count = recipe->allowed_host_count,
		.systems = recipe->systems, .protocol_version = recipe->protocol_version, .broker_layer = PROFILE_BROKER_LAYER,
	};

	*out = (struct profile_rendered){ .findings = FINDINGS(arena) };
	if (recipe->layer_count > PROFILE_LAYERS_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "a profile has at most %d layers", PROFILE_LAYERS_MAX);
	}
	if (merge(out, recipe, arena) != OK) {
		return out_of_memory(arena, fault);
	}
	profile_check(&out->merged, &conditions, &out->findings);
	return out->findings.error_count == 0 ? write_content(out, arena, fault) : OK;
}

enum err profile_layer_check(struct findings *findings, struct text json, struct arena *arena, struct fault *fault)
{
	const struct profile_conditions conditions = { .broker_layer = FINDING_NO_LAYER, .is_draft = true };
	const struct profile_variables variables = { .only_form = true };
	struct profile_changes changes;
	struct profile_merged merged;

	*findings = FINDINGS(arena);
	if (profile_changes_read(&changes, json, 1, findings, arena) != OK ||
		profile_changes_apply(&merged, &changes, &variables, findings, arena) != OK) {
		return out_of_memory(arena, fault);
	}
	profile_check(&merged, &conditions, findings);
	return OK;
}

enum err profile_digest(unsigned char out[SHA256_SIZE], struct text json, struct fault *fault)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct buffer content CLEANUP(buffer_fini) = BUFFER(2 * PROFILE_SIZE_MAX);
	struct tree_value value;
	char *copy = arena_copy(&arena, json);

	if (copy == NULL) {
		return out_of_memory(&arena, fault);
	}
	TRY(tree_value_read(&value, copy, json.length, &arena, fault));
	tree_value_write(&content, &value);
	if (value.kind != TREE_OBJECT || content.overflow) {
		return fault_set(fault, ERR_BAD_INPUT, "a profile is a JSON object of at most %d bytes", PROFILE_SIZE_MAX);
	}
	digest_of(out, buffer_text(&content));
	return OK;
}
