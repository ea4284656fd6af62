// SPDX-License-Identifier: Apache-2.0
#include "store/run_row.h"

#include "store/store_inner.h"

enum { DATA_KEY_COLUMNS = 3 };

unsigned store_run_select(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select k.version, k.wrapped, k.master_key_id,"
		" t.tenant_id, t.state, t.state_since, t.apple_url, t.protocol_version, t.sync_interval_s, t.server_uuid, t.org_id,"
		" t.org_id_hash, t.org_type, t.brake_percent, t.brake_devices, array_to_string(t.expiry_days, ','),"
		" t.display_name, array_to_string(t.labels, E'\\n'), t.technical_contact, t.apple_contact,"
		" s.token_state, s.token_expires_at, s.token_since, s.pending_since, s.event_seq, s.announced_seq, s.told_token_id, s.told_days,"
		" s.told_admin_id,"
		" c.token_id, c.admin_id, c.taken_by,"
		" p.token_id, p.key_pair_id, p.consumer_key_end, p.expires_at, p.uploaded_at, p.uploaded_by, p.attempts, p.next_try_at,"
		" r.version, " RULES_DOCUMENT ","
		" (" DEVICE_NEXT_ASSIGN "),"
		" (select string_agg(a.kind, ',') from depbroker.alerts a where a.tenant_id = $1 and a.cleared_at is null),"
		" (select incarnation from depbroker.installation)"
		" from depbroker.tenants t"
		" join depbroker.tenant_status s on s.tenant_id = $1"
		" join depbroker.sync_stream m on m.tenant_id = $1"
		" left join depbroker.data_keys k on k.tenant_id = $1 and k.is_current"
		" left join depbroker.server_tokens c on c.tenant_id = $1 and c.is_current"
		" left join depbroker.pending_tokens p on p.tenant_id = $1"
		" left join depbroker.rules r on r.tenant_id = $1 and r.version = m.rules_version"
		" where t.tenant_id = $1",
		PG_V_INT8(tenant_id));
}

static void read_tenant(struct columns *at, struct tenant_row *out)
{
	out->tenant_id = next_number(at);
	out->state = next_text(at);
	out->state_since_us = next_instant(at);
	out->apple_url = next_text(at);
	out->protocol_version = next_number(at);
	out->sync_interval_s = next_number(at);
	out->server_uuid = next_text(at);
	out->org_id = next_text(at);
	out->org_id_hash = next_text(at);
	out->org_type = next_text(at);
	out->brake_percent = next_number(at);
	out->brake_devices = next_number(at);
	out->expiry_days = next_text(at);
	out->display_name = next_text(at);
	out->labels = next_text(at);
	out->technical_contact = next_text(at);
	out->apple_contact = next_text(at);
}

static void read_status(struct columns *at, struct tenant_status_row *out)
{
	out->token_state = next_text(at);
	out->token_expires_at_us = next_instant(at);
	out->token_since_us = next_instant(at);
	out->pending_since_us = next_instant(at);
	out->event_seq = next_number(at);
	out->announced_seq = next_number(at);
	out->told_token_id = next_number(at);
	out->told_days = next_number(at);
	out->told_admin_id = next_text(at);
}

static void read_pending(struct columns *at, struct pending_token_row *out)
{
	out->token_id = next_number(at);
	out->key_pair_id = next_number(at);
	out->consumer_key_end = next_text(at);
	out->expires_at_us = next_instant(at);
	out->uploaded_at_us = next_instant(at);
	out->uploaded_by = next_text(at);
	out->attempts = next_number(at);
	out->next_try_at_us = next_instant(at);
}

void store_run_read(const struct pg_transaction *t, unsigned statement, struct run_row *out)
{
	struct columns at = { t, statement, 0, DATA_KEY_COLUMNS };

	*out = (struct run_row){ 0 };
	read_tenant(&at, &out->tenant);
	read_status(&at, &out->status);
	out->token.token_id = next_number(&at);
	out->token.admin_id = next_text(&at);
	out->token.taken_by = next_text(&at);
	read_pending(&at, &out->pending);
	out->rules.version = next_number(&at);
	out->rules.document = next_text(&at);
	out->next_assign_us = next_instant(&at);
	out->open_alerts = next_text(&at);
	out->incarnation = next_number(&at);
}

bool store_run_next_alert(struct text *rest, struct text *kind)
{
	return store_next_item(rest, ',', kind);
}
