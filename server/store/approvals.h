// SPDX-License-Identifier: Apache-2.0
//
// approvals.h - changes that move too many devices at once, until a second person has decided about them.
//
// Law  only one that waits, has not expired and was asked for by somebody else can be approved, whatever a caller believes: the
//      transaction fails otherwise, with the change in it
#pragma once

#include "store/store.h"

struct approval_row {
	int64_t approval_id, tenant_id;
	struct text slug;    // of the tenant, read
	struct text kind;    // "rules"
	struct text payload; // rules: the document. Empty in a list
	struct text reason;
	int64_t base_version; // of the rules that it was costed against
	int64_t changes, present; // devices
	struct text devices; // JSON: a list of {"serial_number","from","to"}. Empty in a list
	struct text state;   // "pending", "approved", "rejected", "stale"; read: or "expired"
	struct text requested_by;
	int64_t requested_at_us, expires_at_us;
	struct text decided_by;
	int64_t decided_at_us;
};

// Api scope. approval_id, tenant_id, kind to devices, requested_by are taken.
void store_approval_insert(struct pg_transaction *t, const struct approval_row *approval);
// Api scope, in the transaction of the change itself, after it. ERR_FENCED: see the law.
void store_approval_grant(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text by);
// Api scope: "rejected" or "stale". ERR_FENCED: it does not wait any more.
void store_approval_close(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text state, struct text by);

// Directory scope, by number, the first `limit` after `after_id`. `tenant_ids` NULL: all, else of these only.
unsigned store_approval_list(struct pg_transaction *t, int64_t after_id, bool only_pending, const int64_t *tenant_ids, size_t count, int limit);
unsigned store_approval_by_id(struct pg_transaction *t, int64_t approval_id); // directory scope
void store_approval_read(const struct pg_transaction *t, unsigned statement, size_t row, struct approval_row *out);
