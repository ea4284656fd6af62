// SPDX-License-Identifier: Apache-2.0
//
// nanodep_page.h - the webhook body of NanoDEP's depsyncer, for receivers that know it: one page of Apple's answers as the endpoint may
// see it (docs/decisions/0020).
//
// Ownership  a plain value; `out` is the caller's, and is not touched by others between begin and end.
// Laws       1. pure: the same events of the same page give the same bytes
//            2. members, their order, their spelling and their escapes are those of Go's encoder, byte for byte
//            3. what has no room is left out whole, but never the first device
#pragma once

#include "tenants/event.h"

enum { NANODEP_PAGE_BYTES_MAX = 1 << 20 };

struct nanodep_page {
	bool is_fetch;       // of a list of all devices: devices have no operation
	struct text dep_name;
	int64_t incarnation;
	int64_t last_seq;    // of the page in the log: its cursor
	int64_t at_us;
	// Inside
	struct buffer *out;
	size_t count;
};

bool nanodep_page_tells(enum event_type type); // whether there is such an event in it

void nanodep_page_begin(struct nanodep_page *page, struct buffer *out); // the others are filled in
// An event that it tells. False: there is no room for it, and nothing is changed.
MUST_USE bool nanodep_page_add(struct nanodep_page *page, const struct event_row *event);
void nanodep_page_end(struct nanodep_page *page, bool more_to_follow); // without a device, too
