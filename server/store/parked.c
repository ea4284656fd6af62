// SPDX-License-Identifier: Apache-2.0
#include "store/parked.h"

#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

enum { SERIAL, WHY, RECORD, COLUMNS };

// Equal ones of a page are one row, since a statement must not touch a row twice.
void store_parked_put(struct pg_transaction *t, int64_t tenant_id, const struct parked_row *rows, size_t count, int64_t rejected)
{
	struct text *texts = allocate_array(count, COLUMNS * sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		texts[SERIAL * count + i] = store_nullable(rows[i].serial_number);
		texts[WHY * count + i] = store_not_null(rows[i].why);
		texts[RECORD * count + i] = store_clipped(rows[i].record, PARKED_RECORD_MAX);
	}
	(void)PG_ADD(t,
		"insert into depbroker.parked as p (tenant_id, digest, serial_number, why, record, times)"
		" select $1, sha256(convert_to(n.why || ' ' || n.record, 'UTF8')), min(n.serial), n.why, n.record, count(*)"
		" from unnest($2::text[], $3::text[], $4::text[]) as n (serial, why, record) group by n.why, n.record"
		" on conflict (tenant_id, digest) do update set last_at = now(), times = p.times + excluded.times",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, texts + SERIAL * count, count),
		PG_V_TEXTS(PG_TEXT_ARRAY, texts + WHY * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, texts + RECORD * count, count));
	(void)PG_ADD(t, "update depbroker.tenant_status set parked_records = parked_records + $2 where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(rejected));
	free(texts);
}

unsigned store_parked_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select encode(digest, 'hex'), serial_number, why, record, first_at, last_at, times from depbroker.parked"
		" where tenant_id = $1 and digest > decode($2, 'hex') order by digest limit $3",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_INT8(limit));
}

void store_parked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct parked_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->digest_hex = next_text(&at);
	out->serial_number = next_text(&at);
	out->why = next_text(&at);
	out->record = next_text(&at);
	out->first_at_us = next_instant(&at);
	out->last_at_us = next_instant(&at);
	out->times = next_number(&at);
}
