// SPDX-License-Identifier: Apache-2.0
#include "store/templates.h"

#include "store/store_inner.h"

#include <assert.h>

enum { REASON_MAX = 400 };

static struct pg_value reason_of(const struct layer_author *author)
{
	return PG_V_TEXT(author->reason.length > 0 ? store_clipped(author->reason, REASON_MAX) : TEXT_NONE);
}

// --- templates ---

#define TEMPLATE                                                                                                             \
	"select v.name, v.version, v.layer, v.made_at, v.made_by, v.reason,"                                                     \
	" (select count(*) from depbroker.tenants t where t.template = v.name) from depbroker.template_versions v"               \
	" where v.version = (select max(n.version) from depbroker.template_versions n where n.name = v.name) "

unsigned store_template_list(struct pg_transaction *t, struct text after_name, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t, TEMPLATE "and v.name > $1 order by v.name limit $2", PG_V_TEXT(store_not_null(after_name)), PG_V_INT8(limit));
}

unsigned store_template_by_name(struct pg_transaction *t, struct text name)
{
	return PG_ADD(t, TEMPLATE "and v.name = $1", PG_V_TEXT(name));
}

static void read_version(struct columns *at, struct layer_version *out)
{
	out->version = next_number(at);
	out->layer = next_text(at);
	out->made_at_us = next_instant(at);
	out->made_by = next_text(at);
	out->reason = next_text(at);
}

void store_template_read(const struct pg_transaction *t, unsigned statement, size_t row, struct template_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->name = next_text(&at);
	read_version(&at, &out->in_force);
	out->tenants = next_number(&at);
}

#define VERSION "select version, layer, made_at, made_by, reason from "
#define NEWEST  "order by version desc limit "

unsigned store_template_versions(struct pg_transaction *t, struct text name, int64_t version, int limit)
{
	return PG_ADD(t, VERSION "depbroker.template_versions where name = $1 and ($2 = 0 or version = $2) " NEWEST "$3", PG_V_TEXT(name),
		PG_V_INT8(version), PG_V_INT8(limit));
}

void store_layer_version_read(const struct pg_transaction *t, unsigned statement, size_t row, struct layer_version *out)
{
	struct columns at = { t, statement, row, 0 };

	read_version(&at, out);
}

unsigned store_template_put(struct pg_transaction *t, struct text name, int64_t expected_version, struct text layer,
	const struct layer_author *author)
{
	return PG_ADD(t,
		"with put as ("
		"  insert into depbroker.template_versions (name, version, layer, made_by, reason)"
		"  select $1, coalesce(max(version), 0) + 1, $3, $4, $5 from depbroker.template_versions where name = $1"
		"  having $2 = -1 or coalesce(max(version), 0) = $2 returning version),"
		" woken as ("
		"  update depbroker.sync_due d set wake = d.wake + 1, due_at = least(d.due_at, now()), change_count = d.change_count + 1"
		"  from depbroker.tenants t where t.template = $1 and t.tenant_id = d.tenant_id)"
		" select (select version from put), depbroker.require_fence(exists (select from put))",
		PG_V_TEXT(name), PG_V_INT8(expected_version), PG_V_TEXT(layer), PG_V_TEXT(author->made_by), reason_of(author));
}

int64_t store_layer_put_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

unsigned store_template_users(struct pg_transaction *t, struct text name, struct text after_slug, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select tenant_id, slug from depbroker.tenants where template = $1 and slug > $2 and state <> 'deleting' order by slug limit $3",
		PG_V_TEXT(name), PG_V_TEXT(store_not_null(after_slug)), PG_V_INT8(limit));
}

void store_template_user_read(const struct pg_transaction *t, unsigned statement, size_t row, struct template_user_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
}

// The numbers of such locks are the database's; the first one says whose they are.
enum { LOCK_OF_TEMPLATES = 0x7465 };

void store_template_lock(struct pg_transaction *t, struct text name, bool shared)
{
	const struct pg_value values[] = { PG_V_INT8(LOCK_OF_TEMPLATES), PG_V_TEXT(name) };

	(void)pg_add(t, shared ? "select pg_advisory_xact_lock_shared($1::int, hashtext($2))" : "select pg_advisory_xact_lock($1::int, hashtext($2))",
		values, sizeof values / sizeof *values);
}

void store_template_require(struct pg_transaction *t, struct text name, int64_t version)
{
	(void)PG_ADD(t,
		"select depbroker.require_fence($2 = (select coalesce(max(version), 0) from depbroker.template_versions where name = $1))",
		PG_V_TEXT(name), PG_V_INT8(version));
}

void store_template_require_users(struct pg_transaction *t, struct text name, const int64_t *tenant_ids, size_t count)
{
	(void)PG_ADD(t,
		"select depbroker.require_fence(not exists (select from depbroker.tenants where template = $1 and state <> 'deleting'"
		" and tenant_id <> all ($2::bigint[])))",
		PG_V_TEXT(name), PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count));
}

// --- a client's layer ---

unsigned store_tenant_profile_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select t.template, t.profile, t.profile_version, t.profile_mend, coalesce(v.version, 0), v.layer, t.template_done,"
		" i.instance_id, i.name"
		" from depbroker.tenants t left join lateral ("
		"  select version, layer from depbroker.template_versions where name = t.template order by version desc limit 1) v on true"
		" left join depbroker.instances i on i.tenant_id = t.tenant_id and i.instance_id = t.parking_instance_id and i.state <> 'retired'"
		" where t.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

void store_tenant_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_profile_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->template_name = next_text(&at);
	out->layer = next_text(&at);
	out->version = next_number(&at);
	out->mend = next_bool(&at);
	out->template_version = next_number(&at);
	out->template_layer = next_text(&at);
	out->template_done = next_number(&at);
	out->parking_instance_id = next_number(&at);
	out->parking = next_text(&at);
}

unsigned store_tenant_profile_versions(struct pg_transaction *t, int64_t tenant_id, int64_t version, int limit)
{
	return PG_ADD(t, VERSION "depbroker.tenant_profiles where tenant_id = $1 and ($2 = 0 or version = $2) " NEWEST "$3",
		PG_V_INT8(tenant_id), PG_V_INT8(version), PG_V_INT8(limit));
}

unsigned store_tenant_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t expected_version,
	const struct tenant_profile_row *profile, const struct layer_author *author)
{
	store_start_over(t, tenant_id, true);
	return PG_ADD(t,
		"with moved as ("
		"  update depbroker.tenants set template = $3, profile = $4, profile_mend = $5, profile_version = profile_version + 1,"
		"    parking_instance_id = nullif($8, 0), updated_at = now() where tenant_id = $1 and ($2 = -1 or profile_version = $2) returning profile_version),"
		" put as ("
		"  insert into depbroker.tenant_profiles (tenant_id, version, template, layer, mend, made_by, reason)"
		"  select $1, profile_version, $3, $4, $5, $6, $7 from moved returning version)"
		" select (select version from put), depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(tenant_id), PG_V_INT8(expected_version), PG_V_TEXT(store_nullable(profile->template_name)), PG_V_TEXT(profile->layer),
		PG_V_BOOL(profile->mend), PG_V_TEXT(author->made_by), reason_of(author), PG_V_INT8(profile->parking_instance_id));
}

void store_template_done(struct pg_transaction *t, int64_t tenant_id, int64_t version)
{
	(void)PG_ADD(t, "update depbroker.tenants set template_done = $2 where tenant_id = $1 and template_done <> $2", PG_V_INT8(tenant_id),
		PG_V_INT8(version));
}

// --- an instance's layer ---

unsigned store_instance_profile_versions(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t version, int limit)
{
	return PG_ADD(t,
		VERSION "depbroker.instance_profiles where tenant_id = $1 and instance_id = $2 and ($3 = 0 or version = $3) " NEWEST "$4",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(version), PG_V_INT8(limit));
}

unsigned store_instance_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t expected_version,
	struct text layer, const struct layer_author *author)
{
	store_start_over(t, tenant_id, true);
	return PG_ADD(t,
		"with moved as ("
		"  update depbroker.instances set profile = $4, profile_version = profile_version + 1, version = version + 1, updated_at = now()"
		"  where tenant_id = $1 and instance_id = $2 and ($3 = -1 or profile_version = $3) returning profile_version),"
		" put as ("
		"  insert into depbroker.instance_profiles (tenant_id, instance_id, version, layer, made_by, reason)"
		"  select $1, $2, profile_version, $4, $5, $6 from moved returning version)"
		" select (select version from put), depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(expected_version), PG_V_TEXT(layer), PG_V_TEXT(author->made_by),
		reason_of(author));
}

// --- what a change costs ---

unsigned store_instance_device_counts(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select coalesce(instance_id, 0), count(*) from depbroker.devices where tenant_id = $1 and gone_at is null"
		" group by instance_id order by instance_id",
		PG_V_INT8(tenant_id));
}

void store_instance_device_count_read(const struct pg_transaction *t, unsigned statement, size_t row, int64_t *instance_id, int64_t *devices)
{
	struct columns at = { t, statement, row, 0 };

	*instance_id = next_number(&at);
	*devices = next_number(&at);
}

unsigned store_instance_device_list(struct pg_transaction *t, int64_t tenant_id, const int64_t *instance_ids, const struct text *profiles, size_t count,
	int64_t held_as)
{
	const struct pg_value all = { .kind = PG_NULL };
	const struct pg_value these = PG_V_NUMBERS(PG_INT8_ARRAY, instance_ids, count);
	const struct pg_value their_profiles = PG_V_TEXTS(PG_TEXT_ARRAY, profiles, count);

	return PG_ADD(t,
		"select count(*), string_agg(json_build_object('serial_number', d.serial_number, 'tenant', c.slug, 'instance', i.name,"
		"  'profile', ($3::text[])[array_position($2::bigint[], coalesce(d.instance_id, $4))])::text, ','"
		"  order by d.serial_number)"
		" from depbroker.devices d"
		" join depbroker.tenants c on c.tenant_id = $1"
		" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = d.instance_id"
		" where d.tenant_id = $1 and d.gone_at is null and ($2::bigint[] is null or coalesce(d.instance_id, $4) = any ($2::bigint[])) group by d.tenant_id",
		PG_V_INT8(tenant_id), instance_ids == NULL ? all : these, instance_ids == NULL ? all : their_profiles, PG_V_INT8(held_as));
}

struct text store_instance_device_list_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_row_count(t, statement) > 0 ? pg_text(t, statement, 0, 1) : TEXT_NONE;
}

int64_t store_instance_device_list_count(const struct pg_transaction *t, unsigned statement)
{
	return pg_row_count(t, statement) > 0 ? pg_int8(t, statement, 0, 0) : 0;
}
