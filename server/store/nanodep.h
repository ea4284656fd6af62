// SPDX-License-Identifier: Apache-2.0
//
// nanodep.h - what NanoDEP keeps in its PostgreSQL storage, read and never changed. The one schema here that is not ours.
//
// Law  what is read holds secrets in clear: whoever copies them wipes the copies; pg_transaction_fini wipes the rows
#pragma once

#include "store/store.h"

enum { STORE_NANODEP_MAX = 10000 };

struct nanodep_row { // absent ones are empty
	struct text name;
	struct text consumer_key, consumer_secret, access_token, access_secret;
	int64_t expires_at_us;
	struct text base_url;
	struct text certificate_pem, private_key_pem;
	struct text staging_certificate_pem, staging_private_key_pem; // of a renewal that is under way
	struct text cursor;
	struct text assigner_profile_uuid;
};

struct pg_scope store_nanodep(void);                                       // as the login of that database
unsigned store_nanodep_list(struct pg_transaction *t, struct text name); // empty: all, by name
void store_nanodep_read(const struct pg_transaction *t, unsigned statement, size_t row, struct nanodep_row *out);
// After ERR_DATABASE: there is no table of NanoDEP's, or not with these columns.
bool store_nanodep_is_missing(const struct pg_transaction *t);
