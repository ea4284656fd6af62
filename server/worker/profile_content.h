// SPDX-License-Identifier: Apache-2.0
//
// profile_content.h - from a client as it was loaded to the bytes of an enrolment profile, and to the row of what was defined with them.
//
// Law  the only way to a profile's bytes in a worker is profile_compose, and so the check and the URL guard
#pragma once

#include "store/definitions.h"
#include "store/templates.h"
#include "worker/tenant.h"

// What profiles of this client have in common, from its row and its layers.
void profile_content_load(struct tenant *tenant, const struct tenant_row *row, const struct tenant_profile_row *profile);

// The profile of an instance with the override of a rule (empty: none). No content when there is an error: nothing may be assigned then.
MUST_USE enum err profile_content_render(struct profile_rendered *out, const struct tenant *tenant, const struct tenant_instance *instance,
	struct text rule_name, struct text override, struct arena *arena, struct fault *fault);

// The first error among the findings, with its place. "" when there is none.
void profile_content_explain(char out[401], const struct findings *findings);

// Each definition may make a profile at Apple, also when its answer is lost: the first ones follow each other quickly, then one a day.
enum { DEFINITIONS_TOLD = 3 }; // so many, and people are told
int64_t profile_content_define_at_us(int64_t attempts, int64_t last_at_us); // INSTANT_NONE: at once
