// SPDX-License-Identifier: Apache-2.0
//
// apple_activation_lock.c - locks a device to the organisation (dep-api.md, section 5.11).
#include "apple/apple_device.h"
#include "apple/apple_endpoint.h"

#include <stdlib.h>

static const char *const words[] = {
	[APPLE_LOCK_SUCCESS] = "SUCCESS",
	[APPLE_LOCK_NOT_ACCESSIBLE] = "NOT_ACCESSIBLE",
	[APPLE_LOCK_ORG_NOT_SUPPORTED] = "ORG_NOT_SUPPORTED",
	[APPLE_LOCK_DEVICE_NOT_SUPPORTED] = "DEVICE_NOT_SUPPORTED",
	[APPLE_LOCK_DEVICE_ALREADY_LOCKED] = "DEVICE_ALREADY_LOCKED",
	[APPLE_LOCK_FAILED] = "FAILED",
};

const char *apple_lock_word(enum apple_lock result)
{
	return words[result];
}

static enum err take_word(enum apple_lock *out, yyjson_val *root, struct fault *fault)
{
	yyjson_val *value;
	const struct text word = apple_json_member(&value, root, "response_status") ? apple_json_string(value) : TEXT_NONE;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (text_equal_string(word, words[i])) {
			*out = (enum apple_lock)i;
			return OK;
		}
	}
	return fault_set(fault, ERR_BAD_ANSWER, "Apple's answer does not say whether the device is locked");
}

// An answer about another device says nothing about the one that was asked for.
static bool is_about(struct apple_json *json, struct text serial)
{
	yyjson_val *value;
	struct text named = apple_json_member(&value, json->root, "serial_number") ? apple_json_string(value) : TEXT_NONE;

	return named.length > 0 && apple_serial_canonical(&named, json) == NULL && text_equal(named, serial);
}

static enum err read_lock(struct apple_call *call)
{
	const size_t length = call->http.answer.length;
	char *bytes = buffer_take(&call->http.answer);
	struct apple_json json;
	enum err rc = apple_json_open(&json, &bytes, length, &call->op.fault);

	if (rc == OK) {
		rc = is_about(&json, call->asked_serials[0]) ? take_word(call->output, json.root, &call->op.fault)
			: fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple's answer is about another device");
	}
	apple_json_close(&json);
	free(bytes);
	return rc;
}

static void add_member(struct buffer *body, const char *name, struct text value)
{
	buffer_add_string(body, body->length == 0 ? "{\"" : ",\"");
	buffer_add_string(body, name);
	buffer_add_string(body, "\":");
	buffer_add_json(body, value);
}

void apple_activation_lock(struct apple_call *call, struct apple_session *session, struct text serial,
	struct text escrow_key, struct text lost_message, enum apple_lock *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/device/activationlock", APPLE_AT_OTHER };

	*out = APPLE_LOCK_FAILED;
	apple_call_prepare(call, session, &endpoint, read_lock, out);
	call->asked_serial = serial;
	call->asked_serials = &call->asked_serial;
	call->asked_count = 1;
	add_member(&call->body, "device", serial);
	if (escrow_key.length > 0) {
		add_member(&call->body, "escrow_key", escrow_key);
	}
	if (lost_message.length > 0) {
		add_member(&call->body, "lost_message", lost_message);
	}
	buffer_add_string(&call->body, "}");
	apple_call_go(call, OK);
}
