// SPDX-License-Identifier: Apache-2.0
#include "api/everybody_key.h"

#include "store/keys.h"
#include "store/secrets.h"

#include <stdio.h>

enum { BEGIN, MASTER_KEY };

void everybody_key_ask(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_directory());
	char newest[KEY_NAME_MAX + 1];

	call->service->keys->newest(call->service->keys, newest);
	(void)store_master_key_begin(transaction, text_of(newest));
	(void)store_master_key_current(transaction);
	call_start(call);
}

bool everybody_key_make(struct call *call, struct everybody_key *key)
{
	struct key_provider *keys = call->service->keys;
	const struct text master_key = store_master_key_read(&call->transaction, MASTER_KEY);
	struct data_key data_key CLEANUP(data_key_fini);
	struct fault fault;
	enum err rc;

	data_key_make(&data_key, 1);
	key->wrapped = BUFFER(STORE_WRAPPED_MAX);
	(void)snprintf(key->master_key, sizeof key->master_key, "%.*s", TEXT_ARGS(master_key));
	rc = keys->wrap(keys, &key->wrapped, master_key, &data_key, STORE_EVERYBODY, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

void everybody_key_put(struct call *call, const struct everybody_key *key)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(STORE_EVERYBODY));

	(void)store_data_key_insert(transaction, STORE_EVERYBODY, 1, buffer_text(&key->wrapped), text_of(key->master_key));
	store_tenant_everybody_begin(transaction);
	call_start(call);
}
