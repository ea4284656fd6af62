// SPDX-License-Identifier: Apache-2.0
//
// What the database says of its own schema.
#include "store/migrate.h"

#include "store/store_inner.h"

enum { MONTHS_AHEAD = 2, ATTEMPTS_MONTHS_KEPT = 3, COMPLAINTS_SHOWN = 5 };

unsigned store_schema_select(struct pg_transaction *t)
{
	return pg_add(t, "select coalesce(max(number), 0) from depbroker.schema_migrations", NULL, 0);
}

int64_t store_schema_version(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

unsigned store_lint_select(struct pg_transaction *t)
{
	return pg_add(t, "select rule, object from depbroker.lint() order by rule, object", NULL, 0);
}

bool store_lint_read(const struct pg_transaction *t, unsigned statement, struct buffer *out)
{
	const size_t count = pg_row_count(t, statement);

	for (size_t row = 0; row < count && row < COMPLAINTS_SHOWN; row++) {
		const struct text rule = pg_text(t, statement, row, 0);
		const struct text object = pg_text(t, statement, row, 1);

		buffer_add_format(out, "%s%.*s: %.*s", row > 0 ? "; " : "", TEXT_ARGS(rule), TEXT_ARGS(object));
	}
	if (count > COMPLAINTS_SHOWN) {
		buffer_add_string(out, "; ...");
	}
	return count > 0;
}

unsigned store_server_select(struct pg_transaction *t)
{
	return pg_add(t, "select current_setting('server_version_num')::int, clock_timestamp(), current_setting('server_version')", NULL, 0);
}

void store_server_read(const struct pg_transaction *t, unsigned statement, struct store_server *out)
{
	struct columns at = { t, statement, 0, 0 };

	out->version_number = next_number(&at);
	out->now_us = next_instant(&at);
	out->version = next_text(&at);
}

unsigned store_risky_settings_select(struct pg_transaction *t)
{
	return pg_add(t,
		"select name from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'", NULL, 0);
}

unsigned store_partitions_ensure(struct pg_transaction *t)
{
	return PG_ADD(t, "select depbroker.ensure_partitions($1::int), depbroker.drop_old_attempts($2::int)", PG_V_INT4(MONTHS_AHEAD),
		PG_V_INT4(ATTEMPTS_MONTHS_KEPT));
}
