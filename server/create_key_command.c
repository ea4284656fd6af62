// SPDX-License-Identifier: Apache-2.0
//
// depbroker admin create-key: makes an API key and prints it, alone and once, on standard output.
#include "command.h"
#include "crypto/api_key.h"
#include "database.h"
#include "depbroker/clock.h"
#include "store/api_keys.h"
#include "store/tenants.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAYS_MAX = 366, NAME_MAX_LENGTH = 200 };

const char create_key_usage[] =
	"usage: depbroker admin create-key [--name NAME] [--role ROLE] [--tenant SLUG]... [--scope SCOPE] [--expires-days N]\n"
	"\n"
	"Makes a key of the REST API and prints it on standard output, this one time: stored is only its hash.\n"
	"\n"
	"  --name NAME        to recognise it by [admin]\n"
	"  --role ROLE        admin, operator, technician or viewer [admin]\n"
	"  --tenant SLUG      a tenant that a technician or viewer may see, once for each; none: all tenants\n"
	"  --scope SCOPE      tokens:read: it may read the secrets of server tokens, with the NanoDEP API [none]\n"
	"  --expires-days N   1 to 366 [365]\n"
	"\n"
	"Without DEPBROKER_DATABASE_URL it asks the embedded PostgreSQL of a running depbroker serve.\n";

struct wish {
	const char *name;
	const char *role;
	long days;
	bool reads_tokens;
	const char *tenants[STORE_KEY_TENANTS_MAX];
	size_t tenant_count;
};

static int wrong(const char *what)
{
	(void)fprintf(stderr, "depbroker admin create-key: %s\n\n%s", what, create_key_usage);
	return EXIT_USAGE;
}

static bool parse_days(long *out, const char *text)
{
	char *end;

	*out = strtol(text, &end, 10);
	return *text != '\0' && *end == '\0' && *out >= 1 && *out <= DAYS_MAX;
}

static const char *check_wish(const struct wish *wish)
{
	static const char *const roles[] = { "admin", "operator", "technician", "viewer" };
	bool is_role = false;

	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		is_role = is_role || strcmp(wish->role, roles[i]) == 0;
	}
	if (!is_role) {
		return "the role is admin, operator, technician or viewer";
	}
	if (wish->tenant_count > 0 && (strcmp(wish->role, "admin") == 0 || strcmp(wish->role, "operator") == 0)) {
		return "an admin or operator is for all tenants: leave out --tenant";
	}
	if (wish->name[0] == '\0' || strlen(wish->name) > NAME_MAX_LENGTH || !text_is_utf8(text_of(wish->name))) {
		return "the name has 1 to 200 bytes of UTF-8";
	}
	return NULL;
}

// NULL: understood.
static const char *read_arguments(struct wish *wish, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "role", required_argument, NULL, 'r' },
		{ "tenant", required_argument, NULL, 't' },
		{ "scope", required_argument, NULL, 's' },
		{ "expires-days", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'n': wish->name = optarg; break;
		case 'r': wish->role = optarg; break;
		case 't':
			if (wish->tenant_count == STORE_KEY_TENANTS_MAX) {
				return "too many tenants";
			}
			wish->tenants[wish->tenant_count++] = optarg;
			break;
		case 's':
			if (strcmp(optarg, "tokens:read") != 0) {
				return "the one scope is tokens:read";
			}
			wish->reads_tokens = true;
			break;
		case 'd':
			if (!parse_days(&wish->days, optarg)) {
				return "--expires-days is from 1 to 366";
			}
			break;
		default: return "unknown option, or an option without its value";
		}
	}
	return optind < argc ? "it takes options only" : check_wish(wish);
}

static enum err find_tenant(struct database *database, const char *slug, int64_t *out, struct fault *fault)
{
	struct database_transaction transaction;
	struct tenant_row row;
	enum err rc;

	(void)store_tenant_by_slug(database_begin(database, &transaction, store_directory()), text_of(slug));
	rc = database_run(&transaction, fault);
	if (rc == OK && pg_row_count(&transaction.pg, 0) == 0) {
		rc = fault_set(fault, ERR_NOT_FOUND, "there is no tenant %.63s", slug);
	}
	if (rc == OK) {
		store_tenant_read(&transaction.pg, 0, 0, &row);
		*out = row.tenant_id;
	}
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err insert(struct database *database, const struct api_key_row *row, struct fault *fault)
{
	struct database_transaction transaction;

	(void)store_api_key_insert(database_begin(database, &transaction, store_directory()), row);
	const enum err rc = database_run(&transaction, fault);

	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err make(struct database *database, const struct wish *wish, struct api_key *key, struct fault *fault)
{
	const int64_t now_us = clock_wall_us();
	struct api_key_row row = {
		.name = text_of(wish->name),
		.role = text_of(wish->role),
		.reads_tokens = wish->reads_tokens,
		.all_tenants = wish->tenant_count == 0,
		.created_at_us = now_us,
		.expires_at_us = now_us + wish->days * DAY_S * SECOND_US,
		.revoked_at_us = INSTANT_NONE,
	};

	for (; row.tenant_count < wish->tenant_count; row.tenant_count++) {
		TRY(find_tenant(database, wish->tenants[row.tenant_count], &row.tenant_ids[row.tenant_count], fault));
	}
	api_key_make(key);
	row.key_id = text_of(key->id);
	memcpy(row.hash, key->hash, sizeof row.hash);
	return insert(database, &row, fault);
}

int create_key_command(const struct config *config, int argc, char **argv)
{
	struct wish wish = { .name = "admin", .role = "admin", .days = 365 };
	const char *complaint = read_arguments(&wish, argc, argv);
	struct api_key key CLEANUP(api_key_fini) = { 0 };
	struct database database;
	struct fault fault = { 0 };

	if (complaint != NULL) {
		return wrong(complaint);
	}
	enum err rc = database_open(&database, config, &fault);

	if (rc == OK) {
		rc = make(&database, &wish, &key, &fault);
		database_close(&database);
	}
	if (rc != OK) {
		(void)fprintf(stderr, "depbroker admin create-key: %s\n", fault.text[0] != '\0' ? fault.text : err_text(rc));
		return EXIT_FAILED;
	}
	if (puts(key.token) < 0 || fflush(stdout) != 0) {
		(void)fprintf(stderr, "depbroker admin create-key: the key cannot be written\n");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}
