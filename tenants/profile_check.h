// SPDX-License-Identifier: Apache-2.0
//
// profile_check.h - what Apple would refuse in a merged profile, and what would send a device to the wrong place.
//
// Laws       1. a profile without an error here is accepted by Apple, as far as its documentation goes (dep-api.md, 5.6, 9)
//            2. the URL guard sees the merged profile: `url`, `configuration_web_url`, and in keys that Apple does not
//               document everything that could be a URL. A key that differs from a guarded one only in case or in its
//               separators is refused, since nobody knows who reads it how
//            3. otherwise keys and panes that are not known pass, with a warning
#pragma once

#include "tenants/profile_layers.h"
#include "tenants/skip_items.h"

enum profile_systems { // of the devices that the profile is for, as bits; none: not known, so nothing is said about them
	PROFILE_FOR_IOS = 1 << SKIP_IOS, // and iPadOS
	PROFILE_FOR_MACOS = 1 << SKIP_MACOS,
	PROFILE_FOR_TVOS = 1 << SKIP_TVOS,
	PROFILE_FOR_VISIONOS = 1 << SKIP_VISIONOS,
};

unsigned profile_system_of(struct text os); // of a device's record: "OSX" is macOS; 0 for what is not known

struct profile_conditions {
	const struct text *allowed_hosts; // of the instance
	size_t allowed_host_count;
	unsigned systems;     // bits of enum profile_systems
	int protocol_version; // of the tenant; 0: the newest
	size_t broker_layer;  // who alone may give `url`; FINDING_NO_LAYER: nobody
	bool is_draft;        // one layer alone, its variables without values: what needs more than that is not looked at
};

void profile_check(const struct profile_merged *merged, const struct profile_conditions *conditions,
	struct findings *findings);
