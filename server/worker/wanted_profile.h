// SPDX-License-Identifier: Apache-2.0
//
// wanted_profile.h - the enrolment profiles that devices of the client should have: one for each instance and override of a rule.
//
// Ownership  they live with what was loaded, and do not move.
// Laws       1. made when a device wants it first; (instance, content) is its identity: what is defined with the same content is it
//            2. wanted_profile_render is the only way to its bytes, and so through the check and the URL guard
//            3. what Apple or the check refuses is wanted by nobody, until rules or instances change it
#pragma once

#include "worker/tenant.h"

enum { WANTED_PROFILE_WAIT_S = 300 }; // after a definition that failed or whose answer was lost

struct wanted_profile {
	struct wanted_profile *next;
	const struct tenant_instance *instance;
	struct text rule_id;  // of the first rule that wants it; for people
	struct text override; // JSON; empty: none
	unsigned char digest[SHA256_SIZE];
	char uuid[APPLE_PROFILE_UUID_MAX + 1]; // empty: not defined
	bool is_refused;
	int64_t define_at_us; // not before; INSTANT_NONE: at once
	unsigned batch; // of assign_flow.h: that it was looked at in
};

// NULL: the client has no such instance. `override` lives with the rules.
struct wanted_profile *wanted_profile_of(struct tenant *tenant, int64_t instance_id, struct text rule_id, struct text override);
// As assign.h wants it: its UUID, ASSIGN_PROFILE_UNDEFINED, or nothing. `profile` may be NULL.
struct text wanted_profile_uuid(const struct wanted_profile *profile);
// Its bytes, in the arena. ERR_BAD_INPUT: the check refuses it, the fault says why.
MUST_USE enum err wanted_profile_render(struct text *content, unsigned char digest[SHA256_SIZE], const struct tenant *tenant,
	const struct wanted_profile *profile, struct arena *arena, struct fault *fault);
