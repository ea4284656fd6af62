// SPDX-License-Identifier: Apache-2.0
//
// apple_assignment.c - which devices have which enrolment profile: assign and remove (dep-api.md, sections 5.8, 5.9 and 8).
#include "apple/apple_device.h"
#include "apple/apple_endpoint.h"

#include <stdlib.h>
#include <string.h>

struct asked { // a serial number that was asked for, and its place in the results
	struct text serial;
	size_t index;
};

static int compare(struct text a, struct text b)
{
	const size_t common = a.length < b.length ? a.length : b.length;
	const int order = common > 0 ? memcmp(a.bytes, b.bytes, common) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_serial(const void *a, const void *b)
{
	return compare(((const struct asked *)a)->serial, ((const struct asked *)b)->serial);
}

static struct asked *sorted_serials(const struct apple_call *call)
{
	struct asked *asked = allocate_array(call->asked_count, sizeof *asked);

	for (size_t i = 0; i < call->asked_count; i++) {
		asked[i] = (struct asked){ call->asked_serials[i], i };
	}
	qsort(asked, call->asked_count, sizeof *asked, by_serial);
	return asked;
}

static size_t first_not_before(const struct asked *asked, size_t count, struct text serial)
{
	size_t from = 0;
	size_t to = count;

	while (from < to) {
		const size_t middle = from + (to - from) / 2;

		if (compare(asked[middle].serial, serial) < 0) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

// Two words about one device that contradict each other are worth no more than none.
static void note_result(struct apple_assignment *out, const struct asked *asked, struct text serial,
	enum assign_result result, bool *named)
{
	const size_t first = first_not_before(asked, out->count, serial);

	for (size_t i = first; i < out->count && text_equal(asked[i].serial, serial); i++) {
		const size_t index = asked[i].index;

		out->results[index] = named[index] && out->results[index] != result ? ASSIGN_RESULT_MISSING : result;
		named[index] = true;
	}
}

static void read_results(struct apple_assignment *out, struct apple_json *json, yyjson_val *devices,
	const struct apple_call *call)
{
	yyjson_obj_iter members = yyjson_obj_iter_with(devices);
	struct asked *asked = sorted_serials(call);
	bool *named = allocate_array(out->count, sizeof *named);
	yyjson_val *key;

	while ((key = yyjson_obj_iter_next(&members)) != NULL) {
		const struct text word = apple_json_string(yyjson_obj_iter_get_val(key));
		struct text serial = apple_json_string(key);

		if (apple_serial_canonical(&serial, json) == NULL) {
			note_result(out, asked, serial, word.length > 0 ? assign_result_parse(word) : ASSIGN_RESULT_MISSING, named);
		}
	}
	free(named);
	free(asked);
}

// An answer about another profile says nothing about the devices that were asked for.
static bool is_about(const struct apple_call *call, yyjson_val *root)
{
	yyjson_val *value;

	if (!apple_json_member(&value, root, "profile_uuid")) {
		return false;
	}
	return call->asked_uuid.length == 0 || apple_json_is_absent(value) ||
		text_equal_ignoring_case(apple_json_string(value), call->asked_uuid);
}

static void read_answer(struct apple_assignment *out, struct apple_json *json, const struct apple_call *call)
{
	yyjson_val *devices;
	yyjson_val *retry_after;

	if (is_about(call, json->root) && apple_json_member(&devices, json->root, "devices") && yyjson_is_obj(devices)) {
		read_results(out, json, devices, call);
	}
	if (apple_json_member(&retry_after, json->root, "retry_after_seconds")) {
		out->retry_after_s = apple_json_count(retry_after);
	}
}

static enum err read_assignment(struct apple_call *call)
{
	struct apple_assignment *out = call->output;
	const size_t length = call->http.answer.length;
	char *bytes = buffer_take(&call->http.answer);
	struct apple_json json;
	const enum err rc = apple_json_open(&json, &bytes, length, &call->op.fault);

	if (rc == OK) {
		out->count = call->asked_count;
		out->results = allocate_array(out->count, sizeof *out->results);
		for (size_t i = 0; i < out->count; i++) {
			out->results[i] = ASSIGN_RESULT_MISSING;
		}
		read_answer(out, &json, call);
	}
	apple_json_close(&json);
	free(bytes);
	return rc;
}

static enum err write_body(struct apple_call *call, struct text profile_uuid, const struct text *serials, size_t count)
{
	call->asked_uuid = profile_uuid;
	call->asked_serials = serials;
	call->asked_count = count;
	buffer_add_string(&call->body, "{");
	if (profile_uuid.bytes != NULL) {
		TRY(apple_check_profile_uuid(call, profile_uuid));
		buffer_add_string(&call->body, "\"profile_uuid\":");
		buffer_add_json(&call->body, profile_uuid);
		buffer_add_string(&call->body, ",");
	}
	TRY(apple_add_serials(call, serials, count));
	buffer_add_string(&call->body, "}");
	return OK;
}

void apple_assign_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid,
	const struct text *serials, size_t count, struct apple_assignment *out)
{
	static const struct apple_endpoint endpoint = { "POST", "PUT", "/profile/devices", APPLE_AT_PROFILE };

	*out = (struct apple_assignment){ .retry_after_s = -1 };
	apple_call_prepare(call, session, &endpoint, read_assignment, out);
	call->once = true; // a needless assignment prolongs a device's cool-down
	if (profile_uuid.bytes == NULL) {
		profile_uuid = TEXT(""); // refused, and not left out
	}
	apple_call_go(call, write_body(call, profile_uuid, serials, count));
}

void apple_remove_profile(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	static const struct apple_endpoint endpoint = { "DELETE", NULL, "/profile/devices", APPLE_AT_OTHER };

	*out = (struct apple_assignment){ .retry_after_s = -1 };
	apple_call_prepare(call, session, &endpoint, read_assignment, out);
	apple_call_go(call, write_body(call, TEXT_NONE, serials, count));
}

void apple_disown_devices(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/devices/disown", APPLE_AT_OTHER };

	*out = (struct apple_assignment){ .retry_after_s = -1 };
	apple_call_prepare(call, session, &endpoint, read_assignment, out);
	call->once = true; // it cannot be taken back: whoever asks decides whether to ask again
	apple_call_go(call, write_body(call, TEXT_NONE, serials, count));
}

void apple_assignment_fini(struct apple_assignment *assignment)
{
	free(assignment->results);
	*assignment = (struct apple_assignment){ 0 };
}
