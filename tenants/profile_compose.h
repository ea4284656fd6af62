// SPDX-License-Identifier: Apache-2.0
//
// profile_compose.h - an instance's enrolment profile out of what is stored about its client: the one place that says which layers
// take part, in which order, and which variables there are. What the API shows and what a worker defines come from here.
//
// Laws       1. pure: equal parts give equal bytes
//            2. a variable without a value is unknown: a label that a client does not have is an error, not a gap
#pragma once

#include "tenants/profile_render.h"

struct profile_parts {
	struct text tenant_slug, tenant_name;
	struct text technical_contact, apple_contact; // empty: not known
	struct text labels;                           // of the tenant, a line each; "site=Zurich" is the variable label.site
	int protocol_version;                         // 0: the newest
	struct text template_name, template_layer;    // name empty: no template; a layer never is, so that an empty one says it is not there
	struct text tenant_layer;
	struct text instance_name, enrolment_url;
	const struct text *allowed_hosts;
	size_t allowed_host_count;
	struct text instance_layer;
	struct text rule_name, rule_layer; // layer empty: no override
};

enum { PROFILE_COMPOSE_LAYERS = 4 };

// The level of a layer of the results (finding.layer, profile_origin.layer): every level takes part, empty or not.
enum profile_level profile_compose_level(size_t layer);

// As profile_render.
MUST_USE enum err profile_compose(struct profile_rendered *out, const struct profile_parts *parts, struct arena *arena,
	struct fault *fault);
