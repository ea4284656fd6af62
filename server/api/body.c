// SPDX-License-Identifier: Apache-2.0
#include "api/body.h"

#include <inttypes.h>
#include <string.h>

static bool is_modest(struct text json, size_t values_max)
{
	size_t depth = 0;
	size_t values = 1;
	bool in_string = false;

	for (size_t i = 0; i < json.length; i++) {
		const char c = json.bytes[i];

		if (in_string) {
			i += c == '\\' ? 1 : 0;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			depth++;
			values++;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0 ? 1 : 0;
		} else if (c == ',') {
			values++;
		}
		if (depth > BODY_DEPTH_MAX || values > values_max) {
			return false;
		}
	}
	return true;
}

bool body_is_modest(struct text json)
{
	return is_modest(json, BODY_VALUES_MAX);
}

static bool parse(struct call *call, size_t values_max)
{
	const struct text body = call->request->body;
	json_error_t error;

	if (!is_modest(body, values_max)) {
		call_problem(call, PROBLEM_BAD_JSON, "it has more than %d levels or %zu values", BODY_DEPTH_MAX, values_max);
		return false;
	}
	call->body = json_loadb(body.bytes != NULL ? body.bytes : "", body.length, JSON_REJECT_DUPLICATES, &error);
	if (call->body == NULL) {
		// The library's own sentence may quote the body, which may hold a secret.
		const bool is_twice = json_error_code(&error) == json_error_duplicate_key;

		call_problem(call, PROBLEM_BAD_JSON, "%s, line %d, column %d", is_twice ? "a member is there twice" : "it is malformed",
			error.line, error.column);
		return false;
	}
	if (!json_is_object(call->body)) {
		call_problem(call, PROBLEM_BAD_JSON, "it is not an object");
		return false;
	}
	return true;
}

static bool refuse(struct call *call, const struct body_member *member, const char *what)
{
	call_problem(call, PROBLEM_BAD_BODY, "%s %s", member->name, what);
	return false;
}

static bool is_one_of(struct text t, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (text_equal_string(t, *words)) {
			return true;
		}
	}
	return false;
}

static bool take_text(struct call *call, const struct body_member *member, const json_t *json, struct text *out)
{
	if (!json_is_string(json)) {
		return refuse(call, member, member->kind == BODY_TEXT ? "is not a string" : "holds something that is not a string");
	}
	*out = (struct text){ json_string_value(json), json_string_length(json) };
	if (member->words != NULL && !is_one_of(*out, member->words)) {
		return refuse(call, member, "is not one of the known words");
	}
	return true;
}

static bool has_size(struct call *call, const struct body_member *member, int64_t size, const char *unit)
{
	if (size < member->minimum || size > member->maximum) {
		call_problem(call, PROBLEM_BAD_BODY, "%s must have %" PRId64 " to %" PRId64 " %s", member->name, member->minimum,
			member->maximum, unit);
		return false;
	}
	return true;
}

static bool take_number(struct call *call, const struct body_member *member, const json_t *json, int64_t *out)
{
	if (!json_is_integer(json)) {
		return refuse(call, member, "is not a whole number");
	}
	*out = json_integer_value(json);
	if (*out < member->minimum || *out > member->maximum) {
		call_problem(call, PROBLEM_BAD_BODY, "%s must be from %" PRId64 " to %" PRId64, member->name, member->minimum,
			member->maximum);
		return false;
	}
	return true;
}

static bool take_texts(struct call *call, const struct body_member *member, const json_t *json, struct body_value *out)
{
	if (!json_is_array(json)) {
		return refuse(call, member, "is not a list");
	}
	if (!has_size(call, member, (int64_t)json_array_size(json), "elements")) {
		return false;
	}
	for (out->count = 0; out->count < json_array_size(json); out->count++) {
		if (!take_text(call, member, json_array_get(json, out->count), &out->texts[out->count])) {
			return false;
		}
	}
	return true;
}

static bool take_numbers(struct call *call, const struct body_member *member, const json_t *json, struct body_value *out)
{
	if (!json_is_array(json)) {
		return refuse(call, member, "is not a list");
	}
	if (json_array_size(json) > BODY_NUMBERS_MAX) {
		return refuse(call, member, "is too long");
	}
	for (out->count = 0; out->count < json_array_size(json); out->count++) {
		if (!take_number(call, member, json_array_get(json, out->count), &out->numbers[out->count])) {
			return false;
		}
	}
	return true;
}

static bool take(struct call *call, const struct body_member *member, json_t *json, struct body_value *out)
{
	out->given = true;
	out->null = json_is_null(json);
	if (out->null) {
		return member->nullable || refuse(call, member, "must not be null");
	}
	switch (member->kind) {
	case BODY_TEXT: return take_text(call, member, json, &out->text) &&
		(member->words != NULL || has_size(call, member, (int64_t)out->text.length, "bytes"));
	case BODY_INTEGER: return take_number(call, member, json, &out->number);
	case BODY_TEXTS: return take_texts(call, member, json, out);
	case BODY_INTEGERS: return take_numbers(call, member, json, out);
	case BODY_FLAG:
		out->flag = json_is_true(json);
		return json_is_boolean(json) || refuse(call, member, "is neither true nor false");
	case BODY_LIST:
		out->object = json;
		return json_is_array(json) || refuse(call, member, "is not a list");
	case BODY_OBJECT:
		out->object = json;
		return json_is_object(json) || refuse(call, member, "is not an object");
	}
	return false;
}

static const struct body_member *find(const struct body_member *members, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(members[i].name, name) == 0) {
			return &members[i];
		}
	}
	return NULL;
}

bool body_read(struct call *call, const struct body_member *members, struct body_value *values, size_t count)
{
	return body_read_large(call, members, values, count, BODY_VALUES_MAX);
}

bool body_read_large(struct call *call, const struct body_member *members, struct body_value *values, size_t count, size_t values_max)
{
	const char *name;
	json_t *json;

	if (!parse(call, values_max)) {
		return false;
	}
	memset(values, 0, count * sizeof *values);
	json_object_foreach(call->body, name, json) {
		const struct body_member *member = find(members, count, name);

		if (member == NULL) {
			call_problem(call, PROBLEM_BAD_BODY, "\"%.60s\" is not a member of it", name);
			return false;
		}
		if (!take(call, member, json, &values[member - members])) {
			return false;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (members[i].required && !values[i].given) {
			return refuse(call, &members[i], "is missing");
		}
	}
	return true;
}
