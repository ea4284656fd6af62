// SPDX-License-Identifier: Apache-2.0
#include "store/instances.h"

#include "store/endpoints.h"
#include "store/store_inner.h"

#include <assert.h>

// With its first endpoint, which has its number.
#define INSTANCE                                                                                                      \
	"select i.instance_id, i.name, i.kind, i.enrolment_url, array_to_string(i.allowed_hosts, ' '), i.profile, n.url, "  \
	"n.secret_version, n.disabled_at, n.disabled_reason, i.created_at, i.updated_at, i.state, "                        \
	"array_to_string(i.labels, E'\\n'), array_to_string(i.anchor_certs, chr(30)), i.hook_secret_version, i.hook_made_at, " \
	"i.profile_version, i.version "                                                                                               \
	"from depbroker.instances i join depbroker.endpoints n on n.tenant_id = $1 and n.endpoint_id = i.instance_id "

static struct pg_value hosts_of(const struct instance_row *instance)
{
	assert(instance->allowed_host_count <= STORE_HOSTS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, instance->allowed_hosts, instance->allowed_host_count);
}

static struct pg_value labels_of(const struct instance_row *instance)
{
	assert(instance->label_count <= STORE_INSTANCE_LABELS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, instance->labels, instance->label_count);
}

static struct pg_value anchors_of(const struct instance_row *instance)
{
	assert(instance->anchor_cert_count <= STORE_ANCHORS_MAX);
	return PG_V_TEXTS(PG_TEXT_ARRAY, instance->anchor_certs, instance->anchor_cert_count);
}

static struct text state_of(const struct instance_row *instance)
{
	return instance->state.length > 0 ? instance->state : TEXT("active");
}

static struct text profile_of(const struct instance_row *instance)
{
	return instance->profile.length > 0 ? instance->profile : TEXT("{}");
}

void store_instance_insert(struct pg_transaction *t, int64_t tenant_id, const struct instance_row *instance)
{
	store_start_over(t, tenant_id, true);
	(void)PG_ADD(t,
		"insert into depbroker.instances (tenant_id, instance_id, name, kind, enrolment_url, allowed_hosts, profile,"
		" state, labels, anchor_certs) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_TEXT(instance->name), PG_V_TEXT(instance->kind),
		PG_V_TEXT(instance->enrolment_url), hosts_of(instance), PG_V_TEXT(profile_of(instance)),
		PG_V_TEXT(state_of(instance)), labels_of(instance), anchors_of(instance));
	store_endpoint_add(t, tenant_id, &(const struct endpoint_row){
		.endpoint_id = instance->instance_id,
		.instance_id = instance->instance_id,
		.url = instance->webhook_url,
		.secret_version = instance->webhook_secret_version,
	});
}

unsigned store_instance_update(struct pg_transaction *t, int64_t tenant_id, const struct instance_row *instance)
{
	store_start_over(t, tenant_id, true);
	(void)PG_ADD(t,
		"update depbroker.endpoints set url = $3, updated_at = now()"
		" where tenant_id = $1 and endpoint_id = $2 and url is distinct from $3",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_TEXT(store_nullable(instance->webhook_url)));
	// What its MDM server defined for a host that is not the instance's any more is wanted by nobody.
	return PG_ADD(t,
		"with withdrawn as (update depbroker.dep_profiles set lost_at = now() where tenant_id = $1 and instance_id = $2 and lost_at is null"
		" and exists (select from depbroker.instances i where i.tenant_id = $1 and i.instance_id = $2 and not i.allowed_hosts <@ $4)),"
		" changed as (update depbroker.instances set enrolment_url = $3, allowed_hosts = $4, state = $5, labels = $6, anchor_certs = $7,"
		"  version = version + 1, updated_at = now() where tenant_id = $1 and instance_id = $2 and ($8 = 0 or version = $8) returning 1)"
		" select depbroker.require_fence(exists (select from changed))",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_TEXT(instance->enrolment_url), hosts_of(instance),
		PG_V_TEXT(state_of(instance)), labels_of(instance), anchors_of(instance), PG_V_INT8(instance->version));
}

#define DEVICES_THERE "(select count(*) from depbroker.devices where tenant_id = $1 and instance_id = $2 and gone_at is null)"
#define RULES_NAME_IT                                                                                                            \
	"(exists (select from depbroker.pins where tenant_id = $1 and instance_id = $2)"                                              \
	" or exists (select from depbroker.sync_stream s"                                                                             \
	" join depbroker.rules r on r.tenant_id = $1 and r.version = s.rules_version"                                                 \
	" join depbroker.instances i on i.tenant_id = $1 and i.instance_id = $2"                                                      \
	" where s.tenant_id = $1 and (r.default_instance_id = $2 or r.document::jsonb ->> 'default' = i.name"                         \
	"  or r.document::jsonb #>> '{otherwise,instance}' = i.name"                                                                  \
	"  or jsonb_path_exists(r.document::jsonb, '$.rules[*].then.instance ? (@ == $name)', jsonb_build_object('name', i.name)))))"

#define PARKS_WHAT_IS_HELD "exists (select from depbroker.tenants where tenant_id = $1 and parking_instance_id = $2)"

unsigned store_instance_use(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	return PG_ADD(t, "select " DEVICES_THERE ", " RULES_NAME_IT ", " PARKS_WHAT_IS_HELD, PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
}

void store_instance_use_read(const struct pg_transaction *t, unsigned statement, struct instance_use *out)
{
	struct columns at = { t, statement, 0, 0 };

	out->devices = next_number(&at);
	out->is_named = next_bool(&at);
	out->is_parking = next_bool(&at);
}

void store_instance_require_unused(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	(void)PG_ADD(t, "select depbroker.require_fence(" DEVICES_THERE " = 0 and not " RULES_NAME_IT " and not " PARKS_WHAT_IS_HELD ")", PG_V_INT8(tenant_id),
		PG_V_INT8(instance_id));
}

unsigned store_instance_set_hook(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t version)
{
	return PG_ADD(t,
		"update depbroker.instances set hook_secret_version = $3, hook_made_at = now() where tenant_id = $1 and instance_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_INT8(version));
}

unsigned store_instance_drop_hook(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	return PG_ADD(t, "update depbroker.instances set hook_made_at = null where tenant_id = $1 and instance_id = $2", PG_V_INT8(tenant_id),
		PG_V_INT8(instance_id));
}

unsigned store_instance_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, INSTANCE "where i.tenant_id = $1 order by i.name limit $2", PG_V_INT8(tenant_id),
		PG_V_INT8(STORE_INSTANCES_MAX));
}

unsigned store_instance_by_name(struct pg_transaction *t, int64_t tenant_id, struct text name)
{
	return PG_ADD(t, INSTANCE "where i.tenant_id = $1 and i.name = $2", PG_V_INT8(tenant_id), PG_V_TEXT(name));
}

void store_instance_read(const struct pg_transaction *t, unsigned statement, size_t row, struct instance_row *out)
{
	struct columns at = { t, statement, row, 0 };
	struct text hosts, labels, anchors;
	struct text item;

	out->instance_id = next_number(&at);
	out->name = next_text(&at);
	out->kind = next_text(&at);
	out->enrolment_url = next_text(&at);
	hosts = next_text(&at);
	out->profile = next_text(&at);
	out->webhook_url = next_text(&at);
	out->webhook_secret_version = next_number(&at);
	out->webhook_disabled_at_us = next_instant(&at);
	out->webhook_disabled_reason = next_text(&at);
	out->created_at_us = next_instant(&at);
	out->updated_at_us = next_instant(&at);
	out->state = next_text(&at);
	labels = next_text(&at);
	anchors = next_text(&at);
	out->hook_secret_version = next_number(&at);
	out->hook_made_at_us = next_instant(&at);
	out->profile_version = next_number(&at);
	out->version = next_number(&at);
	out->allowed_host_count = 0;
	while (store_next_item(&hosts, ' ', &item)) {
		assert(out->allowed_host_count < STORE_HOSTS_MAX); // the schema's limit, too
		out->allowed_hosts[out->allowed_host_count++] = item;
	}
	out->label_count = 0;
	while (store_next_item(&labels, '\n', &item)) {
		assert(out->label_count < STORE_INSTANCE_LABELS_MAX);
		out->labels[out->label_count++] = item;
	}
	out->anchor_cert_count = 0;
	while (store_next_item(&anchors, '\x1e', &item)) {
		assert(out->anchor_cert_count < STORE_ANCHORS_MAX);
		out->anchor_certs[out->anchor_cert_count++] = item;
	}
}
