// SPDX-License-Identifier: Apache-2.0
//
// proxy_session.h - Apple's sessions of the clients that the proxy serves, kept from one request to the next.
//
// Ownership  a session that was found or taken is the caller's until proxy_session_leave, even when it is out of date meanwhile.
// Thread     loop thread only.
// Laws       1. one for each tenant; at most PROXY_SESSIONS_MAX that nobody uses
//            2. a session is found only as long as the tenant's row and the state of its token are what they were when the token was read,
//               and no longer than PROXY_SESSION_LOOK_MS: then the token is read again, and the session goes on if it is the same
#pragma once

#include "api/call.h"
#include "apple/apple.h"

enum { PROXY_SESSIONS_MAX = 256, PROXY_SESSION_LOOK_MS = 60000 };

struct proxy_session {
	struct list link; // not linked: out of date
	int64_t tenant_id;
	int64_t token_id;
	int64_t version;             // of the tenant's row
	int64_t token_expires_at_us; // of its status
	int64_t looked_at_ms;
	unsigned users;
	char *base_url;
	struct server_token token;
	struct apple_server server;
	struct apple_session apple;
};

struct proxy_sessions *proxy_sessions_open(void);
void proxy_sessions_close(struct proxy_sessions *sessions); // nobody uses one; NULL is harmless

struct proxy_session *proxy_session_find(struct proxy_sessions *sessions, const struct call *call); // NULL: the token is to be read
// With what was read; takes the token.
struct proxy_session *proxy_session_take(struct proxy_sessions *sessions, const struct call *call, int64_t token_id,
	struct server_token *token);
void proxy_session_doubt(struct proxy_session *session); // Apple refuses the token: the next one reads it again
void proxy_session_leave(struct proxy_session *session); // NULL is harmless
