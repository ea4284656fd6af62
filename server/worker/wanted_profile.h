// SPDX-License-Identifier: Apache-2.0
//
// wanted_profile.h - the enrolment profiles that devices of the client should have: one for each instance and override of a rule, and those
// that MDM servers defined through their virtual DEP servers.
//
// Ownership  they live with what was loaded, and do not move.
// Laws       1. (instance, content) is its identity: what is defined with the same content is it
//            2. profile_content.h is the only way to its bytes, and so through the check and the URL guard
//            3. what Apple or the check refuses is wanted by nobody, until rules, layers or instances change it
#pragma once

#include "worker/tenant.h"

struct wanted_profile {
	struct wanted_profile *next;
	const struct tenant_instance *instance;
	struct text rule_id;  // of the first rule that wants it; for people
	struct text override; // JSON; empty: none
	unsigned char digest[SHA256_SIZE];
	char uuid[APPLE_PROFILE_UUID_MAX + 1]; // empty: not defined
	bool is_refused;
	char why[401]; // it is: an error in the layers, or Apple's word
	bool is_of_server; // an MDM server defined it (store/dep_profiles.h): it is not rendered here, and not defined again
	bool is_lost;      // Apple does not know such a one any more, and nobody wants it
	bool drifts;   // Apple has it otherwise than it was meant
	int64_t attempts, last_at_us; // of definitions of this content
	int64_t wait_until_us; // after a definition that Apple did not take, in this run
	unsigned batch; // of assign_flow.h: that it was looked at in
};

// Those that rules name; others come about when a device wants them.
void wanted_profile_all(struct tenant *tenant);
// NULL: the client has no such instance. `override` lives with the rules.
struct wanted_profile *wanted_profile_of(struct tenant *tenant, int64_t instance_id, struct text rule_id, struct text override);
// NULL: the client has no such instance.
struct wanted_profile *wanted_profile_of_server(struct tenant *tenant, int64_t instance_id, struct text uuid);
struct wanted_profile *wanted_profile_with(struct tenant *tenant, struct text uuid); // NULL: none has it
// As assign.h wants it: its UUID, ASSIGN_PROFILE_UNDEFINED, or nothing. `profile` may be NULL.
struct text wanted_profile_uuid(const struct wanted_profile *profile);
int64_t wanted_profile_define_at_us(const struct wanted_profile *profile); // not before; INSTANT_NONE: at once
// Its bytes, in the arena: there are some, since it was not refused.
struct text wanted_profile_content(const struct tenant *tenant, const struct wanted_profile *profile, struct arena *arena);

// What people are told about: the first one of each kind; NULL: none. As long as rules are not read, there is none (rules_load.h).
const struct wanted_profile *wanted_profile_unusable(const struct tenant *tenant);
const struct wanted_profile *wanted_profile_undefined(const struct tenant *tenant); // after DEFINITIONS_TOLD definitions
const struct wanted_profile *wanted_profile_drifting(const struct tenant *tenant);
