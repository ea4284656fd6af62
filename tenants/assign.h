// SPDX-License-Identifier: Apache-2.0
//
// assign.h - whether a device needs its profile assigned, and what follows from Apple's word about it (dep-api.md, section 8).
//
// Laws       1. pure: time and randomness are given
//            2. never assigned without need, never before next_attempt_at: every needless call prolongs Apple's cool-down
//            3. only what Apple reports is proof: SUCCESS leads to ASSIGN_CONFIRMING until a record shows the profile
#pragma once

#include "depbroker/clock.h"

enum assign_result { // Apple's word for one device
	ASSIGN_RESULT_SUCCESS,
	ASSIGN_RESULT_NOT_ACCESSIBLE,
	ASSIGN_RESULT_FAILED, // also any word that nobody knows yet
	ASSIGN_RESULT_THROTTLED,
	ASSIGN_RESULT_MISSING, // the answer does not name it
};

enum assign_state { // numbers are stored: never change them
	ASSIGN_SETTLED = 0,    // observed is what is wanted, or nothing is wanted
	ASSIGN_PENDING = 1,    // to be assigned now, or at next_attempt_at
	ASSIGN_CONFIRMING = 2, // Apple said SUCCESS; to be read back at next_attempt_at
	ASSIGN_THROTTLED = 3,  // Apple's cool-down: nothing is assigned before next_attempt_at, whatever is wanted
	ASSIGN_FAILED = 4,     // likewise
	ASSIGN_VERIFYING = 5,  // Apple says it is not ours, or says nothing: to be read with POST /devices at next_attempt_at
};

// Stands for a profile that is wanted and has no UUID yet: no device has it, and it is defined before it is assigned.
#define ASSIGN_PROFILE_UNDEFINED TEXT("undefined")

struct assign_view { // one device
	struct text wanted_profile_uuid; // empty: nothing is wanted (held, or Apple refuses the profile)
	struct text observed_profile_uuid;
	struct text observed_status; // "empty", "assigned", "pushed", "removed"
	bool gone;
	enum assign_state state;
	int64_t next_attempt_at_us; // INSTANT_NONE: at once
};

enum assign_need {
	ASSIGN_NEED_NOTHING, // settled
	ASSIGN_NEED_CALL,    // put it into a batch now
	ASSIGN_NEED_READ,    // read it with POST /devices now
	ASSIGN_NEED_TIME,    // not before next_attempt_at
};

enum assign_need assign_need(const struct assign_view *view, int64_t now_us);

struct assign_next {
	enum assign_state state;
	int64_t next_attempt_at_us; // INSTANT_NONE: at once
};

// After a record from Apple was applied (a page, or the answer of POST /devices). A cool-down outlasts it.
struct assign_next assign_after_record(const struct assign_view *view, int64_t now_us);
// After an assignment. `attempts` in a row without success, this one not counted; retry_after_s -1: not given.
struct assign_next assign_after_result(enum assign_result result, int attempts, int64_t retry_after_s, int64_t now_us,
	uint64_t random);

enum assign_result assign_result_parse(struct text word);
const char *assign_result_name(enum assign_result result); // "NOT_ACCESSIBLE"; the missing one is "MISSING"
const char *assign_state_name(enum assign_state state);    // "pending"
