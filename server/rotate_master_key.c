// SPDX-License-Identifier: Apache-2.0
//
// Wrapping every data key anew, under another master key.
#include "each_tenant.h"
#include "rotation.h"
#include "store/keys.h"

#include <stdio.h>

enum { SWEEPS_MAX = 20, TELL_EVERY = 100 };

void rotation_tell_unreadable(struct rotation *rotation, struct text slug, const struct fault *fault)
{
	rotation->unreadable++;
	(void)fprintf(stderr, "depbroker keys: %.*s: %s\n", TEXT_ARGS(slug), fault->text);
}

enum err rotation_verdict(const struct rotation *rotation, struct fault *fault)
{
	return rotation->unreadable == 0 ? OK
		: fault_set(fault, ERR_CRYPTO, "%zu keys or secrets do not open, so no key was given up", rotation->unreadable);
}

static enum err store_rewrapped(struct rotation *rotation, int64_t tenant_id, const struct data_key_row *row, struct text wrapped,
	struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	(void)store_data_key_rewrap(database_begin(rotation->database, &transaction, store_api(tenant_id)), tenant_id, row, wrapped,
		text_of(rotation->master_key));
	rc = database_run(&transaction, fault);
	rotation->changed += rc == OK && pg_affected(&transaction.pg, 0) == 1 ? 1 : 0;
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err rewrap(struct rotation *rotation, int64_t tenant_id, const struct data_key_row *row, struct buffer *wrapped,
	struct fault *fault)
{
	struct key_provider *provider = rotation->provider;
	struct data_key key CLEANUP(data_key_fini) = { 0 };

	TRY(provider->unwrap(provider, &key, row->master_key, buffer_text(&row->wrapped), tenant_id, row->version, fault));
	return provider->wrap(provider, wrapped, text_of(rotation->master_key), &key, tenant_id, fault);
}

static enum err visit_row(struct rotation *rotation, const struct tenant_row *tenant, const struct pg_transaction *list, size_t row,
	struct fault *fault)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(STORE_WRAPPED_MAX);
	struct data_key_row key;
	enum err rc = OK;

	if (!store_data_key_list_read(list, 0, row, &key)) {
		rc = fault_set(fault, ERR_CRYPTO, "its data key %d is damaged", key.version);
	} else if (!text_equal_string(key.master_key, rotation->master_key)) {
		rc = rewrap(rotation, tenant->tenant_id, &key, &wrapped, fault);
		rc = rc == OK ? store_rewrapped(rotation, tenant->tenant_id, &key, buffer_text(&wrapped), fault) : rc;
	}
	buffer_fini(&key.wrapped);
	if (rc == ERR_CRYPTO) {
		rotation_tell_unreadable(rotation, tenant->slug, fault);
		return OK;
	}
	return rc;
}

static enum err visit(void *argument, const struct tenant_row *tenant, struct fault *fault)
{
	struct rotation *rotation = argument;
	struct database_transaction list;
	enum err rc;

	(void)store_data_key_list(database_begin(rotation->database, &list, store_api(tenant->tenant_id)), tenant->tenant_id);
	rc = database_run(&list, fault);
	for (size_t row = 0; rc == OK && row < pg_row_count(&list.pg, 0); row++) {
		rc = visit_row(rotation, tenant, &list.pg, row, fault);
	}
	pg_transaction_fini(&list.pg);
	if (++rotation->tenants % TELL_EVERY == 0) {
		(void)printf("%zu tenants\n", rotation->tenants);
	}
	return rc;
}

static enum err take(const struct rotation *rotation, struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	store_master_key_take(database_begin(rotation->database, &transaction, store_directory()), text_of(rotation->master_key));
	rc = database_run(&transaction, fault);
	pg_transaction_fini(&transaction.pg);
	return rc;
}

// The proof: see migration 0002. `is_used`: a client was made with another master key meanwhile.
static enum err retire_others(const struct rotation *rotation, bool *is_used, struct fault *fault)
{
	struct database_transaction transaction;
	enum err rc;

	(void)store_master_key_retire(database_begin(rotation->database, &transaction, store_directory()));
	rc = database_run(&transaction, fault);
	*is_used = rc != OK && store_key_was_replaced(&transaction.pg);
	pg_transaction_fini(&transaction.pg);
	return *is_used ? OK : rc;
}

enum err rotate_master_key(struct rotation *rotation, struct fault *fault)
{
	TRY(take(rotation, fault));
	(void)printf("master key %s is the current one\n", rotation->master_key);
	for (int sweep = 0; sweep < SWEEPS_MAX; sweep++) {
		bool is_used;

		rotation->tenants = 0;
		TRY(each_tenant(rotation->database, visit, rotation, fault));
		TRY(rotation_verdict(rotation, fault));
		TRY(retire_others(rotation, &is_used, fault));
		if (!is_used) {
			return OK;
		}
	}
	return fault_set(fault, ERR_UNAVAILABLE, "tenants keep being made with another master key: run it again");
}
