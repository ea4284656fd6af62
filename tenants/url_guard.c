// SPDX-License-Identifier: Apache-2.0
#include "tenants/url_guard.h"

#include <string.h>

enum { NAME_MAX_LENGTH = 253, LABEL_MAX_LENGTH = 63, PORT_MAX = 65535, HTTPS_PORT = 443, HTTP_PORT = 80 };

struct host_and_port {
	struct text host;
	unsigned port;
};

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Labels of letters, digits, '-' and '_', none of them empty: so no dot at either end, and no IPv6 address.
static bool is_host(struct text host)
{
	size_t label = 0;

	if (host.length == 0 || host.length > NAME_MAX_LENGTH) {
		return false;
	}
	for (size_t i = 0; i < host.length; i++) {
		const char c = host.bytes[i];

		if (c == '.' && label == 0) {
			return false;
		}
		if (c != '.' && !is_letter_or_digit(c) && c != '-' && c != '_') {
			return false;
		}
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX_LENGTH) {
			return false;
		}
	}
	return label > 0;
}

static bool parse_port(unsigned *out, struct text digits)
{
	unsigned port = 0;

	if (digits.length == 0 || digits.length > 5 || digits.bytes[0] == '0') {
		return false;
	}
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.bytes[i] < '0' || digits.bytes[i] > '9') {
			return false;
		}
		port = port * 10 + (unsigned)(digits.bytes[i] - '0');
	}
	*out = port;
	return port <= PORT_MAX;
}

static bool parse_host_and_port(struct host_and_port *out, struct text authority, unsigned default_port)
{
	const char *colon = authority.length > 0 ? memchr(authority.bytes, ':', authority.length) : NULL;

	out->host = authority;
	out->port = default_port;
	if (colon != NULL) {
		const size_t at = (size_t)(colon - authority.bytes);

		out->host.length = at;
		if (!parse_port(&out->port, (struct text){ colon + 1, authority.length - at - 1 })) {
			return false;
		}
	}
	return is_host(out->host);
}

// A lone '%' is read as itself by some and refused by others, Apple among them.
static enum err check_escapes(struct text url, struct fault *fault)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	for (size_t i = 0; i < url.length; i++) {
		if (url.bytes[i] == '%' && (url.length - i < 3 || strchr(digits, url.bytes[i + 1]) == NULL ||
			strchr(digits, url.bytes[i + 2]) == NULL)) {
			return fault_set(fault, ERR_BAD_INPUT, "the URL has a %% that two hexadecimal digits do not follow, at position %zu",
				i + 1);
		}
	}
	return OK;
}

static enum err check_characters(struct text url, struct fault *fault)
{
	if (url.length > URL_GUARD_URL_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the URL is longer than %d bytes", URL_GUARD_URL_MAX);
	}
	for (size_t i = 0; i < url.length; i++) {
		const unsigned char c = (unsigned char)url.bytes[i];

		if (c <= ' ' || c >= 0x7f || strchr("\\\"<>^`{|}#", c) != NULL) {
			return fault_set(fault, ERR_BAD_INPUT, "the URL has a character that does not belong into one, at position %zu; "
				"write international host names in their xn-- form", i + 1);
		}
	}
	return check_escapes(url, fault);
}

static bool starts_with_scheme(struct text url, struct text scheme)
{
	return url.length >= scheme.length && text_equal_ignoring_case((struct text){ url.bytes, scheme.length }, scheme);
}

// What is between "https://" and the path or query.
static enum err parse_authority(struct host_and_port *out, struct text url, size_t scheme_length, unsigned default_port,
	struct fault *fault)
{
	struct text authority = { url.bytes + scheme_length, 0 };

	while (scheme_length + authority.length < url.length && strchr("/?", authority.bytes[authority.length]) == NULL) {
		authority.length++;
	}
	if (authority.length > 0 && memchr(authority.bytes, '@', authority.length) != NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "the URL has a user name in it");
	}
	if (!parse_host_and_port(out, authority, default_port)) {
		return fault_set(fault, ERR_BAD_INPUT, "the URL's host or port is not well-formed");
	}
	return OK;
}

static bool is_same_place(struct host_and_port a, struct host_and_port b)
{
	return a.port == b.port && text_equal_ignoring_case(a.host, b.host);
}

enum err url_guard_check(struct text url, const struct text *allowed_hosts, size_t count, struct fault *fault)
{
	struct host_and_port wanted;

	TRY(check_characters(url, fault));
	if (!starts_with_scheme(url, TEXT("https://"))) {
		return fault_set(fault, ERR_BAD_INPUT, "the URL does not start with https://");
	}
	TRY(parse_authority(&wanted, url, strlen("https://"), HTTPS_PORT, fault));
	for (size_t i = 0; i < count; i++) {
		struct host_and_port allowed;

		if (parse_host_and_port(&allowed, allowed_hosts[i], HTTPS_PORT) && is_same_place(allowed, wanted)) {
			return OK;
		}
	}
	return fault_set(fault, ERR_BAD_INPUT, "the URL's host %.*s with port %u is not one of the allowed hosts",
		TEXT_ARGS(wanted.host), wanted.port);
}

enum err url_guard_check_host(struct text allowed_host, struct fault *fault)
{
	struct host_and_port parsed;

	if (!parse_host_and_port(&parsed, allowed_host, HTTPS_PORT)) {
		return fault_set(fault, ERR_BAD_INPUT, "an allowed host is a name such as mdm.example.org, or with its port "
			"mdm.example.org:8443, in ASCII, without scheme, path or dot at its end");
	}
	return OK;
}

enum err url_check(struct text url, struct fault *fault)
{
	struct host_and_port parsed;

	TRY(check_characters(url, fault));
	if (starts_with_scheme(url, TEXT("https://"))) {
		return parse_authority(&parsed, url, strlen("https://"), HTTPS_PORT, fault);
	}
	if (starts_with_scheme(url, TEXT("http://"))) {
		return parse_authority(&parsed, url, strlen("http://"), HTTP_PORT, fault);
	}
	return fault_set(fault, ERR_BAD_INPUT, "the URL starts neither with https:// nor with http://");
}
