// SPDX-License-Identifier: Apache-2.0
#include "worker/identity.h"

enum { SHOWN_MAX = 80 };

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

// Who made the token may change at Apple; the server and the organisation may not.
static void note_administrator(struct tenant *tenant, struct text admin_id)
{
	if (admin_id.length > 0 && !text_equal(admin_id, tenant->admin_id)) {
		tenant->admin_id = tenant_keep(tenant, admin_id);
		tenant->admin_is_news = true;
	}
}

static struct text shown(struct text t)
{
	return t.length == 0 ? TEXT("") : (struct text){ t.bytes, t.length < SHOWN_MAX ? t.length : (size_t)SHOWN_MAX };
}

bool identity_is_pinned(struct flow *flow, const struct apple_account *account)
{
	const struct identity given = { account->server_uuid, account->org_id, account->org_id_hash, account->org_type };
	struct identity_difference differences[IDENTITY_FIELDS];

	if (identity_compare(differences, &flow->tenant->pinned, &given) == 0) {
		note_administrator(flow->tenant, account->admin_id);
		return true;
	}
	(void)fault_set(&flow->call.op.fault, ERR_IDENTITY, "Apple says that this token is for %s \"%.*s\" now, pinned is \"%.*s\"",
		differences[0].field, TEXT_ARGS(shown(differences[0].given)), TEXT_ARGS(shown(differences[0].pinned)));
	return false;
}

// The stored session goes too: whoever releases the client must not go on with one that is known to be another's.
static void build_quarantine(struct fenced_write *write, struct pg_transaction *t)
{
	const struct flow *flow = write->owner;

	(void)store_tenant_quarantine(t, write->tenant->due.tenant_id, text_of(flow->call.op.fault.text));
	(void)store_secret_delete(t, write->tenant->due.tenant_id, SECRET_APPLE_SESSION, write->tenant->token_id);
}

void identity_quarantine(struct flow *flow)
{
	flow_write(flow, build_quarantine, NULL);
}

void identity_is_quarantined(struct tenant *tenant)
{
	wipe(tenant->session.token, sizeof tenant->session.token);
	tenant->is_active = false;
	tenant->token_facts.quarantined_at_us = tenant_now_us(tenant);
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

// The database did not take the write: the run begins anew.
static void fail(struct identity_flow *identity)
{
	struct flow *flow = &identity->flow;

	flow->op.fault = flow->tenant->write->op.fault;
	identity->state = IDENTITY_IDLE;
	flow_end(flow, flow_written(flow));
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
			AWAIT(identity, IDENTITY_QUARANTINING, identity_quarantine(flow));
			if (flow_written(flow) != OK) {
				fail(identity);
				return;
			}
			identity_is_quarantined(flow->tenant);
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
