// SPDX-License-Identifier: Apache-2.0
#include "wire/pg_frontend.h"

#include <string.h>

enum { SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, START_UP_HEAD = 4, MESSAGE_HEAD = 5 };

static uint32_t number_of(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static size_t head_size(const struct pg_frontend *frontend)
{
	return frontend->has_started ? MESSAGE_HEAD : START_UP_HEAD;
}

static bool begins_with(const struct pg_frontend *frontend, const char *text, size_t length)
{
	return frontend->body_length >= length && memcmp(frontend->body, text, length) == 0;
}

static enum pg_saw end_of_start(struct pg_frontend *frontend)
{
	const uint32_t code = number_of((const unsigned char *)frontend->body);

	frontend->has_started = code != SSL_REQUEST && code != GSS_REQUEST;
	return PG_SAW_MESSAGE;
}

static enum pg_saw end_of_message(struct pg_frontend *frontend)
{
	if (!frontend->has_started) {
		return end_of_start(frontend);
	}
	switch (frontend->head[0]) {
	case 'S': return PG_SAW_SYNC;
	case 'P': return begins_with(frontend, "\0commit", 8) ? PG_SAW_COMMIT : PG_SAW_MESSAGE; // an unnamed statement
	default: return PG_SAW_MESSAGE;
	}
}

static void read_body(struct pg_frontend *frontend, const char **at, const char *end)
{
	const size_t here = (size_t)(end - *at) < frontend->left ? (size_t)(end - *at) : frontend->left;
	const size_t room = sizeof frontend->body - frontend->body_length;
	const size_t kept = here < room ? here : room;

	memcpy(frontend->body + frontend->body_length, *at, kept);
	frontend->body_length += kept;
	frontend->left -= (uint32_t)here;
	*at += here;
}

enum pg_saw pg_frontend_read(struct pg_frontend *frontend, const char **at, const char *end)
{
	while (*at < end && frontend->head_length < head_size(frontend)) {
		frontend->head[frontend->head_length++] = (unsigned char)*(*at)++;
		if (frontend->head_length == head_size(frontend)) {
			const uint32_t length = number_of(frontend->head + frontend->head_length - 4);

			frontend->left = length >= 4 ? length - 4 : 0;
			frontend->body_length = 0;
		}
	}
	if (frontend->head_length < head_size(frontend)) {
		return PG_SAW_NOTHING;
	}
	read_body(frontend, at, end);
	if (frontend->left > 0) {
		return PG_SAW_NOTHING;
	}
	const enum pg_saw saw = end_of_message(frontend);

	frontend->head_length = 0;
	return saw;
}
