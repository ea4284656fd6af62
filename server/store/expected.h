// SPDX-License-Identifier: Apache-2.0
//
// expected.h - the devices that a client has bought and waits for, and what became of them.
#pragma once

#include "store/store.h"

enum { EXPECTED_MAX = 100000, EXPECTED_NOTE_MAX = 400 };

struct expected_row {
	struct text serial_number;
	struct text due_on;   // "2026-11-24"; empty: nobody said
	struct text note;
	struct text instance; // its name; empty: wherever the rules send it
};

enum expected_hold { EXPECTED_HOLD_AS_IT_WAS, EXPECTED_HOLD, EXPECTED_HOLD_NOT }; // what arrives and is not on the list (guards.h)

// Api scope; the client's run starts over. `replaces`: what was expected before is not any more; otherwise rows are added, or become these. An instance that the client
// does not have makes the transaction fail with ERR_FENCED. No rows and `replaces`: nothing is expected, and nothing unexpected.
void store_expected_put(struct pg_transaction *t, int64_t tenant_id, const struct expected_row *rows, size_t count, bool replaces,
	enum expected_hold hold, struct text by);

// Any tenant scope: one row or none.
struct expected_list_row {
	int64_t version;
	int64_t since_us, uploaded_at_us;
	struct text uploaded_by;
	bool holds;
};
unsigned store_expected_list(struct pg_transaction *t, int64_t tenant_id);
void store_expected_list_read(const struct pg_transaction *t, unsigned statement, size_t row, struct expected_list_row *out);
// How many are in each state: one row.
struct expected_counts {
	int64_t arrived, awaited, overdue, unexpected;
};
unsigned store_expected_count(struct pg_transaction *t, int64_t tenant_id);
void store_expected_count_read(const struct pg_transaction *t, unsigned statement, struct expected_counts *out);

// By serial number, the first `limit` after `after`. `state` "arrived", "awaited", "overdue", "unexpected"; empty: any.
struct expectation_row {
	struct expected_row expected; // of what is unexpected: the serial number only
	struct text state;
	int64_t arrived_at_us;  // INSTANT_NONE: not yet
	struct text arrived_at; // the name of the instance where the rules sent it; empty: none
};
unsigned store_expectations(struct pg_transaction *t, int64_t tenant_id, struct text after, struct text state, int limit);
void store_expectation_read(const struct pg_transaction *t, unsigned statement, size_t row, struct expectation_row *out);

// Worker scope, in a fenced transaction: alerts about what is overdue and what is unexpected are raised and cleared.
void store_expected_review(struct pg_transaction *t, int64_t tenant_id, int64_t event_seq);
