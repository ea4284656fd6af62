// SPDX-License-Identifier: Apache-2.0
#include "tenants/flat_json.h"

#include "tenants/json_scan.h"

enum { DEPTH_MAX = 16 };

static enum err skip_value(struct json_scan *scan, int depth);

static enum err skip_members(struct json_scan *scan, char end, int depth)
{
	struct text ignored;

	json_scan_blanks(scan);
	if (json_scan_accept(scan, end)) {
		return OK;
	}
	do {
		json_scan_blanks(scan);
		if (end == '}') {
			TRY(json_scan_string(scan, &ignored));
			json_scan_blanks(scan);
			if (!json_scan_accept(scan, ':')) {
				return json_scan_refuse(scan, "a colon is expected");
			}
			json_scan_blanks(scan);
		}
		TRY(skip_value(scan, depth));
		json_scan_blanks(scan);
	} while (json_scan_accept(scan, ','));
	return json_scan_accept(scan, end) ? OK : json_scan_refuse(scan, "a comma or the end is expected");
}

static enum err skip_value(struct json_scan *scan, int depth)
{
	struct text ignored;

	if (depth > DEPTH_MAX) {
		return json_scan_refuse(scan, "nested too deeply");
	}
	if (json_scan_next_is(scan, '"')) {
		return json_scan_string(scan, &ignored);
	}
	if (json_scan_accept(scan, '{')) {
		return skip_members(scan, '}', depth + 1);
	}
	if (json_scan_accept(scan, '[')) {
		return skip_members(scan, ']', depth + 1);
	}
	if (json_scan_word(scan, TEXT("true")) || json_scan_word(scan, TEXT("false")) || json_scan_word(scan, TEXT("null"))) {
		return OK;
	}
	return json_scan_number(scan, &ignored);
}

static struct flat_json_member *find(struct flat_json_member *members, size_t count, struct text name)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal_string(name, members[i].name)) {
			return &members[i];
		}
	}
	return NULL;
}

// `seen` is a set of bits, one a member: a member that is null counts as seen, too.
static enum err read_member(struct json_scan *scan, struct flat_json_member *members, size_t count, uint32_t *seen)
{
	struct flat_json_member *member;
	struct text name;

	json_scan_blanks(scan);
	TRY(json_scan_string(scan, &name));
	json_scan_blanks(scan);
	if (!json_scan_accept(scan, ':')) {
		return json_scan_refuse(scan, "a colon is expected");
	}
	json_scan_blanks(scan);
	member = find(members, count, name);
	if (member == NULL) {
		return skip_value(scan, 1);
	}
	const uint32_t bit = UINT32_C(1) << (member - members);

	if ((*seen & bit) != 0) {
		return fault_set(scan->fault, ERR_BAD_INPUT, "\"%s\" is given twice", member->name);
	}
	*seen |= bit;
	if (json_scan_word(scan, TEXT("null"))) {
		return OK;
	}
	if (!json_scan_next_is(scan, '"')) {
		return fault_set(scan->fault, ERR_BAD_INPUT, "\"%s\" is not a string", member->name);
	}
	return json_scan_string(scan, &member->value);
}

static enum err read_object(struct json_scan *scan, struct flat_json_member *members, size_t count)
{
	uint32_t seen = 0;

	json_scan_blanks(scan);
	if (!json_scan_accept(scan, '{')) {
		return json_scan_refuse(scan, "an object is expected");
	}
	json_scan_blanks(scan);
	if (!json_scan_accept(scan, '}')) {
		do {
			TRY(read_member(scan, members, count, &seen));
			json_scan_blanks(scan);
		} while (json_scan_accept(scan, ','));
		if (!json_scan_accept(scan, '}')) {
			return json_scan_refuse(scan, "a comma or the end of the object is expected");
		}
	}
	json_scan_blanks(scan);
	return scan->at == scan->end ? OK : json_scan_refuse(scan, "something follows the object");
}

enum err flat_json_read(struct flat_json_member *members, size_t count, char *json, size_t length, struct fault *fault)
{
	struct json_scan scan = { .start = json, .at = json, .end = json + length, .fault = fault };

	for (size_t i = 0; i < count; i++) {
		members[i].value = TEXT_NONE;
	}
	if (count > FLAT_JSON_MEMBERS_MAX) {
		return fault_set(fault, ERR_BUG, "more members are wanted than this reader can tell apart");
	}
	if (!text_is_utf8((struct text){ json, length })) {
		return fault_set(fault, ERR_BAD_INPUT, "not well-formed UTF-8");
	}
	return read_object(&scan, members, count);
}
