// SPDX-License-Identifier: Apache-2.0
//
// stream.h - who runs a client, and how far it is: due rows, heart-beats, and the one row that fences every write.
//
//   claim (directory) -> take (worker: epoch + 1) -> fenced writes -> finish (worker: owner gone, next due time)
//
// Laws  1. a write of a worker begins with store_stream_advance in the same transaction: it proves epoch, owner, write number and
//          configuration, or the transaction fails with ERR_FENCED and changes nothing
//       2. after ERR_UNKNOWN the owner reads its row: write_seq says whether the write was made
//       3. only the database's clock decides whether a node is alive
#pragma once

#include "store/store.h"
#include "tenants/sync.h"

// --- nodes and due clients: directory scope ---

enum { NODE_ALIVE_S = 10 }; // a heart-beat is good for this long; it is renewed every third of it

unsigned store_node_beat(struct pg_transaction *t, struct text node_id);
// The node has ended: its clients are due at once, and anybody may take them.
void store_node_release(struct pg_transaction *t, struct text node_id);

// The node has crashed: so it is with its clients, too, and each of them was in flight, and may be why. From CRASHES_MAX within an hour
// on a client is quarantined, until it is made active again. One row a client.
enum { CRASHES_MAX = 3 };
unsigned store_node_crashed(struct pg_transaction *t, struct text node_id);
struct struck_row {
	struct text slug;
	int64_t crashes;
	bool quarantined;
};
void store_struck_read(const struct pg_transaction *t, unsigned statement, size_t row, struct struck_row *out);
unsigned store_due_crashes(struct pg_transaction *t, int64_t tenant_id); // any tenant scope
void store_due_crashes_read(const struct pg_transaction *t, unsigned statement, int64_t *count, int64_t *last_at_us);
void store_due_forgive_crashes(struct pg_transaction *t, int64_t tenant_id); // api scope, of a client that is quarantined; otherwise nothing

struct due_row {
	int64_t tenant_id;
	struct text slug;
	int64_t wake, sync_requests, full_requests;
	bool is_suspect; // was in flight at a crash within the last hour
	int64_t removals_allowed, removals_allowed_for; // by a person, for the full fetch of this number
};

// Up to `limit` clients that are due and that no living other node has: paused and quarantined ones too, whose tokens are watched, but none
// that was in flight at CRASHES_MAX crashes. They are ours in the due table now, and due again in 15 seconds in case we let go of them
// without being able to say so: the database was away. At most one suspect is among them, if wanted: who only happened to be in flight
// at somebody's crash is not there at the next one.
// `share`: which of a machine's processes asks. One that has had a client knows it (worker/load_cache.h), so each takes those of its own number
// at once, and the others' only when they have waited for OTHERS_WAIT_MS.
struct due_share {
	int64_t processes, index;
};
enum { OTHERS_WAIT_MS = 1000 };
unsigned store_due_claim(struct pg_transaction *t, struct text node_id, int limit, bool one_suspect, struct due_share share);
// The same, of these clients only: somebody hinted at them. Suspects wait for the other one.
unsigned store_due_claim_hinted(struct pg_transaction *t, struct text node_id, const int64_t *tenant_ids, size_t count);
unsigned store_due_select(struct pg_transaction *t, int64_t tenant_id); // worker scope: one row
// Worker scope, when the client could not be taken: its due row becomes the living owner's, at once. Otherwise an owner that does not know that
// it is one (its take was made, late) would never hear of the client, nor anybody else take it. And when that owner has ended its run
// meanwhile, it is nobody's: what it was claimed for, a wish perhaps, waits for nobody.
void store_due_hand_over(struct pg_transaction *t, int64_t tenant_id, struct text node_id);
void store_due_read(const struct pg_transaction *t, unsigned statement, size_t row, struct due_row *out);

// Api or worker scope: look at the client now.
enum due_request { DUE_WAKE, DUE_SYNC, DUE_FULL };
unsigned store_due_request(struct pg_transaction *t, int64_t tenant_id, enum due_request request);

// --- the stream ---

struct stream_row {
	int64_t epoch;
	struct text owner;
	int64_t write_seq, event_seq, config_version, rules_version;
	int64_t load_id; // see store_news_select
	struct text cursor; // empty: none
	struct sync_state sync;
	int64_t sync_next_at_us;
	int64_t sync_requests_done, full_requests_done;
	struct text reason, error_text, apple_error;
	int64_t run_started_at_us, run_pages, run_devices;
	int64_t synced_at_us;
	bool profile_needed; // rules or instances changed since routes and profiles were looked at
	int64_t removals_held, removals_held_of, removals_held_at_us; // by the brake (tenants/brake.h), of the last complete list
	int64_t replacement_due_us; // Apple is asked then whom a device replaces (replacements.h); INSTANT_NONE: never
	bool is_other_server; // than the devices came from: nothing is assigned until a complete list of this one has been carried out
	int64_t now_us;      // the database's clock
};

// Worker scope. The epoch grows. No row: somebody else who is alive has it, and store_due_hand_over is due.
unsigned store_stream_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id);
// Worker scope: claims and takes at once, when the client is active, due, no suspect, and nobody who is alive has it. No row: nothing has
// changed. The stream's row is locked first, as whoever starts a client over does it.
unsigned store_stream_take_due(struct pg_transaction *t, int64_t tenant_id, struct text node_id);
// Directory scope, right after store_due_claim in its transaction: takes what that one has claimed, as far as it is nobody's, no suspect, and
// without news (store_news_select). A row for each that is taken; the others are for store_stream_take.
unsigned store_stream_take_claimed(struct pg_transaction *t, struct text node_id);
int64_t store_stream_taken_client(const struct pg_transaction *t, unsigned statement, size_t row);
// Any tenant scope.
unsigned store_stream_select(struct pg_transaction *t, int64_t tenant_id);
void store_stream_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stream_row *out);

// What a run reads when it begins may be kept, and used by a later run of the same process when that has found, after it took the client,
// the same config_version, rules_version and load_id, and no news. Worker scope.
// Writes of others leave news in the same transaction (migration 0025), fenced writes draw another load_id, unless they say that nothing of it
// changes (store_stream_finish_quietly).
unsigned store_news_select(struct pg_transaction *t, int64_t tenant_id);
bool store_news_read(const struct pg_transaction *t, unsigned statement);
// Before everything is read, and after the client was taken: all of the news goes, and load_id with it. Of a client that is somebody else's
// it stays.
unsigned store_news_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id);
int64_t store_news_taken(const struct pg_transaction *t, unsigned statement, const struct stream_row *taken); // the load_id

struct stream_fence { // what the owner believes
	int64_t tenant_id;
	struct text node_id;
	int64_t epoch, write_seq, event_seq, config_version;
};

// Law 1. Afterwards write_seq is one more and event_seq `events` more; cursor, sync state and counters become those of `next`
// (cursor, sync, sync_next_at_us, *_done, reason, error_text, apple_error, run_*, synced_at_us, profile_needed,
// replacement_due_us).
// `next` NULL: they stay as they are.
void store_stream_advance(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct stream_row *next);

// In the transaction of a read that something outside follows from: ERR_FENCED when the client is somebody else's by now, or its
// configuration, rules included, is another one.
void store_stream_require(struct pg_transaction *t, const struct stream_fence *fence);

// Api scope, with the token of another server, after store_token_take: the cursor and the profiles were the former one's, and a new
// generation begins.
void store_stream_change_server(struct pg_transaction *t, int64_t tenant_id);

// In a write of the worker, after a complete list: how many removals wait for a person, 0: none. What was allowed is used up.
void store_removals_put(struct pg_transaction *t, int64_t tenant_id, int64_t held, int64_t present);
// Api scope: fetch everything, and let it remove as many devices as wait for it, which must be `count`: otherwise ERR_FENCED.
void store_removals_allow(struct pg_transaction *t, int64_t tenant_id, int64_t count);

// The last write of a run: as store_stream_advance, and the client has no owner any more; it is due at `due_at_us`, or at once when
// something asked for it since `wake`.
void store_stream_finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake);

// The same of a run that changed nothing, and after which nothing waits to be delivered that did not before it: the client's status is
// written along, and no event is looked for. Otherwise store_tenant_status_run is due. `load_changes`: something else is written with
// it that a run reads when it begins, or the word about the token is another one.
struct tenant_status_row;
void store_stream_finish_quietly(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake, const struct tenant_status_row *status, bool load_changes);

// Directory scope: the same of several runs of this process, of which nothing changes but the values of `next` that are told here; of the
// status, what follows from them. The token has the word that it had, if it was heard of, and there is no error. A row for each that is ended:
// of the others the fence does not hold, or somebody has locked them, and store_stream_finish_quietly will say.
enum { QUIET_ENDS_MAX = 64 };
struct quiet_end {
	struct stream_fence fence;
	const struct stream_row *next; // cursor, which there is, cursor_at, sync_next_at, run_pages, run_devices, synced_at
	int64_t due_at_us, wake;
	bool tells_token; // Apple took it
	bool profile_unusable;
};
unsigned store_streams_end_quietly(struct pg_transaction *t, struct text node_id, const struct quiet_end *ends, size_t count);
int64_t store_stream_ended_client(const struct pg_transaction *t, unsigned statement, size_t row);

struct ledger_entry {
	const char *kind; // "fetch", "changes", "removal", "details", "route", "assign", "told", "replacement", "enrolment"
	int64_t generation;
	int records, devices_changed;
	const unsigned char *page_digest; // SHA-256; NULL: none
};
// In the transaction of the write, after store_stream_advance.
unsigned store_ledger_insert(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct ledger_entry *entry);
