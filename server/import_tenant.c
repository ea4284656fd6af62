// SPDX-License-Identifier: Apache-2.0
#include "import_tenant.h"

#include "apple/apple.h"
#include "depbroker/clock.h"
#include "store/audit.h"
#include "store/keys.h"
#include "store/tenants.h"
#include "store/tokens.h"

#include <stdlib.h>
#include <unistd.h>

enum { NAME_LIMIT = APPLE_TEXT_MAX, SERVER_UUID_MAX = 200, DETAIL_MAX = 2048, LANE = 1, FIRST_VERSION = 1 };

void import_result_fini(struct import_result *result)
{
	buffer_fini(&result->org_name);
	buffer_fini(&result->server_uuid);
}

// --- open and close ---

static enum err open_apple(struct importer *importer, struct fault *fault)
{
	const struct http_client_config config = {
		.name = "apple",
		.user_agent = "depbroker/" DEPBROKER_VERSION,
		.proxy = importer->config->https_proxy,
		.ca_file = importer->config->apple_ca_file,
		.allow_plain_http = true,
		.guard = HTTP_ADDRESS_ANY,
	};

	return http_client_open(&importer->apple, &importer->database.loop, &config, fault);
}

enum err importer_open(struct importer *importer, const struct config *config, struct fault *fault)
{
	*importer = (struct importer){ .config = config };
	if (access(config->master_key_file, F_OK) != 0) { // never a new one: what it seals the running service could not open
		return fault_set(fault, ERR_SYSTEM, "there is no master key file %s: start depbroker once, or name its file",
			config->master_key_file);
	}
	TRY(key_provider_open_file(&importer->keys, config->master_key_file, fault));
	enum err rc = database_open(&importer->database, config, fault);

	if (rc == OK) {
		rc = open_apple(importer, fault);
		if (rc != OK) {
			database_close(&importer->database);
		}
	}
	if (rc != OK) {
		key_provider_close(importer->keys);
	}
	return rc;
}

static void on_closed(void *argument)
{
	(void)argument; // database_close runs the loop to its end
}

void importer_close(struct importer *importer)
{
	http_client_close(importer->apple, on_closed, NULL);
	database_close(&importer->database);
	key_provider_close(importer->keys);
}

// --- whose token it is ---

struct question {
	struct importer *importer;
	struct apple_call call;
};

static void on_account(struct op *op)
{
	struct question *question = CONTAINER_OF(CONTAINER_OF(op, struct apple_call, op), struct question, call);

	question->importer->database.is_done = true;
}

static enum err ask_apple(struct importer *importer, const struct import_wish *wish, struct apple_account *account,
	struct fault *fault)
{
	char *url = duplicate(wish->apple_url.length > 0 ? wish->apple_url : text_of(importer->config->apple_url));
	const struct apple_server server = {
		.loop = &importer->database.loop, .client = importer->apple, .base_url = url, .lane_key = LANE,
	};
	struct apple_session session;
	struct question question = { .importer = importer };
	enum err rc;

	apple_session_init(&session, &server, wish->token);
	apple_call_init(&question.call, on_account);
	apple_account(&question.call, &session, account);
	database_wait(&importer->database);
	rc = question.call.op.rc;
	if (rc != OK) {
		(void)fault_set(fault, rc, "Apple does not say whose token it is: %s", question.call.op.fault.text);
	} else if (account->server_uuid.length == 0 || account->server_uuid.length > SERVER_UUID_MAX) {
		rc = fault_set(fault, ERR_BAD_ANSWER, "Apple's account names no server_uuid");
	}
	apple_call_fini(&question.call);
	apple_session_fini(&session);
	free(url);
	return rc;
}

// --- who is here already ---

struct numbers {
	int64_t tenant_id, token_id, pair_id, staging_id;
	char master_key[KEY_NAME_MAX + 1]; // that wraps its data key
};

enum { BY_SERVER, BY_SLUG, TENANT_ID, TOKEN_ID, PAIR_ID, STAGING_ID, MASTER_KEY_BEGIN, MASTER_KEY };

static enum err judge(const struct pg_transaction *t, const struct import_wish *wish, struct import_result *result,
	struct fault *fault)
{
	struct tenant_row row;

	if (pg_row_count(t, BY_SERVER) > 0) {
		store_tenant_read(t, BY_SERVER, 0, &row);
		result->was_there = text_equal(row.slug, wish->slug);
		return result->was_there ? OK
			: fault_set(fault, ERR_IDENTITY, "the token is of the Apple server of the tenant %.*s", TEXT_ARGS(row.slug));
	}
	if (pg_row_count(t, BY_SLUG) > 0) {
		return fault_set(fault, ERR_CONFLICT, "there is another tenant %.*s already", TEXT_ARGS(wish->slug));
	}
	return OK;
}

static enum err look_around(struct importer *importer, const struct import_wish *wish, const struct apple_account *account,
	struct numbers *numbers, struct import_result *result, struct fault *fault)
{
	struct database_transaction transaction;
	struct pg_transaction *t = database_begin(&importer->database, &transaction, store_directory());
	char newest[KEY_NAME_MAX + 1];
	enum err rc;

	(void)store_tenant_by_server(t, account->server_uuid);
	(void)store_tenant_by_slug(t, wish->slug);
	(void)store_tenant_next_id(t);
	for (unsigned i = TOKEN_ID; i <= STAGING_ID; i++) {
		(void)store_object_next_id(t);
	}
	importer->keys->newest(importer->keys, newest);
	(void)store_master_key_begin(t, text_of(newest));
	(void)store_master_key_current(t);
	rc = database_run(&transaction, fault);
	if (rc == OK) {
		*numbers = (struct numbers){
			.tenant_id = store_tenant_next_id_read(t, TENANT_ID),
			.token_id = store_object_next_id_read(t, TOKEN_ID),
			.pair_id = store_object_next_id_read(t, PAIR_ID),
			.staging_id = store_object_next_id_read(t, STAGING_ID),
		};
		text_put(numbers->master_key, sizeof numbers->master_key, store_master_key_read(t, MASTER_KEY));
		rc = judge(t, wish, result, fault);
	}
	pg_transaction_fini(t);
	return rc;
}

// --- the client ---

static void add_pair(struct pg_transaction *t, const struct data_key *key, int64_t tenant_id, int64_t pair_id,
	const struct key_pair *pair)
{
	const struct key_pair_row row = {
		.key_pair_id = pair_id,
		.fingerprint = text_of(pair->fingerprint),
		.certificate_pem = text_of(pair->certificate_pem),
		.not_before_us = pair->not_before_us,
		.not_after_us = pair->not_after_us,
	};

	(void)store_key_pair_insert(t, tenant_id, &row);
	store_secret_put(t, key, SECRET_PRIVATE_KEY, tenant_id, pair_id, FIRST_VERSION, buffer_text(&pair->private_key_der));
}

static void add_token(struct pg_transaction *t, const struct data_key *key, const struct numbers *numbers,
	const struct import_wish *wish, const struct apple_account *account)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
	const struct token_row row = {
		.token_id = numbers->token_id,
		.key_pair_id = wish->pair != NULL ? numbers->pair_id : 0,
		.consumer_key_end = server_token_key_end(wish->token),
		.expires_at_us = wish->token->expires_at_us,
		.server_uuid = account->server_uuid,
		.server_name = account->server_name,
		.admin_id = account->admin_id,
		.org_id = account->org_id,
		.org_id_hash = account->org_id_hash,
		.org_name = account->org_name,
		.org_type = account->org_type,
	};

	store_token_take(t, numbers->tenant_id, &row);
	server_token_write(&plain, wish->token);
	store_secret_put(t, key, SECRET_SERVER_TOKEN, numbers->tenant_id, numbers->token_id, FIRST_VERSION, buffer_text(&plain));
	(void)store_tenant_status_token(t, numbers->tenant_id, TEXT("active"), wish->token->expires_at_us);
}

static void add_tenant(struct pg_transaction *t, const struct numbers *numbers, const struct import_wish *wish,
	const struct apple_account *account)
{
	const struct tenant_row row = {
		.tenant_id = numbers->tenant_id,
		.slug = wish->slug,
		.display_name = wish->display_name,
		.state = TEXT("active"),
		.apple_url = wish->apple_url,
		.notes = wish->notes,
		.server_uuid = account->server_uuid,
		.server_name = account->server_name,
		.org_id = account->org_id,
		.org_id_hash = account->org_id_hash,
		.org_name = account->org_name,
		.org_type = account->org_type,
	};

	store_tenant_insert(t, &row);
	store_tenant_pin(t, &row);
}

static void audit(struct pg_transaction *t, const struct import_wish *wish, const struct apple_account *account)
{
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(DETAIL_MAX);

	buffer_add_string(&detail, "{\"server_uuid\":");
	buffer_add_json(&detail, account->server_uuid);
	buffer_add_string(&detail, "}");
	(void)store_audit(t, TEXT("command:import"), TEXT("tenant.import"), wish->slug, buffer_text(&detail));
}

static enum err insert(struct importer *importer, const struct numbers *numbers, const struct import_wish *wish,
	const struct apple_account *account, struct fault *fault)
{
	const int64_t tenant_id = numbers->tenant_id;
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(STORE_WRAPPED_MAX);
	struct data_key key CLEANUP(data_key_fini);
	struct database_transaction transaction;
	struct pg_transaction *t;

	data_key_make(&key, FIRST_VERSION);
	TRY(importer->keys->wrap(importer->keys, &wrapped, text_of(numbers->master_key), &key, tenant_id, fault));
	t = database_begin(&importer->database, &transaction, store_api(tenant_id));
	add_tenant(t, numbers, wish, account);
	(void)store_data_key_insert(t, tenant_id, key.version, buffer_text(&wrapped), text_of(numbers->master_key));
	if (wish->pair != NULL) {
		add_pair(t, &key, tenant_id, numbers->pair_id, wish->pair);
	}
	if (wish->staging != NULL) {
		add_pair(t, &key, tenant_id, numbers->staging_id, wish->staging);
	}
	add_token(t, &key, numbers, wish, account);
	audit(t, wish, account);
	enum err rc = database_run(&transaction, fault);

	if (rc == ERR_CONFLICT) {
		rc = fault_set(fault, rc, "another tenant took this slug or this Apple server at the same moment");
	} else if (rc == ERR_UNKNOWN) {
		rc = fault_set(fault, rc, "the connection broke while the tenant was stored: run the same again to see");
	}
	pg_transaction_fini(t);
	return rc;
}

static enum err check_expiry(const struct server_token *token, struct fault *fault)
{
	char when[INSTANT_TEXT_SIZE];

	return token->expires_at_us == INSTANT_NONE || token->expires_at_us > clock_wall_us() ? OK
		: fault_set(fault, ERR_TOKEN_DEAD, "the token expired at %s", instant_format(when, token->expires_at_us, false));
}

enum err import_tenant(struct importer *importer, const struct import_wish *wish, struct import_result *result,
	struct fault *fault)
{
	struct apple_account account CLEANUP(apple_account_fini) = { 0 };
	struct numbers numbers;

	*result = (struct import_result){ .org_name = BUFFER(NAME_LIMIT), .server_uuid = BUFFER(SERVER_UUID_MAX) };
	TRY(check_expiry(wish->token, fault));
	TRY(ask_apple(importer, wish, &account, fault));
	buffer_add_text(&result->org_name, account.org_name);
	buffer_add_text(&result->server_uuid, account.server_uuid);
	TRY(look_around(importer, wish, &account, &numbers, result, fault));
	return result->was_there ? OK : insert(importer, &numbers, wish, &account, fault);
}
