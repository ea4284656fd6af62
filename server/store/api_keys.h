// SPDX-License-Identifier: Apache-2.0
//
// api_keys.h - keys of the REST API, hashed. Directory scope.
#pragma once

#include "crypto/api_key.h"
#include "store/store.h"

enum { STORE_KEY_TENANTS_MAX = 1000 };

struct api_key_row {
	struct text key_id;
	unsigned char hash[SHA256_SIZE];
	struct text name;
	struct text role; // "admin", "operator", "technician", "viewer"
	bool reads_tokens; // scope "tokens:read": it may be told the secrets of server tokens
	bool all_tenants;
	int64_t tenant_ids[STORE_KEY_TENANTS_MAX]; // when not all
	size_t tenant_count;
	int64_t created_at_us, expires_at_us, revoked_at_us;
};

unsigned store_api_key_insert(struct pg_transaction *t, const struct api_key_row *key);
unsigned store_api_key_by_id(struct pg_transaction *t, struct text key_id); // one row or none; expired and revoked ones too
void store_api_key_read(const struct pg_transaction *t, unsigned statement, size_t row, struct api_key_row *out);
