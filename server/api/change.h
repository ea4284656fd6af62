// SPDX-License-Identifier: Apache-2.0
//
// change.h - a change that moves devices: it goes on its clients' accounts, or a second key is asked; and the same endpoint makes it
// when that key agrees.
//
// An endpoint that moves devices is a kind of approval_kinds.h. It costs the change, and then:
//
//     if (change_needs_approval(call, &change)) {
//         AWAIT(call, REQUESTING, change_request(call, &change));
//         change_answer_requested(call);
//         return;
//     }
//     ... in the transaction that makes it, before everything else: change_begin(call, transaction, &change);
//     ... and after everything else but the audit: change_settle(call, transaction, &change);
//     ... ERR_FENCED: change_refused(call, "why").
//
// POST /approvals/{id}/approve calls the endpoint once more with the body, the rest of the path and the version (call_if_match) that
// were kept, and with call->granted set: then change_needs_approval is false, change_settle grants the approval in place of spending,
// every good answer becomes that of the approval, and every refusal makes it stale, but for those (403, 5xx) that another key or another
// time may not meet with.
//
// Laws  1. no transaction moves devices without change_settle in it, so that each of them is on an account or in an approval's list
//       2. it is made against what it was costed against (store/account.h, law 3), or costed once more
//       3. what was approved is made once, by the transaction that says so, or not at all
#pragma once

#include "api/call.h"
#include "store/account.h"
#include "store/approvals.h"

struct change_cost { // to one client
	int64_t tenant_id;
	struct blast_limits limits;
	struct blast_cost blast;
	int64_t change_count; // of before it was costed: of a change of no single client
};

struct change {
	const char *kind;
	int64_t tenant_id;   // 0: of no single client
	struct text target;  // the path's parameter after the tenant's; of no single client: the first one
	struct text payload; // the body to be read again; TEXT_NONE: the request's
	struct text reason;
	struct text detail;   // JSON object; may be empty
	int64_t base_version; // in force; -1: it has none
	struct text devices;  // the elements of a JSON list: {"serial_number","tenant","to",...}
	const struct change_cost *costs;
	size_t cost_count;
	bool always; // a second key is asked, whatever it costs
};

struct granted { // the approved change that a call makes
	struct call *call;
	struct pg_transaction reading; // its rows live as long as the call
	struct approval_row approval;
	const struct endpoint *asked; // what the client had asked for
	struct endpoint replay;       // what is called in its place
	struct text refusal;
};

MUST_USE bool change_needs_approval(const struct call *call, const struct change *change);
void change_request(struct call *call, const struct change *change); // starts
void change_answer_requested(struct call *call);                     // 202, or what went wrong
void change_begin(const struct call *call, struct pg_transaction *t, const struct change *change);
// Something else was changed, or approved, or moved meanwhile: it is costed and made once more, or refused with this sentence.
void change_refused(struct call *call, const char *why);
void change_settle(struct call *call, struct pg_transaction *t, const struct change *change);
// The reason of the change: that of the approval, or the query's.
struct text change_reason(const struct call *call);

// What is left of a client's limit, and the limit itself: of one row of store_account_select.
struct change_cost change_cost_of(const struct call *call, unsigned account, const struct tenant_row *tenant, int64_t present, int64_t changes);
