// SPDX-License-Identifier: Apache-2.0
#include "tenants/endpoint_header.h"

#include <string.h>
#include <strings.h>

// A name that ends in a hyphen stands for all that begin so.
static const char *const ours[] = { "host", "content-", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
	"webhook-", "authorization", "proxy-", "cookie", "cookie2", "user-agent", "accept-encoding", NULL };

static bool is_ours(struct text name)
{
	for (size_t i = 0; ours[i] != NULL; i++) {
		const size_t length = strlen(ours[i]);
		const bool is_prefix = ours[i][length - 1] == '-';

		if (name.length >= length && strncasecmp(name.bytes, ours[i], length) == 0 && (is_prefix || name.length == length)) {
			return true;
		}
	}
	return false;
}

static bool is_name(struct text name)
{
	for (size_t i = 0; i < name.length; i++) {
		const char c = name.bytes[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
			return false;
		}
	}
	return name.length > 0 && name.length <= ENDPOINT_HEADER_NAME_MAX;
}

static bool is_value(struct text value)
{
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < ' ' || value.bytes[i] > '~') {
			return false;
		}
	}
	return value.length > 0 && value.length <= ENDPOINT_HEADER_VALUE_MAX && value.bytes[0] != ' ' && value.bytes[value.length - 1] != ' ';
}

enum err endpoint_header_check(struct text name, struct text value, struct fault *fault)
{
	if (!is_name(name)) {
		return fault_set(fault, ERR_BAD_INPUT, "a header's name has 1 to %d letters, digits, hyphens and underscores", ENDPOINT_HEADER_NAME_MAX);
	}
	if (is_ours(name)) {
		return fault_set(fault, ERR_BAD_INPUT, "the header %.*s is not to be set", TEXT_ARGS(name));
	}
	if (!is_value(value)) {
		return fault_set(fault, ERR_BAD_INPUT, "the header %.*s has 1 to %d visible ASCII characters, and blanks between them", TEXT_ARGS(name),
			ENDPOINT_HEADER_VALUE_MAX);
	}
	return OK;
}
