// SPDX-License-Identifier: Apache-2.0
//
// profile_render.h - from layers to the bytes that are defined at Apple: merged, variables replaced, checked, guarded.
//
// The lowest layer is the broker's own and made here: `profile_name` ("acme main", which a layer may replace) and `url`
// (the instance's enrolment URL, which none may).
//
// Ownership  everything that comes out lives in the arena, except what the variables' values lend
// Laws       1. pure: equal recipes give equal bytes
//            2. there are no bytes when there is an error: nothing reaches Apple around the check and the URL guard
//            3. equal content has equal bytes and so an equal digest, however it was layered and ordered. (tenant, instance,
//               digest) is the identity of a profile at Apple: the same three have the same UUID
#pragma once

#include "depbroker/digest.h"
#include "tenants/profile_check.h"

enum profile_level {
	PROFILE_LEVEL_BROKER,
	PROFILE_LEVEL_TEMPLATE,
	PROFILE_LEVEL_TENANT,
	PROFILE_LEVEL_INSTANCE,
	PROFILE_LEVEL_RULE,
};

const char *profile_level_name(enum profile_level level); // "template"

enum { PROFILE_SIZE_MAX = 131072, PROFILE_ARENA_BUDGET = 16 * 1024 * 1024 };
#define PROFILE_BROKER_LAYER ((size_t)0) // in the results: 0 is the broker's, 1 the lowest of the recipe's

struct profile_layer {
	enum profile_level level;
	struct text name; // of the template, of the rule: for people
	struct text json; // an object; empty: {}
};

struct profile_recipe {
	struct text tenant_slug;
	struct text instance_name;
	struct text enrolment_url;
	const struct profile_layer *layers; // lowest first, PROFILE_LAYERS_MAX at most
	size_t layer_count;
	struct profile_variables variables;
	const struct text *allowed_hosts;
	size_t allowed_host_count;
	unsigned systems;     // bits of enum profile_systems
	int protocol_version; // of the tenant; 0: the newest
};

struct profile_rendered {
	struct text content; // TEXT_NONE: there is an error
	unsigned char digest[SHA256_SIZE];
	struct profile_merged merged; // for explaining: each key's value and where it is from
	struct findings findings;
};

// ERR_BUDGET: the arena is too small for these layers; ERR_BAD_INPUT: too many of them.
MUST_USE enum err profile_render(struct profile_rendered *out, const struct profile_recipe *recipe, struct arena *arena,
	struct fault *fault);

// One layer alone, when somebody stores it: everything that can be told without its neighbours, and before its variables
// have values. Findings have layer 1, as if the layer were the only one.
MUST_USE enum err profile_layer_check(struct findings *findings, struct text json, struct arena *arena, struct fault *fault);

// The digest of a profile whose bytes were written by somebody else. ERR_BAD_INPUT: not a JSON object.
MUST_USE enum err profile_digest(unsigned char out[SHA256_SIZE], struct text json, struct fault *fault);
