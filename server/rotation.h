// SPDX-License-Identifier: Apache-2.0
//
// rotation.h - keys are replaced while everything runs (docs/decisions/0009).
//
// Laws       1. whatever was done is kept: after an end at any point the same call goes on, and every secret opens meanwhile
//            2. a key is given up only when the database proves that nothing uses it and nothing can any more
//            3. what does not open is told on standard error and left as it is; then nothing is given up, and the call fails
#pragma once

#include "crypto/key_provider.h"
#include "database.h"

struct rotation {
	struct database *database;
	struct key_provider *provider;
	char master_key[KEY_NAME_MAX + 1]; // that wraps from now on
	int64_t since_us;                  // data keys from before are to be replaced
	size_t tenants, changed, unreadable;
};

// Every data key is wrapped by rotation->master_key; every other master key is retired in the database.
MUST_USE enum err rotate_master_key(struct rotation *rotation, struct fault *fault);
// Every client has a new data key that seals all of its secrets, and no other one.
MUST_USE enum err rotate_data_keys(struct rotation *rotation, struct fault *fault);

void rotation_tell_unreadable(struct rotation *rotation, struct text slug, const struct fault *fault);
// ERR_CRYPTO when something did not open.
MUST_USE enum err rotation_verdict(const struct rotation *rotation, struct fault *fault);
