// SPDX-License-Identifier: Apache-2.0
//
// oauth.h - OAuth 1.0a with HMAC-SHA1 (RFC 5849), as far as GET /session needs it (dep-api.md, section 4).
//
// Laws       1. pure: nonce and time are given; the nonce is unique for its second (32 random hex digits)
//            2. scheme and host are signed in lower case, a default port is not signed, any other is
#pragma once

#include "tenants/token.h"

// Appends the value of the header Authorization: `OAuth oauth_consumer_key="...", ...`.
// ERR_BAD_INPUT: `url` is not http(s)://host[:port]/path, or has a query or a fragment.
MUST_USE enum err oauth_authorization(struct buffer *out, const struct server_token *token, struct text url,
	struct text nonce, int64_t timestamp_s);

struct oauth_parameter {
	struct text name;
	struct text value; // not encoded
};

enum { OAUTH_PARAMETERS_MAX = 16 };

struct oauth_request {
	struct text method;
	struct text url; // without query; its parameters are among `parameters`
	struct text consumer_secret;
	struct text token_secret; // may be empty
	const struct oauth_parameter *parameters; // all that are signed, in any order: never realm, never oauth_signature
	size_t count;
};

// Appends the base64 signature, not percent-encoded.
MUST_USE enum err oauth_signature(struct buffer *out, const struct oauth_request *request);
// Appends the signature base string (RFC 5849, section 3.4.1).
MUST_USE enum err oauth_base_string(struct buffer *out, const struct oauth_request *request);
