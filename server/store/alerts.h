// SPDX-License-Identifier: Apache-2.0
//
// alerts.h - what is wrong with a client: one row a kind (tenants/alert.h), raised and cleared by who owns the client.
#pragma once

#include "store/store.h"

struct alert_row {
	int64_t alert_id;
	int64_t tenant_id;
	struct text slug; // empty: of no client (STORE_EVERYBODY)
	struct text kind;
	struct text detail;
	int64_t since_us, last_seen_at_us, cleared_at_us, acked_at_us;
	struct text acked_by;
};

// What is raised and cleared goes into the log of alerts by itself, whoever writes it (migration 0030).

// Worker scope, in a fenced transaction. Raised again, it counts as not acknowledged.
unsigned store_alert_raise(struct pg_transaction *t, int64_t tenant_id, struct text kind, struct text detail);
unsigned store_alert_clear(struct pg_transaction *t, int64_t tenant_id, struct text kind);
unsigned store_alerts_seen(struct pg_transaction *t, int64_t tenant_id); // they are still so

// Directory scope: by number, the first `limit` after `after_id`. `tenant_ids` NULL: of all clients.
unsigned store_alert_list(struct pg_transaction *t, int64_t after_id, bool only_open, const int64_t *tenant_ids, size_t count, int limit);
unsigned store_alert_by_id(struct pg_transaction *t, int64_t alert_id);
void store_alert_read(const struct pg_transaction *t, unsigned statement, size_t row, struct alert_row *out);
// Api scope. `clear`: it is a notice, and done with.
unsigned store_alert_ack(struct pg_transaction *t, int64_t tenant_id, int64_t alert_id, struct text by, bool clear);
