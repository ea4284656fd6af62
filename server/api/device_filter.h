// SPDX-License-Identifier: Apache-2.0
//
// device_filter.h - which devices a list shows, or a job means: by state, cause, who must act, and what is known of them.
//
// Ownership  texts borrow from where they were read, or live in the request's arena.
// Law        a filter that means nothing that there could be is refused, by its name
#pragma once

#include "api/call.h"
#include "api/device_json.h"

struct device_question {
	struct device_filter filter; // but for `after`, and instance_id, which PLACE of place_filter.h is
	struct text words[DEVICE_WORDS + 1];
	size_t given; // how many of its names
};

// The names: state, who, cause, since_until, serial_prefix, profile, profile_status, rule, family, model, label, awaiting_enrolment_since,
// next_before. `value` gives the text of each, bytes NULL: absent. False: it has been refused, as `problem`, and answered.
MUST_USE bool device_filter_read(struct call *call, struct device_question *out, struct text (*value)(const void *from, const char *name),
	const void *from, enum api_problem problem);
