// SPDX-License-Identifier: Apache-2.0
#include "store/instances.h"

#include "store/devices.h"
#include "store/store_inner.h"

#include <assert.h>

#define INSTANCE                                                                                                  \
	"select instance_id, name, kind, enrolment_url, array_to_string(allowed_hosts, ' '), profile, webhook_url, "  \
	"webhook_secret_version, webhook_disabled_at, webhook_disabled_reason, created_at, updated_at, state, "       \
	"array_to_string(labels, E'\\n'), array_to_string(anchor_certs, chr(30)), hook_secret_version, hook_made_at, "  \
	"profile_version "                                                                                             \
	"from depbroker.instances "

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
		" webhook_url, webhook_secret_version, state, labels, anchor_certs)"
		" values ($1, $2, $3, $4, $5, $6, $7, $8, coalesce(nullif($9, 0), 1), $10, $11, $12)",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_TEXT(instance->name), PG_V_TEXT(instance->kind),
		PG_V_TEXT(instance->enrolment_url), hosts_of(instance), PG_V_TEXT(profile_of(instance)),
		PG_V_TEXT(store_nullable(instance->webhook_url)), PG_V_INT8(instance->webhook_secret_version), PG_V_TEXT(state_of(instance)),
		labels_of(instance), anchors_of(instance));
	// Events before now cannot concern it.
	(void)PG_ADD(t,
		"insert into depbroker.positions (tenant_id, instance_id, lane, acked_seq)"
		" select $1, $2, lane, s.event_seq from depbroker.sync_stream s, generate_series(0, $3 - 1) lane where s.tenant_id = $1",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_INT8(EVENT_LANES));
}

unsigned store_instance_update(struct pg_transaction *t, int64_t tenant_id, const struct instance_row *instance)
{
	store_start_over(t, tenant_id, true);
	// What its MDM server defined for a host that is not the instance's any more is wanted by nobody.
	return PG_ADD(t,
		"with withdrawn as (update depbroker.dep_profiles set lost_at = now() where tenant_id = $1 and instance_id = $2 and lost_at is null"
		" and exists (select from depbroker.instances i where i.tenant_id = $1 and i.instance_id = $2 and not i.allowed_hosts <@ $4))"
		" update depbroker.instances set enrolment_url = $3, allowed_hosts = $4, webhook_url = $5,"
		" state = $6, labels = $7, anchor_certs = $8, updated_at = now() where tenant_id = $1 and instance_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(instance->instance_id), PG_V_TEXT(instance->enrolment_url), hosts_of(instance),
		PG_V_TEXT(store_nullable(instance->webhook_url)), PG_V_TEXT(state_of(instance)),
		labels_of(instance), anchors_of(instance));
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

unsigned store_instance_use(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	return PG_ADD(t, "select " DEVICES_THERE ", " RULES_NAME_IT, PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
}

void store_instance_use_read(const struct pg_transaction *t, unsigned statement, int64_t *devices, bool *is_named)
{
	struct columns at = { t, statement, 0, 0 };

	*devices = next_number(&at);
	*is_named = next_bool(&at);
}

void store_instance_require_unused(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	(void)PG_ADD(t, "select depbroker.require_fence(" DEVICES_THERE " = 0 and not " RULES_NAME_IT ")", PG_V_INT8(tenant_id),
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

void store_instance_enable(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id)
{
	(void)PG_ADD(t,
		"update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = $1",
		PG_V_INT8(tenant_id));
	(void)PG_ADD(t,
		"update depbroker.positions set attempts = 0, next_try_at = '-infinity', first_failed_at = null"
		" where tenant_id = $1 and instance_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
	(void)PG_ADD(t,
		"update depbroker.instances set webhook_disabled_at = null, webhook_disabled_reason = null, updated_at = now()"
		" where tenant_id = $1 and instance_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id));
}

unsigned store_instance_disable(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text reason)
{
	return PG_ADD(t,
		"update depbroker.instances set webhook_disabled_at = now(), webhook_disabled_reason = $3"
		" where tenant_id = $1 and instance_id = $2 and webhook_disabled_at is null",
		PG_V_INT8(tenant_id), PG_V_INT8(instance_id), PG_V_TEXT(store_not_null(reason)));
}

unsigned store_instance_list(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, INSTANCE "where tenant_id = $1 order by name limit $2", PG_V_INT8(tenant_id),
		PG_V_INT8(STORE_INSTANCES_MAX));
}

unsigned store_instance_by_name(struct pg_transaction *t, int64_t tenant_id, struct text name)
{
	return PG_ADD(t, INSTANCE "where tenant_id = $1 and name = $2", PG_V_INT8(tenant_id), PG_V_TEXT(name));
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
