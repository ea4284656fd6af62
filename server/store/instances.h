// SPDX-License-Identifier: Apache-2.0
//
// instances.h - the downstream MDM servers of one client, its rules, and the profiles defined at Apple for them.
#pragma once

#include "store/store.h"
#include "tenants/ruleset.h"

enum { STORE_INSTANCES_MAX = 200, STORE_HOSTS_MAX = 50, STORE_INSTANCE_LABELS_MAX = 20, STORE_ANCHORS_MAX = 10 };

struct instance_row {
	int64_t instance_id;
	struct text name;
	struct text kind;
	struct text enrolment_url;
	struct text allowed_hosts[STORE_HOSTS_MAX];
	size_t allowed_host_count;
	struct text profile; // the instance's layer of Apple's profile, a JSON object (templates.h)
	int64_t profile_version; // 0: never put
	int64_t version; // grows with each change of it
	struct text webhook_url; // this and the next three: of its first endpoint, which has its number (endpoints.h)
	int64_t webhook_secret_version;
	int64_t webhook_disabled_at_us;
	struct text webhook_disabled_reason;
	int64_t created_at_us, updated_at_us;
	struct text state; // "active", "draining" (gets no new devices), "retired" (has none, and no rule names it)
	struct text labels[STORE_INSTANCE_LABELS_MAX];
	size_t label_count;
	struct text anchor_certs[STORE_ANCHORS_MAX]; // PEM
	size_t anchor_cert_count;
	int64_t hook_secret_version; // the last one that was made
	int64_t hook_made_at_us;     // INSTANT_NONE: there is none
};

// Api scope: with its first endpoint, and that one's positions. A name that exists: ERR_CONFLICT. The client's run starts over.
void store_instance_insert(struct pg_transaction *t, int64_t tenant_id, const struct instance_row *instance);
// Api scope: enrolment_url, allowed_hosts, webhook_url, state, labels and anchor_certs become these. The client's run starts over. ERR_FENCED:
// it is not of `version` any more (0: of any).
unsigned store_instance_update(struct pg_transaction *t, int64_t tenant_id, const struct instance_row *instance);
struct instance_use {
	int64_t devices; // that are there
	bool is_named;   // by the rules in force, or by pins
	bool is_parking; // the tenant's profile names it for what is held
};
// Api scope, before an update that retires. The stream's row is locked, so that it stays so.
unsigned store_instance_use(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id);
void store_instance_use_read(const struct pg_transaction *t, unsigned statement, struct instance_use *out);
// Api scope, in the transaction of such an update: ERR_FENCED when it is in use.
void store_instance_require_unused(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id);
// Api scope: a new version of its hook's secret is in force, or none is any more.
unsigned store_instance_set_hook(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t version);
unsigned store_instance_drop_hook(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id);
unsigned store_instance_list(struct pg_transaction *t, int64_t tenant_id); // by name, at most STORE_INSTANCES_MAX
unsigned store_instance_by_name(struct pg_transaction *t, int64_t tenant_id, struct text name);
// Its profile is for what is held: nothing is ever sent there.
static inline bool store_instance_is_parking(const struct instance_row *row)
{
	return text_equal_string(row->kind, "parking");
}

// As rules see it.
static inline enum ruleset_instance_state store_instance_state(const struct instance_row *row)
{
	return text_equal_string(row->state, "retired") || store_instance_is_parking(row) ? RULESET_INSTANCE_RETIRED
		: text_equal_string(row->state, "draining") ? RULESET_INSTANCE_DRAINING : RULESET_INSTANCE_ACTIVE;
}

void store_instance_read(const struct pg_transaction *t, unsigned statement, size_t row, struct instance_row *out);

struct rules_row {
	int64_t version; // 0: no rules yet
	struct text document; // JSON (tenants/ruleset.h); empty in a list
	int64_t made_at_us;
	struct text made_by;
	struct text reason;
};

// Api scope: the next version becomes the one in force, and the client's run starts over. `expected_version` -1: whatever is in force; otherwise
// ERR_FENCED when another one is. Gives the new version. Of `rules` document, reason and made_by are taken.
unsigned store_rules_put(struct pg_transaction *t, int64_t tenant_id, int64_t expected_version, const struct rules_row *rules);
int64_t store_rules_put_read(const struct pg_transaction *t, unsigned statement);
unsigned store_rules_current(struct pg_transaction *t, int64_t tenant_id); // one row or none
unsigned store_rules_by_version(struct pg_transaction *t, int64_t tenant_id, int64_t version); // one row or none
unsigned store_rules_list(struct pg_transaction *t, int64_t tenant_id, int64_t before_version, int limit); // the newest first
void store_rules_read(const struct pg_transaction *t, unsigned statement, size_t row, struct rules_row *out);

struct profile_row {
	int64_t instance_id;
	struct text content_digest; // SHA-256, hexadecimal
	struct text content;
	struct text profile_uuid; // empty: Apple refused to define it
	struct text refused;      // Apple's word then
	int64_t token_id;
	int64_t defined_at_us;
	bool mend_due;           // Apple has it otherwise, and it is to be defined again
	int64_t checked_at_us;   // when Apple was asked for it; INSTANT_NONE: not yet
	int64_t drift_count;     // differences that Apple showed then, and that count
	struct text drift;       // JSON: all of them; empty: none
	int64_t mended_at_us;    // INSTANT_NONE: never
	bool is_canonical;       // content_digest is of the one form of `content`, as all are that are put; before, it was of its bytes
};

// Worker scope. The same content again (another token's server, or Apple lost it) replaces the row; what was said of drift is gone, that
// it was mended stays. content_digest: 32 bytes here.
unsigned store_profile_put(struct pg_transaction *t, int64_t tenant_id, const struct profile_row *profile);
unsigned store_profile_forget(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid); // Apple does not know it any more
unsigned store_profile_list(struct pg_transaction *t, int64_t tenant_id); // newest first
void store_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct profile_row *out);
