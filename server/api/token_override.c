// SPDX-License-Identifier: Apache-2.0
#include "api/token_override.h"

#include "api/json_out.h"
#include "store/templates.h"
#include "tenants/token.h"

enum { DETAIL_MAX = 65536 };

void token_override_init(struct token_override *override)
{
	*override = (struct token_override){
		.file = BUFFER(TOKEN_FILE_MAX), .payload = BUFFER(2 * TOKEN_FILE_MAX), .detail = BUFFER(DETAIL_MAX), .devices = BUFFER(CALL_ANSWER_MAX),
	};
}

void token_override_fini(struct token_override *override)
{
	buffer_fini(&override->file);
	buffer_fini(&override->payload);
	buffer_fini(&override->detail);
	buffer_fini(&override->devices);
}

static bool read_granted(struct call *call, struct token_override *override, struct text *file)
{
	override->asked = true;
	override->reason = change_reason(call);
	if (!base64_decode(&override->file, call->request->body)) {
		call_problem(call, PROBLEM_TOKEN_FILE_UNREADABLE, "%s", "");
		return false;
	}
	*file = buffer_text(&override->file);
	return true;
}

bool token_override_read(struct call *call, struct token_override *override, struct text *file)
{
	if (call->granted != NULL) {
		return read_granted(call, override, file);
	}
	override->reason = change_reason(call);
	if (!call_flag(call, "override", &override->asked)) {
		return false;
	}
	if (!override->asked && override->reason.bytes == NULL) {
		return true;
	}
	if (call->role < ROLE_ADMIN) {
		call_problem(call, PROBLEM_FORBIDDEN, "to override the guard it needs admin, and the key is of a %s", role_name(call->role));
		return false;
	}
	if (!override->asked || override->reason.length == 0) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "override and reason go together");
		return false;
	}
	return true;
}

bool token_override_begin(struct call *call, struct token_override *override, struct text differences)
{
	override->applies = true;
	buffer_add_string(&override->detail, "{");
	buffer_add_text(&override->detail, differences);
	buffer_add_string(&override->detail, "}");
	if (call->granted != NULL && !text_equal(buffer_text(&override->detail), call->granted->approval.detail)) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "it would pin another identity, or in place of another one, than was approved");
		return false;
	}
	return true;
}

void token_override_ask(struct call *call, struct token_override *override)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *t = call_transaction(call, store_api(tenant_id));

	override->account_at = store_account_select(t, tenant_id);
	override->devices_at = store_instance_device_list(t, tenant_id, NULL, NULL, 0, 0);
	call_start(call);
}

void token_override_describe(struct call *call, struct token_override *override, struct text server_uuid, struct text file)
{
	const int64_t devices = store_instance_device_list_count(&call->transaction, override->devices_at);

	buffer_add_text(&override->devices, store_instance_device_list_read(&call->transaction, override->devices_at));
	buffer_add_base64(&override->payload, file.bytes, file.length);
	override->cost = change_cost_of(call, override->account_at, &call->tenant, devices, devices);
	override->change = (struct change){
		.kind = "token",
		.tenant_id = call->tenant.tenant_id,
		.target = server_uuid,
		.payload = buffer_text(&override->payload),
		.reason = override->reason,
		.detail = buffer_text(&override->detail),
		.base_version = -1,
		.devices = buffer_text(&override->devices),
		.costs = &override->cost,
		.cost_count = 1,
		.always = true,
	};
}
