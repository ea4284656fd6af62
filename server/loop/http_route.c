// SPDX-License-Identifier: Apache-2.0
#include "loop/http_route.h"

#include <assert.h>
#include <string.h>

// Takes what comes before the separator; true when there was one.
static bool next_part(struct text *rest, char separator, struct text *part)
{
	(void)text_next(rest, separator, part);
	return rest->bytes != NULL;
}

// What is literal before the first parameter: most patterns are told apart by it.
static bool begins_alike(const char *pattern, struct text path)
{
	size_t at = 0;

	while (pattern[at] != '\0' && pattern[at] != '{' && pattern[at] != '*' && at < path.length && pattern[at] == path.bytes[at]) {
		at++;
	}
	return pattern[at] == '\0' || pattern[at] == '{' || pattern[at] == '*' || at == path.length;
}

static bool matches(const char *pattern, struct text path, struct text parameters[HTTP_PARAMETERS_MAX])
{
	struct text pattern_rest = text_of(pattern + 1);
	struct text path_rest = { path.bytes + 1, path.length - 1 };
	size_t count = 0;

	for (;;) {
		struct text wanted;
		struct text segment;
		const bool pattern_goes_on = next_part(&pattern_rest, '/', &wanted);

		if (text_equal(wanted, TEXT("*"))) {
			return true;
		}
		const bool path_goes_on = next_part(&path_rest, '/', &segment);

		if (wanted.length > 0 && wanted.bytes[0] == '{') {
			assert(count < HTTP_PARAMETERS_MAX);
			if (segment.length == 0) {
				return false;
			}
			parameters[count++] = segment;
		} else if (!text_equal(wanted, segment)) {
			return false;
		}
		if (pattern_goes_on != path_goes_on) {
			return false;
		}
		if (!pattern_goes_on) {
			return true;
		}
	}
}

static bool allow_has(const char *allow, const char *method)
{
	const size_t length = strlen(method);

	for (const char *at = strstr(allow, method); at != NULL; at = strstr(at + 1, method)) {
		if ((at == allow || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0')) {
			return true;
		}
	}
	return false;
}

static void allow_add(char allow[ROUTE_ALLOW_SIZE], const char *method)
{
	const size_t used = strlen(allow);
	const size_t needed = (used > 0 ? 2 : 0) + strlen(method);

	if (allow_has(allow, method) || used + needed >= ROUTE_ALLOW_SIZE) {
		return;
	}
	if (used > 0) {
		memcpy(allow + used, ", ", 2);
	}
	memcpy(allow + used + needed - strlen(method), method, strlen(method) + 1);
}

const struct http_route *route_find(const struct http_route *routes, size_t count, struct text method, struct text path,
	struct text parameters[HTTP_PARAMETERS_MAX], char allow[ROUTE_ALLOW_SIZE])
{
	const struct text wanted = text_equal(method, TEXT("HEAD")) ? TEXT("GET") : method;

	allow[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		struct text found[HTTP_PARAMETERS_MAX] = { TEXT_NONE };

		if (!begins_alike(routes[i].pattern, path) || !matches(routes[i].pattern, path, found)) {
			continue;
		}
		if (routes[i].method == NULL || text_equal_string(wanted, routes[i].method)) {
			memcpy(parameters, found, sizeof found);
			return &routes[i];
		}
		allow_add(allow, routes[i].method);
		if (text_equal_string(TEXT("GET"), routes[i].method)) {
			allow_add(allow, "HEAD");
		}
	}
	return NULL;
}

static char nibble(char c)
{
	return (char)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); // the gate has seen to it that it is a hex digit
}

bool route_decode(struct arena *arena, struct text raw, bool plus_is_blank, struct text *out)
{
	char *to = arena_take(arena, raw.length + 1);
	size_t length = 0;

	if (to == NULL) {
		return false;
	}
	for (size_t i = 0; i < raw.length; i++) {
		char c = raw.bytes[i];

		if (c == '%' && raw.length - i > 2) {
			c = (char)(nibble(raw.bytes[i + 1]) << 4 | nibble(raw.bytes[i + 2]));
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		to[length++] = c;
	}
	*out = (struct text){ to, length };
	return text_is_utf8(*out);
}

static bool add_parameter(struct arena *arena, struct route_query *query, struct text name, struct text value)
{
	const size_t at = query->count;

	if (at == ROUTE_QUERY_MAX || !route_decode(arena, name, true, &query->names[at]) ||
		!route_decode(arena, value, true, &query->values[at])) {
		return false;
	}
	for (size_t i = 0; i < at; i++) {
		if (text_equal(query->names[i], query->names[at])) {
			return false;
		}
	}
	query->count++;
	return true;
}

bool route_parse_query(struct arena *arena, struct text raw, struct route_query *query)
{
	query->count = 0;
	while (raw.length > 0) {
		struct text value;
		struct text name;

		(void)next_part(&raw, '&', &value);
		(void)next_part(&value, '=', &name);
		if (name.length == 0 && value.length == 0) {
			continue;
		}
		if (!add_parameter(arena, query, name, value)) {
			return false;
		}
	}
	return true;
}
