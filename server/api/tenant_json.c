// SPDX-License-Identifier: Apache-2.0
#include "api/tenant_json.h"

struct text token_state_now(const struct tenant_status_row *status, int64_t now_us)
{
	const bool is_over = status->token_expires_at_us != INSTANT_NONE && status->token_expires_at_us <= now_us;

	return is_over && !text_equal(status->token_state, TEXT("none")) ? TEXT("expired") : status->token_state;
}

void tenant_token_json(struct json_out *json, const struct tenant_status_row *status)
{
	put_object(json, "token");
	put_text(json, "state", token_state_now(status, clock_wall_us()));
	put_instant(json, "expires_at", status->token_expires_at_us);
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

void tenant_json(struct json_out *json, const char *name, const struct tenant_row *row, const struct tenant_status_row *status)
{
	put_object(json, name);
	put_text(json, "slug", row->slug);
	put_text(json, "display_name", row->display_name);
	put_text(json, "state", row->state);
	put_text(json, "apple_url", row->apple_url);
	put_int_or_null(json, "protocol_version", row->protocol_version);
	put_int_or_null(json, "sync_interval_s", row->sync_interval_s);
	identity_json(json, row);
	tenant_token_json(json, status);
	tenant_sync_json(json, status);
	tenant_devices_json(json, status);
	put_instant(json, "created_at", row->created_at_us);
	put_instant(json, "updated_at", row->updated_at_us);
	put_object_end(json);
}
