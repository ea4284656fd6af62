// SPDX-License-Identifier: Apache-2.0
//
// profile.h - the enrolment profile that is defined at Apple for an instance (dep-api.md, section 9).
//
// Laws       1. pure: the same instance gives the same bytes, and so the same UUID
//            2. `url` is the instance's and cannot be overridden; `devices` is never part of it: define, then assign
#pragma once

#include "depbroker/text.h"

struct profile_source {
	struct text tenant_slug;
	struct text instance_name;
	struct text enrolment_url;
	struct text members; // further members, one JSON object; checked when it was stored. Empty: none
};

enum { PROFILE_NAME_MAX = 125 }; // characters; Apple refuses more with CONFIG_NAME_INVALID

// Appends "acme main", cut to what Apple takes: two slugs may be longer together.
void profile_name_write(struct buffer *out, struct text tenant_slug, struct text instance_name);

// Appends {"profile_name":"acme main","url":"https://...", further members}.
void profile_write(struct buffer *out, const struct profile_source *source);
