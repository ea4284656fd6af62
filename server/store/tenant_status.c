// SPDX-License-Identifier: Apache-2.0
#include "store/store_inner.h"
#include "store/tenants.h"
#include "tenants/assign.h"

#include <string.h>

enum { ERROR_MAX = 400, WORD_MAX = 80 };

unsigned store_tenant_status_token(struct pg_transaction *t, int64_t tenant_id, struct text token_state,
	int64_t expires_at_us)
{
	return PG_ADD(t,
		"update depbroker.tenant_status set token_state = $2, token_expires_at = $3, token_since = now(), token_checked_at = now(),"
		" token_word = '', pending_since = null, updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_TEXT(token_state), PG_V_INSTANT(expires_at_us));
}

// One look at all of them for what is told of them. Whether a profile is still defined is asked of those only that it matters for.
static void review_devices(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t,
		"with counted as ("
		"  select count(*) as devices, count(*) filter (where d.instance_id is null) as held, min(d.held_since) as held_since,"
		"    count(d.held_since) as held_ones, min(d.serial_number) filter (where d.held_since is not null) as one_of_them,"
		"    count(*) filter (where d.assign_state = $2 and d.profile_status in ('assigned', 'pushed') and (d.instance_id, d.profile_uuid) in ("
		"     select p.instance_id, p.profile_uuid from depbroker.profiles p where p.tenant_id = $1 and p.profile_uuid is not null)) as assigned"
		"  from depbroker.devices d where d.tenant_id = $1 and d.gone_at is null),"
		" raised as ("
		"  insert into depbroker.alerts as a (tenant_id, kind, detail)"
		"  select $1, 'device.held', format('%s devices are held, %s among them.', c.held_ones, c.one_of_them) from counted c where c.held_ones > 0"
		"  on conflict (tenant_id, kind) do update set detail = excluded.detail, last_seen_at = now(), cleared_at = null,"
		"  acked_at = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_at end,"
		"  acked_by = case when a.cleared_at is null and a.detail = excluded.detail then a.acked_by end,"
		"  since = case when a.cleared_at is null then a.since else now() end),"
		" cleared as ("
		"  update depbroker.alerts set cleared_at = now() from counted c"
		"  where tenant_id = $1 and kind = 'device.held' and cleared_at is null and c.held_ones = 0)"
		" update depbroker.tenant_status as s set devices = c.devices, assigned = c.assigned, held = c.held, held_since = c.held_since"
		" from counted c where s.tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(ASSIGN_SETTLED));
}

void store_set_status_of_run(struct pg_value values[STATUS_OF_RUN_VALUES], const struct tenant_status_row *status)
{
	memcpy(values, (const struct pg_value[STATUS_OF_RUN_VALUES]){
		PG_V_TEXT(store_not_null(status->sync_phase)), PG_V_TEXT(store_not_null(status->sync_reason)),
		PG_V_TEXT(store_clipped(status->sync_error, ERROR_MAX)), PG_V_INSTANT(status->synced_at_us),
		PG_V_INSTANT(status->sync_next_at_us), PG_V_TEXT(store_not_null(status->token_state)),
		PG_V_TEXT(store_clipped(status->token_word, WORD_MAX)), PG_V_BOOL(status->profile_unusable),
	}, STATUS_OF_RUN_VALUES * sizeof *values);
}

// Announced is everything before the first event that still waits in a lane of an endpoint that is in use; where the position of a
// lane stands says little, since the next event of its lane may be much later.
unsigned store_tenant_status_run(struct pg_transaction *t, int64_t tenant_id, const struct tenant_status_row *status,
	bool count)
{
	struct pg_value values[1 + STATUS_OF_RUN_VALUES] = { PG_V_INT8(tenant_id) };

	store_set_status_of_run(values + 1, status);
	if (count) {
		review_devices(t, tenant_id);
	}
	return pg_add(t,
		"with log as (select event_seq from depbroker.sync_stream where tenant_id = $1),"
		" waiting as ("
		"  select case when n.instance_id is null then (select e.seq from depbroker.events e where e.tenant_id = $1 and e.lane = p.lane"
		"    and e.seq > p.acked_seq order by e.seq limit 1)"
		"   else (select e.seq from depbroker.events e where e.tenant_id = $1 and e.instance_id = n.instance_id and e.lane = p.lane"
		"    and e.seq > p.acked_seq order by e.seq limit 1) end as seq"
		"  from depbroker.positions p join depbroker.endpoints n on n.tenant_id = $1 and n.endpoint_id = p.endpoint_id"
		"  where p.tenant_id = $1 and n.url is not null and n.disabled_at is null)"
		" update depbroker.tenant_status as s set event_seq = log.event_seq,"
		"  announced_seq = coalesce((select min(seq) - 1 from waiting), log.event_seq),"
		"  profile_drifts = (select count(*) from depbroker.profiles where tenant_id = $1 and drift_count > 0), "
		STATUS_OF_RUN("$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9")
		" from log where s.tenant_id = $1",
		values, 1 + STATUS_OF_RUN_VALUES);
}

unsigned store_tenant_status_told(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, int64_t days, struct text admin_id)
{
	return PG_ADD(t,
		"update depbroker.tenant_status set told_token_id = $2, told_days = $3, told_admin_id = $4, updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(token_id), PG_V_INT8(days), PG_V_TEXT(store_nullable(admin_id)));
}

// --- the token's state ---

static struct token_thresholds parse_days(struct text days)
{
	struct token_thresholds thresholds = { .count = 0 };
	struct text item;

	while (thresholds.count < TOKEN_THRESHOLDS_MAX && store_next_item(&days, ',', &item)) {
		int number = 0;

		for (size_t i = 0; i < item.length; i++) {
			number = number * 10 + (item.bytes[i] - '0'); // an int[] of the database, whose elements were checked
		}
		thresholds.days[thresholds.count++] = number;
	}
	return thresholds;
}

struct token_facts store_token_facts(const struct tenant_row *tenant, const struct tenant_status_row *status)
{
	const bool is_quarantined = text_equal(tenant->state, TEXT("quarantined"));

	return (struct token_facts){
		.has_token = !text_equal(status->token_state, TEXT("none")),
		.expires_at_us = status->token_expires_at_us,
		.word = text_equal(status->token_state, TEXT("rejected")) ? TOKEN_WORD_REJECTED
			: text_equal(status->token_state, TEXT("terms_unsigned")) ? TOKEN_WORD_TERMS : TOKEN_WORD_GOOD,
		.word_since_us = status->token_since_us,
		.pending_since_us = status->pending_since_us,
		.quarantined_at_us = is_quarantined ? tenant->state_since_us : INSTANT_NONE,
		.thresholds = parse_days(tenant->expiry_days),
	};
}

void store_tenant_status_missed(struct pg_transaction *t, int64_t tenant_id, int64_t count)
{
	(void)PG_ADD(t, "update depbroker.tenant_status set missed_changes = missed_changes + $2 where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(count));
}

void store_tenant_status_assigned(struct pg_transaction *t, int64_t tenant_id, int64_t lag_ms)
{
	(void)PG_ADD(t, "update depbroker.tenant_status set assign_lag_ms = $2 where tenant_id = $1", PG_V_INT8(tenant_id), PG_V_INT8(lag_ms));
}
