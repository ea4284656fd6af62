// SPDX-License-Identifier: Apache-2.0
//
// tenants.h - clients: who they are, which Apple server they are pinned to, and what lists over all of them show.
#pragma once

#include "store/store.h"

struct tenant_row {
	int64_t tenant_id;
	struct text slug;
	struct text display_name;
	struct text state;          // "active", "paused", "quarantined"
	struct text apple_url;      // empty: the installation's
	int64_t protocol_version;   // 0: the default
	int64_t sync_interval_s;    // 0: the installation's
	struct text server_uuid;    // the pinned identity; empty: none yet
	struct text server_name;
	struct text org_id;
	struct text org_id_hash;
	struct text org_name;
	struct text org_type;
	int64_t pinned_at_us;
	int64_t created_at_us;
	int64_t updated_at_us;
};

// Directory scope: the number of a new client.
unsigned store_tenant_next_id(struct pg_transaction *t);
int64_t store_tenant_next_id_read(const struct pg_transaction *t, unsigned statement);
// Its own api scope: the client with its stream, its due row and its status. slug, display_name, state, apple_url, protocol_version and
// sync_interval_s are taken. A slug that exists: ERR_CONFLICT, constraint "tenants_slug_key".
void store_tenant_insert(struct pg_transaction *t, const struct tenant_row *tenant);
// Directory scope. One row or none.
unsigned store_tenant_by_slug(struct pg_transaction *t, struct text slug);
// Any scope that sees it.
unsigned store_tenant_by_id(struct pg_transaction *t, int64_t tenant_id);
// Directory scope: by slug, the first `limit` after `after_slug` (empty: from the first). `tenant_ids` NULL: all, else these only.
unsigned store_tenant_list(struct pg_transaction *t, struct text after_slug, const int64_t *tenant_ids, size_t count, int limit);
void store_tenant_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_row *out);

// Api scope: display_name, state, apple_url, protocol_version, sync_interval_s become these; the client's run starts over, and
// an active one is to be synced.
unsigned store_tenant_update(struct pg_transaction *t, const struct tenant_row *tenant);
// Api scope: the identity of the first token, or the same again. Pinned to another one: ERR_FENCED, so that nothing else of the
// transaction is made either. Another client has this server_uuid: ERR_CONFLICT, constraint "tenants_server_uuid_key".
void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity);
// Directory scope: who has this server_uuid. One row or none.
unsigned store_tenant_by_server(struct pg_transaction *t, struct text server_uuid);
// Worker scope.
unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id);

struct tenant_status_row {
	int64_t token_expires_at_us;
	struct text token_state; // "none", "active", "rejected", "terms_unsigned"; "expired" is computed from the time by who shows it
	struct text sync_phase;  // "fetch", "changes"
	struct text sync_reason; // sync_reason_name
	struct text sync_error;
	int64_t synced_at_us;
	int64_t sync_next_at_us;
	int64_t devices, assigned, held;
	int64_t announced_seq, event_seq;
	int64_t updated_at_us;
	int64_t removals_held;
	int64_t parked_records; // of Apple's that named no usable device (parked.h), since the client is there
	int64_t missed_changes; // that full fetches found and the changes had not told, since the client is there
};
// Read from the same rows as store_tenant_read (by_slug, by_id, list).
void store_tenant_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_status_row *out);
// Api scope, with a new token; worker scope, with what Apple says of it.
unsigned store_tenant_status_token(struct pg_transaction *t, int64_t tenant_id, struct text token_state, int64_t expires_at_us);
// Worker scope, with the changes themselves.
void store_tenant_status_missed(struct pg_transaction *t, int64_t tenant_id, int64_t count);
// Worker scope, at the end of a run: counts anew when `count` is set; token_state may be empty: as it is.
unsigned store_tenant_status_run(struct pg_transaction *t, int64_t tenant_id, const struct tenant_status_row *status, bool count);
