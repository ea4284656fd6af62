// SPDX-License-Identifier: Apache-2.0
//
// oauth_claim.h - the other side of OAuth 1.0a: what the Authorization header of a GET /session claims, and whether its signature fits.
//
// Ownership  the claim's texts live in the arena that is given.
// Laws       1. pure: clock and memory of nonces are the caller's
//            2. a parameter twice, one that is missing, another method or version: malformed, as Apple sees it
//            3. signatures are compared in constant time
#pragma once

#include "depbroker/arena.h"
#include "tenants/oauth.h"

struct oauth_claim {
	struct oauth_parameter signed_parameters[OAUTH_PARAMETERS_MAX];
	size_t count;
	struct text consumer_key;
	struct text token;
	struct text nonce;
	struct text signature;
	int64_t timestamp_s;
};

// False: malformed.
MUST_USE bool oauth_claim_read(struct oauth_claim *out, struct text header, struct arena *arena);
// `url` as the client wrote it, without a query.
MUST_USE bool oauth_claim_fits(const struct oauth_claim *claim, const struct server_token *token, struct text method, struct text url);
