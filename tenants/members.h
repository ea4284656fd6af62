// SPDX-License-Identifier: Apache-2.0
//
// members.h - walks the members at the top of a JSON object that is known to be well-formed, such as device_record.extra.
//
// Law  pure: nothing is decoded; names come with their quotes, values as they stand
#pragma once

#include "depbroker/text.h"

struct member_walk {
	struct text rest;
};

void member_walk_init(struct member_walk *walk, struct text object); // an empty text is an object without members
MUST_USE bool member_walk_next(struct member_walk *walk, struct text *name, struct text *value);
// The value of the member of this (quoted) name; TEXT_NONE: there is none.
struct text member_value(struct text object, struct text name);
