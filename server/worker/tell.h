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

struct text tell_token_state(const struct tenant *tenant); // by what Apple said in this run; empty: nothing
MUST_USE bool tell_prepare(struct tell *tell, struct tenant *tenant); // false: there is nothing to write
void tell_build(const struct tell *tell, struct tenant *tenant, struct pg_transaction *t); // after the fence
void tell_done(const struct tell *tell, struct tenant *tenant); // it was written
