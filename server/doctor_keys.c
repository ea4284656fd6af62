// SPDX-License-Identifier: Apache-2.0
//
// Which key seals what: every data key and every secret is opened, and forgotten at once.
#include "crypto/key_provider.h"
#include "doctor.h"
#include "each_tenant.h"
#include "store/keys.h"

#include <inttypes.h>
#include <string.h>

enum { SECRETS_AT_ONCE = 50, NAMES_MAX = 16, TOLD_MAX = 10 };

struct tally {
	struct {
		char name[KEY_NAME_MAX + 1];
		size_t count;
	} of[NAMES_MAX];
	size_t names;
};

struct survey {
	struct doctor *doctor;
	struct key_provider *provider;
	struct tally data_keys;     // by the master key that wraps them
	struct tally secrets;       // by the master key behind them
	size_t tenants, old_data_keys, unreadable;
	char current[KEY_NAME_MAX + 1];
	bool is_unfinished, replaces_data_keys;
};

static void count(struct tally *tally, struct text name)
{
	size_t i = 0;

	while (i < tally->names && !text_equal_string(name, tally->of[i].name)) {
		i++;
	}
	if (i < NAMES_MAX) {
		text_put(tally->of[i].name, sizeof tally->of[i].name, name);
		tally->of[i].count++;
		tally->names += i == tally->names ? 1 : 0;
	}
}

// --- one client ---

static void tell(struct survey *survey, struct text slug, const struct fault *fault)
{
	if (survey->unreadable++ < TOLD_MAX) {
		doctor_finding(survey->doctor, "what does not open", "bring back the master key file that it was sealed with, or the rows from a "
			"backup; else give this tenant a new token and new secrets", "%.*s: %s", TEXT_ARGS(slug), fault->text);
	} else {
		survey->doctor->findings++;
	}
}

static enum err look_at_data_keys(struct survey *survey, const struct tenant_row *tenant, struct fault *fault)
{
	struct database_transaction list;
	enum err rc;

	(void)store_data_key_list(database_begin(&survey->doctor->database, &list, store_api(tenant->tenant_id)), tenant->tenant_id);
	rc = database_run(&list, fault);
	for (size_t row = 0; rc == OK && row < pg_row_count(&list.pg, 0); row++) {
		struct data_key key CLEANUP(data_key_fini);
		struct data_key_row stored;
		enum err opened = ERR_CRYPTO;
		struct fault why = { "a wrapped data key is damaged" };

		if (store_data_key_list_read(&list.pg, 0, row, &stored)) {
			opened = survey->provider->unwrap(survey->provider, &key, stored.master_key, buffer_text(&stored.wrapped), tenant->tenant_id,
				stored.version, &why);
		}
		if (opened != OK) {
			tell(survey, tenant->slug, &why);
		}
		count(&survey->data_keys, stored.master_key);
		survey->old_data_keys += stored.is_current ? 0 : 1;
		buffer_fini(&stored.wrapped);
	}
	pg_transaction_fini(&list.pg);
	return rc;
}

static void look_at_secret(struct survey *survey, const struct tenant_row *tenant, const struct pg_transaction *list, size_t row)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	const struct seal_binding binding = store_secret_binding(list, 0, row, tenant->tenant_id);
	struct fault why;

	if (store_secret_open(list, 0, row, tenant->tenant_id, binding.kind, survey->provider, NULL, &plain, &why) != OK) {
		tell(survey, tenant->slug, &why);
	}
	count(&survey->secrets, store_secret_master_key(list, 0, row));
}

static enum err look_at_secrets(struct survey *survey, const struct tenant_row *tenant, struct fault *fault)
{
	struct seal_binding after = { 0 };
	size_t found;

	do {
		struct database_transaction list;
		enum err rc;

		(void)store_secret_list(database_begin(&survey->doctor->database, &list, store_api(tenant->tenant_id)), tenant->tenant_id, &after, 0,
			SECRETS_AT_ONCE);
		rc = database_run(&list, fault);
		found = rc == OK ? pg_row_count(&list.pg, 0) : 0;
		for (size_t row = 0; row < found; row++) {
			look_at_secret(survey, tenant, &list.pg, row);
			after = store_secret_binding(&list.pg, 0, row, tenant->tenant_id);
		}
		pg_transaction_fini(&list.pg);
		TRY(rc);
	} while (found == SECRETS_AT_ONCE);
	return OK;
}

static enum err visit(void *argument, const struct tenant_row *tenant, struct fault *fault)
{
	struct survey *survey = argument;

	survey->tenants++;
	TRY(look_at_data_keys(survey, tenant, fault));
	return look_at_secrets(survey, tenant, fault);
}

// --- all of them ---

static enum err read_state(struct survey *survey, struct fault *fault)
{
	struct database_transaction transaction;
	struct pg_transaction *t = database_begin(&survey->doctor->database, &transaction, store_directory());
	enum err rc;

	(void)store_master_key_list(t);
	(void)store_data_keys_since(t);
	rc = database_run(&transaction, fault);
	for (size_t row = 0; rc == OK && row < pg_row_count(&transaction.pg, 0); row++) {
		bool is_current;
		const struct text name = store_master_key_list_read(&transaction.pg, 0, row, &is_current);

		if (is_current) {
			text_put(survey->current, sizeof survey->current, name);
		}
		survey->is_unfinished = survey->is_unfinished || (!is_current && name.length > 0);
	}
	survey->replaces_data_keys = rc == OK && !pg_is_null(&transaction.pg, 1, 0, 0);
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static void write_tally(struct buffer *out, const struct survey *survey, const struct tally *tally, const char *what)
{
	for (size_t i = 0; i < tally->names; i++) {
		const char *name = tally->of[i].name;

		buffer_add_format(out, "%s%zu %s by %s%s", out->length > 0 ? ", " : "", tally->of[i].count, what,
			name[0] == '\0' ? "a master key that is not noted" : name, name[0] != '\0' && strcmp(name, survey->current) == 0 ? " (current)" : "");
	}
}

static void tell_who_seals_what(struct survey *survey)
{
	struct buffer text CLEANUP(buffer_fini) = BUFFER(4096);

	write_tally(&text, survey, &survey->data_keys, "data keys");
	write_tally(&text, survey, &survey->secrets, "secrets");
	doctor_ok("which key seals what", "%zu tenants: %s", survey->tenants, text.length > 0 ? text.bytes : "no secrets yet");
	if (survey->unreadable == 0) {
		doctor_ok("what does not open", "nothing");
	}
}

static void tell_state(struct survey *survey)
{
	const struct text current = text_of(survey->current);

	if (current.length == 0) {
		doctor_ok("current master key", "none yet: the first tenant brings it");
	} else if (master_keys_find(&survey->doctor->keys, current) == NULL) {
		doctor_finding(survey->doctor, "current master key", "bring the master key file of the other machines to this one",
			"the file does not hold %s", survey->current);
	} else {
		doctor_ok("current master key", "%s", survey->current);
	}
	if (survey->is_unfinished) {
		doctor_finding(survey->doctor, "rotation of the master key", "run depbroker keys rotate again: it goes on", "not finished");
	} else {
		doctor_ok("rotation of the master key", "none is under way");
	}
	if (survey->replaces_data_keys || survey->old_data_keys > 0) {
		doctor_finding(survey->doctor, "rotation of data keys", "run depbroker keys rotate --data-keys again: it goes on",
			"not finished: %zu old data keys are left", survey->old_data_keys);
	} else {
		doctor_ok("rotation of data keys", "none is under way");
	}
}

void doctor_check_keys(struct doctor *doctor)
{
	struct survey survey = { .doctor = doctor };
	struct fault fault;
	enum err rc = key_provider_open_file(&survey.provider, doctor->config->master_key_file, &fault);

	rc = rc == OK ? read_state(&survey, &fault) : rc;
	rc = rc == OK ? each_tenant(&doctor->database, visit, &survey, &fault) : rc;
	if (rc == OK) {
		tell_state(&survey);
		tell_who_seals_what(&survey);
	} else {
		doctor_finding(doctor, "which key seals what", "bring the schema up to date with depbroker migrate, and look again", "%s",
			fault.text[0] != '\0' ? fault.text : err_text(rc));
	}
	key_provider_close(survey.provider);
}
