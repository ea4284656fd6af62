// SPDX-License-Identifier: Apache-2.0
//
// csv.h - a list of rows as spreadsheets write it (RFC 4180): a byte-order mark, CRLF or LF, quoted fields, columns by name in any order.
//
// Ownership  fields borrow from the text, or live in the arena that is given: those that hold a doubled quote.
// Laws       1. pure, one pass, no byte is looked at more than a fixed number of times; a field or row beyond the limits is refused
//            2. what a field means does not depend on where its column stands, nor on the case of its column's name
//            3. a fault names the line, as an editor counts them
#pragma once

#include "depbroker/arena.h"

enum { CSV_FIELDS_MAX = 64, CSV_FIELD_BYTES_MAX = 4096 };

struct csv {
	struct text rest;
	size_t line; // of what comes next, from 1
};

struct csv_row {
	struct text fields[CSV_FIELDS_MAX]; // not trimmed
	size_t count;
	size_t line; // where it begins
};

// ERR_BAD_INPUT: it is not UTF-8, or holds a NUL.
MUST_USE enum err csv_begin(struct csv *csv, struct text text, struct fault *fault);
// The next row that is not blank; count 0: there is none. ERR_BUDGET: the arena is full.
MUST_USE enum err csv_next(struct csv *csv, struct csv_row *row, struct arena *arena, struct fault *fault);

struct csv_column {
	const char *names[4]; // any of them, blanks and underscores alike; NULL ends them
	bool required;
};

enum { CSV_NO_COLUMN = -1 };

// Where the columns stand in a header row; those that nobody asked for are passed over. ERR_BAD_INPUT: one is missing or there twice.
MUST_USE enum err csv_find_columns(int *positions, const struct csv_column *columns, size_t count, const struct csv_row *header,
	struct fault *fault);
// The trimmed field; empty when the row or the list has none.
struct text csv_field(const struct csv_row *row, int position);
