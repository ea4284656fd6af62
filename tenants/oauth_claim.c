// SPDX-License-Identifier: Apache-2.0
#include "tenants/oauth_claim.h"

#include "depbroker/digest.h"

#include <string.h>

enum { SIGNATURE_MAX = 64, TIMESTAMP_DIGITS_MAX = 12 };

struct reading {
	struct oauth_claim *claim;
	struct arena *arena;
	struct text method;
	struct text version;
	struct text timestamp;
};

static struct text *place_of(struct reading *reading, struct text name)
{
	const struct {
		const char *name;
		struct text *place;
	} known[] = {
		{ "oauth_consumer_key", &reading->claim->consumer_key }, { "oauth_token", &reading->claim->token },
		{ "oauth_nonce", &reading->claim->nonce }, { "oauth_signature", &reading->claim->signature },
		{ "oauth_signature_method", &reading->method }, { "oauth_version", &reading->version },
		{ "oauth_timestamp", &reading->timestamp },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (text_equal_string(name, known[i].name)) {
			return known[i].place;
		}
	}
	return NULL;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static bool decode(struct reading *reading, struct text raw, struct text *out)
{
	char *to = arena_take(reading->arena, raw.length + 1);
	size_t length = 0;

	for (size_t i = 0; to != NULL && i < raw.length; i++) {
		char c = raw.bytes[i];

		if (c == '%') {
			const int high = raw.length - i > 2 ? digit_of(raw.bytes[i + 1]) : -1;
			const int low = raw.length - i > 2 ? digit_of(raw.bytes[i + 2]) : -1;

			if (high < 0 || low < 0) {
				return false;
			}
			c = (char)(high << 4 | low);
			i += 2;
		}
		to[length++] = c;
	}
	*out = (struct text){ to, length };
	return to != NULL && text_is_utf8(*out);
}

static bool take_parameter(struct reading *reading, struct text name, struct text raw)
{
	struct oauth_claim *claim = reading->claim;
	struct text *place = place_of(reading, name);
	struct text value;

	if (text_equal_string(name, "realm")) {
		return true;
	}
	if (!decode(reading, raw, &value) || claim->count == OAUTH_PARAMETERS_MAX || (place != NULL && place->bytes != NULL)) {
		return false;
	}
	if (place != NULL) {
		*place = value;
	}
	if (place != &claim->signature) {
		claim->signed_parameters[claim->count++] = (struct oauth_parameter){ .name = name, .value = value };
	}
	return true;
}

static struct text after(struct text whole, size_t length)
{
	return text_trim((struct text){ whole.bytes + length, whole.length - length });
}

// name="value", and a comma when more follows.
static bool next_parameter(struct reading *reading, struct text *rest)
{
	const char *equals = memchr(rest->bytes, '=', rest->length);
	const char *end = rest->bytes + rest->length;

	if (equals == NULL || end - equals < 3 || equals[1] != '"') {
		return false;
	}
	const char *value = equals + 2;
	const char *quote = memchr(value, '"', (size_t)(end - value));

	if (quote == NULL || !take_parameter(reading, (struct text){ rest->bytes, (size_t)(equals - rest->bytes) },
			(struct text){ value, (size_t)(quote - value) })) {
		return false;
	}
	*rest = after(*rest, (size_t)(quote + 1 - rest->bytes));
	if (rest->length > 0 && rest->bytes[0] == ',') {
		*rest = after(*rest, 1);
		return true;
	}
	return rest->length == 0;
}

static bool read_timestamp(const struct reading *reading)
{
	const struct text digits = reading->timestamp;

	for (size_t i = 0; i < digits.length; i++) {
		if (digits.length > TIMESTAMP_DIGITS_MAX || digits.bytes[i] < '0' || digits.bytes[i] > '9') {
			return false;
		}
		reading->claim->timestamp_s = reading->claim->timestamp_s * 10 + (digits.bytes[i] - '0');
	}
	return digits.length > 0;
}

bool oauth_claim_read(struct oauth_claim *out, struct text header, struct arena *arena)
{
	static const struct text scheme = { "OAuth ", 6 };
	struct reading reading = { .claim = out, .arena = arena };

	*out = (struct oauth_claim){ .count = 0 };
	if (header.length <= scheme.length || !text_equal_ignoring_case((struct text){ header.bytes, scheme.length }, scheme)) {
		return false;
	}
	for (struct text rest = after(header, scheme.length); rest.length > 0;) {
		if (!next_parameter(&reading, &rest)) {
			return false;
		}
	}
	return out->consumer_key.length > 0 && out->token.length > 0 && out->nonce.length > 0 && out->signature.length > 0 &&
		text_equal_string(reading.method, "HMAC-SHA1") && read_timestamp(&reading) &&
		(reading.version.bytes == NULL || text_equal_string(reading.version, "1.0"));
}

bool oauth_claim_fits(const struct oauth_claim *claim, const struct server_token *token, struct text method, struct text url)
{
	struct buffer expected CLEANUP(buffer_fini_wiped) = BUFFER(SIGNATURE_MAX);
	const struct oauth_request request = {
		.method = method, .url = url, .consumer_secret = token->consumer_secret, .token_secret = token->access_secret,
		.parameters = claim->signed_parameters, .count = claim->count,
	};

	return oauth_signature(&expected, &request) == OK && expected.length == claim->signature.length &&
		equal_in_constant_time(expected.bytes, claim->signature.bytes, expected.length);
}
