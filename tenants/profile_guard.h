// SPDX-License-Identifier: Apache-2.0
//
// profile_guard.h - the URL guard (url_guard.h) over a merged profile, documented keys and others.
#pragma once

#include "tenants/profile_layers.h"

struct profile_guard_hosts {
	const struct text *items;
	size_t count;
	bool is_unknown; // which instance the profile is for: a URL needs to be well-formed only
};

// `url` or `configuration_web_url`, whose value is a string.
void profile_guard_url(struct findings *findings, const struct profile_key *key, struct profile_guard_hosts hosts);

// A key that Apple does not document: a warning, or an error when its name could be read as one that is guarded, or when
// something in it could be read as a URL and is on no allowed host.
void profile_guard_unknown(struct findings *findings, const struct profile_key *key, struct profile_guard_hosts hosts);
