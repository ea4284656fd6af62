// SPDX-License-Identifier: Apache-2.0
//
// dep_servers.h - virtual DEP servers: which instances have one, and the nonces that were used to sign on.
#pragma once

#include "depbroker/digest.h"
#include "store/store.h"

struct dep_server_row {
	int64_t instance_id;
	struct text instance; // its name, read
	struct text server_uuid;
	struct text consumer_key;
	int64_t secret_version;
	struct text fingerprint; // of the MDM server's certificate, hexadecimal
	int64_t made_at_us;
	struct text made_by;
	int64_t expires_at_us;
	int64_t revoked_at_us; // INSTANT_NONE: it is not
	int64_t used_at_us;    // INSTANT_NONE: never
};

// Api scope: the instance's first token, or the next one. Another one was made since it was read: ERR_FENCED. Its sealed secret goes
// into the same transaction.
void store_dep_server_put(struct pg_transaction *t, int64_t tenant_id, const struct dep_server_row *server);
// Api scope: the token is in force no longer, and its secret goes. One row when it was in force.
unsigned store_dep_server_revoke(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id);
unsigned store_dep_server_select(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id); // one row or none
unsigned store_dep_server_list(struct pg_transaction *t, int64_t tenant_id); // by the instance's name
void store_dep_server_read(const struct pg_transaction *t, unsigned statement, size_t row, struct dep_server_row *out);

// Api scope: a session begins. One row, unless the nonce was used before. Those older than `window_s` are forgotten: nobody may use them.
unsigned store_dep_nonce_take(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, const unsigned char digest[SHA256_SIZE],
	int64_t signed_at_us, int64_t window_s);
