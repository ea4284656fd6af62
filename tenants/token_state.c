// SPDX-License-Identifier: Apache-2.0
#include "tenants/token_state.h"

#include <assert.h>

static const struct {
	const char *name;
	const char *fix;
} states[TOKEN_STATES] = {
	[TOKEN_STATE_NONE] = { "none", "Make a key pair, upload its certificate at Apple, and upload the token that Apple gives." },
	[TOKEN_STATE_PENDING] = { "pending", "Wait: Apple is asked again and again whose token this is." },
	[TOKEN_STATE_ACTIVE] = { "active", "" },
	[TOKEN_STATE_EXPIRING] = { "expiring", "Renew the token: make a renewal link for the client's administrator, or upload a new one." },
	[TOKEN_STATE_EXPIRED] = { "expired", "Renew the token: nothing is read from Apple, and nothing assigned, until then." },
	[TOKEN_STATE_REJECTED] = { "rejected",
		"Upload a new token: a newer one was made at Apple, or the administrator who made this one has left." },
	[TOKEN_STATE_TERMS_UNSIGNED] = { "terms_unsigned",
		"The client's administrator accepts the new terms at Apple; depbroker goes on by itself within an hour." },
	[TOKEN_STATE_QUARANTINED] = { "quarantined",
		"state_reason says why. Find out what is behind it; then upload a token of the pinned server, or let an admin set the state to active." },
};

const char *token_state_name(enum token_state state)
{
	return states[state].name;
}

const char *token_state_fix(enum token_state state)
{
	return states[state].fix;
}

bool token_word_of(enum err rc, enum token_word *word)
{
	if (rc != OK && rc != ERR_TOKEN_DEAD && rc != ERR_TERMS) {
		return false;
	}
	*word = rc == OK ? TOKEN_WORD_GOOD : rc == ERR_TERMS ? TOKEN_WORD_TERMS : TOKEN_WORD_REJECTED;
	return true;
}

// --- time ---

static const struct token_thresholds usual = { .days = { 60, 30, 14, 7, 3, 1 }, .count = 6 };

static const struct token_thresholds *thresholds_of(const struct token_facts *facts)
{
	return facts->thresholds.count > 0 ? &facts->thresholds : &usual;
}

static int64_t reached_at(const struct token_facts *facts, int days)
{
	return facts->expires_at_us - days * DAY_S * SECOND_US;
}

static int longest(const struct token_facts *facts)
{
	const struct token_thresholds *thresholds = thresholds_of(facts);
	int days = 0;

	for (size_t i = 0; i < thresholds->count; i++) {
		days = thresholds->days[i] > days ? thresholds->days[i] : days;
	}
	return days;
}

static bool is_over(const struct token_facts *facts, int64_t now_us)
{
	return facts->expires_at_us != INSTANT_NONE && facts->expires_at_us <= now_us;
}

int token_threshold(const struct token_facts *facts, int64_t now_us)
{
	const struct token_thresholds *thresholds = thresholds_of(facts);
	int found = 0;

	if (!facts->has_token || facts->expires_at_us == INSTANT_NONE || is_over(facts, now_us)) {
		return 0;
	}
	for (size_t i = 0; i < thresholds->count; i++) {
		if (now_us >= reached_at(facts, thresholds->days[i]) && (found == 0 || thresholds->days[i] < found)) {
			found = thresholds->days[i];
		}
	}
	return found;
}

int64_t token_next_threshold_us(const struct token_facts *facts, int64_t now_us)
{
	const struct token_thresholds *thresholds = thresholds_of(facts);
	int64_t next_us;

	if (!facts->has_token || facts->expires_at_us == INSTANT_NONE || is_over(facts, now_us)) {
		return INSTANT_NONE;
	}
	next_us = facts->expires_at_us;
	for (size_t i = 0; i < thresholds->count; i++) {
		const int64_t at_us = reached_at(facts, thresholds->days[i]);

		next_us = at_us > now_us && at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

int64_t token_days_left(int64_t expires_at_us, int64_t now_us)
{
	const int64_t day_us = DAY_S * SECOND_US;
	const int64_t left_us = expires_at_us - now_us;

	assert(expires_at_us != INSTANT_NONE);
	return left_us >= 0 ? left_us / day_us : -((-left_us + day_us - 1) / day_us);
}

// --- the state ---

struct token_view token_view(const struct token_facts *facts, int64_t now_us)
{
	if (!facts->has_token) {
		return facts->pending_since_us != INSTANT_NONE ? (struct token_view){ TOKEN_STATE_PENDING, facts->pending_since_us }
													   : (struct token_view){ TOKEN_STATE_NONE, facts->word_since_us };
	}
	if (facts->quarantined_at_us != INSTANT_NONE) {
		return (struct token_view){ TOKEN_STATE_QUARANTINED, facts->quarantined_at_us };
	}
	if (is_over(facts, now_us)) {
		return (struct token_view){ TOKEN_STATE_EXPIRED, facts->expires_at_us };
	}
	if (facts->word == TOKEN_WORD_REJECTED) {
		return (struct token_view){ TOKEN_STATE_REJECTED, facts->word_since_us };
	}
	if (facts->word == TOKEN_WORD_TERMS) {
		return (struct token_view){ TOKEN_STATE_TERMS_UNSIGNED, facts->word_since_us };
	}
	if (token_threshold(facts, now_us) > 0) {
		return (struct token_view){ TOKEN_STATE_EXPIRING, reached_at(facts, longest(facts)) };
	}
	return (struct token_view){ TOKEN_STATE_ACTIVE, facts->word_since_us };
}
