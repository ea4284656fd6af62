// SPDX-License-Identifier: Apache-2.0
//
// apple_profile.c - enrolment profiles: define and get (dep-api.md, sections 5.6 and 5.7).
#include "apple/apple_endpoint.h"
#include "apple/apple_json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_profile_uuid(struct text uuid)
{
	for (size_t i = 0; i < uuid.length; i++) {
		if (!isascii(uuid.bytes[i]) || !(isalnum((unsigned char)uuid.bytes[i]) || uuid.bytes[i] == '-')) {
			return false;
		}
	}
	return uuid.length > 0 && uuid.length <= APPLE_PROFILE_UUID_MAX;
}

enum err apple_check_profile_uuid(struct apple_call *call, struct text uuid)
{
	return is_profile_uuid(uuid) ? OK : fault_set(&call->op.fault, ERR_BAD_INPUT, "that is no profile_uuid");
}

static enum err take_uuid(char *out, yyjson_val *root, struct fault *fault)
{
	yyjson_val *value;
	const struct text uuid = apple_json_member(&value, root, "profile_uuid") ? apple_json_string(value) : TEXT_NONE;

	if (!is_profile_uuid(uuid)) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's answer names no usable profile_uuid");
	}
	memcpy(out, uuid.bytes, uuid.length);
	out[uuid.length] = '\0';
	return OK;
}

static enum err read_defined(struct apple_call *call)
{
	const size_t length = call->http.answer.length;
	char *bytes = buffer_take(&call->http.answer);
	struct apple_json json;
	enum err rc = apple_json_open(&json, &bytes, length, &call->op.fault);

	if (rc == OK) {
		rc = take_uuid(call->output, json.root, &call->op.fault);
	}
	apple_json_close(&json);
	free(bytes);
	return rc;
}

void apple_define_profile(struct apple_call *call, struct apple_session *session, struct text profile_json,
	char profile_uuid_out[APPLE_PROFILE_UUID_MAX + 1])
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/profile", APPLE_AT_OTHER };

	memset(profile_uuid_out, 0, APPLE_PROFILE_UUID_MAX + 1);
	apple_call_prepare(call, session, &endpoint, read_defined, profile_uuid_out);
	call->once = true; // each request may make another profile
	buffer_add_text(&call->body, profile_json);
	apple_call_go(call, OK);
}

static enum err read_profile(struct apple_call *call)
{
	const struct text answer = text_trim(buffer_text(&call->http.answer));
	struct buffer *out = call->output;

	if (!apple_json_is_object(answer)) {
		return fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple's answer is not a profile");
	}
	buffer_add_text(out, answer);
	if (out->overflow) {
		return fault_set(&call->op.fault, ERR_BUDGET, "Apple's profile has %zu bytes", answer.length);
	}
	return OK;
}

void apple_get_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid, struct buffer *out)
{
	static const struct apple_endpoint endpoint = { "GET", NULL, "/profile", APPLE_AT_PROFILE };

	apple_call_prepare(call, session, &endpoint, read_profile, out);
	buffer_add_string(&call->url, "?profile_uuid=");
	buffer_add_text(&call->url, profile_uuid);
	apple_call_go(call, apple_check_profile_uuid(call, profile_uuid));
}
