// SPDX-License-Identifier: Apache-2.0
#include "support/profile_rig.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static const struct text hosts[] = { { "mdm.acme.example", 16 }, { "other.example:8443", 18 }, { "10.0.0.9", 8 } };

struct profile_recipe profile_rig_recipe(const struct profile_layer *layers, size_t count)
{
	static const struct profile_variable variables[] = {
		{ TEXT("tenant.name"), TEXT("ACME GmbH") },
		{ TEXT("tenant.slug"), TEXT("acme") },
		{ TEXT("label.site"), TEXT("Z\xc3\xbcrich") },
		{ TEXT("label.host"), TEXT("evil.example") },
		{ TEXT("tricky"), TEXT("{{tenant.name}}") },
	};

	return (struct profile_recipe){
		.tenant_slug = TEXT("acme"), .instance_name = TEXT("main"), .enrolment_url = TEXT("https://mdm.acme.example/enroll"),
		.layers = layers, .layer_count = count,
		.variables = { .items = variables, .count = sizeof variables / sizeof *variables },
		.allowed_hosts = hosts, .allowed_host_count = sizeof hosts / sizeof *hosts,
	};
}

void profile_rig_render(struct profile_rendered *out, const char *const layers[PROFILE_RIG_LAYERS], struct arena *arena)
{
	struct profile_layer made[PROFILE_RIG_LAYERS];
	struct profile_recipe recipe;
	struct fault fault;
	size_t count = 0;

	for (; count < PROFILE_RIG_LAYERS && layers[count] != NULL; count++) {
		made[count] = (struct profile_layer){
			.level = (enum profile_level)(PROFILE_LEVEL_TEMPLATE + count), .json = text_of(layers[count]),
		};
	}
	recipe = profile_rig_recipe(made, count);
	if (profile_render(out, &recipe, arena, &fault) != OK) {
		fail_msg("%s", fault.text);
	}
	assert_true((out->content.bytes == NULL) == (out->findings.error_count > 0));
}

const struct finding *profile_rig_finding(const struct findings *findings, const char *code)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (strcmp(findings->items[i].code, code) == 0) {
			return &findings->items[i];
		}
	}
	return NULL;
}

void profile_rig_print(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		(void)printf("%s %s %s layer %zd at \"%.*s\": %.*s\n", finding_severity_name(finding->severity), finding->code,
			finding->apple_word != NULL ? finding->apple_word : "-", (ssize_t)finding->layer, TEXT_ARGS(finding->pointer),
			TEXT_ARGS(finding->sentence));
	}
}
