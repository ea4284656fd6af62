// SPDX-License-Identifier: Apache-2.0
//
// token_upload.h - how somebody else than the REST API brings a token: what is read from the request, and what is answered. What comes
// between, and whether the token is taken, is the same for all (token_upload.c).
#pragma once

#include "api/call.h"
#include "tenants/token.h"

struct token_brought {
	struct text file;
	bool is_plain; // the token itself, without an envelope
	bool dry_run;
};

struct token_bringer {
	bool (*read)(struct call *call, struct token_brought *out); // false: that has been answered
	// Before Apple is asked. `current`: the token in use, NULL: there is none. False: refused, and that has been answered.
	bool (*accepts)(struct call *call, const struct server_token *current, const struct server_token *brought);
	void (*answer)(struct call *call, const struct server_token *token, bool is_pending);
};
