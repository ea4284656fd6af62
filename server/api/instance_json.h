// SPDX-License-Identifier: Apache-2.0
//
// instance_json.h - an instance as answers show it. Its webhook secret is shown once, when it is made.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "store/instances.h"

void instance_put_etag(struct call *call, const struct instance_row *row);
// `webhook_secret` empty: not shown.
void instance_json(struct json_out *json, const char *name, const struct instance_row *row, struct text webhook_secret);
