// SPDX-License-Identifier: Apache-2.0
//
// profile_rig.h - an instance of a tenant, and the profile that layers make for it.
#pragma once

#include "tenants/profile_render.h"

// Tenant "acme", instance "main" at https://mdm.acme.example/enroll; hosts mdm.acme.example, other.example:8443, 10.0.0.9;
// variables tenant.name ("ACME GmbH"), tenant.slug, label.site ("Zürich"), label.host ("evil.example"), tricky ("{{tenant.name}}").
struct profile_recipe profile_rig_recipe(const struct profile_layer *layers, size_t count);

// The layers are template, tenant, instance and rule, in this order; NULL ends them early.
enum { PROFILE_RIG_LAYERS = 4 };
void profile_rig_render(struct profile_rendered *out, const char *const layers[PROFILE_RIG_LAYERS], struct arena *arena);

// The first finding with this code; NULL: none.
const struct finding *profile_rig_finding(const struct findings *findings, const char *code);
void profile_rig_print(const struct findings *findings);
