// SPDX-License-Identifier: Apache-2.0
//
// depbroker doctor: configuration, master key file, database, clocks, keys.
#include "command.h"
#include "depbroker/clock.h"
#include "doctor.h"
#include "store/migrate.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { OLDEST_SERVER = 150000, CLOCK_FAR_MS = 2000 };

const char doctor_usage[] =
	"usage: depbroker doctor [--offline]\n"
	"\n"
	"Checks the configuration, the master key file, the database and its schema, the clocks of the database and of Apple, and opens\n"
	"every key and secret; it changes nothing. One line a check; a FINDING ends with what to do. Exit code 1: there is one.\n"
	"\n"
	"  --offline   does not ask Apple for the time\n"
	"\n"
	"Without DEPBROKER_DATABASE_URL it asks the embedded PostgreSQL of a running depbroker serve.\n";

// --- lines ---

void doctor_ok(const char *check, const char *format, ...)
{
	va_list arguments;

	(void)printf("ok       %s: ", check);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
}

void doctor_skipped(const char *check, const char *why)
{
	(void)printf("skipped  %s: %s\n", check, why);
}

void doctor_finding(struct doctor *doctor, const char *check, const char *fix, const char *format, ...)
{
	va_list arguments;

	doctor->findings++;
	(void)printf("FINDING  %s: ", check);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf(". Fix: %s.\n", fix);
}

// --- the master key file ---

static void check_key_file(struct doctor *doctor)
{
	static const char check[] = "master key file";
	const char *path = doctor->config->master_key_file;
	struct fault fault;

	doctor->has_keys = master_keys_load(&doctor->keys, path, false, &fault) == OK;
	if (doctor->has_keys) {
		doctor_ok(check, "%s holds %zu, mode and owner are right", path, doctor->keys.count);
	} else {
		doctor_finding(doctor, check, "bring it back, mode 0600, owned by the user that runs depbroker; depbroker serve makes one at its "
			"very first start only", "%s", fault.text);
	}
}

// --- the database ---

static void check_server(struct doctor *doctor, const struct pg_transaction *t, unsigned statement, int64_t asked_us)
{
	struct store_server server;
	const int64_t now_us = clock_wall_us();
	int64_t apart_ms;

	store_server_read(t, statement, &server);
	if (server.version_number < OLDEST_SERVER) {
		doctor_finding(doctor, "database server", "use PostgreSQL 15 or later", "it is PostgreSQL %.*s", TEXT_ARGS(server.version));
	} else {
		doctor_ok("database server", "PostgreSQL %.*s", TEXT_ARGS(server.version));
	}
	apart_ms = (server.now_us < asked_us ? asked_us - server.now_us : server.now_us > now_us ? server.now_us - now_us : 0) / 1000;
	if (apart_ms > CLOCK_FAR_MS) {
		doctor_finding(doctor, "clock against the database's", "set both machines' clocks, by NTP", "%" PRId64 " ms apart", apart_ms);
	} else {
		doctor_ok("clock against the database's", "%" PRId64 " ms apart", apart_ms);
	}
}

static void check_settings(struct doctor *doctor, const struct pg_transaction *t, unsigned statement)
{
	const size_t count = pg_row_count(t, statement);

	for (size_t row = 0; row < count; row++) {
		doctor_finding(doctor, "database settings", "set it to on", "%.*s is off: a crash may lose what was committed",
			TEXT_ARGS(pg_text(t, statement, row, 0)));
	}
	if (count == 0) {
		doctor_ok("database settings", "none of them gives up what was committed");
	}
}

static void check_schema(struct doctor *doctor, const struct pg_transaction *t, unsigned version_at, unsigned lint_at)
{
	const int64_t version = store_schema_version(t, version_at);
	struct buffer complaints CLEANUP(buffer_fini) = BUFFER(4096);

	if (version != store_schema_expected()) {
		doctor_finding(doctor, "schema", "run depbroker migrate of the newer program", "the database has version %" PRId64 ", this program is "
			"made for %" PRId64, version, store_schema_expected());
	} else {
		doctor_ok("schema", "version %" PRId64, version);
	}
	if (store_lint_read(t, lint_at, &complaints)) {
		doctor_finding(doctor, "walls between tenants", "undo what was changed by hand in the schema", "%s", complaints.bytes);
	} else {
		doctor_ok("walls between tenants", "the linter of the schema has no complaint");
	}
}

static void look_into_database(struct doctor *doctor)
{
	struct database_transaction transaction;
	struct pg_transaction *t = database_begin(&doctor->database, &transaction, store_directory());
	const unsigned server = store_server_select(t);
	const unsigned settings = store_risky_settings_select(t);
	const unsigned version = store_schema_select(t);
	const unsigned complaints = store_lint_select(t);
	const int64_t asked_us = clock_wall_us();
	struct fault fault;
	const enum err rc = database_run(&transaction, &fault);

	if (rc == OK) {
		check_server(doctor, t, server, asked_us);
		check_settings(doctor, t, settings);
		check_schema(doctor, t, version, complaints);
	} else {
		doctor->has_database = false;
		doctor_finding(doctor, "database", "look at DEPBROKER_DATABASE_URL and at the server", "%s",
			fault.text[0] != '\0' ? fault.text : err_text(rc));
	}
	pg_transaction_fini(&transaction.pg);
	if (rc != OK) {
		database_close(&doctor->database);
	}
}

static void check_database(struct doctor *doctor)
{
	struct fault fault;

	doctor->has_database = database_open(&doctor->database, doctor->config, &fault) == OK;
	if (doctor->has_database) {
		look_into_database(doctor);
	} else {
		doctor_finding(doctor, "database", "start depbroker serve, or set DEPBROKER_DATABASE_URL", "%s", fault.text);
	}
}

// --- all ---

static void check_all(struct doctor *doctor, bool offline)
{
	doctor_ok("configuration", "every option is known and has a value that makes sense");
	check_key_file(doctor);
	check_database(doctor);
	if (doctor->has_database && doctor->has_keys) {
		doctor_check_keys(doctor);
	} else {
		doctor_skipped("which key seals what", "it needs the database and the master key file");
	}
	if (offline) {
		doctor_skipped("clock against Apple's", "--offline");
	} else {
		doctor_check_apple(doctor);
	}
	(void)printf("note     backups: a backup of the database is useless without the master key file, and the file without the database. "
		"Keep both, and keep them apart.\n");
}

int doctor_command(const struct config *config, int argc, char **argv)
{
	struct doctor doctor = { .config = config };
	const bool offline = argc == 2 && strcmp(argv[1], "--offline") == 0;

	if (argc > 1 && !offline) {
		(void)fprintf(stderr, "depbroker doctor: unknown option\n\n%s", doctor_usage);
		return EXIT_USAGE;
	}
	check_all(&doctor, offline);
	if (doctor.has_database) {
		database_close(&doctor.database);
	}
	master_keys_fini(&doctor.keys);
	return doctor.findings == 0 ? EXIT_OK : EXIT_FAILED;
}
