// SPDX-License-Identifier: Apache-2.0
//
// apple_endpoint.h - how the calls of this room are made. For this room only.
//
//   apple_call_prepare(call, session, &endpoint, read, output);
//   ... write call->body, append to call->url ...
//   apple_call_go(call, rc);
#pragma once

#include "apple/apple.h"
#include "apple/apple_error.h"

struct apple_endpoint {
	const char *method;
	const char *other_method; // where the first one is not allowed; NULL: there is none
	const char *path;
	enum apple_place place;
};

enum { APPLE_BODY_MAX = 1 << 20, APPLE_URL_MAX = 4096, APPLE_CREDENTIALS_MAX = 8192 };

void apple_call_prepare(struct apple_call *call, struct apple_session *session, const struct apple_endpoint *endpoint,
	enum err (*read)(struct apple_call *call), void *output);
// Sends the request; when `rc` is not OK, completes later with it and with call->op.fault instead.
void apple_call_go(struct apple_call *call, enum err rc);

// Appends the member "devices" to the body. ERR_BAD_INPUT: too few or too many.
MUST_USE enum err apple_add_serials(struct apple_call *call, const struct text *serials, size_t count);
// ERR_BAD_INPUT: it cannot be one.
MUST_USE enum err apple_check_profile_uuid(struct apple_call *call, struct text uuid);

// Of a request that is passed on (apple_pass.c): its header lines; 0 of any other. And whether Apple has refused its session, for the first time.
size_t apple_pass_headers(const struct apple_call *call, const char **lines);
bool apple_pass_needs_session(const struct apple_call *call);

bool apple_session_is_usable(struct text token); // it may stand in a header line
void apple_session_adopt(struct apple_session *session, struct text token);
void apple_session_forget(struct apple_session *session);
enum err apple_session_read(struct apple_call *call); // the answer of GET /session
// Writes the header line; ERR_BAD_INPUT: base_url or token cannot be signed.
enum err apple_session_authorize(struct apple_call *call);
