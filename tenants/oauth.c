// SPDX-License-Identifier: Apache-2.0
#include "tenants/oauth.h"

#include "depbroker/digest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void add_encoded(struct buffer *out, struct text t) // RFC 5849, section 3.6
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < t.length; i++) {
		const char c = t.bytes[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
			c == '_' || c == '~') {
			buffer_add(out, &c, 1);
		} else {
			const char escape[3] = { '%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15] };

			buffer_add(out, escape, sizeof escape);
		}
	}
}

static void add_lower(struct buffer *out, struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		const char c = t.bytes[i];
		const char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;

		buffer_add(out, &lower, 1);
	}
}

static bool is_port(struct text port)
{
	long number = 0;

	for (size_t i = 0; i < port.length; i++) {
		if (port.bytes[i] < '0' || port.bytes[i] > '9' || i >= 5) {
			return false;
		}
		number = number * 10 + (port.bytes[i] - '0');
	}
	return port.length > 0 && number > 0 && number <= 65535;
}

// Splits "host:port"; the port is empty when there is none. An IPv6 host keeps its brackets.
static bool split_authority(struct text authority, struct text *host, struct text *port)
{
	const char *bracket = memchr(authority.bytes, ']', authority.length);
	const size_t from = bracket != NULL ? (size_t)(bracket - authority.bytes) : 0;
	const char *colon = memchr(authority.bytes + from, ':', authority.length - from);

	*host = authority;
	*port = TEXT_NONE;
	if (colon != NULL) {
		host->length = (size_t)(colon - authority.bytes);
		*port = (struct text){ colon + 1, authority.length - host->length - 1 };
		if (!is_port(*port)) {
			return false;
		}
	}
	return host->length > 0 && memchr(authority.bytes, '@', authority.length) == NULL;
}

static bool is_plain_url(struct text url)
{
	for (size_t i = 0; i < url.length; i++) {
		if (url.bytes[i] <= ' ' || url.bytes[i] == 0x7f || url.bytes[i] == '?' || url.bytes[i] == '#') {
			return false;
		}
	}
	return true;
}

// RFC 5849, section 3.4.1.2.
static enum err add_base_uri(struct buffer *out, struct text url)
{
	static const struct {
		struct text scheme;
		struct text default_port;
	} schemes[] = {
		{ { "https://", 8 }, { "443", 3 } },
		{ { "http://", 7 }, { "80", 2 } },
	};

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		const struct text scheme = schemes[i].scheme;
		struct text host;
		struct text port;

		if (url.length <= scheme.length ||
			!text_equal_ignoring_case((struct text){ url.bytes, scheme.length }, scheme)) {
			continue;
		}
		const struct text rest = { url.bytes + scheme.length, url.length - scheme.length };
		const char *slash = memchr(rest.bytes, '/', rest.length);
		const struct text authority = { rest.bytes, slash != NULL ? (size_t)(slash - rest.bytes) : rest.length };
		const struct text path = { rest.bytes + authority.length, rest.length - authority.length };

		if (!is_plain_url(url) || authority.length == 0 || !split_authority(authority, &host, &port)) {
			return ERR_BAD_INPUT;
		}
		buffer_add_text(out, scheme);
		add_lower(out, host);
		if (port.length > 0 && !text_equal(port, schemes[i].default_port)) {
			buffer_add_string(out, ":");
			buffer_add_text(out, port);
		}
		buffer_add_text(out, path.length > 0 ? path : TEXT("/"));
		return OK;
	}
	return ERR_BAD_INPUT;
}

struct encoded_parameter {
	struct buffer name;
	struct buffer value;
};

static int compare_texts(struct text a, struct text b)
{
	const size_t shorter = a.length < b.length ? a.length : b.length;
	const int order = memcmp(a.bytes, b.bytes, shorter);

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static bool comes_before(const struct encoded_parameter *a, const struct encoded_parameter *b)
{
	const int order = compare_texts(buffer_text(&a->name), buffer_text(&b->name));

	return order != 0 ? order < 0 : compare_texts(buffer_text(&a->value), buffer_text(&b->value)) < 0;
}

// RFC 5849, section 3.4.1.3.2: sorted by encoded name, then by encoded value.
static void add_parameters(struct buffer *out, const struct oauth_request *request)
{
	struct encoded_parameter sorted[OAUTH_PARAMETERS_MAX];

	for (size_t i = 0; i < request->count; i++) {
		const struct oauth_parameter *parameter = &request->parameters[i];
		struct encoded_parameter encoded = {
			.name = BUFFER(3 * parameter->name.length + 1),
			.value = BUFFER(3 * parameter->value.length + 1),
		};
		size_t at = i;

		add_encoded(&encoded.name, parameter->name);
		add_encoded(&encoded.value, parameter->value);
		for (; at > 0 && comes_before(&encoded, &sorted[at - 1]); at--) {
			sorted[at] = sorted[at - 1];
		}
		sorted[at] = encoded;
	}
	for (size_t i = 0; i < request->count; i++) {
		buffer_add_string(out, i > 0 ? "&" : "");
		buffer_add_text(out, buffer_text(&sorted[i].name));
		buffer_add_string(out, "=");
		buffer_add_text(out, buffer_text(&sorted[i].value));
		buffer_fini(&sorted[i].name);
		buffer_fini(&sorted[i].value);
	}
}

enum { BASE_STRING_MAX = 1024 * 1024 };

enum err oauth_base_string(struct buffer *out, const struct oauth_request *request)
{
	struct buffer uri CLEANUP(buffer_fini) = BUFFER(request->url.length + 1);
	struct buffer parameters CLEANUP(buffer_fini) = BUFFER(BASE_STRING_MAX);

	assert(request->count <= OAUTH_PARAMETERS_MAX);
	TRY(add_base_uri(&uri, request->url));
	add_parameters(&parameters, request);
	buffer_add_text(out, request->method);
	buffer_add_string(out, "&");
	add_encoded(out, buffer_text(&uri));
	buffer_add_string(out, "&");
	add_encoded(out, buffer_text(&parameters));
	return parameters.overflow || out->overflow ? ERR_BAD_INPUT : OK;
}

enum err oauth_signature(struct buffer *out, const struct oauth_request *request)
{
	struct buffer base CLEANUP(buffer_fini) = BUFFER(BASE_STRING_MAX);
	struct buffer key CLEANUP(buffer_fini_wiped) =
		BUFFER(3 * (request->consumer_secret.length + request->token_secret.length) + 1);
	unsigned char mac[SHA1_SIZE];

	TRY(oauth_base_string(&base, request));
	key.bytes = allocate(key.limit + 1); // all at once: growing would leave copies of the secrets behind
	key.capacity = key.limit + 1;
	add_encoded(&key, request->consumer_secret);
	buffer_add_string(&key, "&");
	add_encoded(&key, request->token_secret);
	hmac_sha1(mac, buffer_text(&key), &(struct digest_part){ base.bytes, base.length }, 1);
	buffer_add_base64(out, mac, sizeof mac);
	return out->overflow ? ERR_BAD_INPUT : OK;
}

static void add_header_parameter(struct buffer *out, const char *before, struct text name, struct text value)
{
	buffer_add_string(out, before);
	buffer_add_text(out, name);
	buffer_add_string(out, "=\"");
	add_encoded(out, value);
	buffer_add_string(out, "\"");
}

enum err oauth_authorization(struct buffer *out, const struct server_token *token, struct text url, struct text nonce,
	int64_t timestamp_s)
{
	struct buffer signature CLEANUP(buffer_fini) = BUFFER(64);
	char timestamp[24];

	(void)snprintf(timestamp, sizeof timestamp, "%lld", (long long)timestamp_s);

	const struct oauth_parameter parameters[] = {
		{ TEXT("oauth_consumer_key"), token->consumer_key },
		{ TEXT("oauth_nonce"), nonce },
		{ TEXT("oauth_signature_method"), TEXT("HMAC-SHA1") },
		{ TEXT("oauth_timestamp"), text_of(timestamp) },
		{ TEXT("oauth_token"), token->access_token },
		{ TEXT("oauth_version"), TEXT("1.0") },
	};
	const size_t count = sizeof parameters / sizeof *parameters;
	const struct oauth_request request = {
		.method = TEXT("GET"),
		.url = url,
		.consumer_secret = token->consumer_secret,
		.token_secret = token->access_secret,
		.parameters = parameters,
		.count = count,
	};

	TRY(oauth_signature(&signature, &request));
	for (size_t i = 0; i < count; i++) {
		add_header_parameter(out, i == 0 ? "OAuth " : ", ", parameters[i].name, parameters[i].value);
		if (i == 1) { // the place where other clients have it, in the order of names
			add_header_parameter(out, ", ", TEXT("oauth_signature"), buffer_text(&signature));
		}
	}
	return out->overflow ? ERR_BAD_INPUT : OK;
}
