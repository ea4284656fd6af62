// SPDX-License-Identifier: Apache-2.0
#include "tenants/flat_json.h"

#include <string.h>

enum { DEPTH_MAX = 16 };

struct reader {
	char *start;
	char *at;
	const char *end;
	struct fault *fault;
};

static enum err refuse(const struct reader *reader, const char *what)
{
	return fault_set(reader->fault, ERR_BAD_INPUT, "not well-formed JSON at byte %td: %s", reader->at - reader->start, what);
}

static bool next_is(const struct reader *reader, char c)
{
	return reader->at < reader->end && *reader->at == c;
}

static bool accept(struct reader *reader, char c)
{
	const bool found = next_is(reader, c);

	reader->at += found ? 1 : 0;
	return found;
}

static void skip_blanks(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL) { // the text has no NUL: flat_json_read
		reader->at++;
	}
}

static enum err read_four_hex(struct reader *reader, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++) {
		const char *const digits = "0123456789abcdefABCDEF";
		const char *digit = reader->at < reader->end ? strchr(digits, *reader->at) : NULL;

		if (digit == NULL) {
			return refuse(reader, "\\u needs four hexadecimal digits");
		}
		*value = *value << 4 | (uint32_t)(digit - digits < 16 ? digit - digits : digit - digits - 6);
		reader->at++;
	}
	return OK;
}

// Always shorter than its escape, so that writing behind the reading position is safe.
static char *put_utf8(char *out, uint32_t code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*out++ = (char)(0xe0 | code >> 12);
		} else {
			*out++ = (char)(0xf0 | code >> 18);
			*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

static enum err read_unicode_escape(struct reader *reader, uint32_t *code)
{
	uint32_t low;

	TRY(read_four_hex(reader, code));
	if (*code == 0) {
		return refuse(reader, "\\u0000 is not accepted");
	}
	if (*code < 0xd800 || *code > 0xdfff) {
		return OK;
	}
	if (*code > 0xdbff || !accept(reader, '\\') || !accept(reader, 'u')) {
		return refuse(reader, "half a surrogate pair");
	}
	TRY(read_four_hex(reader, &low));
	if (low < 0xdc00 || low > 0xdfff) {
		return refuse(reader, "half a surrogate pair");
	}
	*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
	return OK;
}

// After the backslash.
static enum err read_escape(struct reader *reader, char **out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;
	uint32_t code;

	if (accept(reader, 'u')) {
		TRY(read_unicode_escape(reader, &code));
		*out = put_utf8(*out, code);
		return OK;
	}
	name = reader->at < reader->end ? strchr(names, *reader->at) : NULL;
	if (name == NULL) {
		return refuse(reader, "an unknown escape");
	}
	reader->at++;
	*(*out)++ = meanings[name - names];
	return OK;
}

static enum err read_string(struct reader *reader, struct text *value)
{
	if (!accept(reader, '"')) {
		return refuse(reader, "a string is expected");
	}
	char *const start = reader->at;
	char *out = start;

	while (!accept(reader, '"')) {
		if (reader->at == reader->end) {
			return refuse(reader, "a string does not end");
		}
		if ((unsigned char)*reader->at < 0x20) {
			return refuse(reader, "a control character in a string");
		}
		if (accept(reader, '\\')) {
			TRY(read_escape(reader, &out));
		} else {
			*out++ = *reader->at++;
		}
	}
	*value = (struct text){ start, (size_t)(out - start) };
	return OK;
}

static size_t skip_digits(struct reader *reader)
{
	const char *start = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
		reader->at++;
	}
	return (size_t)(reader->at - start);
}

static enum err skip_number(struct reader *reader)
{
	(void)accept(reader, '-');
	if (!accept(reader, '0') && skip_digits(reader) == 0) {
		return refuse(reader, "a value is expected");
	}
	if (accept(reader, '.') && skip_digits(reader) == 0) {
		return refuse(reader, "a digit is expected");
	}
	if (accept(reader, 'e') || accept(reader, 'E')) {
		if (!accept(reader, '+')) {
			(void)accept(reader, '-');
		}
		if (skip_digits(reader) == 0) {
			return refuse(reader, "a digit is expected");
		}
	}
	return OK;
}

static bool accept_word(struct reader *reader, struct text word)
{
	const bool found = text_starts_with((struct text){ reader->at, (size_t)(reader->end - reader->at) }, word);

	reader->at += found ? word.length : 0;
	return found;
}

static enum err skip_value(struct reader *reader, int depth);

static enum err skip_members(struct reader *reader, char end, int depth)
{
	struct text ignored;

	skip_blanks(reader);
	if (accept(reader, end)) {
		return OK;
	}
	do {
		skip_blanks(reader);
		if (end == '}') {
			TRY(read_string(reader, &ignored));
			skip_blanks(reader);
			if (!accept(reader, ':')) {
				return refuse(reader, "a colon is expected");
			}
			skip_blanks(reader);
		}
		TRY(skip_value(reader, depth));
		skip_blanks(reader);
	} while (accept(reader, ','));
	return accept(reader, end) ? OK : refuse(reader, "a comma or the end is expected");
}

static enum err skip_value(struct reader *reader, int depth)
{
	struct text ignored;

	if (depth > DEPTH_MAX) {
		return refuse(reader, "nested too deeply");
	}
	if (next_is(reader, '"')) {
		return read_string(reader, &ignored);
	}
	if (accept(reader, '{')) {
		return skip_members(reader, '}', depth + 1);
	}
	if (accept(reader, '[')) {
		return skip_members(reader, ']', depth + 1);
	}
	if (accept_word(reader, TEXT("true")) || accept_word(reader, TEXT("false")) || accept_word(reader, TEXT("null"))) {
		return OK;
	}
	return skip_number(reader);
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
static enum err read_member(struct reader *reader, struct flat_json_member *members, size_t count, uint32_t *seen)
{
	struct flat_json_member *member;
	struct text name;

	skip_blanks(reader);
	TRY(read_string(reader, &name));
	skip_blanks(reader);
	if (!accept(reader, ':')) {
		return refuse(reader, "a colon is expected");
	}
	skip_blanks(reader);
	member = find(members, count, name);
	if (member == NULL) {
		return skip_value(reader, 1);
	}
	const uint32_t bit = UINT32_C(1) << (member - members);

	if ((*seen & bit) != 0) {
		return fault_set(reader->fault, ERR_BAD_INPUT, "\"%s\" is given twice", member->name);
	}
	*seen |= bit;
	if (accept_word(reader, TEXT("null"))) {
		return OK;
	}
	if (!next_is(reader, '"')) {
		return fault_set(reader->fault, ERR_BAD_INPUT, "\"%s\" is not a string", member->name);
	}
	return read_string(reader, &member->value);
}

static enum err read_object(struct reader *reader, struct flat_json_member *members, size_t count)
{
	uint32_t seen = 0;

	skip_blanks(reader);
	if (!accept(reader, '{')) {
		return refuse(reader, "an object is expected");
	}
	skip_blanks(reader);
	if (!accept(reader, '}')) {
		do {
			TRY(read_member(reader, members, count, &seen));
			skip_blanks(reader);
		} while (accept(reader, ','));
		if (!accept(reader, '}')) {
			return refuse(reader, "a comma or the end of the object is expected");
		}
	}
	skip_blanks(reader);
	return reader->at == reader->end ? OK : refuse(reader, "something follows the object");
}

enum err flat_json_read(struct flat_json_member *members, size_t count, char *json, size_t length, struct fault *fault)
{
	struct reader reader = { .start = json, .at = json, .end = json + length, .fault = fault };

	for (size_t i = 0; i < count; i++) {
		members[i].value = TEXT_NONE;
	}
	if (count > FLAT_JSON_MEMBERS_MAX) {
		return fault_set(fault, ERR_BUG, "more members are wanted than this reader can tell apart");
	}
	if (!text_is_utf8((struct text){ json, length })) {
		return fault_set(fault, ERR_BAD_INPUT, "not well-formed UTF-8");
	}
	return read_object(&reader, members, count);
}
