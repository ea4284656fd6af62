// SPDX-License-Identifier: Apache-2.0
//
// A new data key for every client, and its secrets sealed with it.
#include "each_tenant.h"
#include "rotation.h"
#include "store/keys.h"

#include <stdio.h>

enum { SECRETS_AT_ONCE = 10, ROUNDS_MAX = 20, TELL_EVERY = 100 };

struct client {
	struct rotation *rotation;
	int64_t tenant_id;
	struct text slug;
	int newest; // version
	struct data_key key; // the current one
	bool is_fresh;       // it is from after the beginning
	size_t others;       // data keys that are not current
	bool leftover;       // secrets that do not open
};

// --- the current data key ---

static enum err read_key(struct client *client, const struct pg_transaction *list, size_t row, struct fault *fault)
{
	struct key_provider *provider = client->rotation->provider;
	struct data_key_row key;
	const bool is_whole = store_data_key_list_read(list, 0, row, &key);
	enum err rc = OK;

	client->newest = key.version;
	if (key.is_current) {
		client->is_fresh = key.created_at_us >= client->rotation->since_us;
		rc = is_whole ? provider->unwrap(provider, &client->key, key.master_key, buffer_text(&key.wrapped), client->tenant_id,
				key.version, fault)
			: fault_set(fault, ERR_CRYPTO, "its data key %d is damaged", key.version);
	} else {
		client->others++;
	}
	buffer_fini(&key.wrapped);
	return rc;
}

static enum err read_keys(struct client *client, struct fault *fault)
{
	struct database_transaction list;
	enum err rc;

	client->others = 0;
	client->key.version = 0;
	(void)store_data_key_list(database_begin(client->rotation->database, &list, store_api(client->tenant_id)), client->tenant_id);
	rc = database_run(&list, fault);
	for (size_t row = 0; rc == OK && row < pg_row_count(&list.pg, 0); row++) {
		rc = read_key(client, &list.pg, row, fault);
	}
	pg_transaction_fini(&list.pg);
	if (rc == OK && client->key.version == 0) {
		return fault_set(fault, ERR_CRYPTO, "it has no data key");
	}
	return rc;
}

static enum err make_key(struct client *client, struct fault *fault)
{
	struct rotation *rotation = client->rotation;
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(STORE_WRAPPED_MAX);
	struct data_key key CLEANUP(data_key_fini);
	struct database_transaction transaction;
	struct pg_transaction *t;
	enum err rc;

	data_key_make(&key, client->newest + 1);
	TRY(rotation->provider->wrap(rotation->provider, &wrapped, text_of(rotation->master_key), &key, client->tenant_id, fault));
	t = database_begin(rotation->database, &transaction, store_api(client->tenant_id));
	store_data_key_supersede(t, client->tenant_id, client->key.version);
	(void)store_data_key_insert(t, client->tenant_id, key.version, buffer_text(&wrapped), text_of(rotation->master_key));
	rc = database_run(&transaction, fault);
	pg_transaction_fini(&transaction.pg);
	return rc == ERR_CONFLICT ? OK : rc; // somebody else made one
}

// --- the secrets ---

static enum err reseal_row(struct client *client, struct pg_transaction *out, const struct pg_transaction *list, size_t row,
	struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	struct seal_binding binding = store_secret_binding(list, 0, row, client->tenant_id);
	const int old_version = binding.data_key_version;
	struct sealed sealed CLEANUP(sealed_fini);

	TRY(store_secret_open(list, 0, row, client->tenant_id, binding.kind, client->rotation->provider, NULL, &plain, fault));
	binding.data_key_version = client->key.version;
	seal(&sealed, &client->key, &binding, buffer_text(&plain));
	(void)store_secret_reseal(out, &binding, old_version, &sealed);
	return OK;
}

static enum err reseal_rows(struct client *client, const struct pg_transaction *list, struct fault *fault)
{
	struct database_transaction transaction;
	struct pg_transaction *t = database_begin(client->rotation->database, &transaction, store_api(client->tenant_id));
	enum err rc;

	for (size_t row = 0; row < pg_row_count(list, 0); row++) {
		if (reseal_row(client, t, list, row, fault) != OK) {
			client->leftover = true;
			rotation_tell_unreadable(client->rotation, client->slug, fault);
		}
	}
	rc = database_run(&transaction, fault);
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err reseal_all(struct client *client, struct fault *fault)
{
	struct seal_binding after = { 0 };
	size_t count;

	do {
		struct database_transaction list;
		enum err rc;

		(void)store_secret_list(database_begin(client->rotation->database, &list, store_api(client->tenant_id)), client->tenant_id, &after,
			client->key.version, SECRETS_AT_ONCE);
		rc = database_run(&list, fault);
		count = rc == OK ? pg_row_count(&list.pg, 0) : 0;
		if (count > 0) {
			after = store_secret_binding(&list.pg, 0, count - 1, client->tenant_id);
			rc = reseal_rows(client, &list.pg, fault);
		}
		pg_transaction_fini(&list.pg);
		TRY(rc);
	} while (count == SECRETS_AT_ONCE);
	return OK;
}

// --- the old ones ---

static enum err drop_others(struct client *client, struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	(void)store_data_key_drop_unused(database_begin(client->rotation->database, &transaction, store_api(client->tenant_id)),
		client->tenant_id);
	rc = database_run(&transaction, fault);
	if (rc == OK) {
		client->others -= (size_t)pg_affected(&transaction.pg, 0);
	} else if (store_key_was_replaced(&transaction.pg)) {
		rc = OK; // a request that had read the old one sealed with it: once more
	}
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err replace(struct client *client, struct fault *fault)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		TRY(read_keys(client, fault));
		if (!client->is_fresh) {
			TRY(make_key(client, fault));
			client->rotation->changed++;
			continue;
		}
		if (client->others == 0) {
			return OK;
		}
		TRY(reseal_all(client, fault));
		if (client->leftover) {
			return OK;
		}
		TRY(drop_others(client, fault));
		if (client->others == 0) {
			return OK;
		}
	}
	return fault_set(fault, ERR_UNAVAILABLE, "secrets of %.*s keep being sealed with its old data key: run it again",
		TEXT_ARGS(client->slug));
}

static enum err visit(void *argument, const struct tenant_row *tenant, struct fault *fault)
{
	struct rotation *rotation = argument;
	struct client client = { .rotation = rotation, .tenant_id = tenant->tenant_id, .slug = tenant->slug };
	enum err rc = replace(&client, fault);

	data_key_fini(&client.key);
	if (rc == ERR_CRYPTO) {
		rotation_tell_unreadable(rotation, tenant->slug, fault);
		rc = OK;
	}
	if (++rotation->tenants % TELL_EVERY == 0) {
		(void)printf("%zu tenants\n", rotation->tenants);
	}
	return rc;
}

static enum err begin(struct rotation *rotation, struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	(void)store_data_keys_since_begin(database_begin(rotation->database, &transaction, store_directory()));
	rc = database_run(&transaction, fault);
	if (rc == OK) {
		rotation->since_us = pg_instant(&transaction.pg, 0, 0, 0);
	}
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err end(struct rotation *rotation, struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	(void)store_data_keys_since_end(database_begin(rotation->database, &transaction, store_directory()));
	rc = database_run(&transaction, fault);
	pg_transaction_fini(&transaction.pg);
	return rc;
}

enum err rotate_data_keys(struct rotation *rotation, struct fault *fault)
{
	TRY(begin(rotation, fault));
	(void)printf("data keys are being replaced\n");
	TRY(each_tenant(rotation->database, visit, rotation, fault));
	TRY(rotation_verdict(rotation, fault));
	return end(rotation, fault);
}
