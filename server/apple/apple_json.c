// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE_LENGTH = 6, COUNT_DIGITS_MAX = 9 }; // \uXXXX

static bool may_spend(struct apple_json *json, size_t size)
{
	if (size > APPLE_JSON_MEMORY_MAX - json->spent_bytes) {
		json->spent_all = true;
		return false;
	}
	json->spent_bytes += size;
	return true;
}

static void *json_malloc(void *context, size_t size)
{
	return may_spend(context, size) ? reallocate(NULL, size) : NULL;
}

static void *json_realloc(void *context, void *memory, size_t old_size, size_t size)
{
	return size <= old_size || may_spend(context, size - old_size) ? reallocate(memory, size) : NULL;
}

static void json_free(void *context, void *memory)
{
	(void)context;
	free(memory);
}

// The four digits of an escape \uXXXX that starts at `at`; -1 when there is none.
static int32_t unit_at(const char *at, const char *end)
{
	int32_t unit = 0;

	if (end - at < ESCAPE_LENGTH || at[0] != '\\' || at[1] != 'u') {
		return -1;
	}
	for (int i = 2; i < ESCAPE_LENGTH; i++) {
		const unsigned char c = (unsigned char)at[i];

		if (!isxdigit(c)) {
			return -1;
		}
		unit = unit << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

// A text that was cut between the halves of a surrogate pair must not cost the whole page.
static void mend_half_surrogates(char *bytes, size_t length)
{
	const char *end = bytes + length;
	char *at = bytes;

	while (at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
		const int32_t unit = unit_at(at, end);
		const int32_t next = unit >= 0xd800 && unit <= 0xdbff ? unit_at(at + ESCAPE_LENGTH, end) : -1;

		if (unit < 0) {
			at += 2; // also an escaped backslash
		} else if (unit < 0xd800 || unit > 0xdfff) {
			at += ESCAPE_LENGTH;
		} else if (next >= 0xdc00 && next <= 0xdfff) {
			at += 2 * (ptrdiff_t)ESCAPE_LENGTH;
		} else {
			memcpy(at + 2, "fffd", 4);
			at += ESCAPE_LENGTH;
		}
	}
}

enum err apple_json_open(struct apple_json *json, char **bytes, size_t length, struct fault *fault)
{
	static const char mark[] = "\xef\xbb\xbf"; // byte order mark
	const yyjson_alc memory = { json_malloc, json_realloc, json_free, json };
	const yyjson_read_flag flags =
		YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INVALID_UNICODE;
	const size_t skip = length >= 3 && memcmp(*bytes, mark, 3) == 0 ? 3 : 0;
	yyjson_read_err error = { 0 };

	*json = (struct apple_json){ 0 };
	*bytes = reallocate(*bytes, length + YYJSON_PADDING_SIZE);
	memset(*bytes + length, 0, YYJSON_PADDING_SIZE);
	mend_half_surrogates(*bytes, length);
	json->bytes = *bytes;
	json->document = yyjson_read_opts(*bytes + skip, length - skip, flags, &memory, &error);
	json->root = yyjson_doc_get_root(json->document);
	if (json->spent_all) {
		return fault_set(fault, ERR_BUDGET, "Apple's answer of %zu bytes has too many values", length);
	} else if (json->document == NULL) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's answer is not JSON at byte %zu of %zu", skip + error.pos, length);
	} else if (!yyjson_is_obj(json->root)) {
		return fault_set(fault, ERR_BAD_ANSWER, "Apple's answer is JSON, but not an object");
	}
	return OK;
}

void apple_json_close(struct apple_json *json)
{
	yyjson_doc_free(json->document);
	json->document = NULL;
	json->root = NULL;
}

bool apple_json_is_object(struct text answer)
{
	struct apple_json json = { 0 };
	const yyjson_alc memory = { json_malloc, json_realloc, json_free, &json };
	char *bytes = duplicate(answer); // yyjson's interface is not const, although it changes nothing without INSITU
	yyjson_doc *document = yyjson_read_opts(bytes, answer.length, YYJSON_READ_NUMBER_AS_RAW, &memory, NULL);
	const bool is_object = yyjson_is_obj(yyjson_doc_get_root(document));

	yyjson_doc_free(document);
	free(bytes);
	return is_object;
}

struct text apple_json_string(yyjson_val *value)
{
	return yyjson_is_str(value) ? (struct text){ yyjson_get_str(value), yyjson_get_len(value) } : TEXT_NONE;
}

bool apple_json_is_absent(yyjson_val *value)
{
	return value == NULL || yyjson_is_null(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0);
}

bool apple_json_text(struct text *out, yyjson_val *value, size_t length_max)
{
	const struct text text = apple_json_string(value);

	*out = TEXT_NONE;
	if (apple_json_is_absent(value)) {
		return true;
	}
	if (text.length == 0 || text.length > length_max || !text_is_utf8(text)) {
		return false;
	}
	*out = text;
	return true;
}

bool apple_json_instant(int64_t *out, yyjson_val *value)
{
	*out = INSTANT_NONE;
	if (apple_json_is_absent(value)) {
		return true;
	}
	*out = yyjson_is_str(value) ? instant_parse(apple_json_string(value)) : INSTANT_NONE;
	return *out != INSTANT_NONE;
}

int64_t apple_json_count(yyjson_val *value)
{
	const char *digits = yyjson_get_raw(value);
	const size_t length = yyjson_get_len(value);
	int64_t count = 0;

	if (digits == NULL || length > COUNT_DIGITS_MAX) {
		return -1;
	}
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)digits[i])) {
			return -1;
		}
		count = count * 10 + (digits[i] - '0');
	}
	return count;
}

bool apple_json_member(yyjson_val **out, yyjson_val *object, const char *name)
{
	yyjson_obj_iter members = yyjson_obj_iter_with(object);
	yyjson_val *key;

	*out = NULL;
	while ((key = yyjson_obj_iter_next(&members)) != NULL) {
		if (!text_equal_string(apple_json_string(key), name)) {
			continue;
		}
		if (*out != NULL) {
			return false;
		}
		*out = yyjson_obj_iter_get_val(key);
	}
	return true;
}
