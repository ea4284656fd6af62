// SPDX-License-Identifier: Apache-2.0
//
// webhook.h - Standard Webhooks 1.0.0: message ids, secrets, signatures (v1, HMAC-SHA256).
//
// Laws       1. an id is bound to its body: the same event gives the same id on every retry, another body never does
//            2. signed are exactly the bytes that are sent: id "." timestamp "." body
//            3. a signature header has no empty item, one comma an item, and no blank at its ends
#pragma once

#include "depbroker/text.h"

enum { WEBHOOK_ID_SIZE = 26 }; // "msg_" and 22 digits

// "msg_" and the first 16 bytes of a SHA-256, read as one big-endian number, in base62 (0-9 A-Z a-z), most significant
// digit first, always 22 digits. Hashed are, without separators, 65 bytes:
//   "depb-wh-1" (9) | tenant id be64 | incarnation be64 | seq be64 | SHA-256(body) (32)
void webhook_message_id(char out[WEBHOOK_ID_SIZE + 1], int64_t tenant_id, int64_t incarnation, int64_t seq,
	struct text body);

enum { WEBHOOK_SECRET_MIN = 24, WEBHOOK_SECRET_NEW = 32, WEBHOOK_SECRET_MAX = 64, WEBHOOK_SECRETS_MAX = 3 };

struct webhook_secret {
	unsigned char bytes[WEBHOOK_SECRET_MAX];
	size_t length;
};

void webhook_secret_make(struct webhook_secret *secret, const unsigned char random[WEBHOOK_SECRET_NEW]);
// Four spellings: with or without "whsec_", with or without padding. ERR_BAD_INPUT for others and for other lengths.
MUST_USE enum err webhook_secret_parse(struct webhook_secret *secret, struct text spelling, struct fault *fault);
void webhook_secret_write(struct buffer *out, const struct webhook_secret *secret); // "whsec_" and padded base64
void webhook_secret_fini(struct webhook_secret *secret);

// Appends the value of webhook-signature: one item for each of the 1 to 3 secrets, newest first.
void webhook_signature(struct buffer *out, const struct webhook_secret *secrets, size_t count, struct text id,
	int64_t timestamp_s, struct text body);

// The beginning of what an endpoint answered, for people: at most WEBHOOK_EXCERPT_MAX bytes of well-formed UTF-8. What is neither visible nor a
// blank becomes a blank, and what is no UTF-8 a question mark.
enum { WEBHOOK_EXCERPT_MAX = 1024 };
void webhook_excerpt(struct buffer *out, struct text answer);

enum { WEBHOOK_TOLERANCE_S = 300 };

struct webhook_headers { // as received, each exactly once; TEXT_NONE when absent
	struct text id;
	struct text timestamp;
	struct text signature;
};

// The receiver's side: true when one v1 item fits the secret and the timestamp is at most 300 s away from `now_s`.
// `fault` (may be NULL) says why not.
MUST_USE bool webhook_verify(const struct webhook_secret *secret, const struct webhook_headers *headers, struct text body,
	int64_t now_s, struct fault *fault);
