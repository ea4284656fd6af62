// SPDX-License-Identifier: Apache-2.0
//
// approvals.h - changes that move too many devices at once, until a second person has decided about them.
//
// Laws  1. only one that waits, has not expired and was asked for by somebody else can be approved, whatever a caller believes: the
//          transaction fails otherwise, with the change in it
//       2. what is made then moves no device that was not in its list, nor one to another place,
//          by another rule or with another profile
//
// Scope: that of the change itself, which is the api's of the client, or the directory's when it is no single client's (tenant_id 0).
#pragma once

#include "store/store.h"

struct approval_row {
	int64_t approval_id;
	int64_t tenant_id;   // 0: of no single client
	struct text slug;    // of the tenant, read
	struct text kind;    // api/approval_kinds.h
	struct text target;  // the rest of the path; may be empty
	struct text payload; // the body of the request. Empty in a list
	struct text reason;
	struct text detail;       // JSON object. Empty in a list
	int64_t base_version;     // that it was costed against; -1: it has none
	int64_t changes, present; // devices
	struct text devices;      // JSON: a list of {"serial_number","tenant","to","new_rule","profile",...}, to be inserted
	struct text state;        // "pending", "approved", "rejected", "stale"; read: or "expired"
	struct text requested_by;
	int64_t requested_at_us, expires_at_us;
	struct text decided_by;
	int64_t decided_at_us;
};

// tenant_id, approval_id (0: the next one), kind to devices, requested_by are taken. One row, with its number.
unsigned store_approval_insert(struct pg_transaction *t, const struct approval_row *approval);
// In the transaction of the change itself. `devices`: the list as it is now. ERR_FENCED: see the laws.
void store_approval_grant(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text by, struct text devices);
// Api scope, of one that was granted and has not been used: "stale".
void store_approval_void(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id);
// "rejected" or "stale". ERR_FENCED: it does not wait any more.
void store_approval_close(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id, struct text state, struct text by);

// Directory scope, by number, the first `limit` after `after_id`. `tenant_ids` NULL: all, else of these only.
unsigned store_approval_list(struct pg_transaction *t, int64_t after_id, bool only_pending, const int64_t *tenant_ids, size_t count, int limit);
unsigned store_approval_by_id(struct pg_transaction *t, int64_t approval_id); // directory scope
void store_approval_read(const struct pg_transaction *t, unsigned statement, size_t row, struct approval_row *out);

// Directory scope: the devices of one, in their order, after the first `after`. One row each: a JSON object.
unsigned store_approval_devices(struct pg_transaction *t, int64_t approval_id, int64_t after, int limit);
struct text store_approval_device_read(const struct pg_transaction *t, unsigned statement, size_t row);
