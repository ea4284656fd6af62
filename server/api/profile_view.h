// SPDX-License-Identifier: Apache-2.0
//
// profile_view.h - layers, findings and merged profiles as answers show them.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "store/instances.h"
#include "store/templates.h"
#include "tenants/profile_compose.h"

// What is stored, for profile_compose. Borrows from all three.
struct profile_parts profile_parts_of(const struct tenant_row *tenant, const struct tenant_profile_row *profile,
	const struct instance_row *instance);

// [{"severity","code","apple_error","layer","pointer","message"}]. `alone`: the level of the only layer that was looked at; otherwise
// PROFILE_LEVEL_BROKER, and findings are of a composed profile. `least`: those that are at least so severe.
void put_findings(struct json_out *json, const char *name, const struct findings *findings, enum profile_level alone,
	enum finding_severity least);

// The merged profile; null when it has an error. And where each of its keys is from: {"department":{"layer","pointer"}}.
void put_rendered(struct json_out *json, const char *name, const struct profile_rendered *rendered);
void put_origins(struct json_out *json, const char *name, const struct profile_rendered *rendered);

// Members of one version, and the list "versions" of a statement of store_..._versions, the newest first, without their layers.
void put_version(struct json_out *json, const struct layer_version *version);
void put_versions(struct json_out *json, const struct pg_transaction *t, unsigned statement);
