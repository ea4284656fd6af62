// SPDX-License-Identifier: Apache-2.0
#include "depbroker/retry_after.h"

#include "depbroker/clock.h"

#include <string.h>

static int64_t parse_seconds(struct text value)
{
	int64_t seconds = 0;

	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9') {
			return RETRY_AFTER_NONE;
		}
		if (seconds <= INT32_MAX) { // a longer number is as good as this one: far beyond the clamp
			seconds = seconds * 10 + (value.bytes[i] - '0');
		}
	}
	return value.length > 0 ? seconds : RETRY_AFTER_NONE;
}

// "Sun, 06 Nov 1994 08:49:37 GMT" becomes the RFC 3339 form, which clock.h reads.
static int64_t parse_http_date(struct text value)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	char rewritten[] = "YYYY-MM-DDThh:mm:ssZ";

	if (value.length != 29 || memcmp(value.bytes + 3, ", ", 2) != 0 || memcmp(value.bytes + 25, " GMT", 4) != 0 ||
		value.bytes[7] != ' ' || value.bytes[11] != ' ' || value.bytes[16] != ' ') {
		return INSTANT_NONE;
	}
	for (size_t i = 0; i < 12; i++) {
		if (memcmp(value.bytes + 8, months[i], 3) == 0) {
			memcpy(rewritten, value.bytes + 12, 4);
			rewritten[5] = (char)('0' + (i + 1) / 10);
			rewritten[6] = (char)('0' + (i + 1) % 10);
			memcpy(rewritten + 8, value.bytes + 5, 2);
			memcpy(rewritten + 11, value.bytes + 17, 8);
			return instant_parse((struct text){ rewritten, sizeof rewritten - 1 });
		}
	}
	return INSTANT_NONE;
}

int64_t retry_after_parse(struct text value, int64_t now_us)
{
	const struct text trimmed = text_trim(value);
	const int64_t seconds = parse_seconds(trimmed);
	const int64_t at_us = seconds == RETRY_AFTER_NONE ? parse_http_date(trimmed) : INSTANT_NONE;

	if (at_us == INSTANT_NONE) {
		return seconds;
	}
	return at_us > now_us ? (at_us - now_us + SECOND_US - 1) / SECOND_US : 0;
}
