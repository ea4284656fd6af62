// SPDX-License-Identifier: Apache-2.0
#include "loop/pg_inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NULL_CELL UINT32_C(0x80000000) // of a cell: it is NULL

struct kept_statement {
	uint32_t rows, columns;
	uint32_t first; // of its cells
};

// After it: the statements, where the bytes of each cell begin, where those of the last one end, the bytes. Each text ends with a zero.
struct pg_kept {
	size_t size; // of all
	uint32_t statement_count, cell_count;
	struct kept_statement statements[];
};

static uint32_t *cells_of(struct pg_kept *kept)
{
	return (uint32_t *)(kept->statements + kept->statement_count);
}

static const PGresult *result_of(const struct pg_inner *inner, unsigned statement)
{
	assert(inner->statements[statement].result != NULL); // only of what was committed
	return inner->statements[statement].result;
}

static bool is_null(const PGresult *result, uint32_t row, uint32_t column)
{
	return PQgetisnull(result, (int)row, (int)column) != 0;
}

static size_t size_of_result(const PGresult *result, uint32_t rows, uint32_t columns)
{
	size_t size = 0;

	for (uint32_t row = 0; row < rows; row++) {
		for (uint32_t column = 0; column < columns; column++) {
			size += is_null(result, row, column) ? 0 : (size_t)PQgetlength(result, (int)row, (int)column) + 1;
		}
	}
	return size;
}

static void copy_result(struct pg_kept *kept, const struct kept_statement *statement, const PGresult *result, size_t *at)
{
	uint32_t *cell = cells_of(kept) + statement->first;
	char *bytes = (char *)(cells_of(kept) + kept->cell_count + 1);

	for (uint32_t row = 0; row < statement->rows; row++) {
		for (uint32_t column = 0; column < statement->columns; column++, cell++) {
			*cell = (uint32_t)*at;
			if (is_null(result, row, column)) {
				*cell |= NULL_CELL;
			} else {
				const size_t length = (size_t)PQgetlength(result, (int)row, (int)column) + 1;

				memcpy(bytes + *at, PQgetvalue(result, (int)row, (int)column), length);
				*at += length;
			}
		}
	}
}

struct pg_kept *pg_keep(const struct pg_transaction *transaction, unsigned from)
{
	const struct pg_inner *inner = transaction->inner;
	struct kept_statement statements[PG_STATEMENTS_MAX] = { 0 };
	size_t bytes = 0, at = 0;
	uint32_t cells = 0;
	struct pg_kept *kept;

	for (unsigned i = from; i < inner->count; i++) {
		const PGresult *result = result_of(inner, i);

		statements[i] = (struct kept_statement){ (uint32_t)PQntuples(result), (uint32_t)PQnfields(result), cells };
		cells += statements[i].rows * statements[i].columns;
		bytes += size_of_result(result, statements[i].rows, statements[i].columns);
	}
	assert(bytes < NULL_CELL); // libpq would not have taken them
	bytes += sizeof *kept + inner->count * sizeof *statements + (cells + 1) * sizeof(uint32_t);
	kept = allocate(bytes);
	*kept = (struct pg_kept){ .size = bytes, .statement_count = inner->count, .cell_count = cells };
	memcpy(kept->statements, statements, inner->count * sizeof *statements);
	for (unsigned i = from; i < inner->count; i++) {
		copy_result(kept, &kept->statements[i], result_of(inner, i), &at);
	}
	cells_of(kept)[cells] = (uint32_t)at;
	return kept;
}

size_t pg_kept_size(const struct pg_kept *kept)
{
	return kept->size;
}

void pg_kept_free(struct pg_kept *kept)
{
	if (kept != NULL) {
		wipe(kept, kept->size);
		free(kept);
	}
}

struct pg_transaction pg_kept_read(const struct pg_kept *kept)
{
	return (struct pg_transaction){ .op.rc = OK, .kept = kept };
}

size_t pg_kept_row_count(const struct pg_kept *kept, unsigned statement)
{
	assert(statement < kept->statement_count);
	return kept->statements[statement].rows;
}

struct text pg_kept_text(const struct pg_kept *kept, unsigned statement, size_t row, unsigned column)
{
	const struct kept_statement *of = &kept->statements[statement];
	const uint32_t *cells = (const uint32_t *)(kept->statements + kept->statement_count);
	const uint32_t *cell = cells + of->first + row * of->columns + column;
	const char *bytes = (const char *)(cells + kept->cell_count + 1);

	assert(statement < kept->statement_count && row < of->rows && column < of->columns);
	if ((*cell & NULL_CELL) != 0) {
		return TEXT_NONE;
	}
	return (struct text){ bytes + *cell, (cell[1] & ~NULL_CELL) - *cell - 1 };
}
