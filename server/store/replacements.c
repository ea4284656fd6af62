// SPDX-License-Identifier: Apache-2.0
#include "store/replacements.h"

#include "store/store_inner.h"

#include <assert.h>

enum { WORD_MAX = 80 };

void store_replacement_note(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)PG_ADD(t,
		"insert into depbroker.replacements (tenant_id, serial_number) select $1, n.serial from unnest($2::text[]) as n (serial)"
		" on conflict (tenant_id, serial_number) do nothing",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

void store_replacement_put(struct pg_transaction *t, int64_t tenant_id, const struct replacement_row *row)
{
	(void)PG_ADD(t,
		"update depbroker.replacements set original_serial_number = $3, replacement_date = $4, apple_word = $5, attempts = $6,"
		" ask_at = $7, resolved_at = $8 where tenant_id = $1 and serial_number = $2",
		PG_V_INT8(tenant_id), PG_V_TEXT(row->serial_number), PG_V_TEXT(store_nullable(row->original_serial_number)),
		PG_V_TEXT(store_nullable(row->replacement_date)),
		PG_V_TEXT(row->apple_word.length > 0 ? store_clipped(row->apple_word, WORD_MAX) : TEXT_NONE), PG_V_INT8(row->attempts),
		PG_V_INSTANT(row->ask_at_us), PG_V_INSTANT(row->resolved_at_us));
}

#define REPLACEMENT                                                                                          \
	"select serial_number, original_serial_number, replacement_date, apple_word, attempts, ask_at, resolved_at" \
	" from depbroker.replacements where tenant_id = $1 "

unsigned store_replacement_due(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, REPLACEMENT "and ask_at <= $2 order by ask_at limit $3", PG_V_INT8(tenant_id), PG_V_INSTANT(now_us),
		PG_V_INT8(limit));
}

unsigned store_replacement_next(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select min(ask_at) from depbroker.replacements where tenant_id = $1 and ask_at is not null", PG_V_INT8(tenant_id));
}

int64_t store_replacement_next_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_instant(t, statement, 0, 0);
}

unsigned store_replacement_of(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t, REPLACEMENT "and (serial_number = $2 or original_serial_number = $2) order by serial_number", PG_V_INT8(tenant_id),
		PG_V_TEXT(serial));
}

void store_replacement_read(const struct pg_transaction *t, unsigned statement, size_t row, struct replacement_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->serial_number = next_text(&at);
	out->original_serial_number = next_text(&at);
	out->replacement_date = next_text(&at);
	out->apple_word = next_text(&at);
	out->attempts = next_number(&at);
	out->ask_at_us = next_instant(&at);
	out->resolved_at_us = next_instant(&at);
}
