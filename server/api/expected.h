// SPDX-License-Identifier: Apache-2.0
//
// expected.h - a client's purchase list as CSV: which devices are to come, until when, to which instance.
//
// Ownership  texts of rows borrow from the list and from the arena; struct expected_csv owns the array until expected_csv_fini.
#pragma once

#include "api/rules_cost.h"
#include "depbroker/arena.h"
#include "store/expected.h"

enum { EXPECTED_LIST_MAX = 16 << 20 };

struct expected_csv {
	struct expected_row *rows;
	size_t count, room;
};

// The row of a serial number; NULL: there is none.
const struct expected_row *expected_csv_find(const struct expected_csv *csv, struct text serial);

// ERR_BAD_INPUT, with the line: it is not such a list, or has a serial number twice.
MUST_USE enum err expected_csv_read(struct expected_csv *out, struct text list, struct arena *arena, struct fault *fault);
void expected_csv_fini(struct expected_csv *csv);

// --- what a list does to the devices that are held ---

struct expected_cost {
	struct rules_cost rules;
	struct rules_cost_statements at;
	unsigned list_at;
	const struct expected_csv *csv;
	bool replaces;
	enum expected_hold hold;
	bool holds_then; // what is on no list
};

void expected_cost_ask(struct call *call, struct expected_cost *cost);
// When it has come back. False: the list names an instance that there is not, and that has been answered.
MUST_USE bool expected_cost_compile(struct call *call, struct expected_cost *cost);
// While !rules.complete: the next slice of the held devices.
void expected_cost_read(struct call *call, struct expected_cost *cost);
void expected_cost_take(struct call *call, struct expected_cost *cost);
