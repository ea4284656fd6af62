// SPDX-License-Identifier: Apache-2.0
//
// device_json.h - a device as answers show it.
#pragma once

#include "api/json_out.h"
#include "store/devices.h"

// Its members, for the caller to add to. The client's instances are the rows of the statement `instances`.
void device_members(struct json_out *json, const struct pg_transaction *t, unsigned instances, const struct device_row *row,
	const struct device_status *status);

// The states of struct device_status, a bit each; "waiting" has two, one of them for want of a profile that can be assigned.
enum { DEVICE_WORDS = 11, DEVICE_WORDS_ALL = (1 << DEVICE_WORDS) - 1 };
// All: 0: there is none such.
unsigned device_words_of_state(struct text state);
unsigned device_words_of_who(struct text who);
unsigned device_words_of_cause(struct text cause); // as answers show it, where nobody gave a reason
int64_t device_gone_reason(struct text cause);     // enum removal_reason
struct text device_word_name(size_t word);         // of struct device_filter
