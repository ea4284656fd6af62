// SPDX-License-Identifier: Apache-2.0
//
// approval_kinds.h - which changes a second key can be asked for: a row each, and the endpoint does as change.h says.
#pragma once

#include "api/call.h"

struct approval_kind {
	const char *name;
	void (*step)(struct call *call); // the endpoint that makes the change
	enum role least;                 // of the key that approves
	bool of_tenant;                  // its path begins with the tenant
	bool is_secret;                  // the body is not shown
};

const struct approval_kind *approval_kind(struct text name); // NULL: there is none
