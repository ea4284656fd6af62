// SPDX-License-Identifier: Apache-2.0
#include "store/nanodep.h"

#include "store/store_inner.h"

#include <string.h>

struct pg_scope store_nanodep(void)
{
	return pg_scope_login();
}

unsigned store_nanodep_list(struct pg_transaction *t, struct text name)
{
	return PG_ADD(t,
		"select name, consumer_key, consumer_secret, access_token, access_secret, access_token_expiry, config_base_url,"
		" tokenpki_cert_pem, tokenpki_key_pem, tokenpki_staging_cert_pem, tokenpki_staging_key_pem, syncer_cursor,"
		" assigner_profile_uuid from dep_names where $1::text is null or name = $1 order by name limit $2",
		PG_V_TEXT(store_nullable(name)), PG_V_INT8(STORE_NANODEP_MAX));
}

void store_nanodep_read(const struct pg_transaction *t, unsigned statement, size_t row, struct nanodep_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->name = next_text(&at);
	out->consumer_key = next_text(&at);
	out->consumer_secret = next_text(&at);
	out->access_token = next_text(&at);
	out->access_secret = next_text(&at);
	out->expires_at_us = next_instant(&at);
	out->base_url = next_text(&at);
	out->certificate_pem = next_text(&at);
	out->private_key_pem = next_text(&at);
	out->staging_certificate_pem = next_text(&at);
	out->staging_private_key_pem = next_text(&at);
	out->cursor = next_text(&at);
	out->assigner_profile_uuid = next_text(&at);
}

bool store_nanodep_is_missing(const struct pg_transaction *t)
{
	return strcmp(t->sqlstate, "42P01") == 0 || strcmp(t->sqlstate, "42703") == 0; // table, column
}
