// SPDX-License-Identifier: Apache-2.0
#include "api/tenant_json.h"


void tenant_token_json(struct json_out *json, const struct tenant_row *row, const struct tenant_status_row *status)
{
	const struct token_facts facts = store_token_facts(row, status);
	const int64_t now_us = clock_wall_us();
	const struct token_view view = token_view(&facts, now_us);

	put_object(json, "token");
	put_string(json, "state", token_state_name(view.state));
	put_instant(json, "state_since", view.since_us);
	put_instant(json, "checked_at", status->token_checked_at_us);
	put_text(json, "apple_error", status->token_word);
	put_text(json, "fix", text_of(token_state_fix(view.state)));
	put_instant(json, "expires_at", status->token_expires_at_us);
	if (status->token_expires_at_us != INSTANT_NONE) {
		put_int(json, "days_left", token_days_left(status->token_expires_at_us, now_us));
	} else {
		put_null(json, "days_left");
	}
	put_bool(json, "pending", status->pending_since_us != INSTANT_NONE);
	put_object_end(json);
}

void tenant_sync_json(struct json_out *json, const struct tenant_status_row *status)
{
	put_object(json, "sync");
	put_text(json, "phase", status->sync_phase);
	put_text(json, "reason", status->sync_reason);
	put_text(json, "error", status->sync_error);
	put_instant(json, "synced_at", status->synced_at_us);
	put_instant(json, "next_at", status->sync_next_at_us);
	put_object_end(json);
}

void tenant_devices_json(struct json_out *json, const struct tenant_status_row *status)
{
	put_object(json, "devices");
	put_int(json, "present", status->devices);
	put_int(json, "assigned", status->assigned);
	put_int(json, "held", status->held);
	put_object_end(json);
}

static void identity_json(struct json_out *json, const struct tenant_row *row)
{
	if (row->server_uuid.length == 0) {
		put_null(json, "identity");
		return;
	}
	put_object(json, "identity");
	put_text(json, "server_uuid", row->server_uuid);
	put_text(json, "server_name", row->server_name);
	put_text(json, "org_id", row->org_id);
	put_text(json, "org_id_hash", row->org_id_hash);
	put_text(json, "org_name", row->org_name);
	put_text(json, "org_type", row->org_type);
	put_instant(json, "pinned_at", row->pinned_at_us);
	put_object_end(json);
}

// Of a text with a line each.
static void put_lines(struct json_out *json, const char *name, struct text lines)
{
	put_list(json, name);
	while (lines.length > 0) {
		struct text line;

		(void)text_next(&lines, '\n', &line);
		put_text(json, NULL, line);
	}
	put_list_end(json);
}

static void about_json(struct json_out *json, const struct tenant_row *row)
{
	const struct token_facts facts = store_token_facts(row, &(const struct tenant_status_row){ 0 });

	put_lines(json, "labels", row->labels);
	put_text(json, "notes", row->notes);
	put_lines(json, "mdm_hosts", row->allowed_hosts);
	put_int_or_null(json, "brake_percent", row->brake_percent);
	put_int_or_null(json, "brake_devices", row->brake_devices);
	put_text(json, "time_zone", row->time_zone);
	put_text(json, "technical_contact", row->technical_contact);
	put_text(json, "apple_contact", row->apple_contact);
	put_list(json, "expiry_days");
	for (size_t i = 0; i < facts.thresholds.count; i++) {
		put_int(json, NULL, facts.thresholds.days[i]);
	}
	put_list_end(json);
}

void tenant_json(struct json_out *json, const char *name, const struct tenant_row *row, const struct tenant_status_row *status)
{
	put_object(json, name);
	put_text(json, "slug", row->slug);
	put_text(json, "display_name", row->display_name);
	put_text(json, "state", row->state);
	put_instant(json, "state_since", row->state_since_us);
	put_text(json, "state_reason", row->state_reason);
	put_text(json, "apple_url", row->apple_url);
	put_int_or_null(json, "protocol_version", row->protocol_version);
	put_int_or_null(json, "sync_interval_s", row->sync_interval_s);
	about_json(json, row);
	identity_json(json, row);
	tenant_token_json(json, row, status);
	tenant_sync_json(json, status);
	tenant_devices_json(json, status);
	put_instant(json, "created_at", row->created_at_us);
	put_instant(json, "updated_at", row->updated_at_us);
	put_object_end(json);
}
