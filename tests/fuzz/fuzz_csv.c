// SPDX-License-Identifier: Apache-2.0
//
// csv_next with hostile bytes: none beyond the list is touched, rows end, and lines go on.
#include "tenants/csv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 20);
	char *list = allocate(size > 0 ? size : 1);
	struct csv csv;
	struct csv_row row = { 0 };
	struct fault fault;
	size_t line = 0;

	if (size > 0) {
		memcpy(list, data, size);
	}
	enum err rc = csv_begin(&csv, (struct text){ list, size }, &fault);

	while (rc == OK && (rc = csv_next(&csv, &row, &arena, &fault)) == OK && row.count > 0) {
		assert(row.line > line && row.count <= CSV_FIELDS_MAX);
		line = row.line;
		for (size_t i = 0; i < row.count; i++) {
			assert(text_is_utf8(row.fields[i]) && row.fields[i].length <= CSV_FIELD_BYTES_MAX);
		}
	}
	free(list);
	return 0;
}
