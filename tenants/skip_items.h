// SPDX-License-Identifier: Apache-2.0
//
// skip_items.h - the panes of Setup Assistant that a profile may skip, and where they exist (dep-api.md, section 10).
//
// Laws  spelling counts, case included. The table only advises: Apple does not refuse what it does not list.
#pragma once

#include "depbroker/text.h"

enum skip_os { SKIP_IOS, SKIP_MACOS, SKIP_TVOS, SKIP_VISIONOS, SKIP_OS_COUNT };

struct skip_availability { // NULL: never, or not known
	const char *since;     // the first version with the pane; NULL: this system has none
	const char *gone_since; // the version that dropped it
	const char *old_since;  // the version that deprecated it
	bool not_always;       // may be shown although it is skipped: it can come before the profile does
};

struct skip_item {
	struct text name;
	struct skip_availability on[SKIP_OS_COUNT];
};

const char *skip_os_name(enum skip_os os); // "macOS"
const struct skip_item *skip_item_find(struct text name); // NULL: Apple does not list it
bool skip_item_is_seen_in_the_wild(struct text name);     // not listed, and yet in profiles that work
struct text skip_item_nearest(struct text name);          // TEXT_NONE: nothing is near
