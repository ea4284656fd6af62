// SPDX-License-Identifier: Apache-2.0
//
// histories.h - the core of depbroker (tenants/: sync, page, seen, ruleset, reconcile with route and assign, profiles and their digests, retry,
// events and their ids) over a model of Apple, of the rows and of the receivers. One seed is one history of three clients.
//
//   Apple      devices come, go, change and move from one client to another; the changes that it tells are lost, doubled and reordered;
//              assignments are throttled, denied, fail, or their answer is lost; profiles are lost; somebody else assigns
//   the rows   a transaction is lost before or after its commit, or fenced since rules, pins, profiles or instances changed in between
//   receivers  answers are lost, 5xx, 429
//
// Laws       1. whatever happens, no device is ever assigned a profile of another client or instance than the rules want by which it was
//               decided, and none is asked for before a cool-down ends that Apple has told
//            2. in the end every device is as wanted at Apple, in its row and at its receiver, or it is held with a reason, or waits for a time
//               in a named state
//            3. nothing here asks the machine for time or chance: the same seed is the same history
#pragma once

#include "depbroker/arena.h"
#include "depbroker/digest.h"
#include "tenants/assign.h"
#include "tenants/device_row.h"
#include "tenants/ruleset.h"
#include "tenants/seen.h"
#include "tenants/sync.h"

enum {
	CLIENTS = 3, PLACES = 3, DEVICES = 8, // PLACES: instances of each client; place 0 is none
	MODELS = 3, VERSIONS = 4, // of an instance's profile
	RULES_MAX = 3, // and then `otherwise`
	PROFILES_MAX = 512, CHANGES_MAX = 512, EVENTS_MAX = 512, RULESETS_MAX = 256, PAGE_MAX = 16,
};

#define MINUTE_US (60 * SECOND_US)

// --- rules, and what they want by a second opinion ---

struct rule {
	unsigned serials; // of these devices; 0: of this model
	size_t model;
	size_t place;     // 0: held
	bool override;
};

struct rules {
	struct rule rules[RULES_MAX + 1]; // the last one is `otherwise`
	size_t count;                     // with it
};

struct config { // of a client
	int64_t version;
	struct rules rules;
	const struct ruleset *ruleset; // the same, as the core reads it
	int pins[DEVICES];             // a place; -1: not pinned
	bool retired[PLACES + 1];
	unsigned profile_versions[PLACES + 1];
};

// histories_rules.c
extern const char *const serials[DEVICES], *const models[MODELS];
size_t device_of(struct text serial);
int64_t instance_of(size_t client, size_t place); // 0: none
size_t place_of(int64_t instance_id);
struct rules rules_any(void);
void rules_compile(struct config *config, size_t client);
size_t rules_want(const struct config *config, size_t device, struct text model); // a place
bool rules_override(const struct config *config, size_t device, struct text model);
const unsigned char *profile_digest_of(size_t client, size_t place, unsigned version, bool override);

// --- Apple ---

struct profile { // that was defined
	char uuid[33];
	size_t client;
	int64_t instance_id;
	unsigned char digest[SHA256_SIZE];
	bool lost, foreign;
};

struct truth { // of a device
	int client; // -1: nobody's
	size_t model;
	const struct profile *profile, *shown; // it shows the old one for a while
	int64_t shown_at_us;
	const char *status;
	int64_t assigned_date_us;
	int64_t cool_until_us; // Apple throttles it
	bool broken;           // cannot be assigned
};

struct change {
	size_t device;
	enum device_operation operation;
	int64_t at_us;
	struct truth state;
	bool swallowed; // the changes leave it out: only a list tells
};

struct cursor { // what Apple writes into its opaque text
	bool given;
	size_t offset, position; // of a list: the next device; of the changes: where they go on
};

struct page {
	struct device_record records[PAGE_MAX];
	size_t count;
	struct cursor cursor;
	bool more;
};

// histories_apple.c
void apple_begin(void);
void apple_change(void); // a device comes, goes, moves, changes, is enrolled, is assigned by somebody else; or a profile is lost
void apple_list(size_t client, const struct cursor *sent, struct page *page);
void apple_changes(size_t client, const struct cursor *sent, struct page *page);
const struct profile *apple_define(size_t client, int64_t instance_id, const unsigned char digest[SHA256_SIZE]);
enum err apple_assign(size_t client, struct text uuid, unsigned devices, enum assign_result results[DEVICES], int64_t *retry_after_s);
bool apple_details(size_t client, size_t device, struct device_record *record, bool *accessible); // false: the answer leaves it out
void apple_rests(void); // shows what it has
const struct profile *apple_profile(struct text uuid);

// --- the rows ---

struct logged { // an event
	enum event_type type;
	size_t device;
	int64_t instance_id, at_us;
	enum removal_reason reason;
	struct text json;
};

struct defined { // a row of profiles
	const struct profile *profile;
	bool forgotten;
};

struct stored { // what a transaction writes
	struct sync_state sync;
	struct cursor cursor;
	int64_t sync_next_at_us;
	enum sync_reason reason;
	struct device_row rows[DEVICES];
	bool known[DEVICES];
	int64_t told_until_us[DEVICES]; // a cool-down's end, as Apple has told it
	const struct profile *accepted[DEVICES]; // what Apple has accepted since its last record; NULL: nothing
	bool must_plan;      // every device
	unsigned reroutes;   // these
	struct defined defined[128];
	size_t defined_count;
	size_t event_count;
};

struct receiver {
	size_t at; // event that is delivered next
	int attempts;
	int64_t next_try_us;
	unsigned holds; // devices, as it was told
	char ids[EVENTS_MAX][28]; // of what it has heard; empty: not yet
};

struct client {
	struct config config;
	struct stored stored;
	struct logged events[EVENTS_MAX];
	struct change changes[CHANGES_MAX];
	size_t change_count;
	int64_t ran_at_us;                // its last run ended then
	int64_t absent_until_us[DEVICES]; // Apple was without it until then
	struct receiver receivers[PLACES + 1];
};

struct world {
	uint64_t seed, random;
	int64_t now_us;
	bool verbose;
	bool faults, swallows, repeats;
	struct truth devices[DEVICES];
	struct client clients[CLIENTS];
	struct profile profiles[PROFILES_MAX];
	size_t profile_count;
	struct ruleset *rulesets[RULESETS_MAX];
	size_t ruleset_count;
	struct arena texts; // of events
	unsigned throttled, assigned, moved, delivered; // how much has happened
};
extern struct world world;

// histories_run.c
void run_client(size_t client, bool full);
// histories_receivers.c
void deliver(size_t client);

// test_histories.c
uint64_t random_next(void);
uint64_t random_below(uint64_t limit); // 0 to limit - 1
bool random_chance(unsigned percent);
void change_config(size_t client);
void meanwhile(void); // anything may happen between two steps of a run

#define LAW(condition, ...)                            \
	do {                                               \
		if (!(condition)) {                            \
			history_broken(#condition, __VA_ARGS__); \
		}                                              \
	} while (0)
void history_broken(const char *law, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
