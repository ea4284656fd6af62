// SPDX-License-Identifier: Apache-2.0
//
// tenants.h - clients: who they are, which Apple server they are pinned to, and what lists over all of them show.
#pragma once

#include "store/store.h"
#include "tenants/token_state.h"

// The reserved client, in whose name there is the log of the alerts of all clients (migration 0030). Only what asks for it by this number
// finds it: no list has it, and no slug names it.
#define STORE_EVERYBODY INT64_MAX

struct tenant_row {
	int64_t tenant_id;
	struct text slug;
	struct text display_name;
	struct text state;          // "active", "paused", "quarantined", "archived", "deleting"; "reserved": STORE_EVERYBODY
	int64_t state_since_us;
	struct text state_reason;
	int64_t version;            // grows with each change that people see
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
	struct text labels;         // a line each
	struct text notes;
	struct text allowed_hosts;  // of its instances, a line each; empty: any
	int64_t brake_percent;      // 0: the default
	int64_t brake_devices;      // 0: the default
	struct text time_zone;      // empty: UTC
	struct text technical_contact;
	struct text apple_contact;  // the client's administrator at Apple
	struct text expiry_days;    // "60,30"; empty: the default
	int64_t change_count;       // account.h, law 3
};

// Directory scope: the number of a new client.
unsigned store_tenant_next_id(struct pg_transaction *t);
int64_t store_tenant_next_id_read(const struct pg_transaction *t, unsigned statement);
// Its own api scope: the client with its stream, its due row and its status. What store_tenant_update takes is taken, and the slug.
// A slug that exists: ERR_CONFLICT, constraint "tenants_slug_key".
void store_tenant_insert(struct pg_transaction *t, const struct tenant_row *tenant);
// Directory scope. One row or none.
unsigned store_tenant_by_slug(struct pg_transaction *t, struct text slug);
// Any scope that sees it.
unsigned store_tenant_by_id(struct pg_transaction *t, int64_t tenant_id);
// Directory scope: STORE_EVERYBODY, if it is in use, and so has a data key.
unsigned store_tenant_everybody(struct pg_transaction *t);
// Its own api scope, with its data key: workers look at STORE_EVERYBODY from now on. In use already: ERR_CONFLICT.
void store_tenant_everybody_begin(struct pg_transaction *t);
// Directory scope: by slug, the first `limit` after `after_slug` (empty: from the first). `tenant_ids` NULL: all, else these only.
unsigned store_tenant_list(struct pg_transaction *t, struct text after_slug, const int64_t *tenant_ids, size_t count, int limit);
// Directory scope: slugs alone, sorted, `limit` after the first `offset`. `names` NULL: all, else of these only.
unsigned store_tenant_names(struct pg_transaction *t, const struct text *names, size_t name_count, const int64_t *tenant_ids, size_t count,
	int64_t limit, int64_t offset);
struct text store_tenant_names_read(const struct pg_transaction *t, unsigned statement, size_t row);
// The same by the time at which tokens expire, earliest first, without a token last.
unsigned store_tenant_list_by_expiry(struct pg_transaction *t, int64_t after_us, struct text after_slug, const int64_t *tenant_ids,
	size_t count, int limit);
void store_tenant_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_row *out);

// Api scope: display_name, state with its reason, apple_url, protocol_version, sync_interval_s and the members from labels on become
// these; the client's run starts over, and an active one is to be synced. `version` 0: whatever it is; otherwise ERR_FENCED when it is
// another one.
void store_tenant_update(struct pg_transaction *t, const struct tenant_row *tenant);
// Api scope, after the change: fails when an instance has a host that the client does not allow.
void store_tenant_require_hosts(struct pg_transaction *t, int64_t tenant_id);
bool store_tenant_hosts_were_refused(const struct pg_transaction *t); // that is why it failed
// Api scope: nothing of it can be opened any more, and nobody works on it.
void store_tenant_begin_erase(struct pg_transaction *t, int64_t tenant_id);
// Api scope, afterwards, until it gives true: deletes up to `most` rows of each table. ERR_FENCED: it is not being deleted, or is gone.
enum { STORE_ERASE_ROWS = 5000 }; // well within STORE_TIMEOUT_MS
unsigned store_tenant_erase(struct pg_transaction *t, int most);
bool store_tenant_erase_read(const struct pg_transaction *t, unsigned statement);
// Directory scope: clients whose deletion has begun, and may have been broken off. One number a row.
unsigned store_tenant_erasing(struct pg_transaction *t, int limit);
int64_t store_tenant_erasing_read(const struct pg_transaction *t, unsigned statement, size_t row);
// Api or worker scope: the identity of the first token, or the same again. Pinned to another one: ERR_FENCED, so that nothing else of the
// transaction is made either. Another client has this server_uuid: ERR_CONFLICT, constraint "tenants_server_uuid_key".
void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity);
// Api scope, once two people have agreed: whichever it is pinned to. ERR_CONFLICT as above.
void store_tenant_pin_anew(struct pg_transaction *t, const struct tenant_row *identity);
// Directory scope: who has this server_uuid. One row or none.
unsigned store_tenant_by_server(struct pg_transaction *t, struct text server_uuid);
// Worker scope.
unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id, struct text reason);

struct tenant_status_row {
	int64_t token_expires_at_us;
	struct text token_state; // "none", "active", "rejected", "terms_unsigned": what Apple said last; store_token_facts has the rest
	struct text sync_phase;  // "fetch", "changes"
	struct text sync_reason; // sync_reason_name
	struct text sync_error;
	int64_t synced_at_us;
	int64_t sync_next_at_us;
	int64_t devices, assigned, held;
	int64_t announced_seq, event_seq;
	int64_t updated_at_us;
	int64_t removals_held;
	int64_t held_since_us; // of the device that is held for longest; INSTANT_NONE: none is
	int64_t parked_records; // of Apple's that named no usable device (parked.h), since the client is there
	int64_t missed_changes; // that full fetches found and the changes had not told, since the client is there
	int64_t token_since_us;      // since when token_state is what it is
	int64_t token_checked_at_us; // when Apple said so last
	struct text token_word;      // Apple's, of a refusal
	int64_t pending_since_us;    // a token waits to be verified
	int64_t profile_drifts;      // profiles that Apple has otherwise than they were meant
	bool profile_unusable;       // nothing is assigned: an error in its layers, or Apple refuses it
	int64_t definitions_lost;    // answers to definitions of profiles that never came, since the client is there
	int64_t assign_lag_ms;       // of the device that waited for longest, of those that got their first profile last
	int64_t told_token_id, told_days; // what people were told (tenants/alert.h)
	struct text told_admin_id;
};
// Read from the same rows as store_tenant_read (by_slug, by_id, list).
void store_tenant_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_status_row *out);
// Api or worker scope, with a new token, or with none.
unsigned store_tenant_status_token(struct pg_transaction *t, int64_t tenant_id, struct text token_state, int64_t expires_at_us);
// Worker scope, with the changes themselves.
void store_tenant_status_missed(struct pg_transaction *t, int64_t tenant_id, int64_t count);
void store_tenant_status_assigned(struct pg_transaction *t, int64_t tenant_id, int64_t lag_ms);
// Worker scope, at the end of a run: when `count` is set, devices are counted anew, and the alert about held ones is raised or cleared;
// token_state may be empty: Apple said nothing of it.
// profile_drifts is counted.
unsigned store_tenant_status_run(struct pg_transaction *t, int64_t tenant_id, const struct tenant_status_row *status, bool count);
// What people were told last. Worker scope.
unsigned store_tenant_status_told(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, int64_t days, struct text admin_id);

struct token_facts store_token_facts(const struct tenant_row *tenant, const struct tenant_status_row *status);
