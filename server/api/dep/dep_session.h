// SPDX-License-Identifier: Apache-2.0
//
// dep_session.h - session tokens of virtual DEP servers: signed statements that nobody has to remember (docs/decisions/0018).
//
// Laws       1. pure: any node reads what any other wrote, before and after a restart
//            2. the key is the token's access secret: a token that is renewed or revoked ends its sessions at once
#pragma once

#include "api/dep/dep_secret.h"

enum { DEP_SESSION_LIFE_S = 1800, DEP_SESSION_RENEW_S = 900, DEP_SESSION_SIZE = 96 };

enum dep_session_state {
	DEP_SESSION_REFUSED,
	DEP_SESSION_GOOD,
	DEP_SESSION_AGEING, // good, and the answer brings the next one
};

void dep_session_write(struct buffer *out, struct dep_place place, const struct dep_secret *secret, int64_t now_us);
// What it claims: nothing is proven yet. False: it is no session token.
MUST_USE bool dep_session_place(struct dep_place *out, struct text session);
enum dep_session_state dep_session_check(struct text session, const struct dep_secret *secret, int64_t now_us);
