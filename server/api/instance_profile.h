// SPDX-License-Identifier: Apache-2.0
//
// instance_profile.h - the further members of Apple's enrolment profile that an instance brings (dep-api.md, section 9).
//
// Laws  1. `url`, `devices` and `profile_name` are set by depbroker and refused; configuration_web_url passes the URL guard
//       2. known members have the type and size that Apple documents; unknown ones pass unchanged, so that new ones work
//       3. without a person's word no member becomes false: Apple reads an absent one as its default
#pragma once

#include "depbroker/text.h"

#include <jansson.h>

enum { INSTANCE_PROFILE_MAX = 65536 };

// Appends the object as compact JSON. ERR_BAD_INPUT names the member; ERR_FORBIDDEN_ADDRESS: the guard refuses a URL.
MUST_USE enum err instance_profile_write(struct buffer *out, json_t *profile, const struct text *allowed_hosts,
	size_t host_count, struct fault *fault);
