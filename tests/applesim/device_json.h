// SPDX-License-Identifier: Apache-2.0
//
// device_json.h - a device record as Apple writes it (dep-api.md, section 5.4): which fields, for which protocol version.
#pragma once

#include "applesim/world.h"

struct device_view {
	const struct tenant *tenant; // who asks: sees profile and assignment only of a device that it has
	int version;                 // X-Server-Protocol-Version
	const struct change *change; // in an answer of /devices/sync; NULL elsewhere
	bool is_detail;              // in an answer of /devices: with response_status
};

void device_json(struct buffer *out, const struct device *device, const struct device_view *view);
void add_time(struct buffer *out, int64_t seconds); // "2026-01-01T00:00:00Z", without quotes
