// SPDX-License-Identifier: Apache-2.0
//
// tenant.h - one client as a run knows it: what was read when it was taken, and what the run has learned since.
//
// Ownership  a struct tenant owns everything in it until tenant_clear, which wipes the secrets.
// Laws       1. the server token is here only while the client runs
//            2. epoch, write_seq, event_seq and config_version of `stream` are what the database holds, as far as this owner knows; the
//               rest of it may be ahead: it goes with the next write, at the latest with the one that ends the run
#pragma once

#include "apple/apple.h"
#include "depbroker/arena.h"
#include "depbroker/digest.h"
#include "store/deliveries.h"
#include "store/endpoints.h"
#include "store/enrolments.h"
#include "store/guards.h"
#include "store/instances.h"
#include "store/routing.h"
#include "store/secrets.h"
#include "store/stream.h"
#include "store/tenants.h"
#include "store/tokens.h"
#include "tenants/alert.h"
#include "tenants/brake.h"
#include "tenants/identity.h"
#include "tenants/profile_compose.h"
#include "tenants/reconcile.h"
#include "tenants/ruleset.h"
#include "tenants/webhook.h"
#include "tenants/webhook_key.h"
#include "worker/process.h"

// What a step needs is bounded by APPLE_ANSWER_MAX and STORE_LIST_MAX, far below this; a step that needs more is a bug. What it may need
// is up to tenant_is_over_budget.
enum { TENANT_ARENA_BYTES = 64 << 20 };

struct fenced_write;
struct wanted_profile;

struct tenant_instance {
	int64_t instance_id;
	struct text name, enrolment_url, members; // in tenant->memory
	enum ruleset_instance_state state;
	struct text allowed_hosts[STORE_HOSTS_MAX];
	size_t allowed_host_count;
};

struct tenant_endpoint { // texts in tenant->memory, each ends with a zero
	int64_t endpoint_id;
	int64_t instance_id; // 0: it gets all of the log
	struct text instance; // its name; empty: of the client itself
	struct text url;
	uint64_t event_types; // a bit for each that it wants; 0: all
	uint64_t alert_kinds; // likewise, a bit for each place (alert_place_of)
	struct text headers[STORE_ENDPOINT_HEADERS_MAX];
	size_t header_count;
	struct text certificate_authority; // PEM; empty: the system's store
	enum endpoint_format format;
	int batch_size; // events in one request; 1: an event as it is
	struct text disabled_reason; // empty: it is in use
	int64_t not_before_us;
	int64_t succeeded_at_us; // as far as it was stored
	struct webhook_secret secrets[WEBHOOK_SECRETS_MAX]; // valid ones, the newest first
	size_t secret_count;
	struct webhook_key keys[WEBHOOK_KEYS_MAX]; // valid ones, the newest first
	size_t key_count;
};

struct defined_profile { // a row of profiles
	int64_t instance_id;
	unsigned char digest[SHA256_SIZE];
	struct text uuid;    // empty: Apple refused it,
	struct text refused; // with this word
	bool drifts;         // Apple has it otherwise than it was meant
};

struct profile_definitions { // how often a content was defined
	int64_t instance_id;
	unsigned char digest[SHA256_SIZE];
	int64_t attempts, last_at_us;
	int64_t refusals, wait_until_us; // see definitions.h
};

struct tenant {
	struct worker_process *process;
	struct due_row due; // as claimed; slug in `slug`
	char slug[65];
	bool is_hinted; // not claimed yet: to be taken only if it is due, and `due` is unknown so far
	struct arena memory; // of what was loaded
	struct arena scratch; // of the step that is under way; reset by each step

	struct fenced_write *write; // the run's only one

	struct stream_row stream; // texts: cursor in cursor_text, the others static or empty
	struct stream_row loaded; // as it was when it was loaded, without its texts
	enum sync_reason loaded_reason;
	bool loaded_error; // there was one
	struct buffer cursor_text;
	int64_t clock_offset_us; // the database's clock minus ours

	bool is_active;
	struct identity pinned;
	struct token_facts token_facts; // as stored
	struct alert_told told;         // texts in `memory`
	struct sync_settings settings;
	struct brake_limits brake;

	bool has_token;
	int64_t token_id;
	struct server_token token;
	struct text admin_id; // who made it at Apple
	bool admin_is_news;   // that is not stored yet
	struct text taken_by;
	bool has_pending;     // a token waits to be verified
	struct pending_token_row pending;
	struct server_token pending_token;
	bool pending_refused; // it is none for this client, which is not stored yet
	char refused_text[401];
	struct data_key data_key;
	bool has_data_key;
	struct apple_server apple_server;
	struct apple_session session;
	int session_version;         // of the stored one; 0: none is stored
	unsigned session_generation; // that is stored
	bool session_is_open;

	int64_t incarnation;
	struct text token_state; // of the status, as it was loaded; in `memory`
	int64_t rules_version;
	struct ruleset *rules; // NULL: none yet, everything is held
	struct ruleset_label labels[RULESET_LABELS_MAX]; // of the client
	size_t label_count;
	int64_t parking_instance_id; // whose profile held devices get; 0: none
	bool has_facts;    // about single devices (store/routing.h)
	bool has_reroutes; // devices are to be decided about once more
	bool has_asked_jobs; // jobs have something to ask Apple for
	struct routing_fact *facts; // in scratch, of the devices of the step: see routing.h
	size_t fact_count;
	struct guard_row *guards;   // likewise, of those that are to be held if they arrive now; NULL: nobody asked
	size_t guard_count;
	struct tenant_instance *instances;
	size_t instance_count;
	struct tenant_endpoint *endpoints;
	size_t endpoint_count;
	struct position_row *positions;
	size_t position_count;
	struct enrolment_work enrolments; // what was there to do when it was loaded
	int64_t next_assign_us;
	int64_t next_assign_seq; // the write that it was read after

	struct profile_parts profile_parts; // without those of an instance and a rule; texts in `memory`
	int64_t template_version;           // in force; 0: no template
	bool mends_profiles;
	int64_t profile_looked_at_us;       // of the profile that Apple was not asked about for the longest time; INSTANT_NONE: there is none

	struct defined_profile *defined; // what is defined at Apple, or was refused by it
	size_t defined_count;
	struct profile_definitions *definitions;
	size_t definition_count;
	struct wanted_profile *wanted; // see wanted_profile.h

	// What the run has to say about itself in the end
	enum sync_reason reason; // of the last decision to wait, this run's or the stored one
	char error_text[401];
	char apple_error[APPLE_ERROR_MAX + 1];
	bool counts_changed;     // rows, or what was delivered
	bool must_count;         // how many devices there are, are held, or have their profile: it may be another number
	bool alerts_are_open;    // any, when the client was loaded
	bool events_wait;        // to be delivered, or did when the client was loaded
	int64_t loaded_write_seq;
};

void tenant_init(struct tenant *tenant, struct worker_process *process, struct fenced_write *write, const struct due_row *due);
void tenant_set_due(struct tenant *tenant, const struct due_row *due);
void tenant_clear(struct tenant *tenant); // back to what tenant_init left; wipes

// Adds the statements that take and read the client, and reads them when they have come back.
// ERR_FENCED: somebody else who is alive has it. Any other: a secret does not open, and what is stored is at fault.
void tenant_load_add(struct tenant *tenant, struct pg_transaction *t);
MUST_USE enum err tenant_load_read(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault);
// Adds those that take it and ask whether what is kept of it (load_cache.h) still holds, when something is kept: otherwise false.
MUST_USE bool tenant_load_add_kept(struct tenant *tenant, struct pg_transaction *t);
// It does not hold any more, and is dropped: the client, which is taken, is to be loaded.
MUST_USE bool tenant_load_is_outdated(const struct tenant *tenant, const struct pg_transaction *t);
MUST_USE enum err tenant_load_read_kept(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault);
// Of a client that was taken with its claim, and of which there was no news then: what is kept holds, otherwise it is dropped.
MUST_USE bool tenant_load_kept_holds(const struct tenant *tenant, const struct stream_row *taken);
MUST_USE enum err tenant_load_read_taken(struct tenant *tenant, const struct stream_row *taken, struct fault *fault);

// The reserved one: no client, but the log of all alerts and its endpoints.
static inline bool tenant_is_everybody(const struct tenant *tenant)
{
	return tenant->due.tenant_id == STORE_EVERYBODY;
}

int64_t tenant_now_us(const struct tenant *tenant); // the database's clock, as near as we know it
struct sync_occasion tenant_occasion(const struct tenant *tenant);
struct stream_fence tenant_fence(const struct tenant *tenant);
void tenant_take_stream(struct tenant *tenant, const struct stream_row *next); // the cursor is copied
const struct tenant_instance *tenant_instance_by_id(const struct tenant *tenant, int64_t instance_id); // NULL: none
// Keeps what went wrong for the client's row and the log.
void tenant_note_error(struct tenant *tenant, const struct fault *fault, const char *apple_error);
void tenant_forget_error(struct tenant *tenant);

// What a client may need in memory is config->tenant_memory_mib in all, and is divided: half for what is known of its stored devices, a
// quarter for what a list has shown, a quarter for what was loaded and for the step under way. The first two do with what they have
// (known.h, seen.h); a step that went beyond the last is to end with ERR_BUDGET.
size_t tenant_budget(const struct tenant *tenant);
bool tenant_is_over_budget(const struct tenant *tenant);

void *tenant_scratch(struct tenant *tenant, size_t size); // of this step; never NULL
struct text tenant_keep(struct tenant *tenant, struct text t); // in `memory`
char *tenant_scratch_copy(struct tenant *tenant, struct text t);
