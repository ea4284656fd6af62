// SPDX-License-Identifier: Apache-2.0
//
// replacements.h - devices that came in another one's place, and for which one.
#pragma once

#include "store/store.h"

struct replacement_row {
	struct text serial_number;
	struct text original_serial_number; // empty: not known yet
	struct text replacement_date;       // "2026-11-24"; empty: Apple does not say
	struct text apple_word;             // of its last refusal
	int64_t attempts;
	int64_t ask_at_us;      // INSTANT_NONE: not any more
	int64_t resolved_at_us; // INSTANT_NONE: not yet
};

// Worker scope, in a fenced transaction.
void store_replacement_note(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count); // to be asked about, unless they are known
void store_replacement_put(struct pg_transaction *t, int64_t tenant_id, const struct replacement_row *row);

// Any tenant scope.
unsigned store_replacement_due(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit); // earliest first
unsigned store_replacement_next(struct pg_transaction *t, int64_t tenant_id); // one row with the earliest ask_at
int64_t store_replacement_next_read(const struct pg_transaction *t, unsigned statement);
// What it replaces, and what replaces it: rows where `serial` is either.
unsigned store_replacement_of(struct pg_transaction *t, int64_t tenant_id, struct text serial);
void store_replacement_read(const struct pg_transaction *t, unsigned statement, size_t row, struct replacement_row *out);
