// SPDX-License-Identifier: Apache-2.0
//
// world.h - what the simulated Apple knows: organisations' servers ("tenants"), devices, profiles, and every change.
//
// Ownership  everything belongs to the world and lives as long as it. A device is never forgotten: one that was released
//            or moved keeps its object, so that old changes can still be told.
// Laws       1. a serial number is one device, and a device is on one server at most
//            2. a change log only grows; what is not in it (`quiet`) shows in full lists only, as it happens at Apple
//            3. what a device is made of follows from its seed; only deviations are stored (`facts`)
#pragma once

#include "depbroker/clock.h"
#include "depbroker/text.h"
#include "rig/text_index.h"

enum { UUID_SIZE = 32, SESSIONS_MAX = 8, SESSION_SIZE = 60 };

struct profile {
	char uuid[UUID_SIZE + 1];
	char *json; // as GET /profile answers
	char *url;
};

enum profile_status { PROFILE_EMPTY, PROFILE_ASSIGNED, PROFILE_PUSHED, PROFILE_REMOVED };
extern const char *const profile_status_words[];

struct device {
	char *serial;
	uint64_t seed;
	struct tenant *tenant; // NULL: on no server
	struct profile *profile;
	struct device *replaces;
	char *facts;           // a JSON object: what differs from what the seed gives; NULL: nothing
	int64_t assigned_at_s; // to the server
	int64_t profile_assigned_at_s; // 0: never
	int64_t profile_pushed_at_s;
	int64_t cool_until_s; // assignment is throttled until then
	uint32_t slot;        // in its tenant's list
	uint32_t index;       // in the world's list
	uint8_t status;
	bool is_locked;
	bool is_assigned_by_default; // nobody did it: "-1"
};

enum operation { OPERATION_ADDED, OPERATION_MODIFIED, OPERATION_DELETED };
extern const char *const operation_words[];
enum cause { CAUSE_CONTROL, CAUSE_ASSIGN, CAUSE_REMOVE, CAUSE_DISOWN, CAUSE_REPLACEMENT };
extern const char *const cause_words[];

struct change {
	struct device *device;
	uint32_t at_s;
	uint8_t operation;
	uint8_t cause;
};

// A profile given to a device, for whoever wants to know who was sent where, and when. Not kept over a restart.
struct assignment {
	const struct device *device;
	const struct profile *profile;
	int64_t at_ms; // of the simulated calendar
};

struct credentials {
	char *consumer_key; // NULL: no token was made yet
	char *consumer_secret;
	char *access_token;
	char *access_secret;
	int64_t expires_at_s;
};

struct session {
	char token[SESSION_SIZE + 1]; // empty: free
	int64_t expires_at_ms;
	unsigned uses;
};

struct nonce {
	uint64_t hash;
	int64_t timestamp_s;
};

struct tenant_counters {
	uint64_t requests;
	uint64_t sessions;
	uint64_t fetch_pages;
	uint64_t sync_pages;
	uint64_t assigned;          // devices that got a profile
	uint64_t assigned_needlessly; // that had this very profile already
	uint64_t assigned_too_early;  // while they were cooling down
	uint64_t nonces_reused;
};

struct tenant {
	struct world *world;
	int64_t id;
	uint64_t seed;
	uint64_t devices_made;
	char *texts; // a JSON object: name, org_name, org_id, ... as /account tells them
	char *name;
	char administrator[40]; // who assigns devices to it
	char server_uuid[UUID_SIZE + 1];
	char *certificate;
	struct credentials token;
	unsigned tokens_made;
	struct device **slots; // in order of arrival; NULL where one has left
	size_t slot_count;
	size_t slot_capacity;
	size_t device_count;
	struct change *changes;
	size_t change_count;
	size_t change_capacity;
	struct assignment *assignments;
	size_t assignment_count;
	size_t assignment_capacity;
	struct profile **profiles;
	size_t profile_count;
	struct session sessions[SESSIONS_MAX];
	struct nonce *nonces;
	size_t nonce_count;
	size_t nonce_capacity;
	int64_t page_default;
	int64_t page_maximum;
	char *discovery_url;
	int64_t discovery_at_s;
	bool is_beta_off;
	bool is_discovery_unsupported;
	bool may_not_disown;
	struct tenant_counters counters;
};

struct world {
	uint64_t seed;
	unsigned char secret[32]; // makes cursors ours
	int64_t advance_s;        // how far the simulated calendar is ahead
	int64_t skew_s;           // how wrong the clock is that OAuth and Date go by
	int64_t session_life_s;
	int64_t rotate_after; // uses of a session; 0: never
	int64_t clock_window_s;
	struct text public_url; // what clients think they talk to; none: http:// and their Host
	struct tenant **tenants; // id - 1
	size_t tenant_count;
	size_t tenant_capacity;
	struct device **devices;
	size_t device_count;
	size_t device_capacity;
	struct text_index by_serial;
	struct text_index by_consumer_key;
	struct text_index by_name;
	uint64_t sessions_made;
	bool is_changed; // since it was saved
};

void world_init(struct world *world, uint64_t seed);
void world_fini(struct world *world);
int64_t world_now_ms(const struct world *world);   // of the simulated calendar
int64_t world_now_s(const struct world *world);
int64_t world_clock_s(const struct world *world);  // of the clock that OAuth goes by

// Mixes numbers into a well-spread one (for everything that the seed decides).
uint64_t mixed(uint64_t a, uint64_t b);
void add_mixed_hex(struct buffer *out, uint64_t seed, size_t digits, bool upper);

struct tenant *world_add_tenant(struct world *world, uint64_t seed); // `texts` and `name` are the caller's to fill in
struct tenant *world_tenant(const struct world *world, int64_t id);  // NULL: there is none
void tenant_set_token(struct tenant *tenant, const struct credentials *token); // takes its texts; the old one dies
void credentials_fini(struct credentials *credentials);

struct device *world_device(const struct world *world, struct text serial);
struct device *world_make_device(struct world *world, const char *serial, uint64_t seed); // on no server yet
struct device *tenant_make_device(struct tenant *tenant); // the next one that the tenant's seed gives, on no server yet

void tenant_log(struct tenant *tenant, struct device *device, enum operation operation, enum cause cause);
void device_enter(struct device *device, struct tenant *tenant); // as if an administrator had assigned it to this server
void device_leave(struct device *device); // the profile goes, too
struct profile *tenant_profile(const struct tenant *tenant, struct text uuid);
struct profile *tenant_add_profile(struct tenant *tenant, const char *uuid); // without `json` and `url` yet
void profile_uuid_make(const struct tenant *tenant, char out[UUID_SIZE + 1]);
void device_set_profile(struct device *device, struct profile *profile); // logged as modified
void device_clear_profile(struct device *device);                        // logged as modified

// What the device is made of.
enum hardware_fact { FACT_MODEL, FACT_DESCRIPTION, FACT_FAMILY, FACT_OS, FACT_COLOUR };
const char *hardware_fact(uint64_t seed, enum hardware_fact fact);
bool hardware_is_cellular(uint64_t seed);
bool hardware_has_ethernet(uint64_t seed);
void hardware_serial(char out[16], uint64_t seed);
void hardware_add_imei(struct buffer *out, uint64_t seed, unsigned slot); // 15 digits, the last one checks
void hardware_add_eid(struct buffer *out, uint64_t seed);
void hardware_add_mac(struct buffer *out, uint64_t seed, unsigned port);
