// SPDX-License-Identifier: Apache-2.0
//
// tenant_json.h - a tenant as answers show it.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "store/tenants.h"

void tenant_json(struct json_out *json, const char *name, const struct tenant_row *row, const struct tenant_status_row *status);

// The parts that the status list shows as well.
void tenant_token_json(struct json_out *json, const struct tenant_row *row, const struct tenant_status_row *status);
void tenant_sync_json(struct json_out *json, const struct tenant_status_row *status);
void tenant_devices_json(struct json_out *json, const struct tenant_status_row *status);

// Answers with the tenant that a statement of store_tenant_by_... gave, and its ETag.
void tenant_answer(struct call *call, unsigned status_code, const struct pg_transaction *transaction, unsigned statement);
