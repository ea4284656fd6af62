// SPDX-License-Identifier: Apache-2.0
#include "store/deliveries.h"

#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

// --- positions ---

unsigned store_position_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select p.instance_id, p.lane, p.acked_seq, p.attempts, p.next_try_at, p.first_failed_at, exists ("
		"  select from depbroker.events e where e.tenant_id = $1 and e.instance_id = p.instance_id and e.lane = p.lane"
		"    and e.seq > p.acked_seq)"
		" from depbroker.positions p where p.tenant_id = $1 order by p.instance_id, p.lane",
		PG_V_INT8(tenant_id));
}

void store_position_read(const struct pg_transaction *t, unsigned statement, size_t row, struct position_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->instance_id = next_number(&at);
	out->lane = (int)next_number(&at);
	out->acked_seq = next_number(&at);
	out->attempts = (int)next_number(&at);
	out->next_try_at_us = next_instant(&at);
	out->first_failed_at_us = next_instant(&at);
	out->pending = next_bool(&at);
}

void store_position_settle(struct pg_transaction *t, const struct stream_fence *fence, int64_t was_acked_seq,
	const struct position_row *next)
{
	(void)PG_ADD(t,
		"with moved as ("
		"  update depbroker.positions set acked_seq = $7, attempts = $8, next_try_at = coalesce($9, '-infinity'),"
		"    first_failed_at = $10"
		"  where tenant_id = $1 and instance_id = $4 and lane = $5 and acked_seq = $6 and acked_seq <= $7 and exists ("
		"    select from depbroker.sync_stream s where s.tenant_id = $1 and s.owner = $2 and s.epoch = $3)"
		"  returning 1)"
		" select depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(fence->tenant_id), PG_V_TEXT(fence->node_id), PG_V_INT8(fence->epoch), PG_V_INT8(next->instance_id),
		PG_V_INT8(next->lane), PG_V_INT8(was_acked_seq), PG_V_INT8(next->acked_seq), PG_V_INT8(next->attempts),
		PG_V_INSTANT(next->next_try_at_us), PG_V_INSTANT(next->first_failed_at_us));
}

// --- attempts ---

enum { ERROR_MAX = 400 };
enum { INSTANCE, SEQ, ATTEMPT, AT, STATUS, TOOK, NUMBER_COLUMNS };

unsigned store_attempt_insert(struct pg_transaction *t, int64_t tenant_id, const struct attempt_row *attempts, size_t count)
{
	int64_t *numbers = allocate_array(count, NUMBER_COLUMNS * sizeof *numbers);
	struct text *errors = allocate_array(count, sizeof *errors);
	unsigned statement;

	for (size_t i = 0; i < count; i++) {
		numbers[INSTANCE * count + i] = attempts[i].instance_id;
		numbers[SEQ * count + i] = attempts[i].seq;
		numbers[ATTEMPT * count + i] = attempts[i].attempt;
		numbers[AT * count + i] = attempts[i].at_us;
		numbers[STATUS * count + i] = attempts[i].status;
		numbers[TOOK * count + i] = attempts[i].took_ms;
		errors[i] = store_clipped(attempts[i].error, ERROR_MAX);
	}
	statement = PG_ADD(t,
		"insert into depbroker.attempts (tenant_id, instance_id, seq, attempt, at, status, took_ms, error)"
		" select $1, n.instance_id, n.seq, n.attempt, n.at, n.status, n.took_ms, n.error"
		" from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[])"
		" as n (instance_id, seq, attempt, at, status, took_ms, error)",
		PG_V_INT8(tenant_id), PG_V_NUMBERS(PG_INT8_ARRAY, numbers + INSTANCE * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + SEQ * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + ATTEMPT * count, count),
		PG_V_NUMBERS(PG_TIMESTAMPTZ_ARRAY, numbers + AT * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + STATUS * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + TOOK * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, errors, count));
	free(numbers);
	free(errors);
	return statement;
}

unsigned store_attempt_list(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select instance_id, seq, attempt, at, status, error, took_ms from depbroker.attempts"
		" where tenant_id = $1 and instance_id = $2 order by at desc, seq desc limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(limit));
}

void store_attempt_read(const struct pg_transaction *t, unsigned statement, size_t row, struct attempt_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->instance_id = next_number(&at);
	out->seq = next_number(&at);
	out->attempt = (int)next_number(&at);
	out->at_us = next_instant(&at);
	out->status = (int)next_number(&at);
	out->error = next_text(&at);
	out->took_ms = next_number(&at);
}
