// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_secret.h"

#include "tenants/flat_json.h"

#include <inttypes.h>
#include <string.h>

enum { PLACE_DIGITS = 16, KEY_BYTES = 16, SECRET_BYTES = 20, ACCESS_BYTES = 24 };
#define KEY_PREFIX "CK_"

static void add_random_hex(struct buffer *out, size_t size)
{
	unsigned char bytes[SHA256_SIZE];

	random_bytes(bytes, size);
	buffer_add_hex(out, bytes, size);
	wipe(bytes, sizeof bytes);
}

static void add_consumer_key(struct buffer *out, struct dep_place place, const struct dep_secret *before)
{
	if (before != NULL) {
		buffer_add_text(out, before->token.consumer_key);
		return;
	}
	buffer_add_format(out, KEY_PREFIX "%016" PRIx64 "%016" PRIx64, (uint64_t)place.tenant_id, (uint64_t)place.instance_id);
	add_random_hex(out, KEY_BYTES);
}

void dep_secret_make(struct buffer *plain, struct dep_place place, const struct dep_secret *before, int64_t now_us)
{
	struct buffer json CLEANUP(buffer_fini_wiped) = BUFFER(DEP_SECRET_MAX);
	char expiry[INSTANT_TEXT_SIZE];
	uint32_t number;

	random_bytes(&number, sizeof number);
	buffer_add_string(&json, "{\"cursor_key\":\"");
	if (before != NULL) {
		buffer_add_hex(&json, before->cursor_key, sizeof before->cursor_key);
	} else {
		add_random_hex(&json, SHA256_SIZE);
	}
	buffer_add_string(&json, "\",\"consumer_key\":\"");
	add_consumer_key(&json, place, before);
	buffer_add_string(&json, "\",\"consumer_secret\":\"CS_");
	add_random_hex(&json, SECRET_BYTES);
	buffer_add_format(&json, "\",\"access_token\":\"AT_O%" PRIu32 "O", number);
	add_random_hex(&json, ACCESS_BYTES);
	buffer_add_format(&json, "O%" PRId64 "\",\"access_secret\":\"AS_", now_us / 1000);
	add_random_hex(&json, SECRET_BYTES);
	buffer_add_format(&json, "\",\"access_token_expiry\":\"%s\"}",
		instant_format(expiry, now_us + DEP_TOKEN_LIFE_DAYS * DAY_S * SECOND_US, false));
	buffer_add_text(plain, buffer_text(&json));
}

static enum err read_cursor_key(unsigned char out[SHA256_SIZE], struct text plain, struct fault *fault)
{
	struct flat_json_member member = { .name = "cursor_key" };
	struct buffer copy CLEANUP(buffer_fini_wiped) = BUFFER(DEP_SECRET_MAX);
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(SHA256_SIZE);

	buffer_add_text(&copy, plain);
	TRY(flat_json_read(&member, 1, copy.bytes, copy.length, fault));
	if (!hex_decode(&bytes, member.value) || bytes.length != SHA256_SIZE) {
		return fault_set(fault, ERR_CRYPTO, "a virtual server's secret without the key of its cursors");
	}
	memcpy(out, bytes.bytes, SHA256_SIZE);
	return OK;
}

enum err dep_secret_read(struct dep_secret *out, struct text plain, struct fault *fault)
{
	if (plain.length == 0 || plain.length > DEP_SECRET_MAX) {
		return fault_set(fault, ERR_CRYPTO, "a virtual server without its secret");
	}
	TRY(read_cursor_key(out->cursor_key, plain, fault));
	return token_parse(&out->token, plain, fault);
}

void dep_secret_fini(struct dep_secret *secret)
{
	server_token_fini(&secret->token);
	wipe(secret->cursor_key, sizeof secret->cursor_key);
}

static bool read_number(int64_t *out, struct text hex)
{
	uint64_t number = 0;

	for (size_t i = 0; i < hex.length; i++) {
		const char c = hex.bytes[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
			return false;
		}
		number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*out = (int64_t)number;
	return number > 0 && number < INT64_MAX;
}

bool dep_place_of_key(struct dep_place *out, struct text consumer_key)
{
	const size_t prefix = sizeof KEY_PREFIX - 1;

	return consumer_key.length == prefix + (2 * PLACE_DIGITS) + (2 * KEY_BYTES) && text_starts_with(consumer_key, TEXT(KEY_PREFIX)) &&
		read_number(&out->tenant_id, (struct text){ consumer_key.bytes + prefix, PLACE_DIGITS }) &&
		read_number(&out->instance_id, (struct text){ consumer_key.bytes + prefix + PLACE_DIGITS, PLACE_DIGITS });
}
