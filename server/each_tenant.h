// SPDX-License-Identifier: Apache-2.0
//
// each_tenant.h - commands that look at every client, one after the other.
#pragma once

#include "database.h"
#include "store/tenants.h"

// Calls `visit` for each client, in the order of their slugs, and for STORE_EVERYBODY if it has secrets, until it fails or there is none left. It may use the database.
// Clients that are made meanwhile are visited or not.
MUST_USE enum err each_tenant(struct database *database,
	enum err (*visit)(void *argument, const struct tenant_row *tenant, struct fault *fault), void *argument, struct fault *fault);
