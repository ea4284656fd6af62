// SPDX-License-Identifier: Apache-2.0
#include "api/key_making.h"

#include "store/secrets.h"

#include <stdio.h>

enum { PAIR_DAYS = 1096 }; // Apple does not look at it after the upload; a token lives a year

void key_making_init(struct key_making *making, struct call *call)
{
	making->call = call;
	making->days = PAIR_DAYS;
	(void)snprintf(making->common_name, sizeof making->common_name, "depbroker %.*s", TEXT_ARGS(call->tenant.slug));
}

void key_making_fini(struct key_making *making)
{
	if (making->has_pair) {
		key_pair_fini(&making->pair);
	}
	data_key_fini(&making->data_key);
}

void key_making_ask(struct key_making *making)
{
	struct call *call = making->call;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_object_next_id(transaction);
	(void)store_data_key_current(transaction, call->tenant.tenant_id);
	call_start(call);
}

bool key_making_take(struct key_making *making)
{
	struct call *call = making->call;
	struct fault fault;
	enum err rc;

	making->key_pair_id = store_object_next_id_read(&call->transaction, 0);
	rc = store_data_key_read(&call->transaction, 1, call->service->keys, call->tenant.tenant_id, &making->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static enum err work_make(struct offload *offload)
{
	struct key_making *making = CONTAINER_OF(offload, struct key_making, offload);

	return key_pair_make(&making->pair, text_of(making->common_name), making->now_us, making->days, &making->fault);
}

static void on_made(struct op *op)
{
	struct key_making *making = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct key_making, offload);

	making->has_pair = op->rc == OK;
	making->call->endpoint->step(making->call);
}

void key_making_start(struct key_making *making)
{
	making->now_us = clock_wall_us();
	op_init(&making->offload.op, on_made);
	making->offload.work = work_make;
	offload_start(&making->offload, &making->call->service->loop);
}

bool key_making_worked(struct key_making *making)
{
	if (!making->has_pair) {
		call_problem_of(making->call, making->offload.op.rc, &making->fault);
	}
	return making->has_pair;
}

void key_making_store(struct key_making *making, struct pg_transaction *transaction)
{
	const int64_t tenant_id = making->call->tenant.tenant_id;
	const struct key_pair_row row = {
		.key_pair_id = making->key_pair_id,
		.state = TEXT("staged"),
		.fingerprint = text_of(making->pair.fingerprint),
		.certificate_pem = text_of(making->pair.certificate_pem),
		.not_before_us = making->pair.not_before_us,
		.not_after_us = making->pair.not_after_us,
		.created_at_us = making->now_us,
	};

	(void)store_key_pair_insert(transaction, tenant_id, &row);
	store_secret_put(transaction, &making->data_key, SECRET_PRIVATE_KEY, tenant_id, making->key_pair_id, 1,
		buffer_text(&making->pair.private_key_der));
	making->read_back = store_key_pair_by_id(transaction, tenant_id, making->key_pair_id);
}
