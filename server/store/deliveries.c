// SPDX-License-Identifier: Apache-2.0
#include "store/deliveries.h"

#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

// --- positions ---

unsigned store_position_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select p.endpoint_id, p.lane, p.acked_seq, p.attempts, p.next_try_at, p.first_failed_at, p.single_until,"
		" case when n.url is null or n.disabled_at is not null then false"
		"  when p.lane = $2 then exists (select from depbroker.resends r where r.tenant_id = $1 and r.endpoint_id = p.endpoint_id)"
		"  when n.instance_id is null then exists ("
		"   select from depbroker.events e where e.tenant_id = $1 and e.lane = p.lane and e.seq > p.acked_seq)"
		"  else exists ("
		"   select from depbroker.events e where e.tenant_id = $1 and e.instance_id = n.instance_id and e.lane = p.lane"
		"    and e.seq > p.acked_seq) end"
		" from depbroker.positions p join depbroker.endpoints n on n.tenant_id = $1 and n.endpoint_id = p.endpoint_id"
		" where p.tenant_id = $1 order by p.endpoint_id, p.lane",
		PG_V_INT8(tenant_id), PG_V_INT8(RESEND_LANE));
}

void store_position_read(const struct pg_transaction *t, unsigned statement, size_t row, struct position_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->endpoint_id = next_number(&at);
	out->lane = (int)next_number(&at);
	out->acked_seq = next_number(&at);
	out->attempts = (int)next_number(&at);
	out->next_try_at_us = next_instant(&at);
	out->first_failed_at_us = next_instant(&at);
	out->single_until = next_number(&at);
	out->pending = next_bool(&at);
}

void store_position_settle(struct pg_transaction *t, const struct stream_fence *fence, int64_t was_acked_seq,
	const struct position_row *next)
{
	(void)PG_ADD(t,
		"with moved as ("
		"  update depbroker.positions set acked_seq = $7, attempts = $8, next_try_at = coalesce($9, '-infinity'),"
		"    first_failed_at = $10, single_until = $11"
		"  where tenant_id = $1 and endpoint_id = $4 and (lane = $5 or ($12 and lane < $13)) and acked_seq = $6 and acked_seq <= $7 and exists ("
		"    select from depbroker.sync_stream s where s.tenant_id = $1 and s.owner = $2 and s.epoch = $3)"
		"  returning 1)"
		" select depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(fence->tenant_id), PG_V_TEXT(fence->node_id), PG_V_INT8(fence->epoch), PG_V_INT8(next->endpoint_id),
		PG_V_INT8(next->lane), PG_V_INT8(was_acked_seq), PG_V_INT8(next->acked_seq), PG_V_INT8(next->attempts),
		PG_V_INSTANT(next->next_try_at_us), PG_V_INSTANT(next->first_failed_at_us), PG_V_INT8(next->single_until),
		PG_V_BOOL(next->all_lanes), PG_V_INT8(RESEND_LANE));
}

// --- attempts ---

enum { ERROR_MAX = 400 };
enum { ENDPOINT, SEQ, EVENTS, ATTEMPT, AT, STATUS, TOOK, NUMBER_COLUMNS };

unsigned store_attempt_insert(struct pg_transaction *t, int64_t tenant_id, const struct attempt_row *attempts, size_t count)
{
	int64_t *numbers = allocate_array(count, NUMBER_COLUMNS * sizeof *numbers);
	struct text *errors = allocate_array(count, sizeof *errors);
	struct text *answers = allocate_array(count, sizeof *answers);
	unsigned statement;

	for (size_t i = 0; i < count; i++) {
		numbers[ENDPOINT * count + i] = attempts[i].endpoint_id;
		numbers[SEQ * count + i] = attempts[i].seq;
		numbers[EVENTS * count + i] = attempts[i].events;
		numbers[ATTEMPT * count + i] = attempts[i].attempt;
		numbers[AT * count + i] = attempts[i].at_us;
		numbers[STATUS * count + i] = attempts[i].status;
		numbers[TOOK * count + i] = attempts[i].took_ms;
		errors[i] = store_clipped(attempts[i].error, ERROR_MAX);
		answers[i] = store_nullable(attempts[i].answer);
	}
	statement = PG_ADD(t,
		"insert into depbroker.attempts (tenant_id, endpoint_id, seq, attempt, at, status, took_ms, error, answer, events)"
		" select $1, n.endpoint_id, n.seq, n.attempt, n.at, n.status, n.took_ms, n.error, n.answer, n.events"
		" from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[],"
		" $9::text[], $10::bigint[]) as n (endpoint_id, seq, attempt, at, status, took_ms, error, answer, events)",
		PG_V_INT8(tenant_id), PG_V_NUMBERS(PG_INT8_ARRAY, numbers + ENDPOINT * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + SEQ * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + ATTEMPT * count, count),
		PG_V_NUMBERS(PG_TIMESTAMPTZ_ARRAY, numbers + AT * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + STATUS * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + TOOK * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, errors, count),
		PG_V_TEXTS(PG_TEXT_ARRAY, answers, count), PG_V_NUMBERS(PG_INT8_ARRAY, numbers + EVENTS * count, count));
	free(numbers);
	free(errors);
	free(answers);
	return statement;
}

unsigned store_attempt_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select endpoint_id, seq, events, attempt, at, status, error, took_ms, answer from depbroker.attempts"
		" where tenant_id = $1 and endpoint_id = $2 order by at desc, seq desc limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INT8(limit));
}

void store_attempt_read(const struct pg_transaction *t, unsigned statement, size_t row, struct attempt_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->endpoint_id = next_number(&at);
	out->seq = next_number(&at);
	out->events = (int)next_number(&at);
	out->attempt = (int)next_number(&at);
	out->at_us = next_instant(&at);
	out->status = (int)next_number(&at);
	out->error = next_text(&at);
	out->took_ms = next_number(&at);
	out->answer = next_text(&at);
}

// --- parked events ---

enum { PARKED_ENDPOINT, PARKED_SEQ, PARKED_ATTEMPTS, PARKED_FAILED_AT, PARKED_STATUS, PARKED_COLUMNS };

unsigned store_parked_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct parked_event_row *events, size_t count)
{
	int64_t *numbers = allocate_array(count, PARKED_COLUMNS * sizeof *numbers);
	unsigned statement;

	for (size_t i = 0; i < count; i++) {
		numbers[PARKED_ENDPOINT * count + i] = events[i].endpoint_id;
		numbers[PARKED_SEQ * count + i] = events[i].seq;
		numbers[PARKED_ATTEMPTS * count + i] = events[i].attempts;
		numbers[PARKED_FAILED_AT * count + i] = events[i].first_failed_at_us;
		numbers[PARKED_STATUS * count + i] = events[i].status;
	}
	statement = PG_ADD(t,
		"insert into depbroker.parked_events (tenant_id, endpoint_id, seq, attempts, first_failed_at, status)"
		" select $1, n.endpoint_id, n.seq, n.attempts, n.first_failed_at, n.status"
		" from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[])"
		" as n (endpoint_id, seq, attempts, first_failed_at, status)"
		" on conflict (tenant_id, endpoint_id, seq) do update set attempts = excluded.attempts, first_failed_at = excluded.first_failed_at,"
		" status = excluded.status, parked_at = now()",
		PG_V_INT8(tenant_id), PG_V_NUMBERS(PG_INT8_ARRAY, numbers + PARKED_ENDPOINT * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + PARKED_SEQ * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + PARKED_ATTEMPTS * count, count),
		PG_V_NUMBERS(PG_TIMESTAMPTZ_ARRAY, numbers + PARKED_FAILED_AT * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + PARKED_STATUS * count, count));
	free(numbers);
	return statement;
}

unsigned store_parked_event_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select endpoint_id, seq, attempts, first_failed_at, parked_at, status from depbroker.parked_events"
		" where tenant_id = $1 and endpoint_id = $2 and seq > $3 order by seq limit $4",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INT8(after_seq), PG_V_INT8(limit));
}

void store_parked_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct parked_event_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->endpoint_id = next_number(&at);
	out->seq = next_number(&at);
	out->attempts = (int)next_number(&at);
	out->first_failed_at_us = next_instant(&at);
	out->parked_at_us = next_instant(&at);
	out->status = (int)next_number(&at);
}

// --- sending once more ---

static void wake(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t, "update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = $1",
		PG_V_INT8(tenant_id));
}

// What the endpoint would have got, and is past.
#define ITS_EVENTS                                                                                                            \
	"select $1::bigint, $2::bigint, e.seq from depbroker.endpoints n"                                                          \
	" join depbroker.events e on e.tenant_id = $1 and (n.instance_id is null or e.instance_id = n.instance_id)"               \
	" join depbroker.positions p on p.tenant_id = $1 and p.endpoint_id = $2 and p.lane = e.lane and e.seq <= p.acked_seq"     \
	" where n.tenant_id = $1 and n.endpoint_id = $2 and "
#define ORDER(which)                                                                                                          \
	"with added as (insert into depbroker.resends (tenant_id, endpoint_id, seq) " ITS_EVENTS which " order by e.seq limit $3" \
	" on conflict do nothing returning 1) select count(*) from added"

// The first event of the last row of failures, pings aside; null: none has failed.
#define ATTEMPTS_THAT(what) " from depbroker.attempts a where a.tenant_id = $1 and a.endpoint_id = $2 and a.seq > 0 and a.status " what " "
#define FAILED    "not between 200 and 299"
#define SUCCEEDED "between 200 and 299"
#define FIRST_OF_THE_LAST_FAILURES                                                                                            \
	"(select min(a.seq)" ATTEMPTS_THAT(FAILED) "and a.at > coalesce((select max(a.at)" ATTEMPTS_THAT(SUCCEEDED)               \
	" and a.at < (select max(a.at)" ATTEMPTS_THAT(FAILED) ")), '-infinity'))"

static unsigned add_order(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const struct resend_order *order)
{
	const struct pg_value tenant = PG_V_INT8(tenant_id), endpoint = PG_V_INT8(endpoint_id), most = PG_V_INT8(RESENDS_MAX + 1);

	if (order->seqs != NULL) {
		return PG_ADD(t, ORDER("e.seq = any ($4::bigint[])"), tenant, endpoint, most, PG_V_NUMBERS(PG_INT8_ARRAY, order->seqs, order->count));
	}
	if (order->serial.length > 0) {
		return PG_ADD(t, ORDER("e.serial_number = $4"), tenant, endpoint, most, PG_V_TEXT(order->serial));
	}
	if (order->parked) {
		return PG_ADD(t,
			"with taken as (delete from depbroker.parked_events where tenant_id = $1 and endpoint_id = $2 returning seq),"
			" added as (insert into depbroker.resends (tenant_id, endpoint_id, seq) select $1, $2, seq from taken order by seq limit $3"
			" on conflict do nothing returning 1) select count(*) from added", tenant, endpoint, most);
	}
	if (order->since_failure) {
		return PG_ADD(t, ORDER("e.seq >= " FIRST_OF_THE_LAST_FAILURES), tenant, endpoint, most);
	}
	return PG_ADD(t, ORDER("e.at >= $4 and e.at <= coalesce($5, 'infinity')"), tenant, endpoint, most, PG_V_INSTANT(order->from_us),
		PG_V_INSTANT(order->to_us));
}

unsigned store_resend_order(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const struct resend_order *order)
{
	const unsigned statement = add_order(t, tenant_id, endpoint_id, order);

	(void)PG_ADD(t,
		"select depbroker.require_fence((select count(*) from depbroker.resends where tenant_id = $1 and endpoint_id = $2 and seq > 0) <= $3)",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INT8(RESENDS_MAX));
	wake(t, tenant_id);
	return statement;
}

int64_t store_resend_order_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

void store_resend_ping(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id)
{
	(void)PG_ADD(t,
		"insert into depbroker.resends (tenant_id, endpoint_id, seq) values ($1, $2, 0)"
		" on conflict (tenant_id, endpoint_id, seq) do update set requested_at = now()",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id));
	wake(t, tenant_id);
}

unsigned store_resend_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select r.seq, coalesce(e.at, r.requested_at), coalesce(e.type, $4), e.serial_number, i.name, e.device, e.instance_id,"
		" coalesce(e.lane, 0), e.reason, e.changes" STORE_PAGE_COLUMNS " from depbroker.resends r"
		" left join depbroker.events e on e.tenant_id = $1 and e.seq = r.seq" STORE_PAGE_OF_EVENT
		" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = e.instance_id"
		" where r.tenant_id = $1 and r.endpoint_id = $2 and (r.seq = 0 or e.seq is not null) order by r.seq limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_INT8(limit), PG_V_INT8(EVENT_PING));
}

unsigned store_resend_done(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const int64_t *seqs, size_t count)
{
	return PG_ADD(t, "delete from depbroker.resends where tenant_id = $1 and endpoint_id = $2 and seq = any ($3::bigint[])",
		PG_V_INT8(tenant_id), PG_V_INT8(endpoint_id), PG_V_NUMBERS(PG_INT8_ARRAY, seqs, count));
}
