// SPDX-License-Identifier: Apache-2.0
#include "applesim/cursor.h"

#include "depbroker/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TAG_BYTES = 8, CURSOR_MAX = 1000 };

static void make_tag(unsigned char out[SHA256_SIZE], const struct tenant *tenant, struct text plain)
{
	const struct digest_part parts[] = { { tenant->server_uuid, UUID_SIZE }, { plain.bytes, plain.length } };
	const struct text key = { (const char *)tenant->world->secret, sizeof tenant->world->secret };

	hmac_sha256(out, key, parts, sizeof parts / sizeof *parts);
}

void cursor_write(struct buffer *out, const struct tenant *tenant, const struct cursor *cursor)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(256);
	unsigned char tag[SHA256_SIZE];

	buffer_add_format(&plain, "%" PRIu64 ":%" PRIu64 ":%" PRId64 ":%" PRId64 ":%s:%" PRId64, cursor->offset,
		cursor->position, cursor->from_ms, cursor->issued_ms, cursor->is_complete ? "true" : "false", cursor->issued_ms);
	make_tag(tag, tenant, buffer_text(&plain));
	buffer_add_string(&plain, ":");
	buffer_add_hex(&plain, tag, TAG_BYTES);
	buffer_add_base64(out, plain.bytes, plain.length);
	while (out->length > 0 && out->bytes[out->length - 1] == '=') {
		out->bytes[--out->length] = '\0';
	}
}

static bool has_our_tag(const struct tenant *tenant, struct text plain, struct text tag)
{
	struct buffer expected CLEANUP(buffer_fini) = BUFFER(2 * TAG_BYTES);
	unsigned char bytes[SHA256_SIZE];

	make_tag(bytes, tenant, plain);
	buffer_add_hex(&expected, bytes, TAG_BYTES);
	return text_equal(tag, buffer_text(&expected));
}

bool cursor_read(struct cursor *cursor, const struct tenant *tenant, struct text text)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(CURSOR_MAX);
	char flag[8];
	int64_t to_ms;

	if (text.length > CURSOR_MAX || !base64_decode(&plain, text) || plain.length <= 2 * TAG_BYTES + 1) {
		return false;
	}
	const struct text signed_part = { plain.bytes, plain.length - 2 * TAG_BYTES - 1 };

	if (!has_our_tag(tenant, signed_part, (struct text){ plain.bytes + signed_part.length + 1, 2 * TAG_BYTES })) {
		return false;
	}
	if (sscanf(plain.bytes, "%" SCNu64 ":%" SCNu64 ":%" SCNd64 ":%" SCNd64 ":%7[a-z]:%" SCNd64, &cursor->offset,
			&cursor->position, &cursor->from_ms, &to_ms, flag, &cursor->issued_ms) != 6) {
		return false;
	}
	cursor->is_complete = strcmp(flag, "true") == 0;
	return cursor->position <= tenant->change_count;
}
