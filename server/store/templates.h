// SPDX-License-Identifier: Apache-2.0
//
// templates.h - the layers of enrolment profiles: templates of the installation, of a client, of an instance (tenants/profile_layers.h).
//
// Law  a version is written once and never changed; the newest one is in force. To go back, an old one is put again
#pragma once

#include "store/store.h"

struct layer_version { // of any layer
	int64_t version;
	struct text layer;
	int64_t made_at_us;
	struct text made_by;
	struct text reason;
};

struct layer_author {
	struct text made_by;
	struct text reason; // empty: none
};

// --- templates: directory scope, reading in any scope ---

struct template_row {
	struct text name;
	struct layer_version in_force;
	int64_t tenants; // that use it, as far as the scope may see
};

unsigned store_template_list(struct pg_transaction *t, struct text after_name, int limit); // by name
unsigned store_template_by_name(struct pg_transaction *t, struct text name);                // one row or none
void store_template_read(const struct pg_transaction *t, unsigned statement, size_t row, struct template_row *out);
// `version` 0: the newest ones first, at most `limit`; otherwise this one.
unsigned store_template_versions(struct pg_transaction *t, struct text name, int64_t version, int limit);
// The next version, and everybody who uses it is due at once. `expected_version` -1: whatever is in force, 0: there is none; otherwise
// ERR_FENCED when another one is, or ERR_CONFLICT when somebody is faster.
unsigned store_template_put(struct pg_transaction *t, struct text name, int64_t expected_version, struct text layer,
	const struct layer_author *author);
int64_t store_layer_put_read(const struct pg_transaction *t, unsigned statement); // the new version, of each of the three puts

// First in a transaction: who begins to use the template (`shared`), and who puts it, follow each other. Any scope.
void store_template_lock(struct pg_transaction *t, struct text name, bool shared);
// After the lock: ERR_FENCED when another version is in force; 0: there is none.
void store_template_require(struct pg_transaction *t, struct text name, int64_t version);
// In the transaction of the put, after the lock: ERR_FENCED when others use it than these.
void store_template_require_users(struct pg_transaction *t, struct text name, const int64_t *tenant_ids, size_t count);

struct template_user_row {
	int64_t tenant_id;
	struct text slug;
};
// Directory scope: clients that use it and are not being deleted, by slug, the first `limit` after `after_slug`.
unsigned store_template_users(struct pg_transaction *t, struct text name, struct text after_slug, int limit);
void store_template_user_read(const struct pg_transaction *t, unsigned statement, size_t row, struct template_user_row *out);

// --- a client's layer: api and worker scope ---

struct tenant_profile_row {
	struct text template_name; // empty: none
	struct text layer;
	int64_t version;           // 0: never put
	bool mend;                 // drift at Apple is mended
	int64_t template_version;  // in force; 0: there is none
	struct text template_layer;
	int64_t template_done;     // devices were looked at with this version
	int64_t parking_instance_id; // whose profile devices get while they are held; 0: none
	struct text parking;         // its name
};

unsigned store_tenant_profile_select(struct pg_transaction *t, int64_t tenant_id); // one row
void store_tenant_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_profile_row *out);
unsigned store_tenant_profile_versions(struct pg_transaction *t, int64_t tenant_id, int64_t version, int limit);
// Api scope; the client's run starts over. template_name, layer, mend and parking_instance_id are taken. `expected_version` as above.
unsigned store_tenant_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t expected_version,
	const struct tenant_profile_row *profile, const struct layer_author *author);
// Worker scope, in a fenced write.
void store_template_done(struct pg_transaction *t, int64_t tenant_id, int64_t version);

// --- an instance's layer: api scope; what is in force is struct instance_row's profile ---

unsigned store_instance_profile_versions(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t version, int limit);
unsigned store_instance_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t expected_version,
	struct text layer, const struct layer_author *author);

void store_layer_version_read(const struct pg_transaction *t, unsigned statement, size_t row, struct layer_version *out);

// --- what a change costs: api scope ---

unsigned store_instance_device_counts(struct pg_transaction *t, int64_t tenant_id); // present devices by instance; 0: held
// Of these instances, NULL: all, of none too: the elements of a JSON list of {"serial_number","tenant","instance","profile"}, by serial number.
// `profiles`: what their devices get, a word for each instance. `held_as`: as if they were of this instance, those that are held, too; 0: not.
unsigned store_instance_device_list(struct pg_transaction *t, int64_t tenant_id, const int64_t *instance_ids, const struct text *profiles, size_t count,
	int64_t held_as);
struct text store_instance_device_list_read(const struct pg_transaction *t, unsigned statement);
int64_t store_instance_device_list_count(const struct pg_transaction *t, unsigned statement);
void store_instance_device_count_read(const struct pg_transaction *t, unsigned statement, size_t row, int64_t *instance_id, int64_t *devices);
