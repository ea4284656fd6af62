// SPDX-License-Identifier: Apache-2.0
//
// endpoint_json.h - a webhook endpoint as answers show it, and what makes its secrets. A secret is shown once, when it is made.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "crypto/seal.h"
#include "store/endpoints.h"

// `secret` empty: not shown.
void endpoint_json(struct json_out *json, const char *name, const struct endpoint_row *row, struct text secret);

// A list of the SHA-256 of each certificate's DER; null for an empty `pem`.
void endpoint_authority_fingerprints(struct json_out *json, const char *name, struct text pem);

enum { ENDPOINT_SECRET_SPELLING = 128 }; // of a private key, too
// A new one, spelled "whsec_...". `spelling` is an empty buffer of that limit, which its owner wipes.
void endpoint_secret_make(struct buffer *spelling);
void endpoint_key_make(struct buffer *private_key, struct buffer *public_key); // likewise: "whsk_...", and "whpk_..."

// How far its lanes are, its parked events and its last attempts. The statements are those of endpoint_deliveries_ask, from the first on.
void endpoint_deliveries_ask(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit);
void endpoint_deliveries_answer(struct call *call, int64_t endpoint_id);
