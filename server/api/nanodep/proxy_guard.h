// SPDX-License-Identifier: Apache-2.0
//
// proxy_guard.h - what of a request through the proxy could send a device somewhere, and whether depbroker would send it there, too.
//
// Ownership  everything lives in the request's arena, and texts in call->body.
// Laws       1. a profile is defined only when all of it stays on the hosts of one instance of the tenant
//            2. a device gets a profile only when its tenant's rules send it to the instance whose enrolment_url the profile has
//            3. bodies have one reading: a member twice, or one that is not known beside those that count, is refused
#pragma once

#include "api/call.h"

enum { PROXY_SERIALS_MAX = 1000 };

enum proxy_subject { // of a request
	PROXY_OF_NOTHING, // nothing is sent anywhere
	PROXY_OF_PROFILE, // POST /profile
	PROXY_OF_ASSIGNMENT,
	PROXY_OF_DISCOVERY, // where accounts find their MDM
	PROXY_OF_DISOWNING,
	PROXY_OF_SESSION,
};

struct proxy_guard {
	enum proxy_subject subject;
	struct text profile_json; // of an assignment: what Apple has under profile_uuid
	struct text profile_uuid;
	struct text discovery_url;
	struct text *serials;
	size_t serial_count;
};

MUST_USE bool proxy_guard_read(struct call *call, struct proxy_guard *guard);  // the body. False: refused, and that has been answered
void proxy_guard_ask(struct call *call, const struct proxy_guard *guard);      // instances and devices
MUST_USE bool proxy_guard_agrees(struct call *call, const struct proxy_guard *guard); // likewise
