// SPDX-License-Identifier: Apache-2.0
#include "api/change.h"

#include "api/approval_json.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DETAIL_MAX = 1024 };

struct change_cost change_cost_of(const struct call *call, unsigned account, const struct tenant_row *tenant, int64_t present, int64_t changes)
{
	struct account_row row;

	store_account_read(&call->transaction, account, &row);
	return (struct change_cost){
		.tenant_id = tenant->tenant_id,
		.limits = store_account_limits(tenant, &row),
		.change_count = tenant->change_count,
		.blast = { .present = present, .changes = changes, .spent = row.spent },
	};
}

struct text change_reason(const struct call *call)
{
	return call->granted != NULL ? call->granted->approval.reason : http_request_query(call->request, "reason");
}

bool change_needs_approval(const struct call *call, const struct change *change)
{
	if (call->granted != NULL) {
		return false;
	}
	for (size_t i = 0; i < change->cost_count; i++) {
		if (blast_decide(&change->costs[i].limits, &change->costs[i].blast) == BLAST_NEEDS_APPROVAL) {
			return true;
		}
	}
	return change->always;
}

static struct pg_scope scope_of(int64_t tenant_id)
{
	return tenant_id > 0 ? store_api(tenant_id) : store_directory();
}

static void list_devices(struct buffer *out, const struct change *change)
{
	buffer_add_string(out, "[");
	buffer_add_text(out, change->devices);
	buffer_add_string(out, "]");
}

static struct blast_cost total_of(const struct change *change)
{
	struct blast_cost total = { .present = 0 };

	for (size_t i = 0; i < change->cost_count; i++) {
		total.present += change->costs[i].blast.present;
		total.changes += change->costs[i].blast.changes;
	}
	return total;
}

static void audit(struct call *call, struct pg_transaction *t, const char *action, const struct change *change)
{
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(DETAIL_MAX);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	if (call->granted != NULL) {
		put_id(&json, "id", call->granted->approval.approval_id);
		put_text(&json, "requested_by", call->granted->approval.requested_by);
	}
	put_string(&json, "kind", change->kind);
	put_int(&json, "devices", total_of(change).changes);
	put_object_end(&json);
	call_audit(call, t, action, change->tenant_id > 0 ? call->tenant.slug : change->target, buffer_text(&detail));
}

void change_request(struct call *call, const struct change *change)
{
	const struct blast_cost total = total_of(change);
	struct buffer devices CLEANUP(buffer_fini) = BUFFER(CALL_ANSWER_MAX);

	list_devices(&devices, change);
	if (devices.overflow) { // a list that cannot be kept whole is none
		call_problem(call, PROBLEM_ANSWER_TOO_LARGE, "the list of its devices has more than %d bytes", CALL_ANSWER_MAX);
		return;
	}
	struct pg_transaction *t = call_transaction(call, scope_of(change->tenant_id));

	(void)store_approval_insert(t, &(struct approval_row){
		.tenant_id = change->tenant_id,
		.kind = text_of(change->kind),
		.target = change->target,
		.payload = change->payload.bytes != NULL ? change->payload : call->request->body,
		.reason = change->reason,
		.detail = change->detail,
		.base_version = change->base_version,
		.changes = total.changes,
		.present = total.present,
		.devices = buffer_text(&devices),
		.requested_by = call->key.key_id,
	});
	audit(call, t, "approval.request", change);
	call_start(call);
}

void change_answer_requested(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct approval_row row;

	if (call_failed(call)) {
		return;
	}
	store_approval_read(&call->transaction, 0, 0, &row);
	http_answer_header(call->request, "Location", arena_format(&call->request->arena, "/api/v1/approvals/%" PRId64, row.approval_id));
	approval_json(&json, NULL, &row);
	call_answer(call, 202, &body);
}

static void begin_all(struct pg_transaction *t, const struct change *change)
{
	struct account_base *bases = allocate_array(change->cost_count + 1, sizeof *bases);

	for (size_t i = 0; i < change->cost_count; i++) {
		bases[i] = (struct account_base){ change->costs[i].tenant_id, change->costs[i].change_count };
	}
	store_account_begin_all(t, bases, change->cost_count);
	free(bases);
}

// The tenant was read before all that it is costed with.
void change_begin(const struct call *call, struct pg_transaction *t, const struct change *change)
{
	if (change->tenant_id > 0) {
		store_account_begin(t, change->tenant_id, call->tenant.change_count);
	} else {
		begin_all(t, change);
	}
}

void change_refused(struct call *call, const char *why)
{
	if (!call_again(call)) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "%s", why);
	}
}

static void spend(const struct call *call, struct pg_transaction *t, const struct change *change)
{
	struct account_spending *spending = allocate_array(change->cost_count + 1, sizeof *spending);
	size_t count = 0;

	for (size_t i = 0; i < change->cost_count; i++) {
		const struct change_cost *cost = &change->costs[i];

		if (cost->blast.changes > 0) {
			spending[count++] = (struct account_spending){ cost->tenant_id, cost->blast.changes, blast_limit(&cost->limits, cost->blast.present) };
		}
	}
	if (count > 0) {
		store_account_spend(t, spending, count, text_of(change->kind), call->key.key_id);
	}
	free(spending);
}

void change_settle(struct call *call, struct pg_transaction *t, const struct change *change)
{
	struct buffer devices CLEANUP(buffer_fini) = BUFFER(CALL_ANSWER_MAX);

	if (call->granted == NULL) {
		spend(call, t, change);
		return;
	}
	list_devices(&devices, change);
	store_approval_grant(t, change->tenant_id, call->granted->approval.approval_id, call->key.key_id,
		devices.overflow ? TEXT("[{}]") : buffer_text(&devices));
	audit(call, t, "approval.approve", change);
}
