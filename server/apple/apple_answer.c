// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_answer.h"

#include "apple/apple_error.h"

#include <stdio.h>
#include <string.h>

enum { ECHO_LENGTH_MIN = 8 };

// "Sun, 06 Nov 1994 08:49:37 GMT"
int64_t apple_date_parse(struct text value)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const struct text date = text_trim(value);
	char spelling[INSTANT_TEXT_SIZE];

	if (date.length != sizeof "Sun, 06 Nov 1994 08:49:37 GMT" - 1 || memcmp(date.bytes + 25, " GMT", 4) != 0) {
		return instant_parse(date);
	}
	for (int month = 0; month < 12; month++) {
		if (memcmp(months + 3 * (ptrdiff_t)month, date.bytes + 8, 3) == 0) {
			(void)snprintf(spelling, sizeof spelling, "%.4s-%02d-%.2sT%.8sZ", date.bytes + 12, month + 1,
				date.bytes + 5, date.bytes + 17);
			return instant_parse(text_of(spelling));
		}
	}
	return INSTANT_NONE;
}

static bool is_part(struct text secret, struct text word)
{
	return secret.length > 0 && memmem(secret.bytes, secret.length, word.bytes, word.length) != NULL;
}

// A peer that echoes what it was sent must not get it into our logs.
static bool is_secret(const struct apple_session *session, struct text word)
{
	const struct server_token *token = session->server_token;

	return word.length >= ECHO_LENGTH_MIN &&
		(is_part(text_of(session->token), word) || is_part(token->consumer_key, word) ||
			is_part(token->consumer_secret, word) || is_part(token->access_token, word) ||
			is_part(token->access_secret, word));
}

void apple_answer_observe(struct apple_call *call)
{
	const struct http_call *http = &call->http;
	const int64_t now_us = clock_wall_us();
	const bool answered = http->op.rc == OK;
	const int64_t date_us = answered ? apple_date_parse(http_call_header(http, "Date")) : INSTANT_NONE;
	const struct text word = answered && http->status != 200 ? apple_error_word(buffer_text(&http->answer)) : TEXT_NONE;

	call->took_ms = http->took_ms;
	call->status = answered ? http->status : call->status;
	call->retry_after_s = answered ? http_retry_after_s(http_call_header(http, "Retry-After"), now_us) : -1;
	call->clock_difference_s = date_us == INSTANT_NONE ? 0 : (date_us - now_us) / SECOND_US;
	call->apple_error[0] = '\0';
	if (word.length > 0 && !is_secret(call->session, word)) {
		text_put(call->apple_error, sizeof call->apple_error, word);
	}
}
