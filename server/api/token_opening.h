// SPDX-License-Identifier: Apache-2.0
//
// token_opening.h - tries a tenant's private keys on an uploaded token file, on a pool thread.
//
// Ownership  the caller embeds struct token_opening, fills its input, and calls token_opening_fini in the end, which wipes.
// Laws       1. the file decides nothing but whether it opens and reads as a token
//            2. `fault` never holds content of the file
#pragma once

#include "loop/loop.h"
#include "tenants/token.h"

enum { TOKEN_CANDIDATES_MAX = 64 };

struct token_candidate {
	int64_t key_pair_id;
	struct text certificate_pem;
	struct buffer private_key_der; // owned
};

enum token_verdict {
	TOKEN_OPENED,
	TOKEN_FILE_IS_NONE,      // not a token file at all
	TOKEN_OF_ANOTHER_KEY,
	TOKEN_CONTENT_IS_NONE,   // one key opens it, and there is no token inside
	TOKEN_OUR_KEY_IS_BROKEN,
};

struct token_opening {
	struct offload offload; // op.done is the caller's; op.rc is always OK
	struct text file;
	struct token_candidate candidates[TOKEN_CANDIDATES_MAX];
	size_t count;

	enum token_verdict verdict;
	enum token_mistake mistake; // with TOKEN_FILE_IS_NONE; TOKEN_MISTAKE_NONE: it is a token file by its form
	struct fault fault;
	size_t opened_by;          // the candidate
	struct server_token token; // with TOKEN_OPENED
};

void token_opening_start(struct token_opening *opening, struct loop *loop);
void token_opening_fini(struct token_opening *opening);
