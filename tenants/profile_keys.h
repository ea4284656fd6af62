// SPDX-License-Identifier: Apache-2.0
//
// profile_keys.h - the keys of Apple's enrolment profile, as a table (dep-api.md, sections 5.6 and 9).
#pragma once

#include "tenants/skip_items.h"

enum profile_key_type {
	PROFILE_KEY_TEXT,
	PROFILE_KEY_URL,
	PROFILE_KEY_FLAG,
	PROFILE_KEY_LANGUAGE,
	PROFILE_KEY_REGION,
	PROFILE_KEY_CERTIFICATES, // base64 of DER
	PROFILE_KEY_SKIP_ITEMS,
	PROFILE_KEY_REFUSED,      // never part of a profile that is defined
};

struct profile_key_rule {
	struct text name;
	enum profile_key_type type;
	size_t most;             // characters of a text
	int since;               // X-Server-Protocol-Version
	unsigned systems;        // that read it, as bits 1 << enum skip_os; 0: all
	bool is_on_by_default;   // of a flag
	bool is_brokers;         // only depbroker itself gives it, not a layer
	const char *missing;     // Apple's word when it is not there; NULL: it may be missing
	const char *invalid;     // Apple's word when its value is not accepted
};

extern const struct profile_key_rule profile_key_rules[];
extern const size_t profile_key_rule_count;

const struct profile_key_rule *profile_key_rule_find(struct text name); // NULL: Apple does not document it
struct text profile_key_nearest(struct text name);                     // TEXT_NONE: nothing is near
const char *profile_key_type_name(enum profile_key_type type);         // "true or false"
