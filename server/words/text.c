// SPDX-License-Identifier: Apache-2.0
#include "depbroker/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct text text_of(const char *string)
{
	return string != NULL ? (struct text){ string, strlen(string) } : TEXT_NONE;
}

bool text_equal(struct text a, struct text b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

bool text_equal_string(struct text a, const char *string)
{
	return text_equal(a, text_of(string));
}

bool text_equal_ignoring_case(struct text a, struct text b)
{
	return a.length == b.length && (a.length == 0 || strncasecmp(a.bytes, b.bytes, a.length) == 0);
}

bool text_starts_with(struct text whole, struct text start)
{
	return whole.length >= start.length && text_equal((struct text){ whole.bytes, start.length }, start);
}

bool text_contains_ignoring_case(struct text whole, const char *part)
{
	const size_t length = strlen(part);

	for (size_t at = 0; at + length <= whole.length; at++) {
		if (strncasecmp(whole.bytes + at, part, length) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool text_next(struct text *rest, char separator, struct text *part)
{
	const char *at = rest->length > 0 ? memchr(rest->bytes, separator, rest->length) : NULL;

	*part = at != NULL ? (struct text){ rest->bytes, (size_t)(at - rest->bytes) } : *rest;
	*rest = at != NULL ? (struct text){ at + 1, rest->length - part->length - 1 } : TEXT_NONE;
	return part->bytes != NULL;
}

void text_put(char *out, size_t size, struct text t)
{
	const size_t length = t.length < size ? t.length : size - 1;

	if (length > 0) {
		memcpy(out, t.bytes, length);
	}
	out[length] = '\0';
}

struct text text_trim(struct text t)
{
	while (t.length > 0 && is_blank(t.bytes[0])) {
		t.bytes++;
		t.length--;
	}
	while (t.length > 0 && is_blank(t.bytes[t.length - 1])) {
		t.length--;
	}
	return t;
}

// Length of the well-formed UTF-8 sequence at `at`, 0 if there is none (RFC 3629: no surrogates, no overlong forms).
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t length;

	if (at[0] < 0x80) {
		return 1;
	} else if (at[0] >= 0xc2 && at[0] <= 0xdf) {
		length = 2;
	} else if (at[0] >= 0xe0 && at[0] <= 0xef) {
		length = 3;
		low = at[0] == 0xe0 ? 0xa0 : 0x80;
		high = at[0] == 0xed ? 0x9f : 0xbf;
	} else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		length = 4;
		low = at[0] == 0xf0 ? 0x90 : 0x80;
		high = at[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (length > left || at[1] < low || at[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < length; i++) {
		if (at[i] < 0x80 || at[i] > 0xbf) {
			return 0;
		}
	}
	return length;
}

// Eight bytes at once. `ONES * n` is n in each of them; of a difference the highest bit says that there was nothing to borrow from.
#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS (ONES << 7)

static uint64_t eight_bytes(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

// In its highest bit, for each byte; one that follows a zero may be taken for another one.
static uint64_t zero_bytes(uint64_t word)
{
	return (word - ONES) & ~word & HIGHS;
}

static bool is_ascii(char byte)
{
	return (unsigned char)byte >= 0x01 && (unsigned char)byte < 0x80;
}

// Where something else than ASCII, or NUL, may stand; before that there is none.
static size_t ascii_until(struct text t, size_t at)
{
	while (t.length - at >= sizeof(uint64_t)) {
		const uint64_t word = eight_bytes(t.bytes + at);

		if (((word & HIGHS) | zero_bytes(word)) != 0) {
			break;
		}
		at += sizeof word;
	}
	while (at < t.length && is_ascii(t.bytes[at])) {
		at++;
	}
	return at;
}

bool text_is_utf8(struct text t)
{
	for (size_t at = ascii_until(t, 0); at < t.length; at = ascii_until(t, at)) {
		const size_t length = utf8_sequence((const unsigned char *)t.bytes + at, t.length - at);

		if (length == 0 || t.bytes[at] == '\0') {
			return false;
		}
		at += length;
	}
	return true;
}

void buffer_reserve(struct buffer *buffer, size_t length)
{
	const size_t left = buffer->limit - buffer->length;
	const size_t capacity = buffer->length + (length < left ? length : left) + 1;

	if (capacity > buffer->capacity) {
		buffer->bytes = reallocate(buffer->bytes, capacity);
		buffer->bytes[buffer->length] = '\0';
		buffer->capacity = capacity;
	}
}

char *buffer_extend(struct buffer *buffer, size_t length)
{
	assert(buffer->limit > 0);
	if (buffer->overflow || length > buffer->limit - buffer->length) {
		buffer->overflow = true;
		return NULL;
	}
	if (buffer->length + length + 1 > buffer->capacity) {
		size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;

		while (capacity < buffer->length + length + 1) {
			capacity *= 2;
		}
		if (capacity > buffer->limit + 1) {
			capacity = buffer->limit + 1;
		}
		buffer->bytes = reallocate(buffer->bytes, capacity);
		buffer->capacity = capacity;
	}
	buffer->length += length;
	buffer->bytes[buffer->length] = '\0';
	return buffer->bytes + buffer->length - length;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t length)
{
	char *at = buffer_extend(buffer, length);

	if (at != NULL && length > 0) {
		memcpy(at, bytes, length);
	}
}

void buffer_add_text(struct buffer *buffer, struct text t)
{
	buffer_add(buffer, t.bytes, t.length);
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
	char small[256];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(small, sizeof small, format, arguments);
	va_end(arguments);
	assert(length >= 0);
	if ((size_t)length < sizeof small) {
		buffer_add(buffer, small, (size_t)length);
		return;
	}
	char *large = allocate((size_t)length + 1);

	va_start(arguments, format);
	(void)vsnprintf(large, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer_add(buffer, large, (size_t)length);
	free(large);
}

static void add_json_escape(struct buffer *buffer, unsigned char c)
{
	switch (c) {
	case '"': buffer_add(buffer, "\\\"", 2); break;
	case '\\': buffer_add(buffer, "\\\\", 2); break;
	case '\n': buffer_add(buffer, "\\n", 2); break;
	case '\r': buffer_add(buffer, "\\r", 2); break;
	case '\t': buffer_add(buffer, "\\t", 2); break;
	default: buffer_add_format(buffer, "\\u%04x", c); break;
	}
}

static bool is_plain_ascii(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static bool are_eight_plain(uint64_t word)
{
	const uint64_t controls = (word - ONES * 0x20) & ~word;
	const uint64_t others = zero_bytes(word ^ (ONES * '"')) | zero_bytes(word ^ (ONES * '\\')) | zero_bytes(word ^ (ONES * 0x7f));

	return ((word | controls | others) & HIGHS) == 0;
}

static bool is_all_plain(struct text t)
{
	size_t at = 0;

	while (t.length - at >= sizeof(uint64_t) && are_eight_plain(eight_bytes(t.bytes + at))) {
		at += sizeof(uint64_t);
	}
	while (at < t.length && is_plain_ascii((unsigned char)t.bytes[at])) {
		at++;
	}
	return at == t.length;
}

// False, and nothing added: it is not all plain ASCII, as nearly all texts are.
static bool add_plain_json(struct buffer *buffer, struct text t)
{
	if (!is_all_plain(t)) {
		return false;
	}
	char *at = buffer_extend(buffer, t.length + 2);

	if (at != NULL) {
		*at = '"';
		if (t.length > 0) {
			memcpy(at + 1, t.bytes, t.length);
		}
		at[t.length + 1] = '"';
	}
	return true;
}

void buffer_add_json(struct buffer *buffer, struct text t)
{
	const unsigned char *bytes = (const unsigned char *)t.bytes;
	size_t plain = 0; // start of the run that needs no escape

	if (add_plain_json(buffer, t)) {
		return;
	}
	buffer_add(buffer, "\"", 1);
	for (size_t at = 0; at < t.length;) {
		if (is_plain_ascii(bytes[at])) { // nearly always
			at++;
			continue;
		}
		const size_t length = utf8_sequence(bytes + at, t.length - at);

		if (length > 1) {
			at += length;
			continue;
		}
		buffer_add(buffer, bytes + plain, at - plain);
		if (length == 0) {
			buffer_add(buffer, "\xef\xbf\xbd", 3);
		} else {
			add_json_escape(buffer, bytes[at]);
		}
		at++;
		plain = at;
	}
	if (t.length > plain) {
		buffer_add(buffer, bytes + plain, t.length - plain);
	}
	buffer_add(buffer, "\"", 1);
}

void buffer_add_hex(struct buffer *buffer, const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *in = bytes;
	char *at = buffer_extend(buffer, 2 * length);

	for (size_t i = 0; at != NULL && i < length; i++) {
		*at++ = digits[in[i] >> 4];
		*at++ = digits[in[i] & 15];
	}
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buffer_add_base64(struct buffer *buffer, const void *bytes, size_t length)
{
	const unsigned char *in = bytes;
	char *out = buffer_extend(buffer, (length + 2) / 3 * 4);

	for (size_t at = 0; out != NULL && at < length; at += 3) {
		const size_t left = length - at;
		const uint32_t group = (uint32_t)in[at] << 16 | (left > 1 ? (uint32_t)in[at + 1] << 8 : 0) |
			(left > 2 ? in[at + 2] : 0u);

		*out++ = base64_alphabet[group >> 18 & 63];
		*out++ = base64_alphabet[group >> 12 & 63];
		*out++ = left > 1 ? base64_alphabet[group >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_alphabet[group & 63] : '=';
	}
}

struct text buffer_text(const struct buffer *buffer)
{
	return (struct text){ buffer->bytes != NULL ? buffer->bytes : "", buffer->length };
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->overflow = false;
	if (buffer->bytes != NULL) {
		buffer->bytes[0] = '\0';
	}
}

void buffer_wipe(struct buffer *buffer)
{
	if (buffer->bytes != NULL) {
		wipe(buffer->bytes, buffer->capacity);
	}
	buffer_clear(buffer);
}

void buffer_fini(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = BUFFER(buffer->limit);
}

void buffer_fini_wiped(struct buffer *buffer)
{
	free_wiped(buffer->bytes, buffer->capacity);
	*buffer = BUFFER(buffer->limit);
}

char *buffer_take(struct buffer *buffer)
{
	char *bytes;

	buffer_add(buffer, "", 0);
	bytes = buffer->bytes;
	*buffer = BUFFER(buffer->limit);
	return bytes;
}

static int base64_value(char c)
{
	static const signed char values[128] = { // and one: 0 is no digit
		['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
		['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
		['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
	};

	return (unsigned char)c < sizeof values ? values[(unsigned char)c] - 1 : -1;
}

static void cut(struct buffer *buffer, size_t length)
{
	buffer->length = length;
	buffer->bytes[length] = '\0';
}

bool base64_decode(struct buffer *out, struct text in)
{
	uint32_t group = 0;
	unsigned bits = 0;

	while (in.length > 0 && in.length % 4 == 0 && in.bytes[in.length - 1] == '=') {
		in.length -= in.bytes[in.length - 2] == '=' ? 2 : 1;
	}
	if (in.length % 4 == 1) {
		return false;
	}

	const size_t before = out->length;
	char *at = buffer_extend(out, in.length / 4 * 3 + in.length % 4 * 3 / 4);

	for (size_t i = 0; at != NULL && i < in.length; i++) {
		const int value = base64_value(in.bytes[i]);

		if (value < 0) {
			cut(out, before);
			return false;
		}
		group = group << 6 | (uint32_t)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*at++ = (char)(group >> bits & 0xff);
		}
	}
	return at != NULL && (group & ((1u << bits) - 1)) == 0;
}

// By a table: which digits come is anybody's guess, and a branch for each is guessed wrongly half of the time.
static int hex_value(char c)
{
	static const signed char one_more[256] = { // 0: it is none
		['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ['a'] = 11, 12, 13, 14, 15, 16, ['A'] = 11, 12, 13, 14, 15, 16,
	};

	return one_more[(unsigned char)c] - 1;
}

bool hex_decode(struct buffer *out, struct text in)
{
	if (in.length % 2 != 0) {
		return false;
	}

	const size_t before = out->length;
	char *at = buffer_extend(out, in.length / 2);

	for (size_t i = 0; at != NULL && i < in.length; i += 2) {
		const int high = hex_value(in.bytes[i]);
		const int low = hex_value(in.bytes[i + 1]);

		if (high < 0 || low < 0) {
			cut(out, before);
			return false;
		}
		*at++ = (char)(high << 4 | low);
	}
	return at != NULL;
}

void wipe(void *memory, size_t length)
{
	explicit_bzero(memory, length);
}

__attribute__((weak)) void free_wiped(void *memory, size_t length)
{
	if (memory != NULL) {
		wipe(memory, length);
	}
	free(memory);
}

enum { STACK_BELOW = 64 * 1024 };

__attribute__((noinline)) void wipe_stack(void)
{
	char below[STACK_BELOW];

	explicit_bzero(below, sizeof below);
}

void *allocate(size_t size)
{
	return allocate_array(1, size);
}

void *allocate_array(size_t count, size_t size)
{
	void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	if (memory == NULL) {
		abort();
	}
	return memory;
}

void *reallocate(void *memory, size_t size)
{
	void *moved = realloc(memory, size > 0 ? size : 1);

	if (moved == NULL) {
		abort();
	}
	return moved;
}

char *duplicate(struct text t)
{
	char *copy = allocate(t.length + 1);

	if (t.length > 0) {
		memcpy(copy, t.bytes, t.length);
	}
	return copy;
}
