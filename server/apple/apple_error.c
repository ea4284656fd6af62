// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_error.h"

#include "apple/apple.h"

#include <ctype.h>
#include <string.h>

enum { ANYWHERE = 15, ELSEWHERE = ANYWHERE & ~APPLE_AT_SESSION };

// The first row that fits decides; a status of 0 fits any refusal, and no word any body.
static const struct rule {
	unsigned status;
	unsigned places;
	const char *word;
	enum err rc;
} rules[] = {
	{ 429, ANYWHERE, NULL, ERR_THROTTLED },
	{ 408, ANYWHERE, NULL, ERR_UNAVAILABLE },
	{ 0, ANYWHERE, "T_C_NOT_SIGNED", ERR_TERMS },
	{ 401, APPLE_AT_SESSION, NULL, ERR_TOKEN_DEAD },
	{ 403, APPLE_AT_SESSION, NULL, ERR_TOKEN_DEAD },
	{ 401, ELSEWHERE, NULL, ERR_SESSION },
	{ 403, ELSEWHERE, "ACCESS_DENIED", ERR_TOKEN_DEAD },
	{ 403, ELSEWHERE, "APPLE_SEED_FOR_IT_TURNED_OFF", ERR_REFUSED },
	{ 403, ELSEWHERE, "FORBIDDEN", ERR_SESSION },
	{ 403, ELSEWHERE, "TOKEN_REJECTED", ERR_SESSION }, // GET /session then tells the truth about the token
	{ 403, ELSEWHERE, "TOKEN_EXPIRED", ERR_SESSION },
	{ 403, ELSEWHERE, "SIGNATURE_INVALID", ERR_SESSION },
	{ 400, APPLE_AT_CURSOR, "EXHAUSTED_CURSOR", ERR_CURSOR_END },
	{ 400, APPLE_AT_CURSOR, "EXPIRED_CURSOR", ERR_CURSOR_LOST },
	{ 400, APPLE_AT_CURSOR, "INVALID_CURSOR", ERR_CURSOR_LOST },
	{ 400, APPLE_AT_CURSOR, "CURSOR_REQUIRED", ERR_CURSOR_LOST },
	{ 0, APPLE_AT_PROFILE, "DEVICE_NOT_FOUND", ERR_REFUSED },
	{ 0, APPLE_AT_PROFILE, "NOT_FOUND", ERR_PROFILE_GONE }, // PROFILE_NOT_FOUND, too
	{ 0, ANYWHERE, "INTERNAL_SERVER_ERROR", ERR_UNAVAILABLE },
};

static struct text capped(struct text body)
{
	return (struct text){ body.bytes, body.length < APPLE_ERROR_BODY_MAX ? body.length : (size_t)APPLE_ERROR_BODY_MAX };
}

enum err apple_error_classify(enum apple_place place, unsigned status, struct text body)
{
	if (status >= 500) {
		return ERR_UNAVAILABLE;
	} else if (status < 400) {
		return ERR_BAD_ANSWER; // redirects, too, are never followed
	}
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		const struct rule *rule = &rules[i];

		if ((rule->status == 0 || rule->status == status) && (rule->places & (unsigned)place) != 0 &&
			(rule->word == NULL || text_contains_ignoring_case(capped(body), rule->word))) {
			return rule->rc;
		}
	}
	return ERR_REFUSED;
}

static bool is_word_byte(char c)
{
	return isascii(c) && (isalnum((unsigned char)c) || c == '_');
}

static struct text word_at(struct text body, size_t at)
{
	size_t end = at;

	while (end < body.length && is_word_byte(body.bytes[end])) {
		end++;
	}
	return (struct text){ body.bytes + at, end - at };
}

static bool is_shouted(struct text word)
{
	for (size_t i = 0; i < word.length; i++) {
		if (islower((unsigned char)word.bytes[i])) {
			return false;
		}
	}
	return word.length > 0 && isupper((unsigned char)word.bytes[0]);
}

// Of JSON, the longest word in capitals; the rest is member names and prose.
static struct text longest_shout(struct text body)
{
	struct text longest = TEXT_NONE;

	for (size_t at = 0; at < body.length;) {
		const struct text word = word_at(body, at);

		if (word.length > longest.length && is_shouted(word)) {
			longest = word;
		}
		at += word.length + 1;
	}
	return longest;
}

struct text apple_error_word(struct text body)
{
	struct text word = text_trim(capped(body));

	if (word.length == 0) {
		return TEXT_NONE;
	}
	if (word.bytes[0] == '{' || word.bytes[0] == '[') {
		word = longest_shout(word);
	} else {
		word = word_at(word, word.bytes[0] == '"' ? 1 : 0);
	}
	if (word.length > APPLE_ERROR_MAX) {
		word.length = APPLE_ERROR_MAX;
	}
	return word;
}
