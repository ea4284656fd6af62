// SPDX-License-Identifier: Apache-2.0
#include "store/definitions.h"

#include "store/store_inner.h"

void store_definition_begin(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	(void)PG_ADD(t,
		"insert into depbroker.profile_definitions as d (tenant_id, instance_id, content_digest, attempts) values ($1, $2, $3, 1)"
		" on conflict (tenant_id, instance_id, content_digest) do update set last_at = now(), wait_until = null,"
		"  attempts = case when d.last_at < now() - make_interval(secs => $4) then 1 else d.attempts + 1 end",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_BYTEA(content_digest), PG_V_INT8(DEFINITIONS_FORGOTTEN_S));
}

void store_definition_withdraw(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest,
	int64_t wait_until_us)
{
	(void)PG_ADD(t,
		"update depbroker.profile_definitions set attempts = greatest(attempts - 1, 0), wait_until = $4,"
		" refusals = refusals + case when $4::timestamptz is null then 0 else 1 end"
		" where tenant_id = $1 and instance_id = $2 and content_digest = $3",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_BYTEA(content_digest), PG_V_INSTANT(wait_until_us));
}

void store_definition_taken(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	(void)PG_ADD(t,
		"update depbroker.profile_definitions set refusals = 0 where tenant_id = $1 and instance_id = $2 and content_digest = $3",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_BYTEA(content_digest));
}

// The devices are those that assign_flow.c put off to the very instant.
void store_definition_end_waits(struct pg_transaction *t, int64_t tenant_id, int64_t now_us)
{
	(void)PG_ADD(t,
		"with waits as (select wait_until from depbroker.profile_definitions where tenant_id = $1 and wait_until > $2),"
		" due as (update depbroker.devices set assign_at = $2 where tenant_id = $1 and assign_at in (select wait_until from waits))"
		" update depbroker.profile_definitions set wait_until = null where tenant_id = $1 and wait_until > $2",
		PG_V_INT8(tenant_id), PG_V_INSTANT(now_us));
}

void store_definition_lost(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t, "update depbroker.tenant_status set definitions_lost = definitions_lost + 1 where tenant_id = $1", PG_V_INT8(tenant_id));
}

unsigned store_definition_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select instance_id, encode(content_digest, 'hex'), attempts, last_at, refusals, wait_until from depbroker.profile_definitions"
		" where tenant_id = $1 and last_at >= now() - make_interval(secs => $2) order by last_at desc limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(DEFINITIONS_FORGOTTEN_S), PG_V_INT8(STORE_LIST_MAX));
}

void store_definition_read(const struct pg_transaction *t, unsigned statement, size_t row, struct definition_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->instance_id = next_number(&at);
	out->content_digest = next_text(&at);
	out->attempts = next_number(&at);
	out->last_at_us = next_instant(&at);
	out->refusals = next_number(&at);
	out->wait_until_us = next_instant(&at);
}

// --- reading back ---

unsigned store_profile_to_check(struct pg_transaction *t, int64_t tenant_id, int64_t before_us)
{
	return PG_ADD(t,
		"select p.instance_id, encode(p.content_digest, 'hex'), p.content, p.profile_uuid, p.mended_at,"
		" exists (select from depbroker.devices d where d.tenant_id = $1 and d.gone_at is null and d.profile_uuid = p.profile_uuid)"
		" from depbroker.profiles p where p.tenant_id = $1 and p.profile_uuid is not null and not p.mend_due"
		" and coalesce(p.checked_at, p.defined_at) <= $2 order by coalesce(p.checked_at, p.defined_at) limit 1",
		PG_V_INT8(tenant_id), PG_V_INSTANT(before_us));
}

void store_profile_to_check_read(const struct pg_transaction *t, unsigned statement, struct profile_row *out, bool *in_use)
{
	struct columns at = { t, statement, 0, 0 };

	*out = (struct profile_row){ .instance_id = next_number(&at) };
	out->content_digest = next_text(&at);
	out->content = next_text(&at);
	out->profile_uuid = next_text(&at);
	out->mended_at_us = next_instant(&at);
	*in_use = next_bool(&at);
}

unsigned store_profile_next_check(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select min(coalesce(checked_at, defined_at)) from depbroker.profiles"
		" where tenant_id = $1 and profile_uuid is not null and not mend_due",
		PG_V_INT8(tenant_id));
}

int64_t store_profile_next_check_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_instant(t, statement, 0, 0);
}

void store_profile_checked(struct pg_transaction *t, int64_t tenant_id, const struct profile_check_result *result)
{
	(void)PG_ADD(t,
		"update depbroker.profiles set checked_at = now(), drift_count = $3, drift = $4, mend_due = $5,"
		" mended_at = case when $5 then now() else mended_at end where tenant_id = $1 and profile_uuid = $2",
		PG_V_INT8(tenant_id), PG_V_TEXT(result->profile_uuid), PG_V_INT8(result->drift_count), PG_V_TEXT(store_nullable(result->drift)),
		PG_V_BOOL(result->mend));
	if (result->mend) {
		(void)PG_ADD(t, "update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = $1",
			PG_V_INT8(tenant_id));
	}
}
