// SPDX-License-Identifier: Apache-2.0
//
// depbroker import nanodep: takes over clients of a NanoDEP, with the tokens that they have.
#include "command.h"
#include "import_tenant.h"
#include "store/nanodep.h"
#include "tenants/slug.h"
#include "tenants/url_guard.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 64 * 1024, DISPLAY_NAME_MAX = 200, NOTES_MAX = 4000, CURSOR_MAX = 4096 };

const char import_usage[] =
	"usage: depbroker import nanodep --name NAME --tokens FILE [options]\n"
	"       depbroker import nanodep --from-database URL (--name NAME | --all) [options]\n"
	"\n"
	"Takes over DEP names of a NanoDEP, one tenant each, with the tokens that they have. NanoDEP itself is only read.\n"
	"Stop its depsyncer first.\n"
	"\n"
	"  --name NAME                   the DEP name\n"
	"  --all                         all of them\n"
	"  --from-database URL           of NanoDEP's PostgreSQL storage\n"
	"  --tokens FILE                 what its GET /v1/tokens/NAME answered; - reads standard input\n"
	"  --certificate FILE            of the token, PEM; without it no MAID tokens can be signed\n"
	"  --key FILE                    its private key, PEM\n"
	"  --base-url URL                what its GET /v1/config/NAME answered, when there is one\n"
	"  --cursor FILE                 of its syncer: checked, and not needed, because all devices are read first\n"
	"  --assigner-profile-uuid UUID  what its GET /v1/assigner/NAME answered: only told again\n"
	"  --slug SLUG                   of the tenant [made of the name]\n"
	"  --display-name NAME           of the tenant [the name]\n"
	"\n"
	"What is here already is left as it is, so the same command may be repeated.\n";

struct wish {
	const char *name, *tokens, *certificate, *key, *base_url, *cursor, *assigner, *slug, *display_name;
	char *database_url; // a copy: the argument is wiped, because others can see it
	bool all;
};

static int wrong(const char *what)
{
	(void)fprintf(stderr, "depbroker import nanodep: %s\n\n%s", what, import_usage);
	return EXIT_USAGE;
}

// --- the arguments ---

static const char *check_wish(const struct wish *wish)
{
	if ((wish->tokens == NULL) == (wish->database_url == NULL)) {
		return "it needs either --tokens or --from-database";
	}
	if (wish->all &&
		(wish->database_url == NULL || wish->name != NULL || wish->slug != NULL || wish->display_name != NULL)) {
		return "--all goes with --from-database, and with neither --name nor --slug nor --display-name";
	}
	if (!wish->all && wish->name == NULL) {
		return "it needs --name";
	}
	if ((wish->certificate == NULL) != (wish->key == NULL)) {
		return "--certificate and --key go together";
	}
	if (wish->database_url != NULL &&
		(wish->certificate != NULL || wish->cursor != NULL || wish->base_url != NULL || wish->assigner != NULL)) {
		return "with --from-database everything else comes from there";
	}
	return wish->slug != NULL && !is_slug(text_of(wish->slug))
		? "a slug is of lower-case letters, digits and inner hyphens" : NULL;
}

static void take_database_url(struct wish *wish, char *argument)
{
	free(wish->database_url);
	wish->database_url = duplicate(text_of(argument));
	wipe(argument, strlen(argument));
}

static const char *read_arguments(struct wish *wish, int argc, char **argv)
{
	enum { NAME, TOKENS, CERTIFICATE, KEY, BASE_URL, CURSOR, ASSIGNER, SLUG, DISPLAY_NAME, TEXTS, FROM_DATABASE = TEXTS,
		ALL };
	static const struct option options[] = {
		{ "name", required_argument, NULL, NAME },
		{ "tokens", required_argument, NULL, TOKENS },
		{ "certificate", required_argument, NULL, CERTIFICATE },
		{ "key", required_argument, NULL, KEY },
		{ "base-url", required_argument, NULL, BASE_URL },
		{ "cursor", required_argument, NULL, CURSOR },
		{ "assigner-profile-uuid", required_argument, NULL, ASSIGNER },
		{ "slug", required_argument, NULL, SLUG },
		{ "display-name", required_argument, NULL, DISPLAY_NAME },
		{ "from-database", required_argument, NULL, FROM_DATABASE },
		{ "all", no_argument, NULL, ALL },
		{ NULL, 0, NULL, 0 },
	};
	const char **const places[TEXTS] = { &wish->name, &wish->tokens, &wish->certificate, &wish->key, &wish->base_url,
		&wish->cursor, &wish->assigner, &wish->slug, &wish->display_name };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option >= 0 && option < TEXTS) {
			*places[option] = optarg;
		} else if (option == FROM_DATABASE) {
			take_database_url(wish, optarg);
		} else if (option == ALL) {
			wish->all = true;
		} else {
			return "unknown option, or an option without its value";
		}
	}
	return optind < argc ? "it takes options only" : check_wish(wish);
}

// --- one name ---

struct source { // borrowed texts; absent ones are empty
	struct text name, slug, display_name, base_url;
	const struct server_token *token;
	struct text certificate_pem, private_key_pem, staging_certificate_pem, staging_private_key_pem;
	struct text cursor, assigner_profile_uuid;
};

// NanoDEP uses scheme and host only.
static struct text origin_of(struct text url)
{
	size_t slashes = 0;

	for (size_t i = 0; i < url.length; i++) {
		slashes += url.bytes[i] == '/' ? 1 : 0;
		if (slashes == 3 || (slashes == 2 && (url.bytes[i] == '?' || url.bytes[i] == '#'))) {
			return (struct text){ url.bytes, i };
		}
	}
	return url;
}

static enum err check_source(const struct source *source, struct fault *fault)
{
	const struct server_token *token = source->token;

	if (source->slug.length == 0) {
		return fault_set(fault, ERR_BAD_INPUT, "no slug can be made of this name: give one with --name and --slug");
	}
	if (source->display_name.length == 0 || source->display_name.length > DISPLAY_NAME_MAX ||
		!text_is_utf8(source->display_name)) {
		return fault_set(fault, ERR_BAD_INPUT, "a display name has 1 to %d bytes of UTF-8: give one with --display-name",
			(int)DISPLAY_NAME_MAX);
	}
	if (token->consumer_key.length == 0 || token->consumer_secret.length == 0 || token->access_token.length == 0 ||
		token->access_secret.length == 0) {
		return fault_set(fault, ERR_NOT_FOUND, "it has no token");
	}
	if (source->cursor.length > CURSOR_MAX || (source->cursor.length > 0 && !text_is_utf8(source->cursor))) {
		return fault_set(fault, ERR_BAD_INPUT, "the cursor is none");
	}
	return source->base_url.length > 0 ? url_check(origin_of(source->base_url), fault) : OK;
}

static enum err read_pair(struct key_pair *pair, bool *has, struct text certificate_pem, struct text private_key_pem,
	const char *which, struct fault *fault)
{
	enum err rc = OK;

	*has = false;
	if (certificate_pem.length > 0 || private_key_pem.length > 0) {
		rc = key_pair_read(pair, certificate_pem, private_key_pem, fault);
		*has = rc == OK;
	}
	return rc == OK ? OK : fault_wrap(fault, rc, "%s", which);
}

static enum err import_with_pairs(struct importer *importer, const struct source *source, const struct key_pair *pair,
	const struct key_pair *staging, struct import_result *result, struct fault *fault)
{
	const struct text origin = origin_of(source->base_url);
	struct buffer notes CLEANUP(buffer_fini) = BUFFER(NOTES_MAX);

	buffer_add_string(&notes, "Imported from NanoDEP, where it was ");
	buffer_add_json(&notes, source->name);
	buffer_add_string(&notes, ".");
	const struct import_wish wish = {
		.slug = source->slug,
		.display_name = source->display_name,
		.apple_url = text_equal_string(origin, importer->config->apple_url) ? TEXT_NONE : origin,
		.notes = notes.overflow ? TEXT_NONE : buffer_text(&notes),
		.token = source->token,
		.pair = pair,
		.staging = staging,
	};

	return import_tenant(importer, &wish, result, fault);
}

static enum err import_source(struct importer *importer, const struct source *source, struct import_result *result,
	struct fault *fault)
{
	struct key_pair pair;
	struct key_pair staging;
	bool has_pair = false;
	bool has_staging = false;

	TRY(check_source(source, fault));
	enum err rc = read_pair(&pair, &has_pair, source->certificate_pem, source->private_key_pem, "its key pair", fault);

	if (rc == OK) {
		rc = read_pair(&staging, &has_staging, source->staging_certificate_pem, source->staging_private_key_pem,
			"its staged key pair", fault);
	}
	if (rc == OK) {
		rc = import_with_pairs(importer, source, has_pair ? &pair : NULL, has_staging ? &staging : NULL, result, fault);
	}
	if (has_pair) {
		key_pair_fini(&pair);
	}
	if (has_staging) {
		key_pair_fini(&staging);
	}
	return rc;
}

static void add_notes(struct buffer *out, const struct source *source)
{
	buffer_add_string(out, "  its devices are held until the tenant has a default rule\n");
	if (source->certificate_pem.length == 0) {
		buffer_add_string(out, "  without the token's private key no MAID tokens can be signed, until the token is renewed\n");
	}
	if (source->cursor.length > 0) {
		buffer_add_string(out, "  its cursor is not used: the first run reads all devices, and goes on from there\n");
	}
	if (source->assigner_profile_uuid.length > 0) {
		buffer_add_string(out, "  NanoDEP assigned new devices the profile ");
		buffer_add_json(out, source->assigner_profile_uuid);
		buffer_add_string(out, "; devices keep it until a rule sends them to an instance\n");
	}
}

// Names are quoted as JSON, so that none writes on the terminal what it likes.
static void tell(const struct source *source, enum err rc, const struct import_result *result, const struct fault *fault)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(64 * 1024);

	buffer_add_json(&out, source->name);
	if (rc != OK) {
		buffer_add_format(&out, ": not imported: %s\n", fault->text[0] != '\0' ? fault->text : err_text(rc));
		(void)fwrite(out.bytes, 1, out.length, stderr);
		return;
	}
	buffer_add_format(&out, ": %s as tenant %.*s, organisation ", result->was_there ? "is here already" : "imported",
		TEXT_ARGS(source->slug));
	buffer_add_json(&out, buffer_text(&result->org_name));
	buffer_add_string(&out, ", server ");
	buffer_add_json(&out, buffer_text(&result->server_uuid));
	buffer_add_string(&out, "\n");
	if (!result->was_there) {
		add_notes(&out, source);
	}
	(void)fwrite(out.bytes, 1, out.length, stdout);
}

static enum err import_and_tell(struct importer *importer, const struct source *source)
{
	struct import_result result CLEANUP(import_result_fini) = { 0 };
	struct fault fault = { 0 };
	const enum err rc = import_source(importer, source, &result, &fault);

	tell(source, rc, &result, &fault);
	return rc;
}

// --- from files ---

// NULL: nothing is read. "-" is standard input.
static enum err read_input(struct buffer *out, const char *path, struct fault *fault)
{
	FILE *file;
	char *block;
	size_t count;

	if (path == NULL) {
		return OK;
	}
	file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
	if (file == NULL) {
		return fault_set(fault, ERR_SYSTEM, "%s cannot be read", path);
	}
	block = allocate(INPUT_MAX + 1);
	count = fread(block, 1, INPUT_MAX + 1, file);
	const bool failed = ferror(file) != 0;

	if (file != stdin) {
		(void)fclose(file);
	}
	buffer_add(out, block, count);
	wipe(block, INPUT_MAX + 1);
	free(block);
	return failed || out->overflow ? fault_set(fault, ERR_SYSTEM, "%s cannot be read, or is too large", path) : OK;
}

struct files {
	struct buffer tokens, certificate, key, cursor;
};

static void files_fini(struct files *files)
{
	buffer_fini_wiped(&files->tokens);
	buffer_fini_wiped(&files->certificate);
	buffer_fini_wiped(&files->key);
	buffer_fini_wiped(&files->cursor);
}

static enum err read_files(struct files *files, const struct wish *wish, struct fault *fault)
{
	TRY(read_input(&files->tokens, wish->tokens, fault));
	TRY(read_input(&files->certificate, wish->certificate, fault));
	TRY(read_input(&files->key, wish->key, fault));
	return read_input(&files->cursor, wish->cursor, fault);
}

static struct source named(const struct wish *wish, struct text name, char slug[SLUG_MAX + 1])
{
	slug_of(slug, name);
	return (struct source){
		.name = name,
		.slug = wish->slug != NULL ? text_of(wish->slug) : text_of(slug),
		.display_name = wish->display_name != NULL ? text_of(wish->display_name) : name,
	};
}

static enum err from_files(struct importer *importer, const struct wish *wish, struct fault *fault)
{
	struct files files CLEANUP(files_fini) = {
		BUFFER(INPUT_MAX), BUFFER(INPUT_MAX), BUFFER(INPUT_MAX), BUFFER(INPUT_MAX),
	};
	struct server_token token;
	char slug[SLUG_MAX + 1];
	struct source source = named(wish, text_of(wish->name), slug);

	TRY(read_files(&files, wish, fault));
	enum err rc = token_parse(&token, buffer_text(&files.tokens), fault);

	if (rc != OK) {
		return fault_wrap(fault, rc, "--tokens is not an answer of NanoDEP's GET /v1/tokens");
	}
	source.token = &token;
	source.base_url = text_of(wish->base_url);
	source.certificate_pem = buffer_text(&files.certificate);
	source.private_key_pem = buffer_text(&files.key);
	source.cursor = text_trim(buffer_text(&files.cursor));
	source.assigner_profile_uuid = text_of(wish->assigner);
	rc = import_and_tell(importer, &source);
	server_token_fini(&token);
	return rc;
}

// --- from NanoDEP's database ---

static enum err import_row(struct importer *importer, const struct wish *wish, const struct nanodep_row *row)
{
	const struct server_token token = {
		.consumer_key = row->consumer_key,
		.consumer_secret = row->consumer_secret,
		.access_token = row->access_token,
		.access_secret = row->access_secret,
		.expires_at_us = row->expires_at_us,
		.memory = BUFFER(1),
	};
	char slug[SLUG_MAX + 1];
	struct source source = named(wish, row->name, slug);

	source.token = &token;
	source.base_url = row->base_url;
	source.certificate_pem = row->certificate_pem;
	source.private_key_pem = row->private_key_pem;
	source.staging_certificate_pem = row->staging_certificate_pem;
	source.staging_private_key_pem = row->staging_private_key_pem;
	source.cursor = row->cursor;
	source.assigner_profile_uuid = row->assigner_profile_uuid;
	return import_and_tell(importer, &source);
}

// Goes on after one that fails; gives the first failure.
static enum err import_rows(struct importer *importer, const struct wish *wish, const struct pg_transaction *t,
	struct fault *fault)
{
	enum err first = OK;

	if (pg_row_count(t, 0) == 0) {
		return fault_set(fault, ERR_NOT_FOUND, wish->all ? "NanoDEP has no DEP names" : "NanoDEP has no such DEP name");
	}
	for (size_t i = 0; i < pg_row_count(t, 0); i++) {
		struct nanodep_row row;

		store_nanodep_read(t, 0, i, &row);
		const enum err rc = import_row(importer, wish, &row);

		first = first == OK ? rc : first;
	}
	return first;
}

static enum err read_nanodep(struct importer *importer, const struct wish *wish, struct database *nanodep,
	struct fault *fault)
{
	struct database_transaction transaction;
	struct pg_transaction *t = database_begin(nanodep, &transaction, store_nanodep());

	(void)store_nanodep_list(t, text_of(wish->name));
	enum err rc = database_run(&transaction, fault);

	if (rc != OK && store_nanodep_is_missing(t)) {
		rc = fault_set(fault, rc, "this database holds no NanoDEP storage: it has no table dep_names with the columns of one");
	} else if (rc != OK) {
		rc = fault_wrap(fault, rc, "NanoDEP's database");
	} else {
		rc = import_rows(importer, wish, t, fault);
	}
	pg_transaction_fini(t);
	return rc;
}

static enum err from_database(struct importer *importer, const struct wish *wish, struct fault *fault)
{
	struct config config = { .database_url = wish->database_url };
	struct database nanodep;

	TRY(database_open(&nanodep, &config, fault));
	const enum err rc = read_nanodep(importer, wish, &nanodep, fault);

	database_close(&nanodep);
	return rc;
}

// --- the command ---

int import_command(const struct config *config, int argc, char **argv)
{
	struct wish wish = { 0 };
	struct importer importer;
	struct fault fault = { 0 };

	if (argc < 2 || strcmp(argv[1], "nanodep") != 0) {
		return wrong("it imports from nanodep");
	}
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		(void)fputs(import_usage, stdout);
		return EXIT_OK;
	}
	const char *complaint = read_arguments(&wish, argc - 1, argv + 1);

	if (complaint != NULL) {
		free(wish.database_url);
		return wrong(complaint);
	}
	enum err rc = importer_open(&importer, config, &fault);

	if (rc == OK) {
		rc = wish.database_url != NULL ? from_database(&importer, &wish, &fault) : from_files(&importer, &wish, &fault);
		importer_close(&importer);
	}
	if (fault.text[0] != '\0') {
		(void)fprintf(stderr, "depbroker import nanodep: %s\n", fault.text);
	}
	if (wish.database_url != NULL) {
		wipe(wish.database_url, strlen(wish.database_url));
		free(wish.database_url);
	}
	return rc == OK ? EXIT_OK : EXIT_FAILED;
}
