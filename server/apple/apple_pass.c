// SPDX-License-Identifier: Apache-2.0
//
// apple_pass.c - a request of somebody else's, with our session. Its answer is not looked into, but for a refusal of the session.
#include "apple/apple_endpoint.h"

#include <stdio.h>
#include <string.h>

#define VERSION_FIELD "X-Server-Protocol-Version"

enum { VERSION_WITHOUT_FIELD = 7, VERSION_DIGITS_MAX = 2 };

// What is not listed stays with us: credentials, what belongs to a connection, and what could make Apple read another request.
static const char *const may_pass[] = { "Accept", "Accept-Language", "Content-Type", "User-Agent", VERSION_FIELD };

static bool is_named(const char *line, const char *name)
{
	const size_t length = strlen(name);

	return strncmp(line, name, length) == 0 && line[length] == ':';
}

static bool is_version(struct text value)
{
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9') {
			return false;
		}
	}
	return value.length > 0 && value.length <= VERSION_DIGITS_MAX;
}

void apple_passed_field(struct apple_passed *passed, struct arena *arena, struct text name, struct text value)
{
	for (size_t i = 0; i < sizeof may_pass / sizeof *may_pass; i++) {
		if (!text_equal_ignoring_case(name, text_of(may_pass[i])) || passed->field_count == APPLE_PASSED_FIELDS_MAX || value.length == 0) {
			continue;
		}
		if (strcmp(may_pass[i], VERSION_FIELD) == 0 && !is_version(value)) {
			return;
		}
		const char *line = arena_format(arena, "%s: %.*s", may_pass[i], TEXT_ARGS(value));

		if (line != NULL) {
			passed->fields[passed->field_count++] = line;
		}
		return;
	}
}

static const char *field_named(const struct apple_passed *passed, const char *name)
{
	for (size_t i = 0; i < passed->field_count; i++) {
		if (is_named(passed->fields[i], name)) {
			return passed->fields[i];
		}
	}
	return NULL;
}

// GET /session goes out as the same client.
size_t apple_pass_headers(const struct apple_call *call, const char **lines)
{
	const struct apple_passed *passed = call->passed;
	size_t count = 0;

	for (size_t i = 0; passed != NULL && i < passed->field_count; i++) {
		const char *line = passed->fields[i];

		if (!is_named(line, VERSION_FIELD) && (call->state == APPLE_ASKING || is_named(line, "User-Agent"))) {
			lines[count++] = line;
		}
	}
	return count;
}

bool apple_pass_needs_session(const struct apple_call *call)
{
	return !call->renewed && !call->passed->takes_refusal && call->status < 500 &&
		apple_error_classify(APPLE_AT_OTHER, call->status, buffer_text(&call->http.answer)) == ERR_SESSION;
}

static bool is_printable(struct text value)
{
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < ' ' || value.bytes[i] > '~') {
			return false;
		}
	}
	return true;
}

static void read_type(struct apple_call *call)
{
	struct apple_passed *passed = call->output;
	const struct text type = http_call_header(&call->http, "Content-Type");

	passed->content_type[0] = '\0';
	if (type.length > 0 && type.length <= APPLE_PASSED_TYPE_MAX && is_printable(type)) {
		text_put(passed->content_type, sizeof passed->content_type, type);
	}
}

bool apple_pass_begins(struct apple_call *call)
{
	const unsigned status = call->http.status;

	if ((status == 401 || status == 403) && !call->passed->takes_refusal) {
		return false;
	}
	call->status = status;
	call->retry_after_s = http_retry_after_s(http_call_header(&call->http, "Retry-After"), clock_wall_us());
	read_type(call);
	return true;
}

static enum err read_passed(struct apple_call *call)
{
	struct apple_passed *passed = call->output;

	read_type(call);
	passed->answer = call->http.answer;
	call->http.answer = BUFFER(0);
	return OK;
}

void apple_pass(struct apple_call *call, struct apple_session *session, struct apple_passed *passed)
{
	static const struct apple_endpoint endpoint = { "GET", NULL, "", APPLE_AT_OTHER };
	const char *version = field_named(passed, VERSION_FIELD);

	apple_call_prepare(call, session, &endpoint, read_passed, passed);
	call->passed = passed;
	call->method = passed->method;
	call->once = passed->once;
	if (version != NULL) {
		(void)snprintf(call->version_header, sizeof call->version_header, "%s", version);
	} else {
		(void)snprintf(call->version_header, sizeof call->version_header, VERSION_FIELD ": %d", VERSION_WITHOUT_FIELD);
	}
	buffer_add_text(&call->url, passed->target);
	apple_call_go(call, OK);
}

void apple_passed_fini(struct apple_passed *passed)
{
	buffer_fini_wiped(&passed->answer);
}
