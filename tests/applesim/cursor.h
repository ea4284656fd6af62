// SPDX-License-Identifier: Apache-2.0
//
// cursor.h - cursors of the device list (dep-api.md, section 6): opaque, unpadded base64, decoding like Apple's to
// offset:number:from:to:flag:milliseconds. The second number, which is 0 in the ones seen, is our place in the change
// log, and a tag at the end makes them ours: nobody else's are understood, not even another tenant's.
#pragma once

#include "applesim/world.h"

struct cursor {
	uint64_t offset;   // in the full list; only while that is being read
	uint64_t position; // in the change log
	bool is_complete;  // the full list has been read; from here on only /devices/sync
	int64_t from_ms;
	int64_t issued_ms;
};

void cursor_write(struct buffer *out, const struct tenant *tenant, const struct cursor *cursor);
MUST_USE bool cursor_read(struct cursor *cursor, const struct tenant *tenant, struct text text);
