// SPDX-License-Identifier: Apache-2.0
#include "tenants/csv.h"

#include <string.h>

enum err csv_begin(struct csv *csv, struct text text, struct fault *fault)
{
	static const struct text mark = { "\xef\xbb\xbf", 3 };

	if (text_starts_with(text, mark)) {
		text = (struct text){ text.bytes + mark.length, text.length - mark.length };
	}
	*csv = (struct csv){ .rest = text, .line = 1 };
	return text_is_utf8(text) ? OK : fault_set(fault, ERR_BAD_INPUT, "the list is not UTF-8 text");
}

static void skip(struct csv *csv, size_t count)
{
	csv->rest.bytes += count;
	csv->rest.length -= count;
}

// How long the end of a line is that begins here; 0: none does.
static size_t line_end(struct text rest)
{
	if (rest.length > 0 && rest.bytes[0] == '\n') {
		return 1;
	}
	return rest.length > 1 && rest.bytes[0] == '\r' && rest.bytes[1] == '\n' ? 2 : 0;
}

// A field ends at a comma, at the end of its line, or at the end of the list.
static bool ends_here(struct text rest)
{
	return rest.length == 0 || rest.bytes[0] == ',' || line_end(rest) > 0;
}

static enum err take_plain(struct csv *csv, struct text *field, struct fault *fault)
{
	*field = (struct text){ csv->rest.bytes, 0 };
	while (!ends_here(csv->rest)) {
		if (csv->rest.bytes[0] == '"') {
			return fault_set(fault, ERR_BAD_INPUT, "line %zu: a quote inside of a field that does not begin with one", csv->line);
		}
		field->length++;
		skip(csv, 1);
	}
	return OK;
}

static enum err unescape(struct text *field, struct arena *arena, struct fault *fault)
{
	char *copy = arena_copy(arena, *field);
	size_t length = 0;

	if (copy == NULL) {
		return fault_set(fault, ERR_BUDGET, "the list has too many quotes");
	}
	for (size_t i = 0; i < field->length; i++) {
		copy[length++] = field->bytes[i];
		i += field->bytes[i] == '"' ? 1 : 0;
	}
	*field = (struct text){ copy, length };
	return OK;
}

static enum err take_quoted(struct csv *csv, struct text *field, struct arena *arena, struct fault *fault)
{
	const size_t line = csv->line;
	bool has_quotes = false;

	skip(csv, 1);
	*field = (struct text){ csv->rest.bytes, 0 };
	while (csv->rest.length > 0) {
		const bool is_quote = csv->rest.bytes[0] == '"';
		const bool is_doubled = is_quote && csv->rest.length > 1 && csv->rest.bytes[1] == '"';

		if (is_quote && !is_doubled) {
			skip(csv, 1);
			if (!ends_here(csv->rest)) {
				return fault_set(fault, ERR_BAD_INPUT, "line %zu: something follows the closing quote of a field", csv->line);
			}
			return has_quotes ? unescape(field, arena, fault) : OK;
		}
		has_quotes = has_quotes || is_doubled;
		csv->line += csv->rest.bytes[0] == '\n' ? 1 : 0;
		field->length += is_doubled ? 2 : 1;
		skip(csv, is_doubled ? 2 : 1);
	}
	return fault_set(fault, ERR_BAD_INPUT, "line %zu: a quote is never closed", line);
}

static enum err take_field(struct csv *csv, struct csv_row *row, struct arena *arena, struct fault *fault)
{
	struct text *field = &row->fields[row->count];

	if (row->count == CSV_FIELDS_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "line %zu has more than %d fields", row->line, CSV_FIELDS_MAX);
	}
	row->count++;
	if (csv->rest.length > 0 && csv->rest.bytes[0] == '"') {
		TRY(take_quoted(csv, field, arena, fault));
	} else {
		TRY(take_plain(csv, field, fault));
	}
	if (field->length > CSV_FIELD_BYTES_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "line %zu: a field has more than %d bytes", row->line, CSV_FIELD_BYTES_MAX);
	}
	return OK;
}

static enum err take_row(struct csv *csv, struct csv_row *row, struct arena *arena, struct fault *fault)
{
	row->count = 0;
	row->line = csv->line;
	TRY(take_field(csv, row, arena, fault));
	while (csv->rest.length > 0 && csv->rest.bytes[0] == ',') {
		skip(csv, 1);
		TRY(take_field(csv, row, arena, fault));
	}
	if (csv->rest.length > 0) {
		skip(csv, line_end(csv->rest));
		csv->line++;
	}
	return OK;
}

static bool is_blank(const struct csv_row *row)
{
	for (size_t i = 0; i < row->count; i++) {
		if (text_trim(row->fields[i]).length > 0) {
			return false;
		}
	}
	return true;
}

enum err csv_next(struct csv *csv, struct csv_row *row, struct arena *arena, struct fault *fault)
{
	row->count = 0;
	while (csv->rest.length > 0) {
		TRY(take_row(csv, row, arena, fault));
		if (!is_blank(row)) {
			return OK;
		}
		row->count = 0;
	}
	return OK;
}

static bool is_named(struct text field, const char *name)
{
	const size_t length = strlen(name);

	if (field.length != length) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		const char c = field.bytes[i] >= 'A' && field.bytes[i] <= 'Z' ? (char)(field.bytes[i] - 'A' + 'a') : field.bytes[i];

		if (c != name[i] && !(c == ' ' && name[i] == '_')) {
			return false;
		}
	}
	return true;
}

static bool is_column(struct text field, const struct csv_column *column)
{
	for (size_t i = 0; i < sizeof column->names / sizeof *column->names && column->names[i] != NULL; i++) {
		if (is_named(text_trim(field), column->names[i])) {
			return true;
		}
	}
	return false;
}

enum err csv_find_columns(int *positions, const struct csv_column *columns, size_t count, const struct csv_row *header, struct fault *fault)
{
	for (size_t i = 0; i < count; i++) {
		positions[i] = CSV_NO_COLUMN;
		for (size_t at = 0; at < header->count; at++) {
			if (!is_column(header->fields[at], &columns[i])) {
				continue;
			}
			if (positions[i] != CSV_NO_COLUMN) {
				return fault_set(fault, ERR_BAD_INPUT, "the header has the column %s twice", columns[i].names[0]);
			}
			positions[i] = (int)at;
		}
		if (positions[i] == CSV_NO_COLUMN && columns[i].required) {
			return fault_set(fault, ERR_BAD_INPUT, "the header has no column %s", columns[i].names[0]);
		}
	}
	return OK;
}

struct text csv_field(const struct csv_row *row, int position)
{
	return position >= 0 && (size_t)position < row->count ? text_trim(row->fields[position]) : TEXT_NONE;
}
