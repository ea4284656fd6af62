// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_compose.h"

#include <assert.h>
#include <string.h>

enum { LABELS_MAX = 64, FIXED_VARIABLES = 5 };

enum profile_level profile_compose_level(size_t layer)
{
	assert(layer <= PROFILE_COMPOSE_LAYERS);
	return (enum profile_level)layer; // in the order of the enum, and each of them always takes part
}

struct collected {
	size_t count;
	struct profile_variable items[];
};

static void add(struct collected *variables, struct text name, struct text value)
{
	if (value.length > 0) {
		variables->items[variables->count++] = (struct profile_variable){ name, value };
	}
}

static bool has(const struct collected *variables, struct text name)
{
	for (size_t i = 0; i < variables->count; i++) {
		if (text_equal(variables->items[i].name, name)) {
			return true;
		}
	}
	return false;
}

// Of two labels with one name the first counts.
static enum err add_label(struct collected *variables, struct text label, struct arena *arena)
{
	const char *equals = memchr(label.bytes, '=', label.length);
	char *name;

	if (equals == NULL || equals == label.bytes) {
		return OK;
	}
	const struct text key = text_trim((struct text){ label.bytes, (size_t)(equals - label.bytes) });
	const struct text value = text_trim((struct text){ equals + 1, label.length - (size_t)(equals + 1 - label.bytes) });

	name = arena_format(arena, "label.%.*s", TEXT_ARGS(key));
	if (name == NULL) {
		return ERR_BUDGET;
	}
	if (!has(variables, text_of(name))) {
		add(variables, text_of(name), value);
	}
	return OK;
}

static size_t lines_of(struct text labels)
{
	size_t count = labels.length > 0 ? 1 : 0;

	for (size_t i = 0; i < labels.length && count < LABELS_MAX; i++) {
		count += labels.bytes[i] == '\n' ? 1 : 0;
	}
	return count;
}

static enum err collect(struct collected *variables, const struct profile_parts *parts, struct arena *arena)
{
	struct text rest = parts->labels;
	struct text line;

	add(variables, TEXT("tenant.slug"), parts->tenant_slug);
	add(variables, TEXT("tenant.name"), parts->tenant_name);
	add(variables, TEXT("tenant.technical_contact"), parts->technical_contact);
	add(variables, TEXT("tenant.apple_contact"), parts->apple_contact);
	add(variables, TEXT("instance.name"), parts->instance_name);
	while (variables->count < FIXED_VARIABLES + LABELS_MAX && rest.length > 0 && text_next(&rest, '\n', &line)) {
		TRY(add_label(variables, line, arena));
	}
	return OK;
}

static void refuse_missing_template(struct profile_rendered *out, const struct profile_parts *parts)
{
	finding_add(&out->findings, (struct finding_kind){ FINDING_ERROR, "template", NULL },
		(struct finding_place){ TEXT(""), FINDING_NO_LAYER }, "there is no template %.*s", TEXT_ARGS(parts->template_name));
	out->content = TEXT_NONE;
}

enum err profile_compose(struct profile_rendered *out, const struct profile_parts *parts, struct arena *arena,
	struct fault *fault)
{
	const struct profile_layer layers[PROFILE_COMPOSE_LAYERS] = {
		{ PROFILE_LEVEL_TEMPLATE, parts->template_name, parts->template_layer },
		{ PROFILE_LEVEL_TENANT, TEXT_NONE, parts->tenant_layer },
		{ PROFILE_LEVEL_INSTANCE, parts->instance_name, parts->instance_layer },
		{ PROFILE_LEVEL_RULE, parts->rule_name, parts->rule_layer },
	};
	struct collected *variables = arena_take(arena, sizeof *variables + (FIXED_VARIABLES + lines_of(parts->labels)) * sizeof *variables->items);

	if (variables == NULL || collect(variables, parts, arena) != OK) {
		return fault_set(fault, ERR_BUDGET, "the variables of the profile need more than %zu bytes of memory", arena->budget_bytes);
	}
	TRY(profile_render(out, &(struct profile_recipe){
		.tenant_slug = parts->tenant_slug, .instance_name = parts->instance_name, .enrolment_url = parts->enrolment_url,
		.layers = layers, .layer_count = PROFILE_COMPOSE_LAYERS,
		.variables = { .items = variables->items, .count = variables->count },
		.allowed_hosts = parts->allowed_hosts, .allowed_host_count = parts->allowed_host_count,
		.protocol_version = parts->protocol_version,
	}, arena, fault));
	if (parts->template_name.length > 0 && parts->template_layer.length == 0) {
		refuse_missing_template(out, parts);
	}
	return OK;
}
