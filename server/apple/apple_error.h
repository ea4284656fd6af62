// SPDX-License-Identifier: Apache-2.0
//
// apple_error.h - what an answer other than 200 means (dep-api.md, sections 4.5 and 12).
//
// Laws       1. pure; only the first APPLE_ERROR_BODY_MAX bytes are looked at
//            2. words are found wherever they stand: bare, in quotes, in JSON, glued to others; their case does not matter
#pragma once

#include "depbroker/text.h"

enum { APPLE_ERROR_BODY_MAX = 1024 };

enum apple_place { // what was asked; a word means something only where Apple says it
	APPLE_AT_SESSION = 1, // GET /session
	APPLE_AT_CURSOR = 2,  // the two lists that a cursor walks through
	APPLE_AT_PROFILE = 4, // what names an enrolment profile
	APPLE_AT_OTHER = 8,
};

// Never OK. ERR_SESSION: a new session and one more try are due. `status` is not 200.
enum err apple_error_classify(enum apple_place place, unsigned status, struct text body);

// Apple's word, letters, digits and underscores only; empty when there is none (a web page, say). Part of `body`.
struct text apple_error_word(struct text body);
