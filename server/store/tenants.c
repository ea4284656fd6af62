// SPDX-License-Identifier: Apache-2.0
#include "store/tenants.h"

#include "store/renewal_links.h"
#include "store/store_inner.h"
#include "store/stream.h"

#include <assert.h>
#include <string.h>

enum { TENANT_COLUMN_COUNT = 29, REASON_MAX = 400 };

#define TENANT_AND_STATUS                                                                                                \
	"select t.tenant_id, t.slug, t.display_name, t.state, t.state_since, t.state_reason, t.version, t.apple_url, "       \
	"t.protocol_version, t.sync_interval_s, t.server_uuid, "                                                             \
	"t.server_name, t.org_id, t.org_id_hash, t.org_name, t.org_type, t.pinned_at, t.created_at, t.updated_at, "          \
	"array_to_string(t.labels, E'\\n'), t.notes, array_to_string(t.allowed_hosts, E'\\n'), t.brake_percent, "            \
	"t.brake_devices, t.time_zone, t.technical_contact, t.apple_contact, array_to_string(t.expiry_days, ','), "          \
	"(select d.change_count from depbroker.sync_due d where d.tenant_id = t.tenant_id), "                                \
	"s.token_expires_at, s.token_state, s.sync_phase, s.sync_reason, s.sync_error, s.synced_at, s.sync_next_at, "        \
	"s.devices, s.assigned, s.held, s.announced_seq, s.event_seq, s.updated_at, s.removals_held, s.missed_changes, "     \
	"s.parked_records, s.token_since, s.token_checked_at, s.token_word, s.pending_since, s.told_token_id, s.told_days, " \
	"s.told_admin_id, s.profile_drifts, s.profile_unusable, s.definitions_lost, s.held_since, s.assign_lag_ms "                          \
	"from depbroker.tenants t join depbroker.tenant_status s on s.tenant_id = t.tenant_id "
#define OF_CLIENTS "t.state <> 'reserved'" // not STORE_EVERYBODY

unsigned store_tenant_next_id(struct pg_transaction *t)
{
	return pg_add(t, "select nextval('depbroker.tenant_ids')", NULL, 0);
}

int64_t store_tenant_next_id_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

// Of an insert and of an update: $1 to $15.
enum { CHANGEABLE = 15 };

static void set_changeable(struct pg_value values[CHANGEABLE], const struct tenant_row *tenant)
{
	memcpy(values, (const struct pg_value[CHANGEABLE]){
		PG_V_INT8(tenant->tenant_id), PG_V_TEXT(tenant->display_name), PG_V_TEXT(tenant->state),
		PG_V_TEXT(store_nullable(tenant->state_reason)), PG_V_TEXT(store_nullable(tenant->apple_url)),
		PG_V_INT8(tenant->protocol_version), PG_V_INT8(tenant->sync_interval_s), PG_V_TEXT(store_not_null(tenant->labels)),
		PG_V_TEXT(store_nullable(tenant->notes)), PG_V_TEXT(store_not_null(tenant->allowed_hosts)),
		PG_V_INT8(tenant->brake_percent), PG_V_INT8(tenant->brake_devices), PG_V_TEXT(store_nullable(tenant->time_zone)),
		PG_V_TEXT(store_nullable(tenant->technical_contact)), PG_V_TEXT(store_nullable(tenant->apple_contact)),
	}, CHANGEABLE * sizeof *values);
}

#define LINES(parameter) "coalesce(string_to_array(nullif(" parameter ", ''), E'\\n'), '{}')"
#define DAYS(parameter)  "coalesce(string_to_array(nullif(" parameter ", ''), ',')::int[], '{}')"

void store_tenant_insert(struct pg_transaction *t, const struct tenant_row *tenant)
{
	struct pg_value values[CHANGEABLE + 2];

	set_changeable(values, tenant);
	values[CHANGEABLE] = PG_V_TEXT(store_not_null(tenant->expiry_days));
	values[CHANGEABLE + 1] = PG_V_TEXT(tenant->slug);
	(void)pg_add(t,
		"insert into depbroker.tenants (tenant_id, display_name, state, state_reason, apple_url, protocol_version, sync_interval_s, labels,"
		" notes, allowed_hosts, brake_percent, brake_devices, time_zone, technical_contact, apple_contact, expiry_days, slug)"
		" values ($1, $2, $3, $4, $5, nullif($6, 0), nullif($7, 0), " LINES("$8") ", $9, " LINES("$10") ", nullif($11, 0), nullif($12, 0),"
		" $13, $14, $15, " DAYS("$16") ", $17)", values, CHANGEABLE + 2);
	(void)PG_ADD(t, "insert into depbroker.sync_stream (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
	(void)PG_ADD(t, "insert into depbroker.sync_due (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
	(void)PG_ADD(t, "insert into depbroker.tenant_status (tenant_id) values ($1)", PG_V_INT8(tenant->tenant_id));
}

unsigned store_tenant_by_slug(struct pg_transaction *t, struct text slug)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.slug = $1 and " OF_CLIENTS, PG_V_TEXT(slug));
}

unsigned store_tenant_by_id(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.tenant_id = $1 and s.tenant_id = $1", PG_V_INT8(tenant_id));
}

unsigned store_tenant_everybody(struct pg_transaction *t)
{
	return PG_ADD(t,
		TENANT_AND_STATUS "where t.tenant_id = $1 and s.tenant_id = $1 and exists (select from depbroker.sync_due d where d.tenant_id = $1)",
		PG_V_INT8(STORE_EVERYBODY));
}

void store_tenant_everybody_begin(struct pg_transaction *t)
{
	(void)PG_ADD(t, "insert into depbroker.sync_due (tenant_id) values ($1)", PG_V_INT8(STORE_EVERYBODY));
}

unsigned store_tenant_by_server(struct pg_transaction *t, struct text server_uuid)
{
	return PG_ADD(t, TENANT_AND_STATUS "where t.server_uuid = $1", PG_V_TEXT(server_uuid));
}

unsigned store_tenant_by_renewal_link(struct pg_transaction *t, const unsigned char hash[SHA256_SIZE])
{
	return PG_ADD(t,
		TENANT_AND_STATUS "where t.tenant_id = (select l.tenant_id from depbroker.renewal_links l"
		" where l.hash = $1 and l.used_at is null and l.revoked_at is null and l.expires_at > now())"
		" and t.state <> 'deleting'",
		PG_V_BYTEA(((struct text){ (const char *)hash, SHA256_SIZE })));
}

unsigned store_tenant_list(struct pg_transaction *t, struct text after_slug, const int64_t *tenant_ids, size_t count,
	int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		TENANT_AND_STATUS "where t.slug > $1 and " OF_CLIENTS " and ($2::bigint[] is null or t.tenant_id = any ($2::bigint[]))"
		" order by t.slug limit $3",
		PG_V_TEXT(store_not_null(after_slug)), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

unsigned store_tenant_names(struct pg_transaction *t, const struct text *names, size_t name_count, const int64_t *tenant_ids, size_t count,
	int64_t limit, int64_t offset)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);
	const struct pg_value named = PG_V_TEXTS(PG_TEXT_ARRAY, names, name_count);

	return PG_ADD(t,
		"select slug from depbroker.tenants where ($1::text[] is null or slug = any ($1::text[]))"
		" and ($2::bigint[] is null or tenant_id = any ($2::bigint[])) and state not in ('deleting', 'reserved') order by slug limit $3 offset $4",
		names == NULL ? all : named, tenant_ids == NULL ? all : these, PG_V_INT8(limit), PG_V_INT8(offset));
}

struct text store_tenant_names_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_text(t, statement, row, 0);
}

unsigned store_tenant_list_by_expiry(struct pg_transaction *t, int64_t after_us, struct text after_slug, const int64_t *tenant_ids,
	size_t count, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count);

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		TENANT_AND_STATUS "where " OF_CLIENTS " and (coalesce(s.token_expires_at, 'infinity'), t.slug) > (coalesce($1, 'infinity'::timestamptz), $2)"
		" and ($3::bigint[] is null or t.tenant_id = any ($3::bigint[]))"
		" order by coalesce(s.token_expires_at, 'infinity'), t.slug limit $4",
		PG_V_INSTANT(after_us), PG_V_TEXT(store_not_null(after_slug)), tenant_ids == NULL ? all : these, PG_V_INT8(limit));
}

void store_tenant_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->display_name = next_text(&at);
	out->state = next_text(&at);
	out->state_since_us = next_instant(&at);
	out->state_reason = next_text(&at);
	out->version = next_number(&at);
	out->apple_url = next_text(&at);
	out->protocol_version = next_number(&at);
	out->sync_interval_s = next_number(&at);
	out->server_uuid = next_text(&at);
	out->server_name = next_text(&at);
	out->org_id = next_text(&at);
	out->org_id_hash = next_text(&at);
	out->org_name = next_text(&at);
	out->org_type = next_text(&at);
	out->pinned_at_us = next_instant(&at);
	out->created_at_us = next_instant(&at);
	out->updated_at_us = next_instant(&at);
	out->labels = next_text(&at);
	out->notes = next_text(&at);
	out->allowed_hosts = next_text(&at);
	out->brake_percent = next_number(&at);
	out->brake_devices = next_number(&at);
	out->time_zone = next_text(&at);
	out->technical_contact = next_text(&at);
	out->apple_contact = next_text(&at);
	out->expiry_days = next_text(&at);
	out->change_count = next_number(&at);
	assert(at.next == TENANT_COLUMN_COUNT);
}

void store_tenant_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_status_row *out)
{
	struct columns at = { t, statement, row, TENANT_COLUMN_COUNT };

	out->token_expires_at_us = next_instant(&at);
	out->token_state = next_text(&at);
	out->sync_phase = next_text(&at);
	out->sync_reason = next_text(&at);
	out->sync_error = next_text(&at);
	out->synced_at_us = next_instant(&at);
	out->sync_next_at_us = next_instant(&at);
	out->devices = next_number(&at);
	out->assigned = next_number(&at);
	out->held = next_number(&at);
	out->announced_seq = next_number(&at);
	out->event_seq = next_number(&at);
	out->updated_at_us = next_instant(&at);
	out->removals_held = next_number(&at);
	out->missed_changes = next_number(&at);
	out->parked_records = next_number(&at);
	out->token_since_us = next_instant(&at);
	out->token_checked_at_us = next_instant(&at);
	out->token_word = next_text(&at);
	out->pending_since_us = next_instant(&at);
	out->told_token_id = next_number(&at);
	out->told_days = next_number(&at);
	out->told_admin_id = next_text(&at);
	out->profile_drifts = next_number(&at);
	out->profile_unusable = next_bool(&at);
	out->definitions_lost = next_number(&at);
	out->held_since_us = next_instant(&at);
	out->assign_lag_ms = next_number(&at);
}

void store_tenant_update(struct pg_transaction *t, const struct tenant_row *tenant)
{
	struct pg_value values[CHANGEABLE + 2];

	set_changeable(values, tenant);
	values[CHANGEABLE] = PG_V_TEXT(store_not_null(tenant->expiry_days));
	values[CHANGEABLE + 1] = PG_V_INT8(tenant->version);
	store_start_over(t, tenant->tenant_id, true); // names, labels and contacts are variables of profiles
	if (!text_equal_string(tenant->state, "quarantined")) {
		store_due_forgive_crashes(t, tenant->tenant_id);
	}
	if (text_equal_string(tenant->state, "active")) { // it may have been made so: what was waited for is looked at
		(void)store_due_request(t, tenant->tenant_id, DUE_SYNC);
	}
	(void)pg_add(t,
		"with changed as ("
		"  update depbroker.tenants set display_name = $2, state_since = case when state = $3 then state_since else now() end, state = $3,"
		"    state_reason = $4, apple_url = $5, protocol_version = nullif($6, 0), sync_interval_s = nullif($7, 0), labels = " LINES("$8") ","
		"    notes = $9, allowed_hosts = " LINES("$10") ", brake_percent = nullif($11, 0), brake_devices = nullif($12, 0), time_zone = $13,"
		"    technical_contact = $14, apple_contact = $15, expiry_days = " DAYS("$16") ", version = version + 1, updated_at = now()"
		"  where tenant_id = $1 and ($17 = 0 or version = $17) returning 1)"
		" select depbroker.require_fence(exists (select from changed))", values, CHANGEABLE + 2);
}

void store_tenant_require_hosts(struct pg_transaction *t, int64_t tenant_id)
{
	(void)PG_ADD(t, "select depbroker.require_hosts($1)", PG_V_INT8(tenant_id));
}

bool store_tenant_hosts_were_refused(const struct pg_transaction *t)
{
	return t->op.rc == ERR_BAD_INPUT && strcmp(t->constraint, "instances_within_hosts") == 0;
}

void store_tenant_begin_erase(struct pg_transaction *t, int64_t tenant_id)
{
	store_start_over(t, tenant_id, false);
	(void)PG_ADD(t, "delete from depbroker.secrets where tenant_id = $1", PG_V_INT8(tenant_id));
	(void)PG_ADD(t, "delete from depbroker.data_keys where tenant_id = $1", PG_V_INT8(tenant_id));
	(void)PG_ADD(t,
		"update depbroker.tenants set state = 'deleting', parking_instance_id = null, state_since = now(), version = version + 1, updated_at = now()"
		" where tenant_id = $1", PG_V_INT8(tenant_id));
}

unsigned store_tenant_erase(struct pg_transaction *t, int most)
{
	return PG_ADD(t, "select depbroker.erase_client($1::int)", PG_V_INT4(most));
}

bool store_tenant_erase_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_bool(t, statement, 0, 0);
}

unsigned store_tenant_erasing(struct pg_transaction *t, int limit)
{
	return PG_ADD(t, "select tenant_id from depbroker.tenants where state = 'deleting' order by state_since limit $1", PG_V_INT8(limit));
}

int64_t store_tenant_erasing_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, 0);
}

static void pin(struct pg_transaction *t, const struct tenant_row *identity, bool anew)
{
	(void)PG_ADD(t,
		"with pinned as ("
		"  update depbroker.tenants set server_uuid = $2, server_name = $3, org_id = $4, org_id_hash = $5, org_name = $6,"
		"    org_type = $7, pinned_at = case when $8 then now() else coalesce(pinned_at, now()) end, version = version + 1, updated_at = now()"
		"  where tenant_id = $1 and ($8 or server_uuid is null or server_uuid = $2) returning tenant_id)"
		" select depbroker.require_fence(exists (select from pinned))",
		PG_V_INT8(identity->tenant_id), PG_V_TEXT(identity->server_uuid), PG_V_TEXT(store_nullable(identity->server_name)),
		PG_V_TEXT(store_nullable(identity->org_id)), PG_V_TEXT(store_nullable(identity->org_id_hash)),
		PG_V_TEXT(store_nullable(identity->org_name)), PG_V_TEXT(store_nullable(identity->org_type)), PG_V_BOOL(anew));
}

void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity)
{
	pin(t, identity, false);
}

void store_tenant_pin_anew(struct pg_transaction *t, const struct tenant_row *identity)
{
	pin(t, identity, true);
}

unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id, struct text reason)
{
	return PG_ADD(t,
		"update depbroker.tenants set state = 'quarantined', state_since = now(), state_reason = $2, version = version + 1,"
		" updated_at = now() where tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_clipped(reason, REASON_MAX)));
}
