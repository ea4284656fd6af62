// SPDX-License-Identifier: Apache-2.0
#include "tenants/flat_json.h"

#include "tenants/scan_json.h"

enum { DEPTH_MAX = 16 };

static enum err skip_value(struct scan_json *scan, int depth);

static enum err skip_members(struct scan_json *scan, char end, int depth)
{
	struct text ignored;

	scan_json_blanks(scan);
	if (scan_json_accept(scan, end)) {
		return OK;
	}
	do {
		scan_json_blanks(scan);
		if (end == '}') {
			TRY(scan_json_string(scan, &ignored));
			scan_json_blanks(scan);
			if (!scan_json_accept(scan, ':')) {
				return scan_json_refuse(scan, "a colon is expected");
			}
			scan_json_blanks(scan);
		}
		TRY(skip_value(scan, depth));
		scan_json_blanks(scan);
	} while (scan_json_accept(scan, ','));
	return scan_json_accept(scan, end) ? OK : scan_json_refuse(scan, "a comma or the end is expected");
}

static enum err skip_value(struct scan_json *scan, int depth)
{
	struct text ignored;

	if (depth > DEPTH_MAX) {
		return scan_json_refuse(scan, "nested too deeply");
	}
	if (scan_json_next_is(scan, '"')) {
		return scan_json_string(scan, &ignored);
	}
	if (scan_json_accept(scan, '{')) {
		return skip_members(scan, '}', depth + 1);
	}
	if (scan_json_accept(scan, '[')) {
		return skip_members(scan, ']', depth + 1);
	}
	if (scan_json_word(scan, TEXT("true")) || scan_json_word(scan, TEXT("false")) || scan_json_word(scan, TEXT("null"))) {
		return OK;
	}
	return scan_json_number(scan, &ignored);
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
static enum err read_member(struct scan_json *scan, struct flat_json_member *members, size_t count, uint32_t *seen)
{
	struct flat_json_member *member;
	struct text name;

	scan_json_blanks(scan);
	TRY(scan_json_string(scan, &name));
	scan_json_blanks(scan);
	if (!scan_json_accept(scan, ':')) {
		return scan_json_refuse(scan, "a colon is expected");
	}
	scan_json_blanks(scan);
	member = find(members, count, name);
	if (member == NULL) {
		return skip_value(scan, 1);
	}
	const uint32_t bit = UINT32_C(1) << (member - members);

	if ((*seen & bit) != 0) {
		return fault_set(scan->fault, ERR_BAD_INPUT, "\"%s\" is given twice", member->name);
	}
	*seen |= bit;
	if (scan_json_word(scan, TEXT("null"))) {
		return OK;
	}
	if (!scan_json_next_is(scan, '"')) {
		return fault_set(scan->fault, ERR_BAD_INPUT, "\"%s\" is not a string", member->name);
	}
	return scan_json_string(scan, &member->value);
}

static enum err read_object(struct scan_json *scan, struct flat_json_member *members, size_t count)
{
	uint32_t seen = 0;

	scan_json_blanks(scan);
	if (!scan_json_accept(scan, '{')) {
		return scan_json_refuse(scan, "an object is expected");
	}
	scan_json_blanks(scan);
	if (!scan_json_accept(scan, '}')) {
		do {
			TRY(read_member(scan, members, count, &seen));
			scan_json_blanks(scan);
		} while (scan_json_accept(scan, ','));
		if (!scan_json_accept(scan, '}')) {
			return scan_json_refuse(scan, "a comma or the end of the object is expected");
		}
	}
	scan_json_blanks(scan);
	return scan->at == scan->end ? OK : scan_json_refuse(scan, "something follows the object");
}

enum err flat_json_read(struct flat_json_member *members, size_t count, char *json, size_t length, struct fault *fault)
{
	struct scan_json scan = { .start = json, .at = json, .end = json + length, .fault = fault };

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
