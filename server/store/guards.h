// SPDX-License-Identifier: Apache-2.0
//
// guards.h - which serial numbers which clients list, and devices that are held when they arrive although the rules would send them: those
// that another client lists, and those that nobody expects.
//
// Laws  1. a device's claim is written with its row: it is there as long as the device is
//       2. a client learns of another one that it exists, and not which one
#pragma once

#include "store/store.h"

// --- claims ---

struct serial_claim {
	struct text serial_number;
	int64_t assigned_at_us; // Apple's date; INSTANT_NONE: none
	bool gone;
};

// Worker scope, in a fenced transaction.
void store_claims_put(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count);
void store_claims_insert(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count); // with store_device_insert

// Directory scope: the clients that have, or had, a device, of these clients (NULL: of all), the present ones first.
struct claim_row {
	int64_t tenant_id;
	struct text slug, display_name;
	int64_t claimed_at_us;
	int64_t gone_at_us; // INSTANT_NONE: it is there
};
unsigned store_claim_list(struct pg_transaction *t, struct text serial, const int64_t *tenant_ids, size_t count, int limit);
void store_claim_read(const struct pg_transaction *t, unsigned statement, size_t row, struct claim_row *out);

// --- guards ---

#define GUARD_REASON_UNEXPECTED "it is not on the list of expected devices"
struct guard_row {
	struct text serial_number;
	struct text reason; // a sentence
};

// Worker or api scope: a row for each of them that is to be held if it arrives now. `assigned_us`: Apple's dates; NULL: they are stored.
unsigned store_guard_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *assigned_us,
	size_t count);
void store_guard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct guard_row *out);
