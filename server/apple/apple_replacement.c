// SPDX-License-Identifier: Apache-2.0
//
// apple_replacement.c - in whose place a device came (dep-api.md, section 5.14).
#include "apple/apple_device.h"
#include "apple/apple_endpoint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_about(struct apple_json *json, struct text serial)
{
	yyjson_val *value;
	struct text named = apple_json_member(&value, json->root, "serial_number") ? apple_json_string(value) : TEXT_NONE;

	return named.length > 0 && apple_serial_canonical(&named, json) == NULL && text_equal(named, serial);
}

// A date that is none spoils only itself.
static void take_date(struct apple_replacement *out, yyjson_val *root)
{
	yyjson_val *value;
	struct text date = TEXT_NONE;
	char whole[sizeof "2026-11-24T00:00:00Z"];

	if (!apple_json_member(&value, root, "replacement_date") || !apple_json_text(&date, value, sizeof out->date - 1) ||
		date.length != sizeof out->date - 1) {
		return;
	}
	(void)snprintf(whole, sizeof whole, "%.*sT00:00:00Z", TEXT_ARGS(date));
	if (instant_parse(text_of(whole)) != INSTANT_NONE) {
		memcpy(out->date, date.bytes, date.length);
	}
}

static enum err take_original(struct apple_call *call, struct apple_json *json)
{
	struct apple_replacement *out = call->output;
	yyjson_val *value;
	struct text original =
		apple_json_member(&value, json->root, "original_device_serial_number") ? apple_json_string(value) : TEXT_NONE;

	if (!is_about(json, call->asked_serial)) {
		return fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple's answer is about another device");
	}
	if (apple_serial_canonical(&original, json) != NULL || text_equal(original, call->asked_serial)) {
		return fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple's answer does not name the original device");
	}
	memcpy(out->original_serial_number, original.bytes, original.length);
	take_date(out, json->root);
	return OK;
}

static enum err read_replacement(struct apple_call *call)
{
	const size_t length = call->http.answer.length;
	char *bytes = buffer_take(&call->http.answer);
	struct apple_json json;
	enum err rc = apple_json_open(&json, &bytes, length, &call->op.fault);

	if (rc == OK) {
		rc = take_original(call, &json);
	}
	apple_json_close(&json);
	free(bytes);
	return rc;
}

static void add_percent_encoded(struct buffer *out, struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		const unsigned char c = (unsigned char)t.bytes[i];

		if (isascii(c) && isalnum(c)) {
			buffer_add(out, &t.bytes[i], 1);
		} else {
			buffer_add_format(out, "%%%02X", c);
		}
	}
}

void apple_replacement_details(struct apple_call *call, struct apple_session *session, struct text serial,
	struct apple_replacement *out)
{
	static const struct apple_endpoint endpoint = { "GET", NULL, "/device/replacementDetails", APPLE_AT_OTHER };

	*out = (struct apple_replacement){ 0 };
	apple_call_prepare(call, session, &endpoint, read_replacement, out);
	call->asked_serial = serial;
	buffer_add_string(&call->url, "?device=");
	add_percent_encoded(&call->url, serial);
	apple_call_go(call, serial.length > 0 && serial.length <= APPLE_SERIAL_MAX ? OK
		: fault_set(&call->op.fault, ERR_BAD_INPUT, "that is no serial number"));
}
