// SPDX-License-Identifier: Apache-2.0
//
// run_row.h - what a run needs to know of its client and there is one of: a single row, because to start a statement costs the server
// more than to run it.
//
// Law  it is read after the statement that takes the client (store_stream_take), not by it: whoever changes what a run goes by locks the
//      stream's row first, so the take may have waited for a change that a statement which began before does not see
#pragma once

#include "store/instances.h"
#include "store/tenants.h"
#include "store/tokens.h"

struct run_row {
	struct tenant_row tenant; // state, state_since_us, apple_url to sync_interval_s, identity, brake, expiry_days, names, contacts and labels
	struct tenant_status_row status; // token_state, token_expires_at_us, token_since_us, pending_since_us, event_seq, announced_seq, told_*
	struct token_row token;   // token_id (0: there is none), admin_id, taken_by
	struct pending_token_row pending; // token_id 0: none waits
	struct rules_row rules;   // version (0: there are none), document
	int64_t next_assign_us;   // INSTANT_NONE: nothing is to be assigned
	struct text open_alerts;  // their kinds, with commas between
	int64_t incarnation;
};

// Worker scope. One row or none. The first columns are those of store_data_key_current, to be read with store_data_key_read.
unsigned store_run_select(struct pg_transaction *t, int64_t tenant_id);
void store_run_read(const struct pg_transaction *t, unsigned statement, struct run_row *out);
MUST_USE bool store_run_next_alert(struct text *rest, struct text *kind); // of open_alerts
