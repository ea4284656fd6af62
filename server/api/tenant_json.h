// SPDX-License-Identifier: Apache-2.0
//
// tenant_json.h - a tenant as answers show it.
#pragma once

#include "api/json_out.h"
#include "store/tenants.h"

void tenant_json(struct json_out *json, const char *name, const struct tenant_row *row, const struct tenant_status_row *status);

// The parts that the status list shows as well.
void tenant_token_json(struct json_out *json, const struct tenant_status_row *status);
void tenant_sync_json(struct json_out *json, const struct tenant_status_row *status);
void tenant_devices_json(struct json_out *json, const struct tenant_status_row *status);

// "none", "active", "expired", "rejected", "terms_unsigned"
struct text token_state_now(const struct tenant_status_row *status, int64_t now_us);
