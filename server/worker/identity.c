// SPDX-License-Identifier: Apache-2.0
#include "worker/identity.h"

bool identity_must_be_checked(const struct tenant *tenant)
{
	return tenant->session.signed_in_anew;
}

bool identity_is_proven(const struct tenant *tenant)
{
	return tenant->session_is_open && tenant->session.token[0] != '\0' && !tenant->session.signed_in_anew;
}

void identity_ask(struct flow *flow, struct apple_account *account)
{
	apple_account_fini(account);
	apple_account(&flow->call, &flow->tenant->session, account);
}

bool identity_is_pinned(const struct flow *flow, const struct apple_account *account)
{
	return text_equal(account->server_uuid, flow->tenant->server_uuid);
}

void identity_quarantine(struct flow *flow, const struct apple_account *account)
{
	(void)fault_set(&flow->call.op.fault, ERR_IDENTITY, "Apple says that this token is for server %.*s now, pinned is %.*s",
		TEXT_ARGS(account->server_uuid), TEXT_ARGS(flow->tenant->server_uuid));
	flow_begin_read(flow);
	(void)store_tenant_quarantine(&flow->read, flow->tenant->due.tenant_id);
	flow_start_read(flow);
}

static void end(struct identity_flow *identity, enum err failure)
{
	struct flow *flow = &identity->flow;

	if (failure != OK) {
		flow_note_failure(flow, failure, "identity.failed");
	}
	identity->state = IDENTITY_IDLE;
	flow_end(flow, OK);
}

static void step(struct flow *flow)
{
	struct identity_flow *identity = CONTAINER_OF(flow, struct identity_flow, flow);

	switch (identity->state) {
	case IDENTITY_IDLE:
		if (flow->tenant->session.token[0] == '\0') {
			AWAIT(identity, IDENTITY_SIGNING_IN, apple_sign_in(&flow->call, &flow->tenant->session));
			if (flow->call.op.rc != OK) {
				end(identity, flow->call.op.rc);
				return;
			}
		}
		AWAIT(identity, IDENTITY_READING_ACCOUNT, identity_ask(flow, &identity->account));
		if (flow->call.op.rc != OK) {
			end(identity, flow->call.op.rc);
			return;
		}
		if (!identity_is_pinned(flow, &identity->account)) {
			AWAIT(identity, IDENTITY_QUARANTINING, identity_quarantine(flow, &identity->account));
			end(identity, ERR_IDENTITY);
			return;
		}
		flow->tenant->session.signed_in_anew = false;
		end(identity, OK);
		return;
	}
}

void identity_flow_init(struct identity_flow *identity, struct tenant *tenant)
{
	*identity = (struct identity_flow){ .state = IDENTITY_IDLE };
	flow_init(&identity->flow, tenant, step);
}

void identity_flow_fini(struct identity_flow *identity)
{
	apple_account_fini(&identity->account);
	flow_fini(&identity->flow);
}
