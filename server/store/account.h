// SPDX-License-Identifier: Apache-2.0
//
// account.h - how many devices of a client were moved by changes that nobody else was asked about, within the last BLAST_WINDOW_S.
//
// Laws  1. whoever moves devices without an approval spends, in the transaction of the change and after the client's due row is
//          locked (store_start_over, and every put, do it): two changes at a time cannot both have what is left for one
//       2. a limit that was raised stays as it was for changes until the window has passed
//       3. what was costed against the client's rules, pins, layers and labels is made while they are the same: all that changes them counts
//          change_count up, and store_account_begin, or ..._begin_all, demands the count of before it was costed
#pragma once

#include "store/tenants.h"
#include "tenants/blast.h"

struct account_row {
	int64_t spent;                         // devices
	int64_t least_devices, least_percent; // before limits were raised; -1: they were not
};

// Any tenant scope that is the api's, or the directory's.
unsigned store_account_select(struct pg_transaction *t, int64_t tenant_id);
void store_account_read(const struct pg_transaction *t, unsigned statement, struct account_row *out);
// The client's own numbers, or the usual ones; and what they were within the window.
struct blast_limits store_account_limits(const struct tenant_row *tenant, const struct account_row *account);

// Law 3: first in the transaction of the change. ERR_FENCED: something else has been changed since. Api scope.
void store_account_begin(struct pg_transaction *t, int64_t tenant_id, int64_t change_count);
struct account_base {
	int64_t tenant_id, change_count;
};
// The same of many, directory scope, after store_template_lock.
void store_account_begin_all(struct pg_transaction *t, const struct account_base *bases, size_t count);

struct account_spending {
	int64_t tenant_id, changes;
	int64_t limit; // that spent and changes must not exceed together
};
// Law 1. ERR_FENCED: there is not so much left for one of them.
void store_account_spend(struct pg_transaction *t, const struct account_spending *spending, size_t count, struct text action, struct text by);
// Api scope, with a change of the limits: law 2. `before` as it was stored.
void store_account_note_limits(struct pg_transaction *t, const struct tenant_row *before, struct text by);
