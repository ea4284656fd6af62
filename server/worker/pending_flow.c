// SPDX-License-Identifier: Apache-2.0
#include "worker/pending_flow.h"

#include "depbroker/log.h"

enum { FIRST_WAIT_S = 5, LAST_WAIT_S = 3600, TERMS_WAIT_S = 3600, DOUBLINGS_MAX = 10 };

bool pending_is_due(const struct tenant *tenant)
{
	return tenant->has_pending && !tenant->pending_refused && tenant->pending.next_try_at_us <= tenant_now_us(tenant);
}

static void ask(struct pending_flow *pending)
{
	struct tenant *tenant = pending->flow.tenant;

	apple_session_init(&pending->session, &tenant->apple_server, &tenant->pending_token);
	pending->session_is_open = true;
	apple_account(&pending->flow.call, &pending->session, &pending->account);
}

static bool asks_again(enum err rc)
{
	return err_class(rc) == ERR_CLASS_RETRY || rc == ERR_TERMS || rc == ERR_CANCELLED;
}

// --- Apple could not be asked ---

static int64_t wait_s(enum err rc, int64_t attempts, int64_t retry_after_s)
{
	const int64_t doubled = (int64_t)FIRST_WAIT_S << (attempts < DOUBLINGS_MAX ? attempts : DOUBLINGS_MAX);
	const int64_t wait = rc == ERR_TERMS ? TERMS_WAIT_S : doubled < LAST_WAIT_S ? doubled : LAST_WAIT_S;

	return retry_after_s > wait ? retry_after_s : wait;
}

static void build_retry(struct fenced_write *write, struct pg_transaction *t)
{
	const struct pending_flow *pending = CONTAINER_OF((struct flow *)write->owner, struct pending_flow, flow);

	(void)store_pending_retry(t, write->tenant->due.tenant_id, &pending->next);
}

static void write_retry(struct pending_flow *pending)
{
	struct flow *flow = &pending->flow;
	struct tenant *tenant = flow->tenant;
	const enum err rc = flow->call.op.rc;
	const int64_t least_us = wait_s(rc, tenant->pending.attempts, flow->call.retry_after_s) * SECOND_US;

	pending->next = tenant->pending;
	pending->next.attempts++;
	pending->next.next_try_at_us = tenant_now_us(tenant) + least_us + (int64_t)(tenant_occasion(tenant).random % (uint64_t)(least_us / 5));
	pending->next.error = text_of(flow->call.op.fault.text[0] != '\0' ? flow->call.op.fault.text : err_text(rc));
	log_event(LOG_INFO, "token.still_pending", LOG_STRING("tenant", tenant->slug), LOG_STRING("error", err_name(rc)),
		LOG_INT("attempts", pending->next.attempts));
	flow_write(flow, build_retry, NULL);
}

// --- Apple's word ---

static struct identity identity_of(const struct apple_account *account)
{
	return (struct identity){ account->server_uuid, account->org_id, account->org_id_hash, account->org_type };
}

// Dropped together with the alert about it (tell.h).
static void refuse(struct pending_flow *pending, const char *why)
{
	struct tenant *tenant = pending->flow.tenant;

	tenant->pending_refused = true;
	(void)snprintf(tenant->refused_text, sizeof tenant->refused_text, "%s", why);
	log_event(LOG_WARNING, "token.refused", LOG_STRING("tenant", tenant->slug), LOG_STRING("reason", why));
}

static bool fits(struct pending_flow *pending)
{
	const struct tenant *tenant = pending->flow.tenant;
	const struct identity given = identity_of(&pending->account);
	struct identity_difference differences[IDENTITY_FIELDS];
	char why[200];

	if (given.server_uuid.length == 0) {
		refuse(pending, "Apple names no server for the token that was uploaded");
		return false;
	}
	if (identity_compare(differences, &tenant->pinned, &given) > 0) {
		(void)snprintf(why, sizeof why, "the token that was uploaded is of another organisation or server: %s differs", differences[0].field);
		refuse(pending, why);
		return false;
	}
	return true;
}

static void build_take(struct fenced_write *write, struct pg_transaction *t)
{
	const struct pending_flow *pending = CONTAINER_OF((struct flow *)write->owner, struct pending_flow, flow);
	const struct pending_token_row *row = &write->tenant->pending;
	const struct apple_account *account = &pending->account;
	const struct token_row token = {
		.token_id = row->token_id, .key_pair_id = row->key_pair_id, .consumer_key_end = row->consumer_key_end,
		.expires_at_us = row->expires_at_us, .server_uuid = account->server_uuid, .server_name = account->server_name,
		.admin_id = account->admin_id, .org_id = account->org_id, .org_id_hash = account->org_id_hash, .org_name = account->org_name,
		.org_type = account->org_type, .taken_at_us = INSTANT_NONE, .taken_by = row->uploaded_by,
	};
	const struct tenant_row identity = {
		.tenant_id = write->tenant->due.tenant_id, .server_uuid = account->server_uuid, .server_name = account->server_name,
		.org_id = account->org_id, .org_id_hash = account->org_id_hash, .org_name = account->org_name, .org_type = account->org_type,
	};

	store_token_take(t, identity.tenant_id, &token);
	store_tenant_pin(t, &identity);
	(void)store_tenant_status_token(t, identity.tenant_id, TEXT("active"), token.expires_at_us);
}

static void end(struct pending_flow *pending, enum err rc)
{
	pending->state = PENDING_IDLE;
	flow_end(&pending->flow, rc);
}

static void step(struct flow *flow)
{
	struct pending_flow *pending = CONTAINER_OF(flow, struct pending_flow, flow);

	switch (pending->state) {
	case PENDING_IDLE:
		AWAIT(pending, PENDING_ASKING, ask(pending));
		if (flow->call.op.rc != OK && !asks_again(flow->call.op.rc)) {
			refuse(pending, flow->call.op.fault.text[0] != '\0' ? flow->call.op.fault.text : err_text(flow->call.op.rc));
			end(pending, OK);
			return;
		}
		if (flow->call.op.rc == OK && !fits(pending)) {
			end(pending, OK);
			return;
		}
		if (flow->call.op.rc == OK) {
			AWAIT(pending, PENDING_TAKING, flow_write(flow, build_take, NULL));
			pending->taken = flow_written(flow) == OK;
			if (flow_written(flow) == ERR_CONFLICT) {
				refuse(pending, "another tenant is the Apple server that the uploaded token is of");
				end(pending, OK);
				return;
			}
		} else {
			AWAIT(pending, PENDING_WRITING, write_retry(pending));
			flow->tenant->pending.next_try_at_us = pending->next.next_try_at_us;
		}
		flow->op.fault = flow->tenant->write->op.fault;
		end(pending, flow_written(flow));
	}
}

void pending_flow_init(struct pending_flow *pending, struct tenant *tenant)
{
	*pending = (struct pending_flow){ .state = PENDING_IDLE };
	flow_init(&pending->flow, tenant, step);
}

void pending_flow_fini(struct pending_flow *pending)
{
	apple_account_fini(&pending->account);
	flow_fini(&pending->flow);
	if (pending->session_is_open) {
		apple_session_fini(&pending->session);
	}
}
