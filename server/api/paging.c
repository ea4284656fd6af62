// SPDX-License-Identifier: Apache-2.0
#include "api/paging.h"

#include <inttypes.h>
#include <string.h>

enum { CURSOR_MAX = 1024 };

static bool parse_number(int64_t *out, struct text digits)
{
	int64_t number = 0;

	if (digits.length == 0 || digits.length > 18) {
		return false;
	}
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.bytes[i] < '0' || digits.bytes[i] > '9') {
			return false;
		}
		number = number * 10 + (digits.bytes[i] - '0');
	}
	*out = number;
	return true;
}

bool paging_number(struct call *call, const char *name, int64_t *out)
{
	const struct text value = http_request_query(call->request, name);

	*out = 0;
	if (value.bytes == NULL || parse_number(out, value)) {
		return true;
	}
	call_problem(call, PROBLEM_BAD_PARAMETER, "%s is a whole number from 0", name);
	return false;
}

bool paging_limit(struct call *call, int64_t *out)
{
	*out = PAGE_LIMIT_USUAL;
	if (http_request_query(call->request, "limit").bytes != NULL && !paging_number(call, "limit", out)) {
		return false;
	}
	if (*out < 1 || *out > PAGE_LIMIT_MAX) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "limit is from 1 to %d", PAGE_LIMIT_MAX);
		return false;
	}
	return true;
}

// Hexadecimal of "list:key": needs no escapes in a URL.
static bool read_cursor(struct call *call, struct paging *paging, struct text cursor)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(CURSOR_MAX);
	const size_t start = strlen(paging->list) + 1;

	if (!hex_decode(&plain, cursor) || plain.length <= start || memcmp(plain.bytes, paging->list, start - 1) != 0 ||
		plain.bytes[start - 1] != ':' || !text_is_utf8(buffer_text(&plain))) {
		call_problem(call, PROBLEM_BAD_CURSOR, "%s", "");
		return false;
	}
	const struct text key = { plain.bytes + start, plain.length - start };
	char *copy = arena_copy(&call->request->arena, key);

	paging->after = (struct text){ copy, copy != NULL ? key.length : 0 };
	return true;
}

bool paging_read(struct call *call, struct paging *out, const char *list)
{
	const struct text cursor = http_request_query(call->request, "cursor");
	int64_t limit;

	*out = (struct paging){ .list = list, .after = TEXT("") };
	if (!paging_limit(call, &limit)) {
		return false;
	}
	out->limit = (int)limit;
	return cursor.bytes == NULL || read_cursor(call, out, cursor);
}

void paging_write(struct json_out *json, const struct paging *paging, size_t count, struct text last)
{
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(CURSOR_MAX);
	struct buffer cursor CLEANUP(buffer_fini) = BUFFER(2 * CURSOR_MAX);

	if (count < (size_t)paging->limit) {
		put_null(json, "cursor");
		return;
	}
	buffer_add_format(&plain, "%s:", paging->list);
	buffer_add_text(&plain, last);
	buffer_add_hex(&cursor, plain.bytes, plain.length);
	put_text(json, "cursor", buffer_text(&cursor));
}

int64_t paging_after_number(const struct paging *paging, int64_t first)
{
	int64_t number;

	return paging->after.length > 0 && parse_number(&number, paging->after) ? number : first;
}

void paging_number_key(struct buffer *key, int64_t number)
{
	buffer_add_format(key, "%" PRId64, number);
}

void paging_answer(struct call *call, const struct paging *paging,
	void (*put)(struct json_out *json, const struct pg_transaction *t, size_t row, struct buffer *key))
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, 0);
	struct buffer key CLEANUP(buffer_fini) = BUFFER(CURSOR_MAX);

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		buffer_clear(&key);
		put(&json, &call->transaction, i, &key);
	}
	put_list_end(&json);
	paging_write(&json, paging, count, buffer_text(&key));
	put_object_end(&json);
	call_answer(call, 200, &body);
}
