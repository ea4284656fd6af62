// SPDX-License-Identifier: Apache-2.0
#include "store/instances.h"
#include "store/store_inner.h"

#include <assert.h>

enum { REASON_MAX = 400 };

// --- rules ---

unsigned store_rules_put(struct pg_transaction *t, int64_t tenant_id, int64_t expected_version, const struct rules_row *rules)
{
	return PG_ADD(t,
		"with moved as ("
		"  update depbroker.sync_stream set rules_version = rules_version + 1, config_version = config_version + 1,"
		"    profile_needed = true"
		"  where tenant_id = $1 and ($2 = -1 or rules_version = $2) returning rules_version),"
		" put as ("
		"  insert into depbroker.rules (tenant_id, version, document, reason, made_by)"
		"  select $1, rules_version, $3, $4, $5 from moved returning version),"
		" woken as ("
		"  update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()), change_count = change_count + 1"
		"  where tenant_id = $1)"
		" select (select version from put), depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(tenant_id), PG_V_INT8(expected_version), PG_V_TEXT(rules->document), PG_V_TEXT(store_clipped(rules->reason, REASON_MAX)),
		PG_V_TEXT(rules->made_by));
}

int64_t store_rules_put_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

unsigned store_rules_current(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select r.version, " RULES_DOCUMENT ", r.made_at, r.made_by, r.reason"
		" from depbroker.sync_stream s join depbroker.rules r on r.tenant_id = $1 and r.version = s.rules_version where s.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

unsigned store_rules_by_version(struct pg_transaction *t, int64_t tenant_id, int64_t version)
{
	return PG_ADD(t,
		"select r.version, " RULES_DOCUMENT ", r.made_at, r.made_by, r.reason from depbroker.rules r where r.tenant_id = $1 and r.version = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(version));
}

unsigned store_rules_list(struct pg_transaction *t, int64_t tenant_id, int64_t before_version, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select version, null::text, made_at, made_by, reason from depbroker.rules where tenant_id = $1 and version < $2"
		" order by version desc limit $3",
		PG_V_INT8(tenant_id), PG_V_INT8(before_version), PG_V_INT8(limit));
}

void store_rules_read(const struct pg_transaction *t, unsigned statement, size_t row, struct rules_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->version = next_number(&at);
	out->document = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->made_by = next_text(&at);
	out->reason = next_text(&at);
}

// --- profiles ---

enum { REFUSED_MAX = 400 };

static struct text refused_of(const struct profile_row *profile)
{
	return profile->profile_uuid.length > 0 ? TEXT_NONE : store_clipped(profile->refused, REFUSED_MAX);
}

unsigned store_profile_put(struct pg_transaction *t, int64_t tenant_id, const struct profile_row *profile)
{
	return PG_ADD(t,
		"insert into depbroker.profiles (tenant_id, instance_id, content_digest, content, profile_uuid, refused, token_id,"
		" is_canonical) values ($1, $2, $3, $4, $5, $6, $7, true)"
		" on conflict (tenant_id, instance_id, content_digest) do update set content = excluded.content,"
		" profile_uuid = excluded.profile_uuid, refused = excluded.refused, token_id = excluded.token_id,"
		" defined_at = excluded.defined_at, mend_due = false, checked_at = null, drift_count = 0, drift = null, is_canonical = true",
		PG_V_INT8(tenant_id), PG_V_INT8(profile->instance_id), PG_V_BYTEA(profile->content_digest),
		PG_V_TEXT(profile->content), PG_V_TEXT(store_nullable(profile->profile_uuid)), PG_V_TEXT(refused_of(profile)),
		PG_V_INT8(profile->token_id));
}

unsigned store_profile_forget(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	return PG_ADD(t, "delete from depbroker.profiles where tenant_id = $1 and profile_uuid = $2", PG_V_INT8(tenant_id),
		PG_V_TEXT(profile_uuid));
}

unsigned store_profile_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select instance_id, encode(content_digest, 'hex'), content, profile_uuid, refused, token_id, defined_at, mend_due, checked_at,"
		" drift_count, drift, mended_at, is_canonical from depbroker.profiles where tenant_id = $1 order by defined_at desc, instance_id limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(STORE_LIST_MAX));
}

void store_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct profile_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->instance_id = next_number(&at);
	out->content_digest = next_text(&at);
	out->content = next_text(&at);
	out->profile_uuid = next_text(&at);
	out->refused = next_text(&at);
	out->token_id = next_number(&at);
	out->defined_at_us = next_instant(&at);
	out->mend_due = next_bool(&at);
	out->checked_at_us = next_instant(&at);
	out->drift_count = next_number(&at);
	out->drift = next_text(&at);
	out->mended_at_us = next_instant(&at);
	out->is_canonical = next_bool(&at);
}
