// SPDX-License-Identifier: Apache-2.0
//
// sim.h - a deterministic simulation of several worker processes, the database's rows, Apple and the webhooks' receivers.
//
// The seam is the linker: server/worker/*.c, the core and the words are the real ones. What they call of loop.h, pg.h, server/store,
// apple.h, http_client.h, clock.h, log.h and digest.h is defined here instead, over one heap of (time, order, event). One seed is one schedule.
//
// Ownership  everything lives until sim_end, in the simulation's own memory; what the code under test allocates, too, since a process that
//            crashes frees nothing.
// Laws       1. nothing here asks the machine for time or chance: the same seed gives the same trace hash
//            2. LAW names what must never happen, whatever is injected; a broken law prints the seed and the command that replays it
#pragma once

#include "store/deliveries.h"
#include "store/instances.h"
#include "store/secrets.h"
#include "store/stream.h"
#include "store/tenants.h"
#include "store/tokens.h"
#include "tenants/alert.h"

#include <stdio.h>

#if defined(__has_feature) // as clang says it
#if __has_feature(address_sanitizer)
#define SIM_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SIM_SANITIZED
#endif

enum {
	SIM_NODES = 3,
	SIM_TENANTS_MAX = 400,
	SIM_DEVICES = 10,
	SIM_INSTANCES = 2,
	SIM_LANES = SIM_INSTANCES * EVENT_LANES,
	SIM_PROFILES_MAX = 256,
	SIM_RULES = 6, // lists of rules: hold, all to the one instance, all to the other, by serial number, by model, as what they replace
	SIM_SHARED = 0, // a device that two clients have
	SIM_REPLACES_FROM = 8, // devices from this one on replace another one, with the number that is so much smaller
	SIM_BRAKE_DEVICES = 2, SIM_BRAKE_PERCENT = 35, // of each client
	SIM_FAILURES_MAX = 64, // of one run
};

#define MS_US     INT64_C(1000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)

// --- faults ---

#define FAULTS(X)                                                                                             \
	/* one transaction of the client */                                                                         \
	X(DB_LOST) X(DB_REFUSED) X(DB_ANSWER_LOST) X(DB_LATE)                                                       \
	/* one call to Apple */                                                                                     \
	X(APPLE_TIMEOUT) X(APPLE_ANSWER_LOST) X(APPLE_BROKEN) X(APPLE_5XX) X(APPLE_429) X(APPLE_TERMS)              \
	X(APPLE_TOKEN_DEAD) X(APPLE_CURSOR_LOST) X(APPLE_CURSOR_END) X(APPLE_STUCK) X(APPLE_EMPTY) X(APPLE_REPEATS) \
	X(APPLE_REFUSED) X(ASSIGN_THROTTLES) X(ASSIGN_FAILS) X(ASSIGN_SKIPS) X(ASSIGN_DENIES)                       \
	/* one webhook */                                                                                           \
	X(HOOK_LOST) X(HOOK_ANSWER_LOST) X(HOOK_5XX) X(HOOK_429) X(HOOK_410)                                        \
	/* of a client, at once */                                                                                  \
	X(SESSION_LOST) X(PROFILE_LOST) X(FOREIGN) X(RULES) X(INSTANCE) X(SYNC_NOW) X(FULL_NOW) X(TOKEN_NEW) X(PAUSED) \
	X(POISONED) X(VANISHED) X(PIN) X(ENROLS) X(RETIRES)                                                         \
	X(EXPECTS) X(DRAINS) X(JOBS) X(MOVES)                                                                       \
	/* of a node or of everything, at once */                                                                   \
	X(CLAIM_LOST) X(APPLE_AWAY) X(DB_AWAY) X(NODE_CUT_OFF) X(NODE_PAUSED) X(NODE_CRASHED) X(NODE_LOST) X(NODE_STOPPED)

enum fault_kind {
#define FAULT_ENUM(name) FAULT_##name,
	FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
	FAULT_KINDS,
};

// --- the model of the rows ---

struct sim_instance {
	int64_t id;
	int version; // of its profile's further members
	bool disabled, retired, draining;
	int64_t not_before_us, succeeded_at_us;
	char name[16], url[40], host[24], members[32], hook[32];
};

struct sim_profile { // a row of profiles
	int64_t instance_id;
	struct text digest, uuid, refused; // digest in hexadecimal
	int64_t token_id;
};

struct sim_route { // what decides where devices go
	int rules; // of SIM_RULES
	bool retired[SIM_INSTANCES + 1];
	struct sim_pin {
		bool is_there;
		int64_t instance_id; // 0: held
	} pins[SIM_DEVICES];
};

struct sim_device { // a row of devices
	struct device_row row;
	bool used;
	bool was_at[SIM_INSTANCES + 1]; // ever
	int64_t last_instance_id; // where it was when it went
	int64_t first_seen_us;
	bool rerouted;            // it is to be decided about once more
	const struct stored_event *told; // its newest event that tells a state; NULL: none
};

struct sim_tenant {
	int64_t due_at_us; // this and what follows is asked for again and again
	struct text claimed_by;
	size_t crash_count;
	int64_t id;
	char slug[16], server_uuid[24];
	bool active, quarantined;
	struct stream_row stream;
	int64_t change_count; // of its configuration
	bool has_news; // somebody else than a worker has written of what a run reads when it begins
	int64_t owner_life; // whose epoch it is
	int64_t wake, sync_requests, full_requests;
	int64_t crashes_us[CRASHES_MAX + 1]; // it was in flight at them; the newest first
	int64_t removals_allowed, removals_allowed_for;
	int64_t counted_seq, announced_seq; // of the status
	int64_t token_id;
	struct text token_state; // what Apple said of the token last
	bool alerts[ALERT_KINDS]; // that are open
	int64_t told_token_id, told_days;
	int session_version;
	struct text session;
	struct sim_instance instances[SIM_INSTANCES];
	struct sim_route route;
	bool was_retired; // any instance, ever
	struct sim_profile profiles[SIM_PROFILES_MAX];
	size_t profile_count;
	struct position_row positions[SIM_LANES];
	struct sim_device devices[SIM_DEVICES];
	struct text serials[SIM_DEVICES];
	struct stored_event *events; // [seq - 1]
	size_t event_room;
	int64_t newest[SIM_LANES]; // event of the lane
	unsigned armed[FAULT_KINDS]; // what the next fitting operations of this client meet
	unsigned poison; // so many of its pages crash whoever reads them
	// What laws compare with
	int64_t list_generation, list_present, list_removals; // of the list that has removed devices last
	int64_t word; // so many removals beyond the brake a person has allowed, and no list has used
	struct sim_failure {
		int64_t at_us, retry_after_s;
	} failures[SIM_FAILURES_MAX], last_failure; // that the owner's run has heard of from Apple
	size_t failure_count;
	int failures_heard; // by all runs
	bool page_heard; // by that run
	bool must_wait;  // that run, since Apple has not answered when it asked who it is or for a page
};

// --- nodes ---

struct sim_loaded { // what a worker process knows of a client since its last run of it
	int64_t epoch, config;
	int64_t read_config; // as it was when devices were read by their serial numbers last
	struct sim_route route;
	int version[SIM_INSTANCES + 1]; // of each instance
	bool active;
	int64_t claimed_at_us;
	int64_t behind_us;    // how far its idea of the time of the database is behind
	bool guard_is_over;   // of any device, and it may let go of it: nothing tells of that but the rows
	unsigned stale_calls; // assignments since the configuration changed under it
};

struct sim_life { // one start of a worker process
	struct sim_node *node;
	int64_t number; // over all
	bool dead;      // crashed: nothing of it runs any more
	bool closing;   // it has closed everything: worker_main may return
	struct loop *loop;
	struct sim_loaded *loaded; // [number of the client - 1]
};

// --- the world ---

struct sim_shape { // of a world
	const char *name; // of a scene: one thing happens in it, and is looked at closely; NULL: the usual one
	int tenants;
	int interval_s; // between two syncs of a client
	int pages_at_once; // of a process; 0: so few that they wait for each other
	bool guards; // hold devices, of which two clients may have the same
	bool hints; // are heard by all processes, and said with sim_hint
	unsigned faults, changes;
	int64_t duration_us;
	void (*begin)(void), (*check)(void); // of a scene
	uint64_t worlds; // one in so many is this scene
};

struct sim_records { // room for those of a page
	struct sim_records *next;
	struct device_record items[2 * SIM_DEVICES];
};

struct sim {
	const struct sim_shape *shape;
	uint64_t seed, random[4], hash;
	int64_t now_us;
	bool runs, verbose, quiet; // quiet: nothing is injected any more
	struct sim_life *life; // whose code runs; NULL: the simulation's
	struct sim_tenant *tenants;
	int64_t db_away_until_us, apple_away_until_us;
	int64_t load_ids;
	uint64_t events, transactions, calls, hooks, injected, met, crashes;
	uint64_t quiet_ends, gathered_ends;
	struct sim_records *spare_records;
};
extern struct sim sim;

// sim_loop.c
void sim_begin(const struct sim_shape *shape, uint64_t seed, bool verbose);
void sim_end(void);
void sim_at(int64_t at_us, struct sim_life *life, void (*run)(void *argument), void *argument);
bool sim_step(int64_t until_us); // false: nothing is left before that time
void sim_trace(const char *what, int64_t a, int64_t b, int64_t c);
uint64_t sim_random(void);
int64_t sim_between(int64_t from, int64_t to); // both included
bool sim_chance(int percent);
void sim_due_changed(void);    // when a client may be claimed, or by whom
void sim_claims(void);         // the timer whose call runs starts claims
void sim_beats(void);          // the timer whose call runs starts heart-beats
void sim_hint(int64_t tenant_id); // the API process does
void sim_claimed(bool any);    // whether the last claim of the process that runs found anything
void sim_beaten(bool worked);  // whether its last heart-beat reached the database

// sim_memory.c
void *sim_take(size_t size); // zeroed; until sim_end
void *sim_take_unset(size_t size); // as it was left
struct text sim_keep(struct text text); // a copy, the same for the same text
// The number behind `letter`; -1: it does not begin like that. `rest`: what follows, may be NULL.
int64_t sim_number(struct text text, char letter, struct text *rest);
struct text sim_numbered(char letter, int64_t number);
struct text sim_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_memory_reset(void);

// sim_node.c
void sim_nodes_begin(void);
void sim_node_fault(enum fault_kind kind);
bool sim_node_is_cut_off(const struct sim_life *life);
void sim_node_closed(struct sim_life *life);
void sim_node_crash(const struct sim_life *life); // the one whose code runs
int sim_node_number(const struct sim_life *life);
int64_t sim_beat_skip_us(const struct sim_life *life); // nothing can come between its heart-beats before that time
int64_t sim_paused_until_us(const struct sim_life *life);
struct text sim_node_id(const struct sim_life *life);
int64_t sim_node_skew_us(const struct sim_life *life);

// sim_claims.c
void sim_keep_alive(struct text node_id, int64_t until_us);
// When this process may find a client that is due; before_us: not before that time.
int64_t sim_earliest_due_us(struct text node_id, int64_t before_us);

// sim_people.c
struct sim_tenant *sim_tenant_of(int64_t tenant_id);
void sim_start_over(struct sim_tenant *tenant, bool routes);
void sim_wake(struct sim_tenant *tenant);
void sim_rows_fault(enum fault_kind kind, struct sim_tenant *tenant);
void sim_allow_removals(struct sim_tenant *tenant); // a person does
void sim_rows_look_after(struct sim_tenant *tenant); // an operator does, when something was switched off

// sim_devices.c
int64_t sim_device_of(const struct sim_tenant *tenant, struct text serial); // -1: it is not this client's

// sim_rows.c
void sim_rows_begin(void);

// sim_rest.c
const char *sim_rows_unfinished(struct sim_tenant *tenant); // NULL: everything has arrived where it should be

// sim_routes.c
struct text sim_rules_document(int rules);
// Where the device is to go: an instance, 0: held. Rows of other devices count as they are now.
int64_t sim_want(const struct sim_tenant *tenant, const struct sim_route *route, size_t device, const struct device_record *apple);
bool sim_inherits(const struct sim_route *route, size_t device); // from another device, as it was when the decision fell
bool sim_may_stay(const struct sim_tenant *tenant, size_t device, const struct device_row *row); // where it is
void sim_routes_fault(enum fault_kind kind, struct sim_tenant *tenant);
void sim_routes_begin(void);
const char *sim_routes_unfinished(const struct sim_tenant *tenant);

// sim_enrolments.c
void sim_enrolments_begin(void);
void sim_enrolments_fault(struct sim_tenant *tenant); // MDM servers tell of enrolments
const char *sim_enrolments_unfinished(const struct sim_tenant *tenant);

// sim_guards.c
void sim_guards_begin(void);
void sim_guards_fault(struct sim_tenant *tenant); // somebody says what is expected
int64_t sim_named_after(const struct sim_tenant *tenant, size_t device); // the client whose number is in the serial number
bool sim_guard_is_over(const struct sim_tenant *tenant, size_t device); // it is held by one, and none would hold it now
bool sim_guard_any_is_over(const struct sim_tenant *tenant);
bool sim_guard_has_any(const struct sim_tenant *tenant);
int64_t sim_expects_at(const struct sim_tenant *tenant, size_t device); // by the list; 0: anywhere
int64_t sim_expected_at(const struct sim_tenant *tenant, size_t device); // the same of what is not at an instance
void sim_guard_check_route(const struct sim_tenant *tenant, const struct device_row *row);
void sim_guard_check_claim(const struct sim_tenant *tenant, const struct device_row *row);

// sim_jobs.c
void sim_jobs_begin(void);
void sim_jobs_fault(struct sim_tenant *tenant); // somebody has a job done
void sim_job_check_call(const struct sim_tenant *tenant, struct text serial, bool releases);
const char *sim_jobs_unfinished(const struct sim_tenant *tenant);

// sim_moves.c
void sim_moves_begin(void);
void sim_moves_fault(struct sim_tenant *tenant); // somebody has many devices moved
const char *sim_moves_unfinished(const struct sim_tenant *tenant);

// sim_apple.c
void sim_apple_begin(void);
void sim_apple_change(void); // a device comes, changes or goes
int64_t sim_apple_vanish(const struct sim_tenant *tenant, int64_t most); // how many did
void sim_apple_fault(enum fault_kind kind, struct sim_tenant *tenant);
bool sim_apple_was_gone_after(const struct sim_tenant *tenant, struct text serial, struct text version);
bool sim_apple_profile_is(const struct sim_tenant *tenant, struct text uuid, int64_t instance_id, int version); // of these members
const char *sim_apple_differs(struct sim_tenant *tenant, size_t device, const struct device_row *row,
	const struct text wanted[SIM_INSTANCES + 1]);

// sim_hooks.c
void sim_hooks_begin(void);
bool sim_hook_has(const struct sim_tenant *tenant, int64_t seq);

// sim_outage.c
extern const struct sim_shape sim_shape_outage;
void sim_outage_note(void); // a request leaves for Apple

// sim_scenes.c
extern const struct sim_shape sim_shape_poison, sim_shape_brake, sim_shape_backoff, sim_shape_hints, sim_shape_polls;
void sim_scene_note(const struct sim_tenant *tenant); // a request leaves for Apple

// sim_waits.c
void sim_wait_loaded(struct sim_tenant *tenant); // by a new run
void sim_wait_heard(const struct sim_life *life, struct sim_tenant *tenant, enum err rc, int64_t retry_after_s, bool page, bool waits);
void sim_wait_stored(const struct sim_life *life, const struct sim_tenant *tenant, const struct stream_row *next);
void sim_wait_asked(const struct sim_life *life, const struct sim_tenant *tenant); // Apple, who it is or for a page
int64_t sim_wait_least_us(int failures, int64_t retry_after_s); // after so many in a row

// sim_plan.c
void sim_plan_begin(void);
int64_t sim_plan_next_node_fault_us(void);
bool sim_meets(struct sim_tenant *tenant, enum fault_kind kind); // takes one that is armed
void sim_settle(void); // nothing is injected any more: a law that everything comes to rest
const char *sim_fault_name(enum fault_kind kind);

#define LAW(condition, ...)                        \
	do {                                           \
		if (!(condition)) {                        \
			sim_law_broken(#condition, __VA_ARGS__); \
		}                                          \
	} while (0)
void sim_law_broken(const char *law, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void sim_print_replay(void);
