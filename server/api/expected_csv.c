// SPDX-License-Identifier: Apache-2.0
#include "api/expected.h"

#include "depbroker/clock.h"
#include "tenants/csv.h"

#include <stdlib.h>
#include <string.h>

enum { SERIAL, DUE, NOTE, INSTANCE, COLUMNS };
enum { SERIAL_MAX = 64, DATE_LENGTH = 10, INSTANCE_MAX = 63 };

static const struct csv_column columns[COLUMNS] = {
	[SERIAL] = { { "serial_number", "serial", "serial_no", "serialnumber" }, true },
	[DUE] = { { "expected_by", "due", "due_on", "date" }, false },
	[NOTE] = { { "note", "notes", "comment" }, false },
	[INSTANCE] = { { "instance", "mdm" }, false },
};

static bool is_serial(struct text serial)
{
	for (size_t i = 0; i < serial.length; i++) {
		const char c = serial.bytes[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')) {
			return false;
		}
	}
	return serial.length > 0 && serial.length <= SERIAL_MAX;
}

static bool is_date(struct text date)
{
	struct buffer noon CLEANUP(buffer_fini) = BUFFER(32);

	buffer_add_text(&noon, date);
	buffer_add_string(&noon, "T12:00:00Z");
	return date.length == DATE_LENGTH && instant_parse(buffer_text(&noon)) != INSTANT_NONE;
}

static enum err take_row(struct expected_csv *out, const struct csv_row *row, const int positions[COLUMNS], struct fault *fault)
{
	const struct expected_row taken = {
		.serial_number = csv_field(row, positions[SERIAL]),
		.due_on = csv_field(row, positions[DUE]),
		.note = csv_field(row, positions[NOTE]),
		.instance = csv_field(row, positions[INSTANCE]),
	};

	if (!is_serial(taken.serial_number)) {
		return fault_set(fault, ERR_BAD_INPUT, "line %zu: a serial number is of capital letters and digits", row->line);
	}
	if (taken.due_on.length > 0 && !is_date(taken.due_on)) {
		return fault_set(fault, ERR_BAD_INPUT, "line %zu: a date is written as 2026-11-24", row->line);
	}
	if (taken.note.length > EXPECTED_NOTE_MAX || taken.instance.length > INSTANCE_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "line %zu: the note or the instance is too long", row->line);
	}
	if (out->count == EXPECTED_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the list has more than %d devices", EXPECTED_MAX);
	}
	if (out->count == out->room) {
		out->room = out->room > 0 ? 2 * out->room : 256;
		out->rows = reallocate(out->rows, out->room * sizeof *out->rows);
	}
	out->rows[out->count++] = taken;
	return OK;
}

static int by_serial(const void *a, const void *b)
{
	const struct text left = ((const struct expected_row *)a)->serial_number;
	const struct text right = ((const struct expected_row *)b)->serial_number;
	const int order = memcmp(left.bytes, right.bytes, left.length < right.length ? left.length : right.length);

	return order != 0 ? order : left.length < right.length ? -1 : left.length > right.length;
}

static enum err refuse_repetitions(struct expected_csv *out, struct fault *fault)
{
	if (out->count > 1) {
		qsort(out->rows, out->count, sizeof *out->rows, by_serial);
	}
	for (size_t i = 1; i < out->count; i++) {
		if (by_serial(&out->rows[i - 1], &out->rows[i]) == 0) {
			return fault_set(fault, ERR_BAD_INPUT, "the serial number %.*s is there twice", TEXT_ARGS(out->rows[i].serial_number));
		}
	}
	return OK;
}

const struct expected_row *expected_csv_find(const struct expected_csv *csv, struct text serial)
{
	const struct expected_row wanted = { .serial_number = serial };

	return csv->count > 0 ? bsearch(&wanted, csv->rows, csv->count, sizeof *csv->rows, by_serial) : NULL;
}

enum err expected_csv_read(struct expected_csv *out, struct text list, struct arena *arena, struct fault *fault)
{
	struct csv csv;
	struct csv_row row;
	int positions[COLUMNS];

	*out = (struct expected_csv){ 0 };
	TRY(csv_begin(&csv, list, fault));
	TRY(csv_next(&csv, &row, arena, fault));
	TRY(csv_find_columns(positions, columns, COLUMNS, &row, fault));
	TRY(csv_next(&csv, &row, arena, fault));
	while (row.count > 0) {
		TRY(take_row(out, &row, positions, fault));
		TRY(csv_next(&csv, &row, arena, fault));
	}
	return refuse_repetitions(out, fault);
}

void expected_csv_fini(struct expected_csv *csv)
{
	free(csv->rows);
	*csv = (struct expected_csv){ 0 };
}
