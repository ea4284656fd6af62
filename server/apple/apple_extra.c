// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_extra.h"

#include <string.h>

enum storable { STORABLE, NOT_STORABLE, TOO_DEEP };

// Digits and an exponent that PostgreSQL's numeric takes.
static bool is_bounded_number(struct text number)
{
	size_t at = 0;

	while (at < number.length && number.bytes[at] != 'e' && number.bytes[at] != 'E') {
		at++;
	}
	return number.length <= APPLE_EXTRA_NUMBER_MAX && number.length - at <= sizeof "e-99" - 1;
}

static enum storable check_scalar(yyjson_val *value)
{
	const struct text text = apple_json_string(value);
	bool fits = true;

	if (yyjson_is_str(value)) {
		fits = text_is_utf8(text);
	} else if (yyjson_is_raw(value)) {
		fits = is_bounded_number((struct text){ yyjson_get_raw(value), yyjson_get_len(value) });
	}
	return fits ? STORABLE : NOT_STORABLE;
}

static enum storable check(yyjson_val *value, int depth)
{
	if (!yyjson_is_ctn(value)) {
		return check_scalar(value);
	}
	if (depth >= APPLE_EXTRA_DEPTH_MAX) {
		return TOO_DEEP;
	}
	// The children of a container follow it; a key is a child, too.
	const size_t children = yyjson_get_len(value) * (yyjson_is_obj(value) ? 2 : 1);
	yyjson_val *child = unsafe_yyjson_get_first(value);

	for (size_t i = 0; i < children; i++) {
		const enum storable verdict = check(child, depth + 1);

		if (verdict != STORABLE) {
			return verdict;
		}
		child = unsafe_yyjson_get_next(child);
	}
	return STORABLE;
}

bool apple_extra_add(struct apple_extra *extra, struct text name, yyjson_val *value)
{
	if (apple_json_is_absent(value) || extra->too_much) {
		return true;
	}
	const enum storable verdict = check(value, 1);

	if (verdict == TOO_DEEP) {
		extra->too_much = true;
		return true;
	} else if (verdict == NOT_STORABLE || name.length > APPLE_EXTRA_NAME_MAX || !text_is_utf8(name)) {
		return false;
	}
	for (size_t i = 0; i < extra->count; i++) {
		if (text_equal(extra->members[i].name, name)) {
			extra->members[i].value = value;
			return false;
		}
	}
	if (extra->count == APPLE_EXTRA_MEMBERS_MAX) {
		extra->too_much = true;
		return true;
	}
	extra->members[extra->count++] = (struct apple_extra_member){ name, value };
	return true;
}

static void write_value(struct buffer *out, yyjson_val *value, int depth);

static void write_container(struct buffer *out, yyjson_val *value, int depth)
{
	const bool is_object = yyjson_is_obj(value);
	const size_t children = yyjson_get_len(value) * (is_object ? 2 : 1);
	yyjson_val *child = unsafe_yyjson_get_first(value);

	buffer_add_string(out, is_object ? "{" : "[");
	for (size_t i = 0; i < children && !out->overflow; i++) {
		if (i > 0) {
			buffer_add_string(out, is_object && i % 2 == 1 ? ":" : ",");
		}
		write_value(out, child, depth + 1);
		child = unsafe_yyjson_get_next(child);
	}
	buffer_add_string(out, is_object ? "}" : "]");
}

// Of an accepted member everything; of others what is too deep is left out.
static void write_value(struct buffer *out, yyjson_val *value, int depth)
{
	if (yyjson_is_ctn(value) && depth > APPLE_EXTRA_DEPTH_MAX) {
		buffer_add_string(out, "null");
	} else if (yyjson_is_ctn(value)) {
		write_container(out, value, depth);
	} else if (yyjson_is_str(value)) {
		buffer_add_json(out, apple_json_string(value));
	} else if (yyjson_is_raw(value)) {
		buffer_add(out, yyjson_get_raw(value), yyjson_get_len(value));
	} else {
		buffer_add_string(out, yyjson_is_true(value) ? "true" : yyjson_is_false(value) ? "false" : "null");
	}
}

static bool is_before(struct text left, struct text right)
{
	const size_t common = left.length < right.length ? left.length : right.length;
	const int order = common > 0 ? memcmp(left.bytes, right.bytes, common) : 0;

	return order < 0 || (order == 0 && left.length < right.length);
}

// They are few, and mostly in order.
static void sort_by_name(struct apple_extra_member *members, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const struct apple_extra_member member = members[i];
		size_t at = i;

		for (; at > 0 && is_before(member.name, members[at - 1].name); at--) {
			members[at] = members[at - 1];
		}
		members[at] = member;
	}
}

bool apple_extra_write(struct buffer *out, struct apple_extra *extra)
{
	if (extra->too_much) {
		return false;
	}
	if (extra->count == 0) {
		return true;
	}
	sort_by_name(extra->members, extra->count);
	for (size_t i = 0; i < extra->count; i++) {
		buffer_add_string(out, i == 0 ? "{" : ",");
		buffer_add_json(out, extra->members[i].name);
		buffer_add_string(out, ":");
		write_value(out, extra->members[i].value, 1);
	}
	buffer_add_string(out, "}");
	return !out->overflow;
}

void apple_extra_show(struct buffer *out, yyjson_val *value)
{
	if (value != NULL) {
		write_value(out, value, 1);
	}
}
