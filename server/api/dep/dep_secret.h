// SPDX-License-Identifier: Apache-2.0
//
// dep_secret.h - what a virtual DEP server knows and nobody else: the four strings of its token, and the key of its cursors.
//
// Ownership  dep_secret_fini wipes it.
// Laws       1. a renewed token has new secrets and the same consumer key and cursors, as Apple's have
//            2. the consumer key says which client and which instance it is for, and is nothing that must not be seen
#pragma once

#include "depbroker/digest.h"
#include "tenants/token.h"

enum { DEP_SECRET_MAX = 4096, DEP_TOKEN_LIFE_DAYS = 365 };

struct dep_secret {
	struct server_token token;
	unsigned char cursor_key[SHA256_SIZE];
};

struct dep_place {
	int64_t tenant_id;
	int64_t instance_id;
};

// Appends a new secret for this place, to be sealed. `before` NULL: the first one. `plain` should be ended with buffer_fini_wiped.
void dep_secret_make(struct buffer *plain, struct dep_place place, const struct dep_secret *before, int64_t now_us);
MUST_USE enum err dep_secret_read(struct dep_secret *out, struct text plain, struct fault *fault);
void dep_secret_fini(struct dep_secret *secret); // of one that was read, or is zeroed

// False: no consumer key of ours.
MUST_USE bool dep_place_of_key(struct dep_place *out, struct text consumer_key);
