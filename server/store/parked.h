// SPDX-License-Identifier: Apache-2.0
//
// parked.h - records of Apple's that name no usable device. The page went on without them.
#pragma once

#include "store/store.h"

enum { PARKED_RECORD_MAX = 2000 }; // bytes that are kept of one

struct parked_row {
	struct text serial_number; // as far as it can be shown; empty: none
	struct text why;
	struct text record; // JSON, perhaps cut
	int64_t first_at_us, last_at_us, times;
	struct text digest_hex; // names it
};

// Worker scope, in a fenced transaction: serial_number, why and record of each. `rejected`: all of the page, which may be more than are kept.
void store_parked_put(struct pg_transaction *t, int64_t tenant_id, const struct parked_row *rows, size_t count, int64_t rejected);
// Any tenant scope, by their name, the first `limit` after `after`.
unsigned store_parked_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit);
void store_parked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct parked_row *out);
