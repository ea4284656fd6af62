// SPDX-License-Identifier: Apache-2.0
#include "tenants/scan_json.h"

#include <string.h>

enum err scan_json_refuse(const struct scan_json *scan, const char *what)
{
	return fault_set(scan->fault, ERR_BAD_INPUT, "not well-formed JSON at byte %td: %s", scan->at - scan->start, what);
}

bool scan_json_next_is(const struct scan_json *scan, char c)
{
	return scan->at < scan->end && *scan->at == c;
}

bool scan_json_accept(struct scan_json *scan, char c)
{
	const bool found = scan_json_next_is(scan, c);

	scan->at += found ? 1 : 0;
	return found;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void scan_json_blanks(struct scan_json *scan)
{
	while (scan->at < scan->end && is_blank(*scan->at)) {
		scan->at++;
	}
}

static enum err read_four_hex(struct scan_json *scan, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++) {
		const char *const digits = "0123456789abcdefABCDEF";
		const char *digit = scan->at < scan->end ? strchr(digits, *scan->at) : NULL;

		if (digit == NULL) {
			return scan_json_refuse(scan, "\\u needs four hexadecimal digits");
		}
		*value = *value << 4 | (uint32_t)(digit - digits < 16 ? digit - digits : digit - digits - 6);
		scan->at++;
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

static enum err read_unicode_escape(struct scan_json *scan, uint32_t *code)
{
	uint32_t low;

	TRY(read_four_hex(scan, code));
	if (*code == 0) {
		return scan_json_refuse(scan, "\\u0000 is not accepted");
	}
	if (*code < 0xd800 || *code > 0xdfff) {
		return OK;
	}
	if (*code > 0xdbff || !scan_json_accept(scan, '\\') || !scan_json_accept(scan, 'u')) {
		return scan_json_refuse(scan, "half a surrogate pair");
	}
	TRY(read_four_hex(scan, &low));
	if (low < 0xdc00 || low > 0xdfff) {
		return scan_json_refuse(scan, "half a surrogate pair");
	}
	*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
	return OK;
}

// After the backslash.
static enum err read_escape(struct scan_json *scan, char **out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;
	uint32_t code;

	if (scan_json_accept(scan, 'u')) {
		TRY(read_unicode_escape(scan, &code));
		*out = put_utf8(*out, code);
		return OK;
	}
	name = scan->at < scan->end ? strchr(names, *scan->at) : NULL;
	if (name == NULL) {
		return scan_json_refuse(scan, "an unknown escape");
	}
	scan->at++;
	*(*out)++ = meanings[name - names];
	return OK;
}

// What stands for itself, nearly always all of a string. Before the first escape it stays where it is.
static void copy_plain(struct scan_json *scan, char **out)
{
	const char *const from = scan->at;
	char *at = scan->at;

	while (at < scan->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) {
		at++;
	}
	if (*out != from) {
		memmove(*out, from, (size_t)(at - from));
	}
	*out += at - from;
	scan->at = at;
}

enum err scan_json_string(struct scan_json *scan, struct text *value)
{
	if (!scan_json_accept(scan, '"')) {
		return scan_json_refuse(scan, "a string is expected");
	}
	char *const start = scan->at;
	char *out = start;

	while (true) {
		copy_plain(scan, &out);
		if (scan_json_accept(scan, '"')) {
			*value = (struct text){ start, (size_t)(out - start) };
			return OK;
		}
		if (scan->at == scan->end) {
			return scan_json_refuse(scan, "a string does not end");
		}
		if (!scan_json_accept(scan, '\\')) {
			return scan_json_refuse(scan, "a control character in a string");
		}
		TRY(read_escape(scan, &out));
	}
}

static size_t skip_digits(struct scan_json *scan)
{
	const char *start = scan->at;

	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
		scan->at++;
	}
	return (size_t)(scan->at - start);
}

enum err scan_json_number(struct scan_json *scan, struct text *as_written)
{
	const char *start = scan->at;

	(void)scan_json_accept(scan, '-');
	if (!scan_json_accept(scan, '0') && skip_digits(scan) == 0) {
		return scan_json_refuse(scan, "a value is expected");
	}
	if (scan_json_accept(scan, '.') && skip_digits(scan) == 0) {
		return scan_json_refuse(scan, "a digit is expected");
	}
	if (scan_json_accept(scan, 'e') || scan_json_accept(scan, 'E')) {
		if (!scan_json_accept(scan, '+')) {
			(void)scan_json_accept(scan, '-');
		}
		if (skip_digits(scan) == 0) {
			return scan_json_refuse(scan, "a digit is expected");
		}
	}
	*as_written = (struct text){ start, (size_t)(scan->at - start) };
	return OK;
}

bool scan_json_word(struct scan_json *scan, struct text word)
{
	const bool found = text_starts_with((struct text){ scan->at, (size_t)(scan->end - scan->at) }, word);

	scan->at += found ? word.length : 0;
	return found;
}
