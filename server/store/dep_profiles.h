// SPDX-License-Identifier: Apache-2.0
//
// dep_profiles.h - enrolment profiles that MDM servers defined through their virtual DEP servers, and which devices they want them for.
//
// Laws  1. a wish is of a device that is the instance's when the wish is made, and names a profile of this instance
//       2. the client's worker is who acts on wishes: each of these changes makes it look at the devices
#pragma once

#include "store/store.h"

enum { STORE_DEP_PROFILES_MAX = 1000 }; // of an instance

// Api scope. More than STORE_DEP_PROFILES_MAX: ERR_FENCED.
void store_dep_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid, struct text content);
// One row when Apple is known to have it for this instance.
unsigned store_dep_profile_find(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid);
// The same, those that depbroker defined for the instance among them.
unsigned store_dep_profile_find_any(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid);
// UUIDs of all of the instance's profiles, sorted as bytes, the newest STORE_LIST_MAX of each kind. A text a row.
unsigned store_dep_profile_uuids(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id);
// Worker scope: Apple does not know it any more.
void store_dep_profile_lose(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid);

// Api scope, for those of the serial numbers that are devices of the instance.
void store_dep_wish_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid,
	const struct text *serials, size_t count);
// Returns the statement: a row for each wish that there was.
unsigned store_dep_wish_delete(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, const struct text *serials, size_t count);
void store_dep_wish_read(const struct pg_transaction *t, unsigned statement, size_t row, struct text *serial, struct text *profile_uuid);
