// SPDX-License-Identifier: Apache-2.0
//
// device_view.h - all that is known about one device of a client: how it is, who decided so and why, what it should have, what comes next.
#pragma once

#include "api/call.h"
#include "api/json_out.h"

// Adds the statements to the call's transaction, which is of this client and has no others.
void device_view_ask(struct pg_transaction *t, int64_t tenant_id, struct text serial);
// When they have come back.
bool device_view_is_there(const struct call *call);
void device_view_members(struct json_out *json, const struct call *call);
