// SPDX-License-Identifier: Apache-2.0
#include "store/dep_profiles.h"

#include "store/routing.h"
#include "store/store_inner.h"

void store_dep_profile_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid, struct text content)
{
	(void)PG_ADD(t,
		"with put as (insert into depbroker.dep_profiles (tenant_id, instance_id, profile_uuid, content) select $1, $2, $3, $4"
		" where (select count(*) from depbroker.dep_profiles where tenant_id = $1 and instance_id = $2 and lost_at is null) < $5 returning 1)"
		" select depbroker.require_fence(exists (select from put))",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_TEXT(profile_uuid), PG_V_TEXT(content), PG_V_INT8(STORE_DEP_PROFILES_MAX));
}

#define OF_SERVER                                                                                                       \
	"select p.profile_uuid from depbroker.dep_profiles p where p.tenant_id = $1 and p.instance_id = $2 and p.lost_at is null "
#define OF_INSTANCE                                                                                                     \
	"select p.profile_uuid from depbroker.profiles p where p.tenant_id = $1 and p.instance_id = $2 and p.profile_uuid is not null "

unsigned store_dep_profile_find(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid)
{
	return PG_ADD(t, OF_SERVER "and p.profile_uuid = $3", PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_TEXT(profile_uuid));
}

unsigned store_dep_profile_find_any(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid)
{
	return PG_ADD(t, OF_SERVER "and p.profile_uuid = $3 union " OF_INSTANCE "and p.profile_uuid = $3", PG_V_INT8(tenant_id),
		PG_V_INT8(instance_id), PG_V_TEXT(profile_uuid));
}

unsigned store_dep_profile_uuids(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	return PG_ADD(t,
		"select n.profile_uuid from ((" OF_SERVER "order by p.defined_at desc limit $3) union (" OF_INSTANCE
		"order by p.defined_at desc limit $3)) as n order by n.profile_uuid collate \"C\"",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(STORE_LIST_MAX));
}

void store_dep_profile_lose(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	(void)PG_ADD(t, "update depbroker.dep_profiles set lost_at = now() where tenant_id = $1 and profile_uuid = $2 and lost_at is null",
		PG_V_INT8(tenant_id), PG_V_TEXT(profile_uuid));
}

void store_dep_wish_put(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text profile_uuid,
	const struct text *serials, size_t count)
{
	store_start_over(t, tenant_id, false);
	(void)PG_ADD(t,
		"insert into depbroker.dep_wishes (tenant_id, serial_number, instance_id, profile_uuid)"
		" select $1, d.serial_number, $2, $3 from unnest($4::text[]) as n (serial) join depbroker.devices d on d.tenant_id = $1"
		" and d.serial_number = n.serial and d.instance_id = $2 and d.gone_at is null"
		" on conflict (tenant_id, serial_number) do update set instance_id = excluded.instance_id, profile_uuid = excluded.profile_uuid,"
		" wished_at = now()",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_TEXT(profile_uuid), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
	store_reroute_insert(t, tenant_id, serials, count);
}

unsigned store_dep_wish_delete(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, const struct text *serials, size_t count)
{
	store_start_over(t, tenant_id, false);
	const unsigned statement = PG_ADD(t,
		"delete from depbroker.dep_wishes where tenant_id = $1 and instance_id = $2 and serial_number = any ($3::text[])"
		" returning serial_number, profile_uuid",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));

	store_reroute_insert(t, tenant_id, serials, count);
	return statement;
}

void store_dep_wish_read(const struct pg_transaction *t, unsigned statement, size_t row, struct text *serial, struct text *profile_uuid)
{
	struct columns at = { t, statement, row, 0 };

	*serial = next_text(&at);
	*profile_uuid = next_text(&at);
}
