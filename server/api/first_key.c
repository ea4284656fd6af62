// SPDX-License-Identifier: Apache-2.0
#include "api/first_key.h"

#include "store/keys.h"
#include "store/secrets.h"


void first_key_ask(struct call *call, struct first_key *key, struct pg_transaction *transaction)
{
	char newest[KEY_NAME_MAX + 1];

	call->service->keys->newest(call->service->keys, newest);
	(void)store_master_key_begin(transaction, text_of(newest));
	key->asked_at = store_master_key_current(transaction);
}

bool first_key_make(struct call *call, struct first_key *key, int64_t tenant_id)
{
	struct key_provider *keys = call->service->keys;
	const struct text master_key = store_master_key_read(&call->transaction, key->asked_at);
	struct data_key data_key CLEANUP(data_key_fini);
	struct fault fault;
	enum err rc;

	data_key_make(&data_key, 1);
	key->wrapped = BUFFER(STORE_WRAPPED_MAX);
	text_put(key->master_key, sizeof key->master_key, master_key);
	rc = keys->wrap(keys, &key->wrapped, master_key, &data_key, tenant_id, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

void first_key_put(struct pg_transaction *transaction, const struct first_key *key, int64_t tenant_id)
{
	(void)store_data_key_insert(transaction, tenant_id, 1, buffer_text(&key->wrapped), text_of(key->master_key));
}

void first_key_fini(struct first_key *key)
{
	buffer_fini(&key->wrapped);
}
