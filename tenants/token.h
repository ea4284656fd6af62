// SPDX-License-Identifier: Apache-2.0
//
// token.h - Apple's server token: the .p7m file around it, and the JSON inside (dep-api.md, section 3).
//
// From file to token: token_file_read (MIME and base64 to CMS), envelope_open (server/crypto), token_parse.
//
// Ownership  a struct server_token owns its texts; server_token_fini wipes them.
// Laws       1. no secret is ever part of a fault   2. limits: a file TOKEN_FILE_MAX, a plain token TOKEN_PLAIN_MAX bytes
#pragma once

#include "depbroker/clock.h"

enum { TOKEN_FILE_MAX = 128 * 1024, TOKEN_PLAIN_MAX = 64 * 1024 };

struct server_token {
	struct text consumer_key;
	struct text consumer_secret;
	struct text access_token;
	struct text access_secret;
	int64_t expires_at_us; // INSTANT_NONE: unknown
	struct buffer memory;  // where the texts live
};

enum token_mistake { // what a file is that is no token file
	TOKEN_MISTAKE_NONE,
	TOKEN_MISTAKE_OTHER,
	TOKEN_MISTAKE_CUT, // a token file whose end is missing
	TOKEN_MISTAKE_CERTIFICATE,
	TOKEN_MISTAKE_PRIVATE_KEY,
	TOKEN_MISTAKE_WEB_PAGE,
	TOKEN_MISTAKE_DECRYPTED, // a token, but without its envelope
};

// Appends the CMS bytes to `cms_der`. Reads what Apple sends and what administrators make of it: LF or CRLF, folded
// headers, a byte order mark, no final line end, and bare base64 or bare DER without any headers.
// ERR_BAD_INPUT: `mistake` and the sentence say what was given instead.
MUST_USE enum err token_file_read(struct buffer *cms_der, struct text file, enum token_mistake *mistake, struct fault *fault);

// The way back, for a token of our own, whose end is known: what goes into the envelope, and the file around it. `out` of the first
// should be ended with buffer_fini_wiped.
void token_message_write(struct buffer *out, const struct server_token *token);
void token_file_write(struct buffer *out, struct text cms);

// Reads the decrypted content (with or without MIME headers, with or without BEGIN/END MESSAGE lines, line breaks
// anywhere), or what server_token_write wrote. `token` need not be initialised, and needs server_token_fini only after OK.
// ERR_BAD_INPUT: not a token, or a member is missing (also what a wrong key's random bytes give).
MUST_USE enum err token_parse(struct server_token *token, struct text plain, struct fault *fault);

// What may be shown of a token, to recognise it by: the last four characters of its consumer key, and nothing of a short one.
// Borrowed from the token.
struct text server_token_key_end(const struct server_token *token);

// Appends compact JSON, to be sealed and read back with token_parse. `out` should be empty and ended with
// buffer_fini_wiped. One addition, so that no copy stays behind.
void server_token_write(struct buffer *out, const struct server_token *token);
void server_token_fini(struct server_token *token);
