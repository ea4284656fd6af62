// SPDX-License-Identifier: Apache-2.0
//
// dep_profile_set.h - from rows of store_dep_profile_uuids to what dep_device_json.h asks.
#pragma once

#include "api/dep/dep.h"
#include "api/dep/dep_device_json.h"
#include "store/dep_profiles.h"

// In the request's arena; the texts are the transaction's.
struct dep_profile_set dep_profile_set_read(struct call *call, unsigned statement);
