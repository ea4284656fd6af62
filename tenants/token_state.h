// SPDX-License-Identifier: Apache-2.0
//
// token_state.h - how a client's server token is, since when, and what to do about it (dep-api.md, sections 4.5, 4.6 and 12).
//
// Laws       1. pure: the time is given
//            2. states are told apart and end by themselves: nothing but the facts decides
//            3. only GET /session tells that a token is dead; T_C_NOT_SIGNED says nothing against it
#pragma once

#include "depbroker/clock.h"

enum token_state {
	TOKEN_STATE_NONE,
	TOKEN_STATE_PENDING,        // the first one waits to be verified
	TOKEN_STATE_ACTIVE,
	TOKEN_STATE_EXPIRING,       // it works, and ends within the longest of the thresholds
	TOKEN_STATE_EXPIRED,
	TOKEN_STATE_REJECTED,
	TOKEN_STATE_TERMS_UNSIGNED,
	TOKEN_STATE_QUARANTINED,    // Apple says that it is another organisation's or server's now
	TOKEN_STATES,
};

const char *token_state_name(enum token_state state); // "terms_unsigned"
const char *token_state_fix(enum token_state state);  // a sentence for people; "" when there is nothing to do

enum token_word { // what Apple said of the token last
	TOKEN_WORD_NONE, // nothing yet
	TOKEN_WORD_GOOD,
	TOKEN_WORD_REJECTED,
	TOKEN_WORD_TERMS,
};

// The word that an answer is; false when it says nothing about the token (an outage, a throttle, ...): the last word stays.
MUST_USE bool token_word_of(enum err rc, enum token_word *word);

enum { TOKEN_THRESHOLDS_MAX = 12 };

struct token_thresholds { // days before the end
	int days[TOKEN_THRESHOLDS_MAX];
	size_t count; // 0: 60, 30, 14, 7, 3, 1
};

struct token_facts {
	bool has_token;
	int64_t expires_at_us;     // INSTANT_NONE: unknown
	enum token_word word;
	int64_t word_since_us;
	int64_t pending_since_us;  // INSTANT_NONE: none waits
	int64_t quarantined_at_us; // INSTANT_NONE: it is not
	struct token_thresholds thresholds;
};

struct token_view {
	enum token_state state;
	int64_t since_us; // INSTANT_NONE: unknown
};

struct token_view token_view(const struct token_facts *facts, int64_t now_us);

// The smallest threshold that is reached; 0: none, or it has expired.
int token_threshold(const struct token_facts *facts, int64_t now_us);
// When the next threshold, or the end, is reached; INSTANT_NONE: nothing is to come.
int64_t token_next_threshold_us(const struct token_facts *facts, int64_t now_us);
// Whole days until the end, rounded down; negative afterwards. `expires_at_us` is known.
int64_t token_days_left(int64_t expires_at_us, int64_t now_us);
