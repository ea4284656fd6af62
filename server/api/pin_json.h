// SPDX-License-Identifier: Apache-2.0
//
// pin_json.h - a pin as it is shown.
#pragma once

#include "api/json_out.h"
#include "store/routing.h"

void pin_json(struct json_out *json, const char *name, const struct pin_row *pin);
