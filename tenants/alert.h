// SPDX-License-Identifier: Apache-2.0
//
// alert.h - what people are told about a client: which alerts are raised and cleared, which events go into its log.
//
// Laws       1. pure, and level-based: the facts and what was told decide; told once more, nothing happens
//            2. each threshold of a token is raised once; when several passed unseen, only the nearest
//            3. a condition's alert is cleared when it is over; a notice stays until somebody acknowledges it
#pragma once

#include "tenants/event.h"
#include "tenants/token_state.h"

enum alert_kind {
	// Conditions
	ALERT_TOKEN_EXPIRING, ALERT_TOKEN_EXPIRED, ALERT_TOKEN_REJECTED, ALERT_TERMS_UNSIGNED, ALERT_SYNC_FAILING, ALERT_QUARANTINED,
	ALERT_PROFILE_UNUSABLE, ALERT_PROFILE_UNDEFINED, ALERT_PROFILE_DRIFTED, ALERT_ENDPOINT_DISABLED,
	ALERT_CONDITIONS,
	// Notices
	ALERT_TOKEN_RENEWED = ALERT_CONDITIONS, ALERT_ADMIN_CHANGED, ALERT_TOKEN_REFUSED,
	ALERT_KINDS,
};

const char *alert_name(enum alert_kind kind);             // "token.expiring": the event's name, too
enum event_type alert_event(enum alert_kind kind);
bool alert_of(struct text name, enum alert_kind *kind);   // false: there is no such kind

// Kinds of GET /alerts: those above, and those that statements raise where they find them. The place of one in the list of all: what sets of
// kinds are made of. -1: there is no such kind.
enum { ALERT_KINDS_IN_ALL = ALERT_KINDS + 4 };
int alert_place_of(struct text name);
// Of the "alert" of an event of the log of alerts; -1 also when it cannot be read.
int alert_place_of_event(struct text alert_json);

struct alert_facts {
	enum token_state state;
	int threshold;           // token_threshold
	int64_t token_id;        // 0: there is none
	bool renewed_by_link;    // the client's administrator brought this token
	struct text admin_id;    // who made it at Apple; empty: unknown
	bool sync_fails;         // again and again, and not for what another alert says
	bool profile_unusable;   // an error in its layers, or Apple refuses it
	bool profile_undefined;  // defined again and again, and no answer came
	bool profile_drifts;     // Apple has it otherwise
	bool endpoint_disabled;  // one of its webhook endpoints
	bool pending_refused;    // a token that waited turned out to be none for this client
};

struct alert_told {
	bool open[ALERT_KINDS];
	int64_t token_id;
	int days;
	struct text admin_id; // empty: none was seen yet
};

struct alert_outcome {
	bool raise[ALERT_KINDS]; // also again, when it is open and has become worse
	bool clear[ALERT_KINDS];
	struct alert_told next;  // admin_id is borrowed from the facts or from what was told
	bool changed;            // anything of it
};

void alert_decide(struct alert_outcome *outcome, const struct alert_facts *facts, const struct alert_told *told);
