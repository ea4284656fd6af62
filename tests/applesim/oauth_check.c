// SPDX-License-Identifier: Apache-2.0
//
// oauth_check.c - does the Authorization header of GET /session fit (RFC 5849)? Signature, clock window, nonce.
#include "applesim/apple.h"

#include "depbroker/digest.h"
#include "tenants/oauth.h"

#include <stdlib.h>
#include <string.h>

struct header {
	struct oauth_parameter all[OAUTH_PARAMETERS_MAX]; // signed ones
	size_t count;
	struct text consumer_key;
	struct text token;
	struct text method;
	struct text timestamp;
	struct text nonce;
	struct text version;
	struct text signature;
};

static struct text *known_parameter(struct header *header, struct text name)
{
	const struct {
		const char *name;
		struct text *value;
	} known[] = {
		{ "oauth_consumer_key", &header->consumer_key }, { "oauth_token", &header->token },
		{ "oauth_signature_method", &header->method }, { "oauth_timestamp", &header->timestamp },
		{ "oauth_nonce", &header->nonce }, { "oauth_version", &header->version }, { "oauth_signature", &header->signature },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (text_equal_string(name, known[i].name)) {
			return known[i].value;
		}
	}
	return NULL;
}

static bool decode(struct call *call, struct text *out, struct text raw)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(4096);
	char *copy;

	if (!percent_decode(&plain, raw) || plain.overflow) {
		return false;
	}
	copy = arena_copy(&call->request->arena, buffer_text(&plain));
	*out = (struct text){ copy != NULL ? copy : "", plain.length };
	return copy != NULL || plain.length == 0;
}

static bool take_parameter(struct call *call, struct header *header, struct text name, struct text raw)
{
	struct text *known = known_parameter(header, name);
	struct text value;

	if (text_equal_string(name, "realm")) {
		return true;
	}
	if (!decode(call, &value, raw) || header->count == OAUTH_PARAMETERS_MAX || (known != NULL && known->bytes != NULL)) {
		return false; // a parameter twice, too
	}
	if (known != NULL) {
		*known = value;
	}
	if (known != &header->signature) {
		header->all[header->count++] = (struct oauth_parameter){ .name = name, .value = value };
	}
	return true;
}

// OAuth name="value", name="value"
static bool read_header(struct call *call, struct header *header)
{
	struct text rest = web_header(call->request, "authorization");

	if (web_header_count(call->request, "authorization") != 1 || rest.length < 6 ||
		!text_equal_ignoring_case((struct text){ rest.bytes, 6 }, TEXT("OAuth "))) {
		return false;
	}
	rest = text_trim((struct text){ rest.bytes + 6, rest.length - 6 });
	while (rest.length > 0) {
		const char *equals = memchr(rest.bytes, '=', rest.length);
		const char *end = rest.bytes + rest.length;

		if (equals == NULL || equals + 1 >= end || equals[1] != '"') {
			return false;
		}
		const char *quote = memchr(equals + 2, '"', (size_t)(end - equals - 2));

		if (quote == NULL || !take_parameter(call, header, (struct text){ rest.bytes, (size_t)(equals - rest.bytes) },
				(struct text){ equals + 2, (size_t)(quote - equals - 2) })) {
			return false;
		}
		rest = text_trim((struct text){ quote + 1, (size_t)(end - quote - 1) });
		if (rest.length > 0) {
			if (rest.bytes[0] != ',') {
				return false;
			}
			rest = text_trim((struct text){ rest.bytes + 1, rest.length - 1 });
		}
	}
	return true;
}

static bool is_complete(const struct header *header, int64_t *timestamp_s)
{
	*timestamp_s = 0;
	for (size_t i = 0; i < header->timestamp.length; i++) {
		if (i >= 15 || header->timestamp.bytes[i] < '0' || header->timestamp.bytes[i] > '9') {
			return false;
		}
		*timestamp_s = *timestamp_s * 10 + (header->timestamp.bytes[i] - '0');
	}
	return header->consumer_key.length > 0 && header->token.length > 0 && header->signature.length > 0 &&
		header->nonce.length > 0 && header->timestamp.length > 0 && text_equal_string(header->method, "HMAC-SHA1") &&
		(header->version.bytes == NULL || text_equal_string(header->version, "1.0"));
}

static bool signature_fits(struct call *call, const struct header *header)
{
	struct buffer url CLEANUP(buffer_fini) = BUFFER(1024);
	struct buffer expected CLEANUP(buffer_fini) = BUFFER(64);
	const struct credentials *token = &call->tenant->token;

	if (call->world->public_url.bytes != NULL) {
		buffer_add_text(&url, call->world->public_url);
	} else {
		buffer_add_string(&url, "http://");
		buffer_add_text(&url, web_header(call->request, "host"));
	}
	buffer_add_string(&url, "/session");
	const struct oauth_request request = {
		.method = call->request->method,
		.url = buffer_text(&url),
		.consumer_secret = text_of(token->consumer_secret),
		.token_secret = text_of(token->access_secret),
		.parameters = header->all,
		.count = header->count,
	};

	return oauth_signature(&expected, &request) == OK && text_equal(buffer_text(&expected), header->signature);
}

static bool is_new_nonce(struct tenant *tenant, const struct header *header, int64_t timestamp_s, int64_t oldest_s)
{
	const struct digest_part parts[] = { { header->nonce.bytes, header->nonce.length } };
	unsigned char digest[SHA256_SIZE];
	struct nonce nonce = { .timestamp_s = timestamp_s };
	size_t kept = 0;

	sha256(digest, parts, 1);
	memcpy(&nonce.hash, digest, sizeof nonce.hash);
	for (size_t i = 0; i < tenant->nonce_count; i++) {
		if (tenant->nonces[i].hash == nonce.hash && tenant->nonces[i].timestamp_s == timestamp_s) {
			return false;
		}
		if (tenant->nonces[i].timestamp_s >= oldest_s) {
			tenant->nonces[kept++] = tenant->nonces[i];
		}
	}
	if (kept == tenant->nonce_capacity) {
		tenant->nonce_capacity = kept > 0 ? kept * 2 : 4;
		tenant->nonces = reallocate(tenant->nonces, tenant->nonce_capacity * sizeof *tenant->nonces);
	}
	tenant->nonces[kept] = nonce;
	tenant->nonce_count = kept + 1;
	return true;
}

struct tenant *oauth_claimed(struct call *call)
{
	struct header header = { 0 };

	return read_header(call, &header) && header.consumer_key.bytes != NULL
		? text_index_find(&call->world->by_consumer_key, header.consumer_key) : NULL;
}

static enum oauth_verdict refuse(unsigned *status, const char **word, unsigned with, const char *why)
{
	*status = with;
	*word = why;
	return with == 400 ? OAUTH_MALFORMED : OAUTH_REFUSED;
}

enum oauth_verdict oauth_check(struct call *call, unsigned *status, const char **word)
{
	struct header header = { 0 };
	int64_t timestamp_s;

	if (!read_header(call, &header) || !is_complete(&header, &timestamp_s)) {
		return refuse(status, word, 400, "");
	}
	if (call->tenant == NULL) {
		return refuse(status, word, 401, "token_rejected");
	}
	if (!text_equal_string(header.token, call->tenant->token.access_token)) { // another one has been made since
		return refuse(status, word, 403, "token_rejected");
	}
	if (!signature_fits(call, &header)) {
		return refuse(status, word, 401, "signature_invalid");
	}
	const int64_t now_s = world_clock_s(call->world);
	const int64_t window_s = call->world->clock_window_s;

	if (timestamp_s < now_s - window_s || timestamp_s > now_s + window_s) {
		return refuse(status, word, 401, "timestamp_refused");
	}
	if (!is_new_nonce(call->tenant, &header, timestamp_s, now_s - window_s)) {
		call->tenant->counters.nonces_reused++;
		return refuse(status, word, 401, "nonce_used");
	}
	if (call->tenant->token.expires_at_s <= world_now_s(call->world)) {
		return refuse(status, word, 401, "token_expired");
	}
	return OAUTH_FITS;
}
