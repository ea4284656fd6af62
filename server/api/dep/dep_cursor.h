// SPDX-License-Identifier: Apache-2.0
//
// dep_cursor.h - cursors of virtual DEP servers: a place in the full list, and a position in the client's log. They look like Apple's
// (dep-api.md, section 6), unpadded base64 of offset:position:from:to:flag:milliseconds, and end in what makes them ours.
//
// Laws       1. pure; a cursor that another server wrote, of the same client too, is no cursor, and so is one of another incarnation of
//               the log
#pragma once

#include "api/dep/dep_secret.h"

enum { DEP_CURSOR_MAX = 1000, DEP_CURSOR_SERIAL_MAX = 64, DEP_CURSOR_LIFE_S = 7 * 24 * 3600 };

struct dep_cursor {
	int64_t offset;    // devices of the full list so far, for people
	int64_t position;  // in the log
	bool is_complete;  // the full list has been read: from here on changes only
	int64_t from_us;   // of the answer before
	int64_t issued_us; // its life begins
	char serial[DEP_CURSOR_SERIAL_MAX + 1]; // the last one of the full list; empty: from the beginning, or complete
};

struct dep_cursor_owner {
	const struct dep_secret *secret;
	int64_t incarnation; // of the log
};

void dep_cursor_write(struct buffer *out, const struct dep_cursor_owner *owner, const struct dep_cursor *cursor);
MUST_USE bool dep_cursor_read(struct dep_cursor *out, const struct dep_cursor_owner *owner, struct text text);
