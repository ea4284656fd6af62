// SPDX-License-Identifier: Apache-2.0
//
// Values in, in PostgreSQL's binary formats (what each type's *_recv function reads), and out, from its text formats.
#include "loop/pg_inner.h"

#include "depbroker/clock.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins.
#define POSTGRES_EPOCH_US (INT64_C(10957) * DAY_S * SECOND_US)

// --- in ---

struct element {
	int64_t number;
	struct text text;
};

static void put_be32(struct buffer *out, uint32_t value)
{
	const unsigned char bytes[] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16),
		(unsigned char)(value >> 8), (unsigned char)value };

	buffer_add(out, bytes, sizeof bytes);
}

static bool put_int8(struct buffer *out, const struct element *element)
{
	put_be32(out, (uint32_t)((uint64_t)element->number >> 32));
	put_be32(out, (uint32_t)(uint64_t)element->number);
	return true;
}

static bool put_int4(struct buffer *out, const struct element *element)
{
	put_be32(out, (uint32_t)element->number);
	return element->number >= INT32_MIN && element->number <= INT32_MAX;
}

static bool put_bool(struct buffer *out, const struct element *element)
{
	const char byte = element->number != 0;

	buffer_add(out, &byte, 1);
	return true;
}

static bool put_instant(struct buffer *out, const struct element *element)
{
	struct element since_2000;

	return !__builtin_sub_overflow(element->number, POSTGRES_EPOCH_US, &since_2000.number) &&
		put_int8(out, &since_2000);
}

static bool put_text(struct buffer *out, const struct element *element)
{
	buffer_add_text(out, element->text);
	return true;
}

static bool put_jsonb(struct buffer *out, const struct element *element)
{
	const char version = 1;

	buffer_add(out, &version, 1);
	return put_text(out, element);
}

static bool is_never_null(const struct element *element)
{
	(void)element;
	return false;
}

static bool is_no_instant(const struct element *element)
{
	return element->number == INSTANT_NONE;
}

static bool is_no_text(const struct element *element)
{
	return element->text.bytes == NULL;
}

struct type {
	Oid oid;       // of pg_type, where the built-in ones are fixed for ever
	Oid array_oid;
	bool (*put)(struct buffer *out, const struct element *element); // false: out of range
	bool (*is_null)(const struct element *element);
	bool is_text; // its elements are texts, not numbers
};

static const struct type int8_type = { 20, 1016, put_int8, is_never_null, false };
static const struct type int4_type = { 23, 1007, put_int4, is_never_null, false };
static const struct type bool_type = { 16, 1000, put_bool, is_never_null, false };
static const struct type text_type = { 25, 1009, put_text, is_no_text, true };
static const struct type bytea_type = { 17, 1001, put_text, is_no_text, true };
static const struct type timestamptz_type = { 1184, 1185, put_instant, is_no_instant, false };
static const struct type jsonb_type = { 3802, 3807, put_jsonb, is_no_text, true };

static const struct kind {
	const struct type *type;
	bool is_array;
} kinds[] = {
	[PG_NULL] = { NULL, false }, // of whatever type the server finds fitting
	[PG_INT8] = { &int8_type, false },
	[PG_INT4] = { &int4_type, false },
	[PG_BOOL] = { &bool_type, false },
	[PG_TEXT] = { &text_type, false },
	[PG_BYTEA] = { &bytea_type, false },
	[PG_TIMESTAMPTZ] = { &timestamptz_type, false },
	[PG_JSONB] = { &jsonb_type, false },
	[PG_INT8_ARRAY] = { &int8_type, true },
	[PG_INT4_ARRAY] = { &int4_type, true },
	[PG_BOOL_ARRAY] = { &bool_type, true },
	[PG_TEXT_ARRAY] = { &text_type, true },
	[PG_BYTEA_ARRAY] = { &bytea_type, true },
	[PG_TIMESTAMPTZ_ARRAY] = { &timestamptz_type, true },
	[PG_JSONB_ARRAY] = { &jsonb_type, true },
};

static struct element element_at(const struct type *type, const struct pg_value *value, size_t index)
{
	assert(type->is_text ? value->texts != NULL : value->numbers != NULL);
	return type->is_text ? (struct element){ .text = value->texts[index] } :
		(struct element){ .number = value->numbers[index] };
}

static char *be32_at(char *at, uint32_t value)
{
	const uint32_t big_endian = htobe32(value);

	memcpy(at, &big_endian, sizeof big_endian);
	return at + sizeof big_endian;
}

static bool put_array_element(struct buffer *out, const struct type *type, const struct element *element)
{
	const size_t at = out->length;
	bool fits;

	put_be32(out, UINT32_MAX); // the length, or -1: NULL
	if (type->is_null(element)) {
		return true;
	}
	fits = type->put(out, element);
	if (!out->overflow) {
		const size_t length = out->length - at - 4;

		(void)be32_at(out->bytes + at, (uint32_t)length);
	}
	return fits;
}

// Most of what is ever sent: in one piece.
static void put_texts(struct buffer *out, const struct text *texts, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		length += 4 + (texts[i].bytes != NULL ? texts[i].length : 0);
	}
	char *at = buffer_extend(out, length);

	for (size_t i = 0; at != NULL && i < count; i++) {
		if (texts[i].bytes == NULL) {
			at = be32_at(at, UINT32_MAX);
		} else {
			at = be32_at(at, (uint32_t)texts[i].length);
			memcpy(at, texts[i].bytes, texts[i].length);
			at += texts[i].length;
		}
	}
}

static char *be64_at(char *at, uint64_t value)
{
	const uint64_t big_endian = htobe64(value);

	memcpy(at, &big_endian, sizeof big_endian);
	return at + sizeof big_endian;
}

// Of eight bytes each, less what is the type's zero; INSTANT_NONE is null where that is the type's.
static bool put_numbers(struct buffer *out, const struct type *type, const int64_t *numbers, size_t count)
{
	const int64_t zero = type == &timestamptz_type ? POSTGRES_EPOCH_US : 0;
	size_t nulls = 0;

	for (size_t i = 0; i < count; i++) {
		nulls += type == &timestamptz_type && numbers[i] == INSTANT_NONE ? 1 : 0;
	}
	char *at = buffer_extend(out, count * 4 + (count - nulls) * sizeof *numbers);

	for (size_t i = 0; at != NULL && i < count; i++) {
		int64_t number;

		if (type == &timestamptz_type && numbers[i] == INSTANT_NONE) {
			at = be32_at(at, UINT32_MAX);
		} else if (__builtin_sub_overflow(numbers[i], zero, &number)) {
			return false;
		} else {
			at = be64_at(be32_at(at, sizeof number), (uint64_t)number);
		}
	}
	return true;
}

static bool has_null(const struct type *type, const struct pg_value *value)
{
	for (size_t i = 0; i < value->count && type->is_null != is_never_null; i++) {
		const struct element element = element_at(type, value, i);

		if (type->is_null(&element)) {
			return true;
		}
	}
	return false;
}

static bool put_array(struct buffer *out, const struct type *type, const struct pg_value *value)
{
	if (value->count > INT32_MAX) {
		return false;
	}
	put_be32(out, value->count > 0 ? 1 : 0); // dimensions: an empty array has none
	put_be32(out, has_null(type, value) ? 1 : 0);
	put_be32(out, type->oid);
	if (value->count > 0) {
		put_be32(out, (uint32_t)value->count);
		put_be32(out, 1); // the first index
	}
	if (type->put == put_text) {
		put_texts(out, value->texts, value->count);
		return true;
	}
	if (type == &int8_type || type == &timestamptz_type) {
		return put_numbers(out, type, value->numbers, value->count);
	}
	for (size_t i = 0; i < value->count; i++) {
		const struct element element = element_at(type, value, i);

		if (!put_array_element(out, type, &element)) {
			return false;
		}
	}
	return true;
}

bool pg_value_encode(struct buffer *out, struct pg_parameter *parameter, const struct pg_value *value)
{
	assert(value->kind < sizeof kinds / sizeof *kinds);
	const struct kind *kind = &kinds[value->kind];
	const struct element element = { value->number, value->text };
	bool fits = true;

	buffer_add(out, "", 0); // so that there are bytes to point at, even when nothing is added
	*parameter = (struct pg_parameter){ .offset = out->length };
	if (kind->type == NULL) {
		parameter->is_null = true;
	} else if (kind->is_array) {
		parameter->type = kind->type->array_oid;
		fits = put_array(out, kind->type, value);
	} else {
		parameter->type = kind->type->oid;
		parameter->is_null = kind->type->is_null(&element);
		fits = parameter->is_null || kind->type->put(out, &element);
	}
	parameter->length = out->length - parameter->offset;
	return fits && !out->overflow;
}

// --- out ---

static const PGresult *result_of(const struct pg_transaction *transaction, unsigned statement)
{
	const struct pg_inner *inner = transaction->inner;

	assert(statement < inner->count && inner->statements[statement].result != NULL); // only of what was committed
	return inner->statements[statement].result;
}

size_t pg_row_count(const struct pg_transaction *transaction, unsigned statement)
{
	if (transaction->kept != NULL) {
		return pg_kept_row_count(transaction->kept, statement);
	}
	return (size_t)PQntuples(result_of(transaction, statement));
}

int64_t pg_affected(const struct pg_transaction *transaction, unsigned statement)
{
	// libpq takes it without const, but changes nothing.
	PGresult *result = ((const struct pg_inner *)transaction->inner)->statements[statement].result;

	(void)result_of(transaction, statement);
	return (int64_t)strtoll(PQcmdTuples(result), NULL, 10);
}

struct text pg_text(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column)
{
	const PGresult *result;

	if (transaction->kept != NULL) {
		return pg_kept_text(transaction->kept, statement, row, column);
	}
	result = result_of(transaction, statement);
	assert(row < (size_t)PQntuples(result) && column < (unsigned)PQnfields(result));
	if (PQgetisnull(result, (int)row, (int)column)) {
		return TEXT_NONE;
	}
	return (struct text){ PQgetvalue(result, (int)row, (int)column),
		(size_t)PQgetlength(result, (int)row, (int)column) };
}

bool pg_is_null(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column)
{
	return pg_text(transaction, statement, row, column).bytes == NULL;
}

int64_t pg_int8(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column)
{
	const struct text text = pg_text(transaction, statement, row, column);
	char *end = NULL;
	long long number;

	if (text.bytes == NULL) {
		return 0;
	}
	errno = 0;
	number = strtoll(text.bytes, &end, 10);
	assert(errno == 0 && text.length > 0 && end == text.bytes + text.length); // else the column is not an integer's
	return number;
}

bool pg_bool(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column)
{
	const struct text text = pg_text(transaction, statement, row, column);

	if (text.bytes == NULL) {
		return false;
	}
	assert(text_equal(text, TEXT("t")) || text_equal(text, TEXT("f")));
	return text.bytes[0] == 't';
}

// "2026-11-24 13:00:00.123456+00": RFC 3339, but for the minutes of the offset.
int64_t pg_instant(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column)
{
	static const char minutes[] = ":00";
	const struct text text = pg_text(transaction, statement, row, column);
	char whole[64];

	if (text.bytes == NULL) {
		return INSTANT_NONE;
	}
	if (text.length + sizeof minutes > sizeof whole) {
		return INSTANT_NONE;
	}
	memcpy(whole, text.bytes, text.length);
	memcpy(whole + text.length, minutes, sizeof minutes);
	return instant_parse((struct text){ whole, text.length + sizeof minutes - 1 });
}

bool pg_bytes(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column,
	struct buffer *out)
{
	const struct text text = pg_text(transaction, statement, row, column);
	bool is_hex;

	if (text.bytes == NULL) {
		return true;
	}
	assert(text_starts_with(text, TEXT("\\x"))); // else the column is not a bytea
	if (text.length / 2 - 1 > out->limit - out->length) {
		return false;
	}
	is_hex = hex_decode(out, (struct text){ text.bytes + 2, text.length - 2 });
	assert(is_hex || out->overflow);
	return is_hex;
}

void pg_result_free(PGresult *result)
{
	const int rows = PQntuples(result);
	const int columns = PQnfields(result);

	for (int row = 0; row < rows; row++) {
		for (int column = 0; column < columns; column++) {
			wipe(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
		}
	}
	PQclear(result);
}
