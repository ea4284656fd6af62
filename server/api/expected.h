// SPDX-License-Identifier: Apache-2.0
//
// expected.h - a client's purchase list as CSV: which devices are to come, until when, to which instance.
//
// Ownership  texts of rows borrow from the list and from the arena; struct expected_csv owns the array until expected_csv_fini.
#pragma once

#include "depbroker/arena.h"
#include "store/expected.h"

enum { EXPECTED_LIST_MAX = 16 << 20 };

struct expected_csv {
	struct expected_row *rows;
	size_t count, room;
};

// ERR_BAD_INPUT, with the line: it is not such a list, or has a serial number twice.
MUST_USE enum err expected_csv_read(struct expected_csv *out, struct text list, struct arena *arena, struct fault *fault);
void expected_csv_fini(struct expected_csv *csv);
