// SPDX-License-Identifier: Apache-2.0
//
// token_identity.h - whether a token is of the Apple server that a tenant is pinned to (architecture, section 6, guard 3).
//
// Law  as tenants/identity.h
#pragma once

#include "apple/apple.h"
#include "store/tenants.h"

// Appends `"differences":[{"field":"org_id","pinned":"...","given":"..."},...]`. Returns how many there are.
unsigned token_identity_differences(struct buffer *out, const struct tenant_row *pinned, const struct apple_account *given);
