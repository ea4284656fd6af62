// SPDX-License-Identifier: Apache-2.0
//
// audit.h - who changed what, in a chain: each row's hash covers the one before it.
#pragma once

#include "store/store.h"

// Api scope, last in the transaction of the change (the chain's head is locked until its end). `detail` is a JSON object.
unsigned store_audit(struct pg_transaction *t, struct text actor, struct text action, struct text target, struct text detail);

// Directory scope, last in the transaction: these are the ranges that webhooks may reach besides public addresses. When they are not those
// that were noted last, in any order, it is in the audit, once for however many nodes.
void store_webhook_allow_note(struct pg_transaction *t, struct text node_id, struct text ranges); // each ends with a newline

struct audit_row {
	int64_t seq;
	int64_t at_us;
	struct text actor, action, target, detail;
	struct text hash; // hexadecimal
};

// Directory scope: by number, the first `limit` after `after_seq`.
unsigned store_audit_list(struct pg_transaction *t, int64_t after_seq, int limit);
void store_audit_read(const struct pg_transaction *t, unsigned statement, size_t row, struct audit_row *out);
