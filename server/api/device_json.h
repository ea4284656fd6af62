// SPDX-License-Identifier: Apache-2.0
//
// device_json.h - a device as answers show it.
#pragma once

#include "api/json_out.h"
#include "store/devices.h"

// Its members, for the caller to add to. The client's instances are the rows of the statement `instances`.
void device_members(struct json_out *json, const struct pg_transaction *t, unsigned instances, const struct device_row *row,
	const struct device_status *status);
bool device_state_exists(struct text state); // a word of struct device_status
