// SPDX-License-Identifier: Apache-2.0
//
// tell.h - at the end of a run: alerts that are raised and cleared, and their events, in one fenced write (tenants/alert.h decides).
//
// Ownership  texts are in the tenant's scratch memory, and live until the next step that resets it.
// Law        what is told, and that it was told, are one transaction: nothing is told twice, and nothing is lost
#pragma once

#include "tenants/alert.h"
#include "worker/tenant.h"

struct tell {
	struct alert_outcome outcome;
	struct text details[ALERT_KINDS]; // of what is raised
	struct stored_event events[ALERT_KINDS];
	size_t event_count;
	bool drop_pending;
};

// False: there is nothing to write. `fails`: the client's sync does not work, and it is not for the token.
MUST_USE bool tell_prepare(struct tell *tell, struct tenant *tenant, const struct token_facts *facts, bool fails);
void tell_build(const struct tell *tell, struct tenant *tenant, struct pg_transaction *t); // after the fence
void tell_done(const struct tell *tell, struct tenant *tenant); // it was written
