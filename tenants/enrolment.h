// SPDX-License-Identifier: Apache-2.0
//
// enrolment.h - what one piece of an MDM server's news makes of a device's enrolment there, and what is told of it.
//
//   none --Authenticate--> enrolling --TokenUpdate--> enrolled --CheckOut--> unenrolled; Authenticate again: enrolling anew
//
// Laws       1. pure
//            2. news is a hint: it may come twice, late, or not at all. What is not newer than what is known changes nothing, and only a
//               change is told
//            3. an enrolment of a device that the client does not have (an orphan) is kept and not told; when the device appears, it is
//               told as if it had just been heard
//            4. a misroute is told at the news that shows it, not when rules send an enrolled device elsewhere: that is a move
#pragma once

#include "tenants/event.h"

enum enrolment_state { // numbers are stored: never change them
	ENROLMENT_NONE = 0,
	ENROLMENT_ENROLLING = 1,
	ENROLMENT_ENROLLED = 2,
	ENROLMENT_UNENROLLED = 3,
};
const char *enrolment_state_name(enum enrolment_state state); // "enrolling"; NULL for a number that is none

enum enrolment_word { // what an MDM server says; numbers are stored
	ENROLMENT_WORD_AUTHENTICATE = 1,
	ENROLMENT_WORD_TOKEN_UPDATE = 2,
	ENROLMENT_WORD_CHECK_OUT = 3,
};

struct enrolment {
	enum enrolment_state state;
	int64_t at_us;          // of the newest news
	int64_t enrolled_at_us; // INSTANT_NONE: never
	bool is_orphan;
	bool is_misrouted;
};

struct enrolment_news {
	enum enrolment_word word;
	int64_t at_us;
};

struct enrolment_place {
	int64_t instance_id; // that tells of it
	bool is_present;     // the client has the device
	int64_t wanted_id;   // the instance that the rules send it to; 0: none, it is held
};

enum { ENROLMENT_EVENTS_MAX = 2 };

struct enrolment_outcome {
	bool write;
	struct enrolment next;
	enum event_type events[ENROLMENT_EVENTS_MAX];
	size_t event_count;
	bool again;  // enrolled, and not for the first time
	bool is_sole; // enrolled now: whatever other instances believe to have of the device is over
};

// `stored` NULL: nothing is known of it there. `news` NULL: the device, or where it is wanted, may have changed.
void enrolment_decide(struct enrolment_outcome *outcome, const struct enrolment *stored, const struct enrolment_news *news,
	const struct enrolment_place *place);
