// SPDX-License-Identifier: Apache-2.0
//
// layer_change.h - one PUT of a layer, whosever it is: what was sent, what is wrong with it, how many devices it would reach, and
// whether it may be made.
//
// Ownership  its texts live in the request; findings in `arena`, which ends with the call
// Laws       1. no layer is stored that was not looked at, alone and together with all that it is merged with
//            2. no instance whose profile was good gets one with an error
//            3. it is made against the version that it was costed against, and no other
#pragma once

#include "api/body.h"
#include "api/change.h"
#include "api/profile_view.h"

enum { LAYER_VERSIONS_SHOWN = 50 };

struct layer_change {
	struct arena arena;
	enum profile_level level;
	struct text layer; // as it was written
	struct text reason;
	int64_t expected_version;
	bool dry_run;
	struct findings findings; // of the layer alone
	// What it would do
	struct buffer items;      // JSON, one a tenant
	struct buffer serials;    // likewise: the devices whose profile changes
	struct change_cost *costs; // one a tenant
	size_t cost_count, cost_capacity;
	int64_t changed[STORE_INSTANCES_MAX]; // instances of the last tenant whose profile changes
	char changed_profiles[STORE_INSTANCES_MAX][2 * SHA256_SIZE + 1]; // digests of what they get; empty: none
	size_t changed_count;
	int64_t held_as; // the parking instance among them; 0: none
	int64_t base_version;
	struct buffer detail; // JSON, for who approves
	int64_t tenants, devices; // whose profile changes
	int64_t broken;           // instances whose profile was good and would have an error
	bool is_about_a_url;      // one of these errors is
};

// call->own becomes it, in a struct of `size` bytes that begins with it; arena and buffer end with the call.
struct layer_change *layer_change_begin(struct call *call, size_t size, enum profile_level level);
// Body, If-Match and dry_run. False: refused, and that has been answered. The members begin with these two:
#define LAYER_MEMBERS                                                       \
	{ .name = "layer", .kind = BODY_OBJECT, .required = true },              \
	{ "reason", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = 400 }
enum { LAYER_BODY_LAYER, LAYER_BODY_REASON, LAYER_BODY_COUNT };
MUST_USE bool layer_change_read(struct call *call, const struct body_member *members, struct body_value *values, size_t count);
// The layer as it stands in the body under "profile", say. True when it has no error.
MUST_USE bool layer_change_check(struct call *call, struct layer_change *change, const char *quoted_name);

// What the layers of one tenant are, and what they would be.
struct layer_states {
	const struct tenant_row *tenant;
	const struct tenant_profile_row *before, *after;
	const struct tenant_row *tenant_after; // NULL: it stays
	const struct instance_row *instance_after; // in place of the stored one with its number; NULL: none changes
};
// Five statements of the api scope, from the first one on; and what comes of them.
enum { LAYER_READ_TENANT, LAYER_READ_PROFILE, LAYER_READ_INSTANCES, LAYER_READ_COUNTS, LAYER_READ_ACCOUNT, LAYER_READ_MORE };
void layer_change_ask(struct pg_transaction *t, int64_t tenant_id);
MUST_USE bool layer_change_add(struct call *call, struct layer_change *change, const struct layer_states *states); // false: answered
// When the last tenant that was added has devices whose profile changes: these devices, one statement of its api scope more.
bool layer_change_must_list(const struct layer_change *change);
void layer_change_list(struct call *call, const struct layer_change *change, int64_t tenant_id);
void layer_change_take_list(struct call *call, struct layer_change *change);

// Of an instance that is not stored yet: false when its profile has an error, and that has been answered.
MUST_USE bool layer_change_check_new(struct call *call, const struct tenant_row *tenant, const struct tenant_profile_row *profile,
	const struct instance_row *instance);

// True: it may be made. Otherwise it was refused, or it was a dry run, and that has been answered.
MUST_USE bool layer_change_may_go_on(struct call *call, struct layer_change *change);
// The version that it is costed against. False: If-Match names another one, and that has been answered.
MUST_USE bool layer_change_base(struct call *call, struct layer_change *change, int64_t version);
struct change layer_change_describe(struct layer_change *change, const char *kind, int64_t tenant_id, struct text target);
struct layer_author layer_change_author(struct call *call, const struct layer_change *change);
void layer_change_audit(struct call *call, struct pg_transaction *t, const char *action, struct text target);
void layer_change_fini(struct layer_change *change);
