// SPDX-License-Identifier: Apache-2.0
//
// hook_body.h - what an MDM server's message says about an enrolment: the bodies of MicroMDM and NanoMDM, and a plain form of our own,
// {"state":"enrolled","serial_number":"...","udid":"...","at":"..."}.
//
// Ownership  texts live in the arena that is given.
// Law        pure: what is not about the enrolment of a device is HOOK_NOTHING, whatever else it is; what is, and cannot be understood, is
//            refused with the reason
#pragma once

#include "depbroker/arena.h"
#include "tenants/enrolment.h"

enum hook_verdict { HOOK_NEWS, HOOK_NOTHING, HOOK_MALFORMED, HOOK_UNUSABLE };

struct hook_news {
	enum enrolment_word word;
	struct text enrolment_id;  // empty: only the serial number says which device it is
	struct text serial_number; // empty: the message has none
	bool awaiting;             // the device waits in its Setup Assistant
	int64_t at_us;             // INSTANT_NONE: the message does not say
	bool is_marked;            // by a time or an id: the same bytes are the same message
};

// HOOK_MALFORMED: it is no JSON object. HOOK_UNUSABLE: `fault` says why.
enum hook_verdict hook_body_read(struct hook_news *out, struct text body, struct arena *arena, struct fault *fault);
