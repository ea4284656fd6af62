// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TAG_BYTES = 16, TAG_DIGITS = 2 * TAG_BYTES };

static void make_tag(unsigned char out[SHA256_SIZE], const struct dep_cursor_owner *owner, struct text plain)
{
	static const char purpose[] = "depbroker cursor 1";
	const struct text key = { (const char *)owner->secret->cursor_key, sizeof owner->secret->cursor_key };
	const struct digest_part parts[] = {
		{ purpose, sizeof purpose }, { &owner->incarnation, sizeof owner->incarnation }, { plain.bytes, plain.length },
	};

	hmac_sha256(out, key, parts, sizeof parts / sizeof *parts);
}

void dep_cursor_write(struct buffer *out, const struct dep_cursor_owner *owner, const struct dep_cursor *cursor)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(DEP_CURSOR_MAX);
	unsigned char tag[SHA256_SIZE];

	buffer_add_format(&plain, "%" PRId64 ":%" PRId64 ":%013" PRId64 ":%013" PRId64 ":%s:%013" PRId64 ":", cursor->offset, cursor->position,
		cursor->from_us / 1000, cursor->issued_us / 1000, cursor->is_complete ? "true" : "false", cursor->issued_us / 1000);
	buffer_add_hex(&plain, cursor->serial, strlen(cursor->serial));
	make_tag(tag, owner, buffer_text(&plain));
	buffer_add_string(&plain, ":");
	buffer_add_hex(&plain, tag, TAG_BYTES);
	buffer_add_base64(out, plain.bytes, plain.length);
	while (out->length > 0 && out->bytes[out->length - 1] == '=') {
		out->bytes[--out->length] = '\0';
	}
}

static bool is_ours(const struct dep_cursor_owner *owner, struct text plain, struct text tag)
{
	struct buffer expected CLEANUP(buffer_fini) = BUFFER(TAG_DIGITS);
	unsigned char bytes[SHA256_SIZE];

	make_tag(bytes, owner, plain);
	buffer_add_hex(&expected, bytes, TAG_BYTES);
	return equal_in_constant_time(expected.bytes, tag.bytes, TAG_DIGITS);
}

static bool read_serial(char out[DEP_CURSOR_SERIAL_MAX + 1], struct text hex)
{
	struct buffer bytes CLEANUP(buffer_fini) = BUFFER(DEP_CURSOR_SERIAL_MAX);

	if (hex.length > 0 && (!hex_decode(&bytes, hex) || bytes.overflow)) {
		return false;
	}
	memcpy(out, bytes.length > 0 ? bytes.bytes : "", bytes.length);
	out[bytes.length] = '\0';
	return true;
}

// Base64 has several spellings of some bytes: only the one that is written is read.
static bool is_as_written(const struct dep_cursor_owner *owner, const struct dep_cursor *cursor, struct text text)
{
	struct buffer again CLEANUP(buffer_fini) = BUFFER(2 * DEP_CURSOR_MAX);

	dep_cursor_write(&again, owner, cursor);
	return text_equal(buffer_text(&again), text);
}

bool dep_cursor_read(struct dep_cursor *out, const struct dep_cursor_owner *owner, struct text text)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(DEP_CURSOR_MAX);
	int64_t from_ms, to_ms, issued_ms;
	char flag[6];
	int end = 0;

	if (text.length > DEP_CURSOR_MAX || !base64_decode(&plain, text) || plain.overflow || plain.length <= TAG_DIGITS + 1) {
		return false;
	}
	const struct text ours = { plain.bytes, plain.length - TAG_DIGITS - 1 };

	if (!is_ours(owner, ours, (struct text){ plain.bytes + ours.length + 1, TAG_DIGITS }) ||
		sscanf(plain.bytes, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%5[a-z]:%" SCNd64 ":%n", &out->offset, &out->position, &from_ms,
			&to_ms, flag, &issued_ms, &end) != 6 || end == 0) {
		return false;
	}
	out->is_complete = strcmp(flag, "true") == 0;
	out->from_us = from_ms * 1000;
	out->issued_us = issued_ms * 1000;
	return read_serial(out->serial, (struct text){ ours.bytes + end, ours.length - (size_t)end }) && is_as_written(owner, out, text);
}
