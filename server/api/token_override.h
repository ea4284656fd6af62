// SPDX-License-Identifier: Apache-2.0
//
// token_override.h - a token of another Apple server, which the identity guard refuses: an administrator asks for it with a reason, and
// a second one agrees (change.h). The file is kept as it came, sealed for our key pair, and read again then.
//
// Laws  1. what Apple says then about the token, and what is pinned, is word for word what was approved
//       2. until the transaction of the switch, nothing of the tenant changes
#pragma once

#include "api/change.h"

struct token_override {
	bool asked;   // by the query, or granted
	bool applies; // the token is another server's
	struct text reason;
	struct buffer file;    // granted: as it was uploaded
	struct buffer payload; // the file in base64
	struct buffer detail;
	struct buffer devices;
	unsigned account_at, devices_at;
	struct change_cost cost;
	struct change change;
};

void token_override_init(struct token_override *override);
void token_override_fini(struct token_override *override);
// The query, or what was granted; *file becomes the one that was kept. False: refused, and that has been answered.
MUST_USE bool token_override_read(struct call *call, struct token_override *override, struct text *file);
// `differences`: the member of that name, never empty. False: it is not what was approved, and that has been answered.
MUST_USE bool token_override_begin(struct call *call, struct token_override *override, struct text differences);
void token_override_ask(struct call *call, struct token_override *override); // starts: what it costs
void token_override_describe(struct call *call, struct token_override *override, struct text server_uuid, struct text file);
