// SPDX-License-Identifier: Apache-2.0
//
// enrolment_json.h - an enrolment as answers show it.
#pragma once

#include "api/json_out.h"
#include "store/enrolments.h"
#include "tenants/device_row.h"

void enrolment_json(struct json_out *json, const char *name, const struct enrolment_row *row);
// Of a device: what its MDM server told last; `count` 0: what Apple knows of it, or null.
void enrolment_of_device_json(struct json_out *json, const struct enrolment_row *newest, size_t count, const struct device_row *device);
